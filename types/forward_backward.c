/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_backward.c - the training request in JSON, for servers without protobuf.
 */
#include "types/forward_backward.h"

#include "types/datum.h"
#include "json/writer.h"

static void write_settings(tkx__json_writer *w, const tkx_loss *loss)
{
    tkx__json_put_key(w, "loss_fn_config");
    tkx__json_begin_object(w);
    for (size_t i = 0; i < loss->n_settings; i++) {
        const tkx_loss_setting *s = &loss->settings[i];

        if (s->text)
            tkx__json_member_string(w, s->key, s->text);
        else
            tkx__json_member_f64(w, s->key, s->number);
    }
    tkx__json_end_object(w);
}

/* About as many bytes as the arrays take as text, so that the buffer need not grow in
   steps; common digits and blanks, not the longest. */
static size_t guess_size(const tkx_forward_backward_request *request)
{
    enum { PER_TOKEN = 5, PER_INTEGER = 6, PER_FLOAT = 8, PER_ITEM = 128 };
    size_t n = 1024;

    for (size_t i = 0; i < request->n_data; i++) {
        const tkx_datum *d = &request->data[i];

        for (size_t k = 0; k < d->model_input.n_chunks; k++) {
            const tkx_chunk *c = &d->model_input.chunks[k];

            n += PER_ITEM;
            n += c->kind == TKX_CHUNK_TEXT ? PER_TOKEN * c->n_tokens : c->n_bytes / 3 * 4;
        }
        for (size_t k = 0; k < d->n_loss_fn_inputs; k++) {
            const tkx_tensor *t = &d->loss_fn_inputs[k].tensor;
            size_t each = t->dtype == TKX_DTYPE_INT64 ? PER_INTEGER : PER_FLOAT;

            n += PER_ITEM + each * t->n_values;
        }
    }
    return n;
}

tkx_status tkx__forward_backward_encode_json(const tkx_forward_backward_request *request,
                                             bool is_forward_route, tkx__buf *buf,
                                             tkx_error **err)
{
    size_t guess = guess_size(request);
    tkx__json_writer w;

    if (guess < buf->max_size / 2)
        tkx__buf_reserve(buf, guess);
    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_put_key(&w, is_forward_route ? "forward_input" : "forward_backward_input");
    tkx__json_begin_object(&w);
    tkx__json_put_key(&w, "data");
    tkx__json_begin_array(&w);
    for (size_t i = 0; i < request->n_data; i++)
        tkx__datum_write_json(&w, &request->data[i]);
    tkx__json_end_array(&w);
    tkx__json_member_string(&w, "loss_fn", request->loss.name);
    if (request->loss.n_settings)
        write_settings(&w, &request->loss);
    tkx__json_end_object(&w);
    tkx__json_member_string(&w, "model_id", request->model_id);
    tkx__json_member_i64(&w, "seq_id", request->seq_id);
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "forward_backward request", err);
}
