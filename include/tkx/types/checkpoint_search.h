/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/checkpoint_search.h - finding checkpoints by what was written on them.
 */
#ifndef TKX_TYPES_CHECKPOINT_SEARCH_H
#define TKX_TYPES_CHECKPOINT_SEARCH_H

#include <tkx/types/checkpoint.h>

TKX_BEGIN_DECLS

/* Start from TKX_CHECKPOINT_SEARCH_INIT.  All that is asked for must hold. */
typedef struct tkx_checkpoint_search {
    size_t struct_size;
    tkx_string_list project_ids; /* empty: every project that may be listed */
    tkx_pair_list user_metadata; /* every pair must match exactly */
    const char *checkpoint_type; /* "training", "sampler", "external"; NULL: any */
    const char *owner;           /* "own", "accessible" or "user" */
    tkx_string_list owner_urns;  /* with "user": 1 to 10 */
    tkx_string_list base_models; /* empty: any */
    int64_t limit;               /* of one page: 1 to 200 */
    const char *cursor_json;     /* next_cursor_json of the last page; NULL: first page */
    tkx_json_member_list extra_json;
} tkx_checkpoint_search;

#define TKX_CHECKPOINT_SEARCH_INIT                                                       \
    {                                                                                    \
        .struct_size = sizeof(tkx_checkpoint_search), .owner = "own", .limit = 50        \
    }

/* Newest first. */
typedef struct tkx_checkpoint_search_result {
    const tkx_checkpoint *items;
    size_t count;
    const char *next_cursor_json; /* NULL: the last page */
} tkx_checkpoint_search_result;

TKX_API void tkx_checkpoint_search_result_free(tkx_checkpoint_search_result *result);

TKX_END_DECLS
#endif
