/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/build.h - what loading a tokenizer.json and a GGUF vocabulary share.
 */
#ifndef TKX_MODEL_TOKENIZER_BUILD_H
#define TKX_MODEL_TOKENIZER_BUILD_H

#include "model/tokenizer/tokenizer.h"

/* The block sign that stands for a blank. */
#define TKX__SIGN "\xE2\x96\x81"

/* Bytes of a byte-level token's spelling (a character per byte) into out, at least n
   long: how many, or -1 when a character stands for no byte. */
ptrdiff_t tkx__build_unspell(const char *text, size_t n, uint8_t *out);

/* Set a token by its spelling: bytes where the vocabulary is byte-level. */
tkx_status tkx__build_token(tkx_tokenizer *t, uint64_t id, const char *text, size_t n,
                            unsigned flags, tkx_error **err);

/* Have the token that was set last decode to the normal form of its text. */
tkx_status tkx__build_rename(tkx_tokenizer *t, uint32_t id, const char *text, size_t n,
                             tkx_error **err);

/* Index every token that the model may produce; then byte tokens by value. */
tkx_status tkx__build_index(tkx_tokenizer *t, tkx_error **err);

/* Merges by their spellings, which stay until the list is finished, in the order of their
   ranks. */
typedef struct tkx__merge_list tkx__merge_list;

tkx_status tkx__merge_list_new(tkx_tokenizer *t, size_t n_expected, tkx__merge_list **out,
                               tkx_error **err);
void tkx__merge_list_free(tkx__merge_list *list);
tkx_status tkx__merge_list_add(tkx__merge_list *list, const char *left, size_t n_left,
                               const char *right, size_t n_right, tkx_error **err);
/* The same of "left right". */
tkx_status tkx__merge_list_add_line(tkx__merge_list *list, const char *line, size_t n,
                                    tkx_error **err);
/* All of them into the tokenizer's table. */
tkx_status tkx__merge_list_finish(tkx__merge_list *list, tkx_error **err);

/* Merges of a vocabulary with scores: every cut of a token into two that exist (a single
   character always does), in the order of the tokens' scores. */
tkx_status tkx__build_scored_merges(tkx_tokenizer *t, const float *scores,
                                    size_t n_scores, tkx_error **err);

/* Once all merges are there. */
tkx_status tkx__build_finish(tkx_tokenizer *t, tkx_error **err);

/* End ids by the well-known names of control tokens. */
void tkx__build_named_end_ids(tkx_tokenizer *t);

#endif
