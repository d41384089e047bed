/* SPDX-License-Identifier: Apache-2.0 */
/* tok_rig.h - a tokenizer from a literal, and the ids that it must give. */
#ifndef TKX_TEST_TOK_RIG_H
#define TKX_TEST_TOK_RIG_H

#include <stdio.h>
#include <string.h>

#include <check.h>

#include "model/tokenizer/tokenizer.h"

static inline tkx_tokenizer *load(const char *json)
{
    tkx_tokenizer *t = NULL;
    tkx_error *err = NULL;
    tkx_status st = tkx__tokenizer_from_json(json, strlen(json), "test.json", &t, &err);

    ck_assert_msg(st == TKX_OK, "%s", tkx_error_message(err));
    return t;
}

static inline void expect_ids(const tkx_tokenizer *t, const char *text, size_t n,
                              unsigned flags, const char *expected)
{
    char got[1024] = "";
    int64_t *ids = NULL;
    size_t n_ids = 0, at = 0;

    ck_assert_int_eq(tkx_tokenizer_encode(t, text, n, flags, &ids, &n_ids, NULL), TKX_OK);
    for (size_t i = 0; i < n_ids; i++)
        at += (size_t)snprintf(got + at, sizeof got - at, "%s%lld", i ? " " : "",
                               (long long)ids[i]);
    ck_assert_str_eq(got, expected);
    tkx_tokenizer_free_result(ids);
}

#endif
