/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c - metrics from JSON, and finding one by name. */
#include <string.h>

#include "types/list.h"
#include "types/metrics.h"

const tkx_metric *tkx_metric_find(const tkx_metric *metrics, size_t n_metrics,
                                  const char *name)
{
    for (size_t i = 0; i < n_metrics; i++)
        if (strcmp(metrics[i].name, name) == 0)
            return &metrics[i];
    return NULL;
}

static void read_metric(tkx__json_reader *r, tkx_metric *metric)
{
    tkx__json_number n;
    const char *at;

    tkx__json_peek(r); /* past the blanks */
    at = r->at;
    if (tkx__json_peek(r) != TKX__JSON_NUMBER || *at == 'N' || *at == 'I') {
        tkx__json_read_f64(r, &metric->value);
        return;
    }
    if (!tkx__json_read_number(r, &n))
        return;
    metric->value = n.f64;
    metric->has_exact = n.kind != TKX__JSON_F64;
    metric->exact = n.kind == TKX__JSON_I64 ? (uint64_t)n.i64 : n.u64;
}

void tkx__metrics_read_json(tkx__json_reader *r, const tkx_metric **metrics,
                            size_t *count)
{
    tkx__list l = {0};
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        tkx_metric *metric = tkx__list_add(r, &l, sizeof *metric);

        if (!metric)
            break;
        metric->name = tkx__arena_strndup(r->arena, key.data, key.size);
        if (!metric->name)
            tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for a name");
        read_metric(r, metric);
    }
    *metrics = (tkx_metric *)(void *)l.items;
    *count = l.count;
}
