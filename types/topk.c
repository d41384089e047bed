/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topk.c - rows of best tokens from JSON.  Pairs go into two flat lists that move as they
 * grow, so rows get their pointers at the end.
 */
#include "types/topk.h"

#include "types/list.h"

typedef struct pairs {
    tkx__list tokens;
    tkx__list logprobs;
} pairs;

static void read_pair(tkx__json_reader *r, pairs *p)
{
    int64_t token = 0;
    double logprob = 0;
    int32_t *to_token;
    float *to_logprob;

    tkx__json_read_array(r);
    if (tkx__json_read_element(r))
        tkx__json_read_i64(r, &token);
    if (tkx__json_read_element(r))
        tkx__json_read_f64(r, &logprob);
    else
        tkx__json_fail(r, TKX_ERR_PARSE, "expected [token, logprob]");
    if (tkx__json_read_element(r))
        tkx__json_fail(r, TKX_ERR_PARSE, "expected [token, logprob]");
    if (token < INT32_MIN || token > INT32_MAX)
        tkx__json_fail(r, TKX_ERR_PARSE, "token beyond 32 bits");
    to_token = tkx__list_add(r, &p->tokens, sizeof *to_token);
    to_logprob = tkx__list_add(r, &p->logprobs, sizeof *to_logprob);
    if (!to_token || !to_logprob)
        return;
    *to_token = (int32_t)token;
    *to_logprob = (float)logprob;
}

/* A row that is not null has count + 1 until the pointers are set. */
static void read_row(tkx__json_reader *r, pairs *p, tkx_topk_row *row)
{
    if (tkx__json_take_null(r))
        return;
    row->count = 1;
    tkx__json_read_array(r);
    while (tkx__json_read_element(r)) {
        read_pair(r, p);
        row->count++;
    }
}

const tkx_topk *tkx__topk_read_json(tkx__json_reader *r)
{
    static const int32_t no_token = 0;
    tkx_topk *topk = tkx__arena_zalloc(r->arena, 1, sizeof *topk);
    tkx__list rows = {0};
    pairs p = {{0}, {0}};
    size_t at = 0;

    if (!topk) {
        tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for top-k rows");
        return NULL;
    }
    tkx__json_read_array(r);
    while (tkx__json_read_element(r)) {
        tkx_topk_row *row = tkx__list_add(r, &rows, sizeof *row);

        if (row)
            read_row(r, &p, row);
    }
    if (r->status != TKX_OK)
        return NULL;
    for (size_t i = 0; i < rows.count; i++) {
        tkx_topk_row *row = (tkx_topk_row *)(void *)rows.items + i;

        if (!row->count)
            continue;
        row->count--;
        row->tokens = row->count ? (int32_t *)(void *)p.tokens.items + at : &no_token;
        row->logprobs = row->count ? (float *)(void *)p.logprobs.items + at : NULL;
        at += row->count;
    }
    topk->rows = (tkx_topk_row *)(void *)rows.items;
    topk->n_rows = rows.count;
    return topk;
}
