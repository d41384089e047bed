/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_values.c - call.args of a case as values of the library. */
#include <string.h>

#include "base/str.h"
#include "fixtures.h"

static void *new_array(fixture *f, size_t count, size_t size)
{
    return tkx__arena_zalloc(f->arena, count ? count : 1, size);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void *from_hex(fixture *f, const char *text, size_t *size)
{
    unsigned char *bytes;

    *size = strlen(text) / 2;
    bytes = new_array(f, *size, 1);
    for (size_t i = 0; bytes && i < *size; i++)
        bytes[i] =
            (unsigned char)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return bytes;
}

static const int64_t *integers(fixture *f, const jdom *from, size_t *count)
{
    int64_t *values = new_array(f, jdom_count(from), sizeof *values);

    *count = jdom_count(from);
    for (size_t i = 0; i < *count; i++)
        values[i] = jdom_i64(jdom_at(from, i), 0);
    return values;
}

static bool fixture_tensor(fixture *f, const jdom *from, tkx_tensor *to)
{
    const char *dtype = jdom_text(jdom_get(from, "dtype"));
    const char *hex = jdom_text(jdom_get(from, "bytes_hex"));
    size_t size;

    memset(to, 0, sizeof *to);
    if (!dtype || !hex) {
        fixture_differs(f, "a tensor without dtype or bytes_hex");
        return false;
    }
    to->dtype = strcmp(dtype, "int64") == 0 ? TKX_DTYPE_INT64 : TKX_DTYPE_FLOAT32;
    to->values.any = from_hex(f, hex, &size);
    to->n_values = size / (to->dtype == TKX_DTYPE_INT64 ? 8 : 4);
    to->has_shape = !jdom_is_null(jdom_get(from, "shape"));
    to->shape = integers(f, jdom_get(from, "shape"), &to->n_dims);
    to->is_sparse = jdom_get(from, "crow") != NULL;
    if (to->is_sparse) {
        to->crow = integers(f, jdom_get(from, "crow"), &to->n_crow);
        to->col = integers(f, jdom_get(from, "col"), &to->n_col);
    }
    return true;
}

static bool base64(fixture *f, const jdom *from, const char *key, tkx_chunk *to)
{
    const char *text = jdom_text(jdom_get(from, key));
    unsigned char *bytes = text ? new_array(f, strlen(text) + 4, 1) : NULL;
    ptrdiff_t n = bytes ? tkx__base64_decode(text, strlen(text), bytes) : -1;

    to->bytes = bytes;
    to->n_bytes = n < 0 ? 0 : (size_t)n;
    return n >= 0;
}

static bool chunk(fixture *f, const jdom *from, tkx_chunk *to)
{
    const char *type = jdom_text(jdom_get(from, "type"));
    const jdom *expected = jdom_get(from, "expected_tokens");

    memset(to, 0, sizeof *to);
    to->format = jdom_text(jdom_get(from, "format"));
    to->location = jdom_text(jdom_get(from, "location"));
    to->has_expected_tokens = !jdom_is_null(expected);
    to->expected_tokens = jdom_i64(expected, 0);
    if (type && strcmp(type, "encoded_text") == 0) {
        const jdom *tokens = jdom_get(from, "tokens");
        int32_t *values = new_array(f, jdom_count(tokens), sizeof *values);

        for (size_t i = 0; i < jdom_count(tokens); i++)
            values[i] = (int32_t)jdom_i64(jdom_at(tokens, i), 0);
        *to = tkx_chunk_text(values, jdom_count(tokens));
        return true;
    }
    if (type && strcmp(type, "image_asset_pointer") == 0) {
        to->kind = TKX_CHUNK_IMAGE_POINTER;
        return true;
    }
    if (type && strcmp(type, "image") == 0) {
        to->kind = TKX_CHUNK_IMAGE;
        return base64(f, from, "data_base64", to);
    }
    to->kind = TKX_CHUNK_DMEL;
    return type && strcmp(type, "dmel") == 0 && base64(f, from, "dmel_base64", to);
}

static bool fixture_model_input(fixture *f, const jdom *from, tkx_model_input *to)
{
    const jdom *list = jdom_get(from, "chunks");
    tkx_chunk *chunks = new_array(f, jdom_count(list), sizeof *chunks);

    *to = (tkx_model_input){chunks, jdom_count(list)};
    for (size_t i = 0; i < to->n_chunks; i++)
        if (!chunk(f, jdom_at(list, i), &chunks[i])) {
            fixture_differs(f, "chunk %zu is not understood", i);
            return false;
        }
    return true;
}

static const tkx_span *spans(fixture *f, const jdom *from, size_t *count)
{
    tkx_span *list = new_array(f, jdom_count(from), sizeof *list);

    *count = jdom_count(from);
    for (size_t i = 0; i < *count; i++) {
        const jdom *span = jdom_at(from, i);
        const char *kind = jdom_text(jdom_get(span, "kind"));

        list[i] = (tkx_span){.is_sampled = kind && strcmp(kind, "sampled") == 0,
                             .sequence_id = jdom_text(jdom_get(span, "sequence_id")),
                             .offset = jdom_i64(jdom_get(span, "offset"), 0),
                             .length = jdom_i64(jdom_get(span, "length"), 0)};
    }
    return list;
}

static bool datum(fixture *f, const jdom *from, tkx_datum *to)
{
    const jdom *inputs = jdom_get(from, "loss_fn_inputs");
    tkx_named_tensor *list = new_array(f, jdom_count(inputs), sizeof *list);

    to->loss_fn_inputs = list;
    to->n_loss_fn_inputs = jdom_count(inputs);
    for (size_t i = 0; i < to->n_loss_fn_inputs; i++) {
        list[i].name = inputs->keys[i];
        if (!fixture_tensor(f, jdom_at(inputs, i), &list[i].tensor))
            return false;
    }
    to->model_input_spans =
        spans(f, jdom_get(from, "model_input_spans"), &to->n_model_input_spans);
    to->loss_fn_input_spans =
        spans(f, jdom_get(from, "loss_fn_input_spans"), &to->n_loss_fn_input_spans);
    return fixture_model_input(f, jdom_get(from, "model_input"), &to->model_input);
}

static void settings(fixture *f, const jdom *from, tkx_loss *to)
{
    tkx_loss_setting *list = new_array(f, jdom_count(from), sizeof *list);

    to->settings = list;
    to->n_settings = jdom_count(from);
    for (size_t i = 0; i < to->n_settings; i++) {
        const jdom *value = jdom_at(from, i);

        list[i].key = from->keys[i];
        list[i].text = jdom_text(value);
        list[i].number = value->kind == TKX__JSON_OBJECT
                             ? jdom_f64(jdom_get(value, "float"), 0)
                             : jdom_f64(value, 0);
    }
}

bool fixture_training(fixture *f, tkx_forward_backward_request *to)
{
    const jdom *data = jdom_get(f->args, "data");
    tkx_datum *list = new_array(f, jdom_count(data), sizeof *list);

    memset(to, 0, sizeof *to);
    to->model_id = fixture_text(f, f->context, "model_id");
    to->seq_id = jdom_i64(jdom_get(f->context, "seq_id"), 0);
    to->is_forward_only = strcmp(f->op, "forward") == 0;
    to->loss.name = fixture_text(f, f->args, "loss_fn");
    settings(f, jdom_get(f->args, "loss_fn_config"), &to->loss);
    to->data = list;
    to->n_data = jdom_count(data);
    for (size_t i = 0; i < to->n_data; i++)
        if (!datum(f, jdom_at(data, i), &list[i]))
            return false;
    return true;
}

static void stop(fixture *f, const jdom *from, tkx_sampling_params *to)
{
    if (jdom_is_null(from))
        return;
    to->n_stop = jdom_count(from);
    to->stop_kind = TKX_STOP_STRINGS;
    if (from->kind == TKX__JSON_STRING) {
        const char **one = new_array(f, 1, sizeof *one);

        one[0] = from->text;
        to->stop_kind = TKX_STOP_ONE_STRING;
        to->stop_strings = one;
        to->n_stop = 1;
    } else if (to->n_stop && from->items[0].kind == TKX__JSON_NUMBER) {
        int32_t *tokens = new_array(f, to->n_stop, sizeof *tokens);

        for (size_t i = 0; i < to->n_stop; i++)
            tokens[i] = (int32_t)jdom_i64(jdom_at(from, i), 0);
        to->stop_kind = TKX_STOP_TOKENS;
        to->stop_tokens = tokens;
    } else {
        to->stop_strings = fixture_strings(f, from).items;
    }
}

static void params(fixture *f, const jdom *from, tkx_sampling_params *to)
{
    const jdom *seed = jdom_get(from, "seed");

    to->has_max_tokens = !jdom_is_null(jdom_get(from, "max_tokens"));
    to->max_tokens = jdom_i64(jdom_get(from, "max_tokens"), 0);
    if (!jdom_is_null(seed))
        to->seed = seed->number.kind == TKX__JSON_U64 ? tkx_seed_u64(seed->number.u64)
                                                      : tkx_seed_i64(seed->number.i64);
    stop(f, jdom_get(from, "stop"), to);
    to->temperature = jdom_f64(jdom_get(from, "temperature"), to->temperature);
    to->top_k = jdom_i64(jdom_get(from, "top_k"), to->top_k);
    to->top_p = jdom_f64(jdom_get(from, "top_p"), to->top_p);
}

bool fixture_sample(fixture *f, tkx_sample_request *to)
{
    static const tkx_sample_request initial = TKX_SAMPLE_REQUEST_INIT;
    const jdom *a = f->args;
    const jdom *target = jdom_get(a, "target_prompt_logprobs");
    bool is_logprobs = strcmp(f->op, "compute_logprobs") == 0;

    *to = initial;
    to->sampling_session_id = fixture_text(f, f->context, "sampling_session_id");
    to->seq_id = jdom_i64(jdom_get(f->context, "seq_id"), 0);
    to->num_samples = jdom_i64(jdom_get(a, "num_samples"), 1);
    params(f, jdom_get(a, "sampling_params"), &to->params);
    to->prompt_logprobs =
        is_logprobs || jdom_flag(jdom_get(a, "include_prompt_logprobs"), false);
    to->topk_prompt_logprobs = jdom_i64(jdom_get(a, "topk_prompt_logprobs"), 0);
    to->topk_sample_logprobs = jdom_i64(jdom_get(a, "topk_sample_logprobs"), 0);
    to->prompt_alt_tokens_k = jdom_i64(jdom_get(a, "prompt_alt_tokens_k"), 0);
    to->prompt_logprobs_last_n = jdom_i64(jdom_get(a, "prompt_logprobs_last_n"), -1);
    to->record_stability_info = jdom_flag(jdom_get(a, "record_stability_info"), false);
    if (is_logprobs) {
        to->params.has_max_tokens = true;
        to->params.max_tokens = 1;
    }
    if (!jdom_is_null(target)) {
        tkx_tensor *tensor = new_array(f, 1, sizeof *tensor);

        if (!fixture_tensor(f, target, tensor))
            return false;
        to->target_prompt_logprobs = tensor;
    }
    return fixture_model_input(f, jdom_get(a, "prompt"), &to->prompt);
}

tkx_pair_list fixture_pairs(fixture *f, const jdom *from)
{
    tkx_pair *items = new_array(f, jdom_count(from), sizeof *items);

    for (size_t i = 0; i < jdom_count(from); i++)
        items[i] = (tkx_pair){from->keys[i], jdom_text(jdom_at(from, i))};
    return (tkx_pair_list){items, jdom_count(from)};
}

tkx_string_list fixture_strings(fixture *f, const jdom *from)
{
    const char **items = new_array(f, jdom_count(from), sizeof *items);

    for (size_t i = 0; i < jdom_count(from); i++)
        items[i] = jdom_text(jdom_at(from, i));
    return (tkx_string_list){items, jdom_count(from)};
}
