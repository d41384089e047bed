/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample_response_proto.c - the sample result in protobuf.
 *
 * A field of an unexpected wire type counts as unknown and is skipped.  Of a field given
 * twice the last one holds; messages given twice merge.
 */
#include "base/error.h"
#include "types/owned.h"
#include "types/sample_response.h"
#include "types/tensor_proto.h"

#define EMPTY_LOGPROB (-99999.0f) /* with token 0: an empty cell */

typedef struct raw_topk {
    tkx__wire_field tokens;
    tkx__wire_field logprobs;
    uint64_t k;
    uint64_t length;
} raw_topk;

static bool cut_short(tkx__proto *p)
{
    return tkx__proto_fail(p, TKX_ERR_PARSE, "a message is cut short");
}

static void *new_array(tkx__proto *p, size_t count, size_t size)
{
    void *array = tkx__arena_zalloc(p->arena, count ? count : 1, size);

    if (!array)
        tkx__proto_fail(p, TKX_ERR_NO_MEMORY, "no memory for a list");
    return array;
}

static bool is_empty_cell(int32_t token, float logprob)
{
    return token == 0 && logprob == EMPTY_LOGPROB;
}

/* A row whose first cell is empty is missing; empty cells at its end are cut. */
static void trim_row(tkx_topk_row *row, const int32_t *tokens, const float *logprobs,
                     size_t k)
{
    if (is_empty_cell(tokens[0], logprobs[0]))
        return;
    while (k > 1 && is_empty_cell(tokens[k - 1], logprobs[k - 1]))
        k--;
    *row = (tkx_topk_row){tokens, logprobs, k};
}

static bool build_topk(tkx__proto *p, const raw_topk *raw, const tkx_topk **out)
{
    const int32_t *tokens;
    const float *logprobs;
    size_t n_tokens;
    size_t n_logprobs;
    tkx_topk_row *rows;
    tkx_topk *topk;

    *out = NULL;
    if (!raw->k || !raw->length)
        return true;
    if (!tkx__proto_i32s(p, &raw->tokens, &tokens, &n_tokens) ||
        !tkx__proto_f32s(p, &raw->logprobs, &logprobs, &n_logprobs))
        return false;
    if (n_tokens / raw->k < raw->length || n_logprobs / raw->k < raw->length)
        return tkx__proto_fail(p, TKX_ERR_PARSE,
                               "a top-k matrix has fewer than length times k cells");
    rows = new_array(p, (size_t)raw->length, sizeof *rows);
    topk = new_array(p, 1, sizeof *topk);
    if (!rows || !topk)
        return false;
    for (size_t i = 0; i < raw->length; i++)
        trim_row(&rows[i], tokens + i * raw->k, logprobs + i * raw->k, (size_t)raw->k);
    topk->rows = rows;
    topk->n_rows = (size_t)raw->length;
    *out = topk;
    return true;
}

/* Repeated singular messages merge, so the parts are gathered first. */
static bool gather_topk(tkx__proto *p, const tkx__wire_field *message, raw_topk *raw)
{
    tkx__wire w = tkx__wire_on(message->bytes, message->size);
    tkx__wire_field f;

    while (tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN))
            raw->tokens = f;
        else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN))
            raw->logprobs = f;
        else if (tkx__wire_is(&f, 3, TKX__WIRE_VARINT))
            raw->k = (uint32_t)f.value;
        else if (tkx__wire_is(&f, 4, TKX__WIRE_VARINT))
            raw->length = (uint32_t)f.value;
    }
    return !w.is_bad || cut_short(p);
}

static bool read_sequence(tkx__proto *p, const tkx__wire_field *message, tkx_sequence *s)
{
    tkx__wire w = tkx__wire_on(message->bytes, message->size);
    tkx__wire_field f;
    tkx__wire_field tokens = {0};
    tkx__wire_field logprobs = {0};
    raw_topk topk = {0};
    uint64_t reason = 0;

    while (tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_VARINT))
            reason = f.value;
        else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN))
            tokens = f;
        else if (tkx__wire_is(&f, 3, TKX__WIRE_LEN))
            logprobs = f;
        else if (tkx__wire_is(&f, 4, TKX__WIRE_LEN) && !gather_topk(p, &f, &topk))
            return false;
    }
    if (w.is_bad)
        return cut_short(p);
    reason = (uint32_t)reason; /* an enum keeps 32 bits */
    if (reason > 1)
        return tkx__proto_fail(p, TKX_ERR_PARSE, "unknown stop reason");
    s->stop_reason = reason ? TKX_STOP_REASON_LENGTH : TKX_STOP_REASON_STOP;
    if (!tkx__proto_i32s(p, &tokens, &s->tokens, &s->n_tokens))
        return false;
    if (logprobs.size && !tkx__proto_f32s(p, &logprobs, &s->logprobs, &s->n_logprobs))
        return false;
    return build_topk(p, &topk, &s->topk);
}

