/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample_text.c - frames that requests share, prompts as varints, and the JSON of both.
 */
#include "api/sample_text.h"

#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "types/model_input.h"
#include "types/sample.h"
#include "json/decimal.h"

#define MAX_BODY ((size_t)1 << 30)
#define MAX_BODY_MASK 0x7fffffffu
#define MAX_PACKED 16384  /* tokens that the loop may write: a quarter of a millisecond */
#define NUMBER_ROOM 40    /* the number and its key */
#define TOKEN_ROOM 8      /* of one in JSON */
#define CHUNK_ROOM 64     /* what surrounds them */
#define REPLY_HEAD 512    /* header lines of an answer, and what is around its tokens */
#define BYTES_PER_TOKEN 8 /* in an answer */
#define MAX_REPLY_GUESS 2048

/* --- frames ---------------------------------------------------------------------- */

static uint64_t bits_of(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* False: it has lists, tensors, or strings of its own. */
static bool read_settings(const tkx_sample_request *q, tkx__sample_settings *s)
{
    const tkx_sampling_params *p = &q->params;

    *s = (tkx__sample_settings){
        .num_samples = q->num_samples,
        .max_tokens = p->max_tokens,
        .top_k = p->top_k,
        .temperature = bits_of(p->temperature),
        .top_p = bits_of(p->top_p),
        .seed = p->seed.bits,
        .topk_prompt_logprobs = q->topk_prompt_logprobs,
        .topk_sample_logprobs = q->topk_sample_logprobs,
        .prompt_alt_tokens_k = q->prompt_alt_tokens_k,
        .prompt_logprobs_last_n = q->prompt_logprobs_last_n,
        .flags = p->has_max_tokens | (unsigned)p->seed.is_set << 1 |
                 (unsigned)p->seed.is_negative << 2 | (unsigned)q->prompt_logprobs << 3 |
                 (unsigned)q->record_stability_info << 4,
    };
    return p->stop_kind == TKX_STOP_DEFAULT && !q->base_model && !q->model_path &&
           !q->target_prompt_logprobs && q->extra_json.count == 0;
}

static bool has_settings(const tkx__sample_frame *f, const tkx__sample_settings *s)
{
    return f && f->has_settings && memcmp(&f->settings, s, sizeof *s) == 0;
}

static bool is_same(const tkx__sample_frame *f, const tkx__buf *text, size_t prompt_at)
{
    return f && f->size == text->size && f->prompt_at == prompt_at &&
           memcmp(f->text, text->data, text->size) == 0;
}

/* Thousands may wait with a buffer of that size, so what is larger comes in pieces. */
static size_t guess_reply(const tkx_sample_request *request)
{
    const int64_t many = (MAX_REPLY_GUESS - REPLY_HEAD) / BYTES_PER_TOKEN;
    int64_t n = request->params.max_tokens;
    int64_t m = request->num_samples;

    if (!request->params.has_max_tokens || request->prompt_logprobs || n < 0 ||
        n > many || m < 0 || m > many || n * m > many)
        return MAX_REPLY_GUESS;
    return REPLY_HEAD + (size_t)(n * m) * BYTES_PER_TOKEN;
}

static tkx__sample_frame *new_frame(const tkx_sample_request *request,
                                    const tkx__buf *text, size_t prompt_at)
{
    tkx__sample_frame *f = tkx__malloc(sizeof *f + text->size);

    if (!f)
        return NULL;
    *f = (tkx__sample_frame){
        .prompt_logprobs = request->prompt_logprobs,
        .has_targets = request->target_prompt_logprobs != NULL,
        .prompt_alt_tokens_k = request->prompt_alt_tokens_k,
        .prompt_logprobs_last_n = request->prompt_logprobs_last_n,
        .reply_bytes = guess_reply(request),
        .prompt_at = prompt_at,
        .size = text->size,
    };
    atomic_init(&f->n_refs, 1);
    memcpy(f->text, text->data, text->size);
    return f;
}

tkx_status tkx__sample_frame_get(const char *sampling_session_id,
                                 const tkx_sample_request *request,
                                 tkx__sample_frame *like, tkx__sample_frame **out,
                                 tkx_error **err)
{
    tkx_sample_request copy = *request;
    tkx__sample_settings settings;
    bool is_plain = read_settings(request, &settings);
    size_t prompt_at = 0;
    tkx__buf text;

    if (is_plain && has_settings(like, &settings)) {
        *out = tkx__sample_frame_ref(like);
        return TKX_OK;
    }
    copy.sampling_session_id = sampling_session_id;
    copy.seq_id = -1; /* written for each attempt */
    tkx__buf_init(&text, MAX_BODY);
    tkx_status st = tkx__sample_request_encode_around(&copy, &text, &prompt_at, err);
    if (st == TKX_OK) {
        text.size--; /* the closing brace comes after the number */
        *out = is_same(like, &text, prompt_at) ? tkx__sample_frame_ref(like)
                                               : new_frame(request, &text, prompt_at);
        if (!*out)
            st = tkx__fail_memory(err);
        else if (*out != like && is_plain) { /* nobody else has it yet */
            (*out)->has_settings = true;
            (*out)->settings = settings;
        }
    }
    tkx__buf_clear(&text);
    return st;
}

tkx__sample_frame *tkx__sample_frame_ref(tkx__sample_frame *frame)
{
    atomic_fetch_add_explicit(&frame->n_refs, 1, memory_order_relaxed);
    return frame;
}

void tkx__sample_frame_unref(tkx__sample_frame *frame)
{
    if (frame && atomic_fetch_sub_explicit(&frame->n_refs, 1, memory_order_acq_rel) == 1)
        tkx__free(frame);
}

/* --- prompts --------------------------------------------------------------------- */

static uint32_t varint_size(uint32_t value)
{
    uint32_t n = 1;

    for (; value > 0x7f; value >>= 7)
        n++;
    return n;
}

static unsigned char *put_varint(unsigned char *to, uint32_t value)
{
    for (; value > 0x7f; value >>= 7)
        *to++ = (unsigned char)(value | 0x80);
    *to++ = (unsigned char)value;
    return to;
}

static const unsigned char *get_varint(const unsigned char *from, uint32_t *value)
{
    *value = 0;
    for (int shift = 0;; shift += 7) {
        *value |= (uint32_t)(*from & 0x7f) << shift;
        if (!(*from++ & 0x80))
            return from;
    }
}

static uint32_t length_of(const tkx_model_input *prompt)
{
    size_t n = 0;

    if (tkx_model_input_length(prompt, &n, NULL) != TKX_OK || n > UINT32_MAX)
        return 0;
    return (uint32_t)n;
}

static bool is_packable(const tkx_model_input *prompt)
{
    return prompt->n_chunks == 1 && prompt->chunks[0].kind == TKX_CHUNK_TEXT &&
           prompt->chunks[0].n_tokens > 0 && prompt->chunks[0].n_tokens <= MAX_PACKED;
}

static tkx_status write_text(const tkx_model_input *prompt, tkx__prompt_source *source,
                             tkx_error **err)
{
    tkx__json_writer w;
    tkx__buf buf;
    size_t size;

    tkx__buf_init(&buf, MAX_BODY);
    tkx__json_writer_init(&w, &buf, 0);
    tkx__model_input_write_json(&w, prompt);
    tkx_status st = tkx__json_written(&w, "sample request", err);
    if (st == TKX_OK) {
        source->text = tkx__buf_take(&buf, &size);
        source->packed.size = (uint32_t)size & MAX_BODY_MASK;
        source->packed.is_json = true;
    }
    tkx__buf_clear(&buf);
    return st;
}

tkx_status tkx__prompt_open(const tkx_model_input *prompt, tkx__prompt_source *source,
                            tkx_error **err)
{
    uint32_t size = 0;

    *source = (tkx__prompt_source){.packed = {.n_tokens = length_of(prompt)}};
    if (!is_packable(prompt))
        return write_text(prompt, source, err);
    source->tokens = prompt->chunks[0].tokens;
    for (size_t i = 0; i < source->packed.n_tokens; i++)
        size += varint_size((uint32_t)source->tokens[i]);
    source->packed.size = size & MAX_BODY_MASK;
    return TKX_OK;
}

void tkx__prompt_pack(const tkx__prompt_source *source, unsigned char *to)
{
    if (source->text)
        memcpy(to, source->text, source->packed.size);
    else
        for (size_t i = 0; i < source->packed.n_tokens; i++)
            to = put_varint(to, (uint32_t)source->tokens[i]);
}

void tkx__prompt_close(tkx__prompt_source *source)
{
    tkx__free(source->text);
    source->text = NULL;
}

/* --- the request ----------------------------------------------------------------- */

/* Unpack and write as the codec does it.  False: out of memory. */
static bool write_prompt(tkx__buf *buf, tkx__packed_prompt prompt,
                         const unsigned char *bytes)
{
    tkx__json_writer w;

    if (prompt.is_json) {
        tkx__buf_append(buf, bytes, prompt.size);
        return true;
    }
    int32_t *tokens = tkx__malloc(prompt.n_tokens * sizeof *tokens);
    if (!tokens)
        return false;
    for (uint32_t i = 0, value; i < prompt.n_tokens; i++) {
        bytes = get_varint(bytes, &value);
        tokens[i] = (int32_t)value;
    }
    const tkx_chunk chunk = tkx_chunk_text(tokens, prompt.n_tokens);
    const tkx_model_input input = {&chunk, 1};
    tkx__json_writer_init(&w, buf, 0);
    tkx__model_input_write_json(&w, &input);
    tkx__free(tokens);
    return true;
}

/* The end of the request, with what differs between two of a frame. */
static void write_number(tkx__buf *buf, int64_t seq_id)
{
    char *to;

    tkx__buf_puts(buf, ",\"seq_id\":");
    to = tkx__buf_reserve(buf, TKX__DECIMAL_MAX);
    if (to)
        tkx__buf_grew(buf, tkx__decimal_print_i64(seq_id, to));
    tkx__buf_putc(buf, '}');
}

tkx__body *tkx__sample_text(const tkx__sample_frame *f, tkx__packed_prompt prompt,
                            const unsigned char *bytes, int64_t seq_id)
{
    static const tkx__body none;
    size_t room =
        prompt.is_json ? prompt.size : prompt.n_tokens * (size_t)TOKEN_ROOM + CHUNK_ROOM;
    tkx__body *body = NULL;
    bool has_prompt;
    tkx__buf buf;

    tkx__buf_init(&buf, 2 * MAX_BODY);
    tkx__buf_reserve(&buf, sizeof *body + f->size + room + NUMBER_ROOM);
    tkx__buf_append(&buf, &none, sizeof none);
    tkx__buf_append(&buf, f->text, f->prompt_at);
    has_prompt = write_prompt(&buf, prompt, bytes);
    tkx__buf_append(&buf, f->text + f->prompt_at, f->size - f->prompt_at);
    write_number(&buf, seq_id);
    if (has_prompt && buf.status == TKX_OK) {
        size_t size;

        char *block = tkx__buf_take(&buf, &size);
        char *exact = tkx__realloc(block, size, 1); /* hundreds may be on their way */
        body = (tkx__body *)(void *)(exact ? exact : block);
        body->bytes = body + 1;
        body->size_bytes = size - sizeof *body;
    }
    tkx__buf_clear(&buf);
    return body;
}
