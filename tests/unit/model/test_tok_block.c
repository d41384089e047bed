/* SPDX-License-Identifier: Apache-2.0 */
/* test_tok_block.c - every block function says, from every piece of chance text on, what
   the scanners say; and the tokenizer that uses them cuts as one without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/pre_names.h"
#include "model/tokenizer/pretok.h"
#include "model/tokenizer/tokenizer.h"
#include "support/suite.h"

#define N_TEXT 3000

static const char *const names[] = {
    "gpt-2",  "starcoder", "llama-bpe",   "qwen2",        "qwen35",
    "gpt-4o", "tekken",    "deepseek-v3", "deepseek-llm", "deepseek-coder"};
#define N_NAMES ((int)(sizeof names / sizeof names[0]))

static uint32_t state;

static uint32_t chance(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
}

/* Text of one of several kinds: words, blanks and line ends, signs, code, rare bytes. */
static size_t make_text(uint8_t *text)
{
    static const char *const bits[] = {
        "a",   "Bc",    "foo",      "BAR",      "x1",          "12",   "2345", " ",
        "  ",  "\n",    "\r\n",     "\t",       "    ",        "\n\n", "'s",   "'S",
        "'ll", "'Re",   "'",        "''",       ".",           ",",    "/",    "//",
        "(",   "!\n/",  "!",        "$",        "+",           "<>",   "_",    "#\n",
        " \n", "\x01",  "\x7F",     "'t'd",     ";\n",         "\f",   "\v",   "Zz",
        "=",   "don't", "\xC3\xA9", "\xC2\xA0", "\xE4\xBD\xA0"};
    const uint32_t n_bits = (uint32_t)(sizeof bits / sizeof bits[0]);
    const uint32_t n_used = chance(3) ? 7 + chance(n_bits - 7) : n_bits;
    const uint32_t from = chance(n_bits);
    size_t n = 0;

    while (n < N_TEXT - 16) {
        const char *bit = bits[(from + chance(n_used)) % n_bits];

        memcpy(text + n, bit, strlen(bit));
        n += strlen(bit);
    }
    return n;
}

static void init(tkx__pretok *pretok, const char *name)
{
    tkx__pre pre;

    *pretok = (tkx__pretok){0};
    ck_assert(tkx__pre_find(name, strlen(name), &pre));
    for (size_t i = 0; pre.expressions[i]; i++) {
        tkx__cut *cut = &pretok->cuts[pretok->n_cuts++];

        ck_assert_int_eq(tkx__splitter_init(&cut->splitter, pre.expressions[i],
                                            strlen(pre.expressions[i]), NULL),
                         TKX_OK);
    }
    tkx__pretok_finish(pretok);
}

static void compare(const tkx__pretok *pretok, const uint8_t *text,
                    const tkx__pieces *pieces, const char *name, size_t *n_told)
{
    const size_t end =
        pieces->items[pieces->n - 1].at + pieces->items[pieces->n - 1].size;

    for (size_t i = 0; i < pieces->n && end - pieces->items[i].at >= TKX__BLOCK + 1;
         i++) {
        const uint8_t *p = text + pieces->items[i].at;
        uint64_t starts = pretok->block(p);

        for (size_t j = i + 1; starts; j++, starts &= starts - 1) {
            size_t told = (size_t)__builtin_ctzll(starts);

            if (told != pieces->items[j].at - pieces->items[i].at)
                ck_abort_msg("%s: '%.64s': a piece at %zu, expected at %zu", name,
                             (const char *)p, told,
                             pieces->items[j].at - pieces->items[i].at);
            *n_told += 1;
        }
    }
}

START_TEST(blocks_cut_as_scanners_do)
{
    uint8_t text[N_TEXT];
    tkx__pretok_scratch scratch;
    const tkx__pieces *pieces;
    const uint8_t *out;
    size_t n_told = 0;
    tkx__pretok pretok;

    state = 7;
    init(&pretok, names[_i]);
#if !defined(__SSE2__) && !defined(__aarch64__)
    ck_assert_ptr_null(pretok.block);
    return;
#endif
    ck_assert_ptr_nonnull(pretok.block);
    tkx__pretok_scratch_init(&scratch);
    for (int round = 0; round < 400; round++) {
        size_t n = make_text(text);

        ck_assert_int_eq(
            tkx__pretok_apply(&pretok, text, n, true, &scratch, &out, &pieces, NULL),
            TKX_OK);
        compare(&pretok, out, pieces, names[_i], &n_told);
    }
    ck_assert_uint_gt(n_told, 100000); /* they do tell something */
    tkx__pretok_scratch_clear(&scratch);
    tkx__pretok_clear(&pretok);
}
END_TEST

static const char *const vocabularies[] = {"gpt-2", "starcoder", "deepseek-llm"};

static void encode(const tkx_tokenizer *t, const uint8_t *text, size_t n, tkx__ids *ids)
{
    ids->n = 0;
    ck_assert_int_eq(
        tkx__tokenizer_encode(t, (const char *)text, n, TKX_ENCODE_PLAIN_TEXT, ids, NULL),
        TKX_OK);
}

START_TEST(a_tokenizer_encodes_as_one_without_blocks)
{
    uint8_t text[N_TEXT];
    tkx__ids with = {0}, without = {0};
    tkx_tokenizer *t = NULL;
    char path[512];

    state = 11;
    snprintf(path, sizeof path, "%s/tokenizers/%s.gguf", TKX_TEST_DATA, vocabularies[_i]);
    ck_assert_int_eq(tkx_tokenizer_open(path, &t, NULL), TKX_OK);
    for (int round = 0; round < 300; round++) {
        size_t n = make_text(text);
        tkx__block_fn *block = t->pretok.block;

        encode(t, text, n, &with);
        tkx__encoders_free(t->idle); /* and their caches of words */
        t->idle = NULL;
        t->pretok.block = NULL;
        encode(t, text, n, &without);
        t->pretok.block = block;
        ck_assert_uint_eq(with.n, without.n);
        ck_assert_mem_eq(with.data, without.data, with.n * sizeof *with.data);
    }
    tkx__ids_clear(&with);
    tkx__ids_clear(&without);
    tkx_tokenizer_unref(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tok_block");
    TCase *cuts = tcase_create("cuts");

    tcase_add_loop_test(cuts, blocks_cut_as_scanners_do, 0, N_NAMES);
    tcase_add_loop_test(cuts, a_tokenizer_encodes_as_one_without_blocks, 0, 3);
    suite_add_tcase(suite, cuts);
    return run_suite(suite);
}
