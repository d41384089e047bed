/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c - metrics from JSON, and finding one by name. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
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

static int by_name_and_place(const void *a, const void *b)
{
    const tkx_metric *x = *(const tkx_metric *const *)a;
    const tkx_metric *y = *(const tkx_metric *const *)b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x > y) - (x < y);
}

bool tkx__metrics_unite(tkx_metric *metrics, size_t *count)
{
    size_t n = 0;
    tkx_metric **sorted;

    if (*count < 2)
        return true;
    sorted = tkx__calloc(*count, sizeof(tkx_metric *));
    if (!sorted)
        return false;
    for (size_t i = 0; i < *count; i++)
        sorted[i] = &metrics[i];
    qsort(sorted, *count, sizeof(tkx_metric *), by_name_and_place);
    for (size_t i = 0, first = 0; i < *count; i++) {
        if (i == first || strcmp(sorted[first]->name, sorted[i]->name) != 0) {
            first = i;
            continue;
        }
        const char *name = sorted[first]->name;
        *sorted[first] = *sorted[i];
        sorted[first]->name = name;
        sorted[i]->name = NULL;
    }
    tkx__free(sorted);
    for (size_t i = 0; i < *count; i++)
        if (metrics[i].name)
            metrics[n++] = metrics[i];
    *count = n;
    return true;
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
    if (r->status == TKX_OK &&
        !tkx__metrics_unite((tkx_metric *)(void *)l.items, &l.count))
        tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory to sort metrics");
    *metrics = (tkx_metric *)(void *)l.items;
    *count = l.count;
}
