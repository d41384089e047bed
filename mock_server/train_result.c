/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_result.c - what forward and forward_backward give back.
 *
 * JSON holds one object per datum; protobuf one record per run of datums whose outputs
 * have the same trailing shape.  SkyRL's results also hold the elementwise loss and no
 * metrics.
 */
#include "mock_server/train_result.h"

#include "mock_server/jw.h"
#include "mock_server/pb.h"

static void json_tensor(tkx__buf *out, const char *name, const float *data, size_t n,
                        size_t k, bool is_matrix)
{
    jw_fmt(out, "%s:{\"data\":", name);
    jw_f32s(out, data, n * k);
    jw_fmt(out, ",\"dtype\":\"float32\",\"shape\":[%z", n);
    if (is_matrix)
        jw_fmt(out, ",%z", k);
    tkx__buf_puts(out, "]}");
}

static const char *type_name(mock_dialect dialect)
{
    return dialect == DIALECT_SKYRL ? "scalar" : "ArrayRecord";
}

static void json_metrics(const nn_loss_result *result, tkx__buf *out)
{
    for (size_t i = 0; i < result->n_metrics; i++)
        jw_fmt(out, "%r%s:%f", i ? "," : "", result->metrics[i].name,
               result->metrics[i].value);
}

void train_result_json(const nn_loss_result *result, mock_dialect dialect, tkx__buf *out)
{
    bool is_skyrl = dialect == DIALECT_SKYRL;
    jw_fmt(out, "{\"loss_fn_output_type\":%s,\"loss_fn_outputs\":[", type_name(dialect));
    for (size_t i = 0; i < result->n_datums; i++) {
        const nn_datum_result *d = &result->datums[i];
        tkx__buf_puts(out, i ? ",{" : "{");
        json_tensor(out, "logprobs", d->logprobs, d->n, d->k, d->is_matrix);
        if (is_skyrl) {
            tkx__buf_putc(out, ',');
            json_tensor(out, "elementwise_loss", d->elementwise, d->n, 1, false);
        }
        tkx__buf_putc(out, '}');
    }
    tkx__buf_puts(out, "],\"metrics\":{");
    if (!is_skyrl)
        json_metrics(result, out);
    tkx__buf_puts(out, "}}");
}

/* A map entry {name: BatchedTensor} over datums from..to. */
static void proto_field(const nn_loss_result *result, size_t from, size_t to,
                        bool is_elementwise, tkx__buf *out)
{
    tkx__buf data, offsets, tensor, entry;
    int64_t offset = 0;
    const nn_datum_result *first = &result->datums[from];
    tkx__buf_init(&data, out->max_size);
    tkx__buf_init(&offsets, out->max_size);
    tkx__buf_init(&tensor, out->max_size);
    tkx__buf_init(&entry, out->max_size);
    tkx__buf_append(&offsets, &offset, sizeof offset);
    for (size_t i = from; i < to; i++) {
        const nn_datum_result *d = &result->datums[i];
        size_t n = is_elementwise ? d->n : d->n * d->k;
        tkx__buf_append(&data, is_elementwise ? d->elementwise : d->logprobs,
                        n * sizeof(float));
        offset += (int64_t)(n * sizeof(float));
        tkx__buf_append(&offsets, &offset, sizeof offset);
    }
    pb_put_buf(&tensor, 1, &data);
    pb_put_buf(&tensor, 2, &offsets);
    pb_put_uint(&tensor, 3, 1); /* FLOAT32 */
    if (first->is_matrix && !is_elementwise) {
        tkx__buf_reset(&data);
        pb_put_varint(&data, first->k);
        pb_put_buf(&tensor, 4, &data);
    }
    pb_put_text(&entry, 1, is_elementwise ? "elementwise_loss" : "logprobs");
    pb_put_buf(&entry, 2, &tensor);
    pb_put_buf(out, 2, &entry);
    tkx__buf_clear(&data);
    tkx__buf_clear(&offsets);
    tkx__buf_clear(&tensor);
    tkx__buf_clear(&entry);
}

static void proto_record(const nn_loss_result *result, size_t from, size_t to,
                         bool is_skyrl, tkx__buf *out)
{
    tkx__buf record;
    tkx__buf_init(&record, out->max_size);
    proto_field(result, from, to, false, &record);
    if (is_skyrl)
        proto_field(result, from, to, true, &record);
    pb_put_uint(&record, 3, to - from);
    pb_put_buf(out, 2, &record);
    tkx__buf_clear(&record);
}

static void proto_metric(const nn_metric *metric, tkx__buf *out)
{
    tkx__buf entry;
    tkx__buf_init(&entry, 4096);
    pb_put_text(&entry, 1, metric->name);
    pb_put_double(&entry, 2, metric->value);
    pb_put_buf(out, 3, &entry);
    tkx__buf_clear(&entry);
}

void train_result_proto(const nn_loss_result *result, mock_dialect dialect, tkx__buf *out)
{
    bool is_skyrl = dialect == DIALECT_SKYRL;
    size_t from = 0;
    pb_put_text(out, 1, is_skyrl ? "scalar" : "tml:ArrayRecord");
    for (size_t i = 1; i <= result->n_datums; i++) {
        const nn_datum_result *d = &result->datums[from];
        if (i < result->n_datums && result->datums[i].is_matrix == d->is_matrix &&
            result->datums[i].k == d->k)
            continue;
        proto_record(result, from, i, is_skyrl, out);
        from = i;
    }
    for (size_t i = 0; !is_skyrl && i < result->n_metrics; i++)
        proto_metric(&result->metrics[i], out);
}
