/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/sample_text.h - the text of a sample request, kept small while it waits.
 *
 * The requests of a client differ in prompt and number, so what surrounds the prompt is
 * kept once for all that are alike (the frame), and a prompt of plain tokens waits as
 * varints.  The JSON is written when a submission goes out, and dropped when that has
 * been answered.
 */
#ifndef TKX_API_SAMPLE_TEXT_H
#define TKX_API_SAMPLE_TEXT_H

#include <stdatomic.h>

#include <tkx/types/sample.h>

#include "net/io.h"

/* Settings without arrays, by which two requests are known to be alike before either is
   written.  Compared by its bytes. */
typedef struct tkx__sample_settings {
    int64_t num_samples, max_tokens, top_k;
    uint64_t temperature, top_p; /* the bits of the numbers */
    uint64_t seed;
    int64_t topk_prompt_logprobs, topk_sample_logprobs;
    int64_t prompt_alt_tokens_k, prompt_logprobs_last_n;
    uint64_t flags;
} tkx__sample_settings;

/* A request without its prompt and its number.  Counted, immutable; any thread. */
typedef struct tkx__sample_frame {
    atomic_uint n_refs;
    bool has_settings; /* it is nothing but these */
    tkx__sample_settings settings;
    /* what the answer is checked against */
    bool prompt_logprobs, has_targets;
    int64_t prompt_alt_tokens_k, prompt_logprobs_last_n;
    size_t reply_bytes;     /* a guess */
    size_t prompt_at, size; /* of the text */
    char text[];
} tkx__sample_frame;

/* The frame of a request: like, if that is the same (like may be NULL), or a new one. */
tkx_status tkx__sample_frame_get(const char *sampling_session_id,
                                 const tkx_sample_request *request,
                                 tkx__sample_frame *like, tkx__sample_frame **out,
                                 tkx_error **err);
tkx__sample_frame *tkx__sample_frame_ref(tkx__sample_frame *frame);
void tkx__sample_frame_unref(tkx__sample_frame *frame); /* accepts NULL */

/* A prompt as it waits; the bytes follow in its owner's block. */
typedef struct tkx__packed_prompt {
    uint32_t n_tokens;    /* 0: not known */
    uint32_t size : 31;   /* bytes */
    uint32_t is_json : 1; /* else varints */
} tkx__packed_prompt;

/* Where the bytes of a prompt come from: varints of tokens, or JSON in text. */
typedef struct tkx__prompt_source {
    tkx__packed_prompt packed;
    const int32_t *tokens;
    char *text;
} tkx__prompt_source;

/* Long prompts are written here, in the calling thread, so that the loop need not. */
tkx_status tkx__prompt_open(const tkx_model_input *prompt, tkx__prompt_source *source,
                            tkx_error **err);
void tkx__prompt_pack(const tkx__prompt_source *source, unsigned char *to);
void tkx__prompt_close(tkx__prompt_source *source);

/* The whole request: one block of body and text, freed with tkx__free().  NULL: out of
   memory. */
tkx__body *tkx__sample_text(const tkx__sample_frame *frame, tkx__packed_prompt prompt,
                            const unsigned char *bytes, int64_t seq_id);

#endif
