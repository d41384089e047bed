/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation_life.c - making an operation, and the spans through which it is seen.
 */
#include "api/operation_in.h"
#include "base/mem.h"

tkx__operation *tkx__operation_new(tkx__site *site, const tkx__operation_spec *spec,
                                   tkx__operation_fn *fn, void *arg)
{
    size_t parts_size, size;

    if (!tkx__mul(spec->n_parts, sizeof(part), &parts_size) ||
        !tkx__add(parts_size, sizeof(tkx__operation), &size))
        return NULL;
    tkx__operation *op = tkx__calloc(1, size);
    if (!op)
        return NULL;
    op->results = tkx__calloc(spec->n_parts, sizeof *op->results);
    if (!op->results) {
        tkx__free(op);
        return NULL;
    }
    op->site = site;
    op->spec = *spec;
    op->fn = fn;
    op->arg = arg;
    op->n_parts = spec->n_parts;
    for (size_t i = 0; i < spec->n_parts; i++) {
        op->parts[i].op = op;
        op->parts[i].seq_id = -1;
    }
    return op;
}

void tkx__operation_begin_span(tkx__operation *op)
{
    const tkx__span_spec spec = {
        .what = op->spec.what,
        .lane = op->spec.lane,
        .seq_id = op->turns ? tkx__turns_seq(op->turns, op->first) : -1,
    };

    op->span = tkx__span_begin(op->site->observer, &spec);
    tkx__span_enter(op->span, TKX__PHASE_TURN);
}

void tkx__part_begin_span(part *p)
{
    tkx__operation *op = p->op;
    const tkx__span_spec spec = {.what = op->spec.what,
                                 .lane = op->spec.lane,
                                 .parent = op->span,
                                 .seq_id = p->seq_id};

    if (!op->span || op->n_parts == 1)
        return;
    tkx__span_enter(op->span, TKX__PHASE_SUBMIT);
    p->span = tkx__span_begin(op->site->observer, &spec);
}
