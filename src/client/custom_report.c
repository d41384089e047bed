/* SPDX-License-Identifier: Apache-2.0 */
/*
 * custom_report.c - loss and metrics of a custom loss, gathered on its thread and put
 * into the output on the loop thread.
 */
#include "client/custom_report.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "types/owned.h"

#define MAX_BYTES ((size_t)16 << 20)

void tkx__custom_report_init(tkx_custom_report *r)
{
    memset(r, 0, sizeof *r);
    tkx__arena_init(&r->arena, 512, MAX_BYTES);
}

void tkx__custom_report_clear(tkx_custom_report *r)
{
    tkx__arena_clear(&r->arena);
    tkx__free(r->metrics);
    r->metrics = NULL;
}

void tkx_custom_report_loss(tkx_custom_report *report, double loss)
{
    report->loss = loss;
}

tkx_status tkx_custom_report_metric(tkx_custom_report *r, const char *name, double value)
{
    if (!name || !*name)
        return TKX_ERR_INVALID_ARGUMENT;
    if (r->n_metrics == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 8;
        tkx_metric *metrics = tkx__realloc(r->metrics, capacity, sizeof *metrics);

        if (!metrics)
            return TKX_ERR_NO_MEMORY;
        r->metrics = metrics;
        r->capacity = capacity;
    }
    char *copy = tkx__arena_strndup(&r->arena, name, strlen(name));
    if (!copy)
        return TKX_ERR_NO_MEMORY;
    r->metrics[r->n_metrics++] = (tkx_metric){.name = copy, .value = value};
    return TKX_OK;
}

void tkx_custom_report_failure(tkx_custom_report *report, const char *message)
{
    snprintf(report->failure, sizeof report->failure, "%s", message ? message : "");
}

/* --- into the output ------------------------------------------------------------- */

typedef struct list {
    tkx_metric *items;
    size_t n;
} list;

/* The later one of a name wins, at the earlier one's place. */
static void put(list *l, const char *name, double value)
{
    size_t i = 0;

    while (i < l->n && strcmp(l->items[i].name, name) != 0)
        i++;
    l->items[i] = (tkx_metric){.name = name, .value = value};
    if (i == l->n)
        l->n++;
}

tkx_status tkx__custom_report_apply(const tkx_custom_report *r,
                                    tkx_forward_backward_output *output, tkx_error **err)
{
    tkx__arena *arena = tkx__owned_arena(output);
    list l = {.items = tkx__arena_zalloc(arena, output->n_metrics + r->n_metrics + 1,
                                         sizeof(tkx_metric))};

    if (!l.items)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < output->n_metrics; i++) {
        l.items[l.n] = output->metrics[i];
        if (strcmp(l.items[l.n].name, "loss:sum") == 0)
            l.items[l.n].name = "surrogate_loss:sum";
        l.n++;
    }
    put(&l, "loss:sum", r->loss);
    for (size_t i = 0; i < r->n_metrics; i++) {
        const char *name = r->metrics[i].name;
        char *copy = tkx__arena_strndup(arena, name, strlen(name));

        if (!copy)
            return tkx__fail_memory(err);
        put(&l, copy, r->metrics[i].value);
    }
    output->metrics = l.items;
    output->n_metrics = l.n;
    return TKX_OK;
}
