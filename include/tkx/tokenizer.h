/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/tokenizer.h - text to token ids and back.
 *
 * A tokenizer is read from a model folder, a tokenizer.json or a GGUF file; it does not
 * change afterwards.  Text is UTF-8 and may hold NULs.  Input that is not UTF-8 is
 * encoded as if each maximal ill-formed sequence were U+FFFD.
 */
#ifndef TKX_TOKENIZER_H
#define TKX_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

TKX_BEGIN_DECLS

typedef struct tkx_tokenizer tkx_tokenizer;
typedef struct tkx_text_stream tkx_text_stream;

typedef enum tkx_encode_flags {
    TKX_ENCODE_DEFAULT = 0,     /* special tokens written in the text are recognised */
    TKX_ENCODE_ADD_SPECIAL = 1, /* add begin-of-text or what the model wants around it */
    TKX_ENCODE_PLAIN_TEXT = 2   /* nothing in the text is a special or added token */
} tkx_encode_flags;

typedef enum tkx_decode_flags {
    TKX_DECODE_DEFAULT = 0,     /* special tokens appear as their text */
    TKX_DECODE_SKIP_SPECIAL = 1 /* special tokens are left out */
} tkx_decode_flags;

/**
 * Read the tokenizer of @p path: a folder with tokenizer.json or tokenizer.gguf, a
 * tokenizer.json, a GGUF file (a model or a vocabulary alone), or the word "bytes" for
 * the byte tokenizer (ids 0 to 255 are bytes, 256 ends a text).
 *
 * Thread:    any.
 * Ownership: @p out is the caller's; tkx_tokenizer_unref().
 * Errors:    NOT_FOUND, IO; PARSE for a broken file; UNSUPPORTED for a tokenizer of a
 *            kind that is not offered (the message names what, and what is); LIMIT.
 */
TKX_API tkx_status tkx_tokenizer_open(const char *path, tkx_tokenizer **out,
                                      tkx_error **err);

/** Count one more or one less owner.  Thread: any.  unref accepts NULL. */
TKX_API tkx_tokenizer *tkx_tokenizer_ref(tkx_tokenizer *tokenizer);
TKX_API void tkx_tokenizer_unref(tkx_tokenizer *tokenizer);

/** Largest id that has a token, plus one.  Thread: any. */
TKX_API size_t tkx_tokenizer_vocab_size(const tkx_tokenizer *tokenizer);

/** The id of the token spelt @p text, special or not; -1 if there is none.
    Thread: any. */
TKX_API int64_t tkx_tokenizer_find(const tkx_tokenizer *tokenizer, const char *text);

/** The id that begins a text; -1 if the model has none.  Thread: any. */
TKX_API int64_t tkx_tokenizer_bos_id(const tkx_tokenizer *tokenizer);

/**
 * The ids after which generation ends: of generation_config.json, else config.json, else
 * the end tokens that the vocabulary itself names.
 *
 * Thread:    any.
 * Ownership: borrowed from the tokenizer.
 * Shapes:    [*n_ids]; possibly none.
 */
TKX_API const int64_t *tkx_tokenizer_end_ids(const tkx_tokenizer *tokenizer,
                                             size_t *n_ids);

/** The model's own chat template (Jinja); NULL if it has none.  Borrowed.
    Thread: any. */
TKX_API const char *tkx_tokenizer_chat_template(const tkx_tokenizer *tokenizer);

/**
 * Encode a text.  @p flags are tkx_encode_flags.
 *
 * Thread:    any.
 * Ownership: *ids is the caller's; tkx_tokenizer_free_result().  NULL when empty.
 * Shapes:    ids[*n_ids].
 * Errors:    LIMIT for a text over 1 GiB, or when an expression of the tokenizer's file
 *            needs too much backtracking; INVALID_ARGUMENT for a character that a
 *            vocabulary without an unknown token cannot spell.
 */
TKX_API tkx_status tkx_tokenizer_encode(const tkx_tokenizer *tokenizer, const char *text,
                                        size_t size_bytes, unsigned flags, int64_t **ids,
                                        size_t *n_ids, tkx_error **err);

/**
 * Decode ids to UTF-8.  Ids without a token decode to nothing.  @p flags are
 * tkx_decode_flags.  Bytes that are no UTF-8 become U+FFFD: one for each maximal
 * ill-formed sequence (byte-level vocabularies), or one for each byte of a run of byte
 * tokens that is not UTF-8 as a whole (byte-fallback vocabularies).
 *
 * Thread:    any.
 * Ownership: *text is the caller's, NUL-terminated; tkx_tokenizer_free_result().
 */
TKX_API tkx_status tkx_tokenizer_decode(const tkx_tokenizer *tokenizer,
                                        const int64_t *ids, size_t n_ids, unsigned flags,
                                        char **text, size_t *size_bytes, tkx_error **err);

/** Free what encode or decode gave.  Thread: any.  Accepts NULL. */
TKX_API void tkx_tokenizer_free_result(void *result);

/**
 * Start decoding ids one at a time.
 *
 * Thread:    any; the stream itself, one at a time.
 * Ownership: @p out is the caller's; tkx_text_stream_free().  Holds the tokenizer.
 */
TKX_API tkx_status tkx_text_stream_new(tkx_tokenizer *tokenizer, unsigned flags,
                                       tkx_text_stream **out, tkx_error **err);

/**
 * Add one id and get the text that it completes: "" while a character is incomplete.
 * Pieces are whole characters; no memory is allocated for tokens of usual length.
 *
 * Thread:    one at a time.
 * Ownership: *piece is borrowed from the stream until its next call; NUL-terminated.
 */
TKX_API tkx_status tkx_text_stream_push(tkx_text_stream *stream, int64_t id,
                                        const char **piece, size_t *size_bytes,
                                        tkx_error **err);

/** End the text: an unfinished character comes out as U+FFFD.  All else as for push. */
TKX_API tkx_status tkx_text_stream_finish(tkx_text_stream *stream, const char **piece,
                                          size_t *size_bytes, tkx_error **err);

/** Thread: one at a time.  Accepts NULL. */
TKX_API void tkx_text_stream_free(tkx_text_stream *stream);

TKX_END_DECLS
#endif
