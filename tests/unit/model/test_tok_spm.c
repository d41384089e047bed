/* SPDX-License-Identifier: Apache-2.0 */
/* test_tok_spm.c - cutting a text before merging changes no id: drawn vocabularies,
   drawn texts, with cuts and without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/tokenizer.h"
#include "support/suite.h"

#define SIGN "\xE2\x96\x81"
#define N_BASE 5
#define N_MERGES 10
#define N_TEXTS 60

static uint32_t state;

static unsigned draw(unsigned n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
}

/* A few characters and some merges of what there is. */
static void draw_vocabulary(char *json, size_t size, bool fuses, bool has_fallback)
{
    static const char *const base[N_BASE] = {"a", "b", ".", SIGN, "\xC3\xA9"};
    char tokens[N_BASE + N_MERGES][16];
    char vocab[16384] = "\"<unk>\":0", merges[16384] = "";
    size_t at = strlen(vocab), merge_at = 0;
    unsigned n = 0;

    for (; n < N_BASE; n++) {
        snprintf(tokens[n], sizeof tokens[n], "%s", base[n]);
        at +=
            (size_t)snprintf(vocab + at, sizeof vocab - at, ",\"%s\":%u", base[n], n + 1);
    }
    for (unsigned tries = 0; tries < 200 && n < N_BASE + N_MERGES; tries++) {
        const char *left = tokens[draw(n)], *right = tokens[draw(n)];
        char joined[32];
        bool is_new;

        snprintf(joined, sizeof joined, "%s%s", left, right);
        is_new = strlen(joined) < sizeof tokens[0];
        for (unsigned i = 0; i < n; i++)
            is_new = is_new && strcmp(tokens[i], joined) != 0;
        if (!is_new)
            continue;
        memcpy(tokens[n], joined, strlen(joined) + 1);
        at += (size_t)snprintf(vocab + at, sizeof vocab - at, ",\"%s\":%u", tokens[n],
                               n + 1);
        merge_at +=
            (size_t)snprintf(merges + merge_at, sizeof merges - merge_at,
                             "%s[\"%s\",\"%s\"]", merge_at ? "," : "", left, right);
        n++;
    }
    snprintf(json, size,
             "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
             "\"content\":\"" SIGN "\"},\"pre_tokenizer\":null,"
             "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":%s,"
             "\"byte_fallback\":%s,\"vocab\":{%s},\"merges\":[%s]}}",
             fuses ? "true" : "false", has_fallback ? "true" : "false", vocab, merges);
}

/* Known and unknown characters. */
static size_t draw_text(char *text)
{
    static const char *const parts[] = {"\xC3\xA8", "a",  "b",    ".",
                                        SIGN,       " ",  "  ",   "\xC3\xA9",
                                        "ab",       "\n", " a.b", "\xE2\x98\x83"};
    unsigned n = 1 + draw(24);
    size_t size = 0;

    for (unsigned i = 0; i < n; i++) {
        const char *part = parts[draw(sizeof parts / sizeof parts[0])];

        memcpy(text + size, part, strlen(part));
        size += strlen(part);
    }
    return size;
}

static void load(const char *json, tkx_tokenizer **t)
{
    tkx_error *err = NULL;

    ck_assert_msg(tkx__tokenizer_from_json(json, strlen(json), "test.json", t, &err) ==
                      TKX_OK,
                  "%s", tkx_error_message(err));
    ck_assert((*t)->spm.is_used);
    ck_assert((*t)->spm.has_cuts);
}

START_TEST(cuts_change_no_id)
{
    static char json[65536];
    tkx_tokenizer *cut, *whole;

    state = (uint32_t)_i;
    draw_vocabulary(json, sizeof json, _i & 1, _i & 2);
    load(json, &cut);
    load(json, &whole);
    whole->spm.has_cuts = false;
    for (int i = 0; i < N_TEXTS; i++) {
        char text[256];
        size_t size = draw_text(text);
        tkx__ids got = {0}, expected = {0};

        ck_assert_int_eq(tkx__tokenizer_encode(cut, text, size, 0, &got, NULL), TKX_OK);
        ck_assert_int_eq(tkx__tokenizer_encode(whole, text, size, 0, &expected, NULL),
                         TKX_OK);
        ck_assert_msg(got.n == expected.n &&
                          memcmp(got.data, expected.data, got.n * sizeof *got.data) == 0,
                      "'%.*s' with %s", (int)size, text, json);
        tkx__ids_clear(&got);
        tkx__ids_clear(&expected);
    }
    tkx_tokenizer_unref(cut);
    tkx_tokenizer_unref(whole);
}
END_TEST

START_TEST(there_are_cuts_where_nothing_merges)
{
    static const char json[] =
        "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
        "\"content\":\"" SIGN "\"},\"pre_tokenizer\":null,"
        "\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"a\":0,\"b\":1,"
        "\"" SIGN "\":2,\"ab\":3,\"" SIGN "a\":4,\"?\":5},\"merges\":[\"a b\",\"" SIGN
        " a\"]}}";
    static const char text[] = "abba  ab";
    static const size_t ends[] = {2, 3, 4, 5, 8};
    tkx_tokenizer *t;
    size_t at = 0;

    load(json, &t);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        at = tkx__spm_piece_end(&t->spm, (const uint8_t *)text, at, strlen(text));
        ck_assert_uint_eq(at, ends[i]);
    }
    tkx_tokenizer_unref(t);
}
END_TEST

/* Without an unknown token such a character comes to nothing, and those beside it meet.
 */
START_TEST(neighbours_of_nothing_merge)
{
    static const char json[] =
        "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
        "\"content\":\"" SIGN "\"},\"pre_tokenizer\":null,"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
        "\"merges\":[\"a b\"]}}";
    static const char text[] = "a\xE2\x98\x83"
                               "b";
    tkx_tokenizer *t;
    int64_t *ids;
    size_t n;

    ck_assert_int_eq(tkx__tokenizer_from_json(json, strlen(json), "test.json", &t, NULL),
                     TKX_OK);
    ck_assert_int_eq(tkx_tokenizer_encode(t, text, strlen(text), 0, &ids, &n, NULL),
                     TKX_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(ids[0], 2);
    tkx_tokenizer_free_result(ids);
    tkx_tokenizer_unref(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tok_spm");
    TCase *tc = tcase_create("tok_spm");

    tcase_add_loop_test(tc, cuts_change_no_id, 0, 100);
    tcase_add_test(tc, neighbours_of_nothing_merge);
    tcase_add_test(tc, there_are_cuts_where_nothing_merges);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
