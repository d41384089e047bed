/* SPDX-License-Identifier: Apache-2.0 */
/* types/metrics.h - an object of numbers, as metrics. */
#ifndef TKX_TYPES_METRICS_H
#define TKX_TYPES_METRICS_H

#include <tkx/types/metric.h>

#include <stdbool.h>

#include "json/reader.h"

/* One of each name: where it stood first, with its last value, as a map keeps it.  False:
   no memory. */
bool tkx__metrics_unite(tkx_metric *metrics, size_t *count);

void tkx__metrics_read_json(tkx__json_reader *r, const tkx_metric **metrics,
                            size_t *count);

#endif
