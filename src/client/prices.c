/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prices.c - a price file, read strictly: a number that is missing must not become 0.
 */
#include "client/prices.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "json/reader.h"

#define MAX_FILE ((size_t)1 << 20)
#define MAX_ROWS 256

static tkx_status read_all(const char *path, tkx__buf *out, tkx_error **err)
{
    FILE *from = fopen(path, "re");
    size_t n = 1;
    char *at;

    if (!from)
        return tkx__fail_errno(err, errno, "open the prices %s", path);
    while (n > 0 && (at = tkx__buf_reserve(out, 4096))) {
        n = fread(at, 1, 4096, from);
        tkx__buf_grew(out, n);
    }
    fclose(from);
    return out->status == TKX_OK
               ? TKX_OK
               : tkx__fail(err, out->status, "the prices %s are too large", path);
}

static void read_price(tkx__json_reader *r, tkx__price *row)
{
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        int kind = 0;

        while (kind < TKX_N_TOKEN_KINDS &&
               !tkx__json_text_is(&key, tkx_token_kind_name((tkx_token_kind)kind)))
            kind++;
        if (kind == TKX_N_TOKEN_KINDS) {
            tkx__json_fail(r, TKX_ERR_PARSE,
                           "a price is for prefill, sample, train or forward");
            return;
        }
        row->has[kind] = tkx__json_read_f64(r, &row->per_token[kind]);
        if (!(row->per_token[kind] >= 0) || !isfinite(row->per_token[kind]))
            tkx__json_fail(r, TKX_ERR_PARSE, "a price is a number from 0");
    }
}

static void read_models(tkx__json_reader *r, tkx__prices *p)
{
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        tkx__price *row = &p->rows[p->n_rows];

        if (p->n_rows == MAX_ROWS) {
            tkx__json_fail(r, TKX_ERR_LIMIT, "more models than 256");
            return;
        }
        row->model = tkx__arena_strndup(&p->arena, key.data, key.size);
        if (!row->model) {
            tkx__json_fail(r, TKX_ERR_NO_MEMORY, "out of memory");
            return;
        }
        read_price(r, row);
        p->n_rows++;
    }
}

static void read_file(tkx__json_reader *r, tkx__prices *p)
{
    tkx__json_text key;
    const char *currency = NULL;
    double per_tokens = 1e6;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        if (tkx__json_text_is(&key, "currency"))
            tkx__json_read_string(r, &currency);
        else if (tkx__json_text_is(&key, "per_tokens"))
            tkx__json_read_f64(r, &per_tokens);
        else if (tkx__json_text_is(&key, "models"))
            read_models(r, p);
        else
            tkx__json_skip(r);
    }
    if (!currency || !*currency || strlen(currency) >= sizeof p->currency ||
        currency[strcspn(currency, "\"\\\n{}")])
        tkx__json_fail(r, TKX_ERR_PARSE, "currency is missing, or no short name");
    else if (!(per_tokens >= 1))
        tkx__json_fail(r, TKX_ERR_PARSE, "per_tokens is a number from 1");
    else if (p->n_rows == 0)
        tkx__json_fail(r, TKX_ERR_PARSE, "models is missing or empty");
    else
        snprintf(p->currency, sizeof p->currency, "%s", currency);
    for (size_t i = 0; i < p->n_rows; i++)
        for (int k = 0; k < TKX_N_TOKEN_KINDS; k++)
            p->rows[i].per_token[k] /= per_tokens >= 1 ? per_tokens : 1;
}

tkx_status tkx__prices_read(const char *path, tkx__prices *out, tkx_error **err)
{
    tkx__json_reader r;
    tkx_error *cause = NULL;
    tkx__buf text;

    memset(out, 0, sizeof *out);
    tkx__arena_init(&out->arena, 4096, (size_t)16 << 20);
    tkx__buf_init(&text, MAX_FILE);
    tkx_status st = read_all(path, &text, err);
    if (st == TKX_OK) {
        out->rows = tkx__arena_zalloc(&out->arena, MAX_ROWS, sizeof *out->rows);
        if (!out->rows)
            st = tkx__fail_memory(err);
    }
    if (st == TKX_OK) {
        tkx__json_reader_init(&r, text.data ? text.data : "", text.size, &out->arena, 0);
        read_file(&r, out);
        st = tkx__json_finish(&r, "prices", &cause);
        if (st != TKX_OK)
            st = tkx__fail_cause(err, TKX_ERR_PARSE, NULL, &cause, "%s: %s", path,
                                 tkx_error_message(cause));
    }
    tkx__buf_clear(&text);
    if (st != TKX_OK)
        tkx__prices_clear(out);
    return st;
}

void tkx__prices_clear(tkx__prices *prices)
{
    tkx__arena_clear(&prices->arena);
    prices->rows = NULL;
    prices->n_rows = 0;
}

const tkx__price *tkx__prices_find(const tkx__prices *p, const char *model)
{
    const tkx__price *others = NULL;

    for (size_t i = 0; i < p->n_rows; i++) {
        if (strcmp(p->rows[i].model, model) == 0)
            return &p->rows[i];
        if (strcmp(p->rows[i].model, "*") == 0)
            others = &p->rows[i];
    }
    return others;
}
