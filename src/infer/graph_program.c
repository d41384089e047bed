/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_program.c - a step as a list of phases.
 *
 * Blocks do not compute: they append what is to be computed, layer after layer, and the
 * pool runs the whole list.  So no thread has to be there for the others to go on with
 * the next phase.  What a block decides by looking at results (the routing of experts)
 * needs the list run up to there: tkx__graph_run().
 */
#include "infer/graph_in.h"

#define ROWS_PER_PIECE 4

static void row_piece(void *ctx, size_t piece, size_t thread)
{
    const row_job *j = ctx;
    size_t first = piece * ROWS_PER_PIECE;
    size_t end = first + ROWS_PER_PIECE < j->n ? first + ROWS_PER_PIECE : j->n;

    (void)thread;
    for (size_t i = first; i < end; i++)
        j->fn(j->ctx, i);
}

static tkx__phase row_phase(row_job *job)
{
    return (tkx__phase){.fn = row_piece,
                        .ctx = job,
                        .n_pieces = (job->n + ROWS_PER_PIECE - 1) / ROWS_PER_PIECE};
}

void tkx__graph_add_rows(tkx__graph *g, row_job *job, size_t n, tkx__fill_fn *fn,
                         void *ctx)
{
    *job = (row_job){.fn = fn, .ctx = ctx, .n = n};
    g->phases[g->n_phases++] = row_phase(job);
}

void tkx__graph_add_attention(tkx__graph *g, tkx__attn_job *job)
{
    g->phases[g->n_phases++] = tkx__attention_phase(job);
}

void tkx__graph_add_matmul(tkx__graph *g, tkx__matmul_job *job)
{
    g->n_phases += tkx__matmul_phases(job, g->phases + g->n_phases);
}

void tkx__graph_run(tkx__graph *g)
{
    tkx__threads_run_phases(g->pool, g->phases, g->n_phases);
    g->n_phases = 0;
}

void tkx__graph_rows(tkx__graph *g, size_t n, tkx__fill_fn *fn, void *ctx)
{
    row_job job = {.fn = fn, .ctx = ctx, .n = n};
    tkx__phase phase = row_phase(&job);

    tkx__threads_run_phases(g->pool, &phase, 1);
}
