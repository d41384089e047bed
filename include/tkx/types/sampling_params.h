/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/sampling_params.h - how tokens are drawn.
 */
#ifndef TKX_TYPES_SAMPLING_PARAMS_H
#define TKX_TYPES_SAMPLING_PARAMS_H

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef enum tkx_stop_kind {
    TKX_STOP_DEFAULT = 0, /* not sent: the model's own end tokens */
    TKX_STOP_STRINGS,     /* n_stop 0: no stop at all, runs to max_tokens */
    TKX_STOP_TOKENS,      /* n_stop 0: the same empty list */
    TKX_STOP_ONE_STRING   /* n_stop 1; sent as a list: some servers take nothing else */
} tkx_stop_kind;

typedef struct tkx_sampling_params {
    size_t struct_size;
    bool has_max_tokens; /* false: as many as the context holds */
    int64_t max_tokens;
    tkx_seed seed;
    tkx_stop_kind stop_kind;
    const char *const *stop_strings; /* [n_stop]; one for ONE_STRING */
    const int32_t *stop_tokens;      /* [n_stop] */
    size_t n_stop;
    double temperature; /* 0: greedy */
    int64_t top_k;      /* -1: no limit */
    double top_p;
} tkx_sampling_params;

#define TKX_SAMPLING_PARAMS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_sampling_params), .temperature = 1.0, .top_k = -1,     \
        .top_p = 1.0                                                                     \
    }

TKX_END_DECLS
#endif
