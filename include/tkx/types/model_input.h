/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/model_input.h - what a model reads: tokens, images, audio, in order.
 */
#ifndef TKX_TYPES_MODEL_INPUT_H
#define TKX_TYPES_MODEL_INPUT_H

#include <tkx/error.h>
#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef enum tkx_chunk_kind {
    TKX_CHUNK_TEXT = 0,
    TKX_CHUNK_IMAGE,         /* the file's bytes */
    TKX_CHUNK_IMAGE_POINTER, /* an image the server can read; sampling only */
    TKX_CHUNK_DMEL           /* audio, a serialised TensorContainer */
} tkx_chunk_kind;

typedef struct tkx_chunk {
    tkx_chunk_kind kind;
    const int32_t *tokens; /* text: [n_tokens] */
    size_t n_tokens;
    const void *bytes; /* image, dmel: [n_bytes] */
    size_t n_bytes;
    const char *format;       /* image, pointer: "png" or "jpeg" */
    const char *location;     /* pointer: path or URL */
    bool has_expected_tokens; /* image, pointer: advice that lets the server fail early */
    int64_t expected_tokens;
} tkx_chunk;

typedef struct tkx_model_input {
    const tkx_chunk *chunks;
    size_t n_chunks;
} tkx_model_input;

static inline tkx_chunk tkx_chunk_text(const int32_t *tokens, size_t n_tokens)
{
    tkx_chunk chunk = {TKX_CHUNK_TEXT, NULL, 0, NULL, 0, NULL, NULL, false, 0};

    chunk.tokens = tokens;
    chunk.n_tokens = n_tokens;
    return chunk;
}

/**
 * Number of positions the input takes.
 *
 * Errors:    INVALID_ARGUMENT for an image without expected_tokens or audio whose header
 *            cannot be read.
 */
TKX_API tkx_status tkx_model_input_length(const tkx_model_input *input, size_t *n_tokens,
                                          tkx_error **err);

TKX_END_DECLS
#endif
