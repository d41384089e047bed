/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/metric.h - a named number a server reports, "name:reduction".
 */
#ifndef TKX_TYPES_METRIC_H
#define TKX_TYPES_METRIC_H

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef struct tkx_metric {
    const char *name;
    double value;
    bool has_exact; /* exact is an integer that value may have rounded (hash2) */
    uint64_t exact; /* modulo 2^64 */
} tkx_metric;

/** The metric of that name, or NULL.  Ownership: borrowed from @p metrics. */
TKX_API const tkx_metric *tkx_metric_find(const tkx_metric *metrics, size_t n_metrics,
                                          const char *name);

TKX_END_DECLS
#endif
