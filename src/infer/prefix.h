/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/prefix.h - full KV blocks by what was computed into them.
 *
 * A block is found by its tokens and by the block before it, back to a root that names
 * the adapter; equality is of tokens, not of hashes.  The cache holds a reference to each
 * block it knows and lets go of those that nobody else holds, the longest unused first,
 * when a block is wanted and none is free.
 * Thread: one at a time (the compute thread).
 */
#ifndef TKX_INFER_PREFIX_H
#define TKX_INFER_PREFIX_H

#include "infer/kv.h"

typedef struct tkx__prefix tkx__prefix;

tkx_status tkx__prefix_new(tkx__kv *kv, tkx__prefix **out, tkx_error **err);
void tkx__prefix_free(tkx__prefix *prefix);

/*
 * The longest run of full blocks that begins tokens; their ids to blocks, a reference
 * each.  root: the adapter's uid, 0 for the base.  Returns how many blocks.
 */
size_t tkx__prefix_match(tkx__prefix *prefix, uint64_t root, const int64_t *tokens,
                         size_t n_tokens, uint32_t *blocks);
/* Remember the full blocks of tokens that are not known yet. */
void tkx__prefix_insert(tkx__prefix *prefix, uint64_t root, const int64_t *tokens,
                        size_t n_tokens, const uint32_t *blocks);

/* A block as tkx__kv_alloc() or tkx__kv_copy() gives, making room if need be. */
uint32_t tkx__prefix_alloc(tkx__prefix *prefix);
uint32_t tkx__prefix_copy(tkx__prefix *prefix, uint32_t block);

#endif