/* The parts of a response that its singular messages hold. */
typedef struct raw_parts {
    tkx__wire_field prompt;
    raw_topk topk;
    tkx__raw_tensor targets;
    bool has_alt;
    tkx__raw_tensor alt_tokens;
    tkx__raw_tensor alt_logprobs;
} raw_parts;

static bool build_tensor(tkx__proto *p, const tkx__raw_tensor *raw,
                         const tkx_tensor **out)
{
    tkx_tensor *tensor = new_array(p, 1, sizeof *tensor);

    *out = tensor;
    return tensor && tkx__tensor_build(p, raw, tensor);
}

static bool gather_alt(tkx__proto *p, const tkx__wire_field *message, raw_parts *raw)
{
    tkx__wire w = tkx__wire_on(message->bytes, message->size);
    tkx__wire_field f;
    bool ok = true;

    raw->has_alt = true;
    while (ok && tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN))
            ok = tkx__tensor_gather(p, &f, &raw->alt_tokens);
        else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN))
            ok = tkx__tensor_gather(p, &f, &raw->alt_logprobs);
    }
    return ok && (!w.is_bad || cut_short(p));
}

static bool build_parts(tkx__proto *p, const raw_parts *raw, tkx_sample_response *out)
{
    if (raw->prompt.size &&
        !tkx__proto_f32s(p, &raw->prompt, &out->prompt_logprobs, &out->n_prompt_logprobs))
        return false;
    if (raw->targets.is_given &&
        !build_tensor(p, &raw->targets, &out->target_prompt_logprobs))
        return false;
    if (raw->has_alt && (!build_tensor(p, &raw->alt_tokens, &out->alt_tokens) ||
                         !build_tensor(p, &raw->alt_logprobs, &out->alt_logprobs)))
        return false;
    return build_topk(p, &raw->topk, &out->topk_prompt_logprobs);
}

static size_t count_sequences(const char *bytes, size_t size)
{
    tkx__wire w = tkx__wire_on(bytes, size);
    tkx__wire_field f;
    size_t n = 0;

    while (tkx__wire_next(&w, &f))
        n += tkx__wire_is(&f, 1, TKX__WIRE_LEN);
    return n;
}

static bool read_response(tkx__proto *p, const char *bytes, size_t size,
                          tkx_sample_response *out)
{
    tkx__wire w = tkx__wire_on(bytes, size);
    tkx__wire_field f;
    raw_parts raw = {0};
    bool ok = true;

    out->sequences = new_array(p, count_sequences(bytes, size), sizeof *out->sequences);
    ok = out->sequences != NULL;
    while (ok && tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN))
            ok = read_sequence(p, &f, &out->sequences[out->n_sequences++]);
        else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN))
            raw.prompt = f;
        else if (tkx__wire_is(&f, 3, TKX__WIRE_LEN))
            ok = gather_topk(p, &f, &raw.topk);
        else if (tkx__wire_is(&f, 4, TKX__WIRE_VARINT))
            out->prompt_cache_hit_tokens = (int32_t)f.value;
        else if (tkx__wire_is(&f, 5, TKX__WIRE_LEN))
            ok = tkx__tensor_gather(p, &f, &raw.targets);
        else if (tkx__wire_is(&f, 6, TKX__WIRE_LEN))
            ok = gather_alt(p, &f, &raw);
    }
    if (!ok || w.is_bad)
        return ok && cut_short(p);
    return build_parts(p, &raw, out);
}

tkx_status tkx__sample_response_decode_proto(const void *bytes, size_t size,
                                             tkx_sample_response **out, tkx_error **err)
{
    tkx__proto p = {0};
    tkx_sample_response *response;
    tkx_status st;

    *out = NULL;
    response =
        tkx__owned_new(sizeof *response, size + size / 4 + 1024,
                       size < SIZE_MAX / 128 ? size * 64 + (1 << 16) : size, &p.arena);
    if (!response)
        return tkx__fail_memory(err);
    read_response(&p, bytes ? bytes : "", bytes ? size : 0, response);
    st = tkx__proto_status(&p, "sample answer (protobuf)", err);
    if (st != TKX_OK) {
        tkx__owned_free(response);
        return st;
    }
    *out = response;
    return TKX_OK;
}
