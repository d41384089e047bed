/* SPDX-License-Identifier: Apache-2.0 */
/* test_tok_scan.c - our scanners and tables against PCRE2, over every code point that
   PCRE2's Unicode has assigned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/pre_names.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/scan.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"
#include "support/suite.h"

#define N_CODE_POINTS 0x110000

static uint8_t *assigned; /* [N_CODE_POINTS], by PCRE2 */
static uint8_t *every;    /* all scalar values as UTF-8 */
static size_t every_size;

static tkx__regex *compile(const char *expression)
{
    tkx__regex *regex = NULL;
    tkx_error *err = NULL;
    tkx_status st = tkx__regex_new(expression, strlen(expression), &regex, &err);

    ck_assert_msg(st == TKX_OK, "%s: %s", expression, tkx_error_message(err));
    return regex;
}

/* Marks the code points that a class of characters matches, in members[N_CODE_POINTS]. */
static void mark(const char *class_expression, uint8_t *members)
{
    tkx__regex *regex = compile(class_expression);
    size_t at = 0, start, stop, len;

    memset(members, 0, N_CODE_POINTS);
    while (at < every_size) {
        ck_assert_int_eq(
            tkx__regex_next(regex, every, at, every_size, &start, &stop, NULL), TKX_OK);
        for (at = start; at < stop; at += len)
            members[tkx__utf8_get(every + at, &len)] = 1;
        at = stop;
    }
    tkx__regex_free(regex);
}

static void setup(void)
{
    assigned = malloc(N_CODE_POINTS);
    every = malloc((size_t)N_CODE_POINTS * 4);
    ck_assert(assigned && every);
    for (uint32_t cp = 0; cp < N_CODE_POINTS; cp++)
        if (cp < 0xD800 || cp > 0xDFFF)
            every_size += tkx__utf8_put(cp, every + every_size);
    mark("\\P{Cn}+", assigned);
}

static void teardown(void)
{
    free(assigned);
    free(every);
    every_size = 0;
}

START_TEST(categories_agree_on_assigned_code_points)
{
    /* Every class that an expression of the family uses.  Finer ones may differ: Unicode
       16 moved a few marks from Mc to Mn. */
    static const char *const names[] = {"L",  "M",  "N",  "P",  "S", "Z",
                                        "Lu", "Lt", "Ll", "Lm", "Lo"};
    uint8_t *members = malloc(N_CODE_POINTS);

    ck_assert_ptr_nonnull(members);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint32_t set = tkx__unicode_property(names[i], strlen(names[i]));
        char expression[16];
        size_t n_members = 0;

        snprintf(expression, sizeof expression, "\\p{%s}+", names[i]);
        mark(expression, members);
        for (uint32_t cp = 0; cp < N_CODE_POINTS; cp++) {
            int is_in = (set >> tkx__unicode_category(cp) & 1) != 0;

            n_members += members[cp];
            if (assigned[cp])
                ck_assert_msg(is_in == members[cp], "U+%04X in %s: %d", cp, names[i],
                              is_in);
        }
        ck_assert_msg(n_members > 0, "%s matched nothing", names[i]);
    }
    free(members);
}
END_TEST

START_TEST(white_space_agrees)
{
    uint8_t *members = malloc(N_CODE_POINTS);
    size_t n = 0;

    ck_assert_ptr_nonnull(members);
    mark("\\s+", members);
    for (uint32_t cp = 0; cp < N_CODE_POINTS; cp++) {
        n += members[cp];
        ck_assert_msg(((tkx__unicode_flags(cp) & TKX__UNI_SPACE) != 0) == members[cp],
                      "U+%04X", cp);
    }
    ck_assert_uint_eq(n, 25); /* White_Space has 25 members; U+180E is none of them */
    free(members);
}
END_TEST

START_TEST(ascii_flags_are_those_of_the_table)
{
    for (uint32_t c = 0; c < 128; c++)
        ck_assert_uint_eq(tkx__ascii_flags[c], tkx__unicode_flags(c));
    ck_assert_str_eq(tkx__unicode_version(), "16.0.0");
    ck_assert_uint_eq(tkx__unicode_category(0x110000), TKX__CAT_CN);
}
END_TEST

static uint8_t *around; /* every sampled code point in several surroundings */
static size_t around_size;

/* Ideographs and the like are alike: of those every 61st will do. */
static int is_sampled_out(uint32_t cp)
{
    return ((cp >= 0x3400 && cp < 0xA000) || (cp >= 0xAC00 && cp < 0xF900) ||
            cp >= 0x17000) &&
           cp % 61 != 0 && !(cp >= 0x1D000 && cp < 0x1FB00);
}

/* Each code point in several surroundings, one after the other. */
static void setup_text(void)
{
    static const char *const shapes[] = {"a%b ", " %1%%\n", "'%S%'s A%", "%  %\t%\r\n",
                                         "1%2/"};
    uint8_t *text;
    size_t n = 0;

    setup();
    text = malloc((size_t)N_CODE_POINTS * 8 * 8);
    ck_assert_ptr_nonnull(text);
    for (uint32_t cp = 0; cp < N_CODE_POINTS; cp++) {
        if (!assigned[cp] || is_sampled_out(cp))
            continue;
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            for (const char *p = shapes[i]; *p; p++)
                n += *p == '%' ? tkx__utf8_put(cp, text + n)
                               : tkx__utf8_put((uint8_t)*p, text + n);
    }
    around = text;
    around_size = n;
}

static void teardown_text(void)
{
    free(around);
    teardown();
}

/* Piece by piece: a gap between matches is a piece too. */
static void compare(const tkx__splitter *ours, const tkx__splitter *theirs,
                    const uint8_t *text, size_t size, const char *expression)
{
    size_t at = 0, border[2][2] = {{0, 0}, {0, 0}};
    const tkx__splitter *both[2] = {ours, theirs};

    while (at < size) {
        size_t next[2];

        for (int k = 0; k < 2; k++) {
            if (border[k][1] <= at)
                ck_assert_int_eq(tkx__splitter_next(both[k], text, at, size,
                                                    &border[k][0], &border[k][1], NULL),
                                 TKX_OK);
            next[k] = border[k][0] > at ? border[k][0] : border[k][1];
        }
        ck_assert_msg(next[0] == next[1], "%s: at %zu ('%.12s') ends %zu, expected %zu",
                      expression, at, (const char *)text + at, next[0] - at,
                      next[1] - at);
        at = next[0];
    }
}

static void init_both(const char *expression, tkx__splitter *ours, tkx__splitter *theirs)
{
    ck_assert_int_eq(tkx__splitter_init(ours, expression, strlen(expression), NULL),
                     TKX_OK);
    ck_assert_msg(ours->scan != NULL, "%s has no scanner", expression);
    ck_assert_int_eq(
        tkx__splitter_init_regex(theirs, expression, strlen(expression), NULL), TKX_OK);
}

static void compare_expression(const char *expression, const uint8_t *text, size_t size)
{
    tkx__splitter ours, theirs;

    init_both(expression, &ours, &theirs);
    compare(&ours, &theirs, text, size, expression);
    tkx__splitter_clear(&ours);
    tkx__splitter_clear(&theirs);
}

START_TEST(scanners_cut_as_pcre2_does)
{
    compare_expression(tkx__scan_known_at((size_t)_i), around, around_size);
}
END_TEST

START_TEST(named_pre_tokenizers_cut_as_pcre2_does)
{
    static const char *const names[] = {"deepseek-llm", "deepseek-coder", "deepseek-v3",
                                        "falcon",       "bloom",          "viking",
                                        "starcoder",    "gpt-4o",         "tekken"};
    tkx__pre pre;

    ck_assert(tkx__pre_find(names[_i], strlen(names[_i]), &pre));
    for (size_t i = 0; pre.expressions[i]; i++)
        compare_expression(pre.expressions[i], around, around_size);
}
END_TEST

/* Words, signs, blanks and letter case thrown together, every expression. */
START_TEST(scanners_cut_chance_text_as_pcre2_does)
{
    static const char *const bits[] = {"a",
                                       "B",
                                       "Zz",
                                       "\xC3\xA9",
                                       "\xC7\x85",
                                       "\xCC\x81",
                                       "\xE4\xBD\xA0",
                                       "1",
                                       "12",
                                       "\xD9\xA1",
                                       " ",
                                       "  ",
                                       "\n",
                                       "\r",
                                       "\t",
                                       "\xC2\xA0",
                                       "\xE3\x80\x80",
                                       "'",
                                       "s",
                                       "S",
                                       "ll",
                                       "Re",
                                       "\xC5\xBF",
                                       ".",
                                       "/",
                                       "-",
                                       "$",
                                       "\xF0\x9F\x98\x80",
                                       "\xE2\x80\x8D",
                                       "\0"};
    uint8_t text[4096];
    uint32_t state = 12345;
    const char *expression = tkx__scan_known_at((size_t)_i);
    tkx__splitter ours, theirs;

    init_both(expression, &ours, &theirs);

    for (int round = 0; round < 60; round++) {
        size_t n = 0;

        while (n < sizeof text - 8) {
            const char *bit;

            state = state * 1664525u + 1013904223u;
            bit = bits[(state >> 16) % (sizeof bits / sizeof bits[0])];
            memcpy(text + n, bit, *bit ? strlen(bit) : 1);
            n += *bit ? strlen(bit) : 1;
        }
        compare(&ours, &theirs, text, n, expression);
    }
    tkx__splitter_clear(&ours);
    tkx__splitter_clear(&theirs);
}
END_TEST

START_TEST(costly_expressions_end_in_an_error)
{
    static const char expression[] = "(a+)+$b|(a|aa)+c";
    uint8_t text[200];
    tkx__splitter splitter;
    tkx_error *err = NULL;
    size_t start, stop;

    memset(text, 'a', sizeof text);
    ck_assert_int_eq(tkx__splitter_init(&splitter, expression, strlen(expression), NULL),
                     TKX_OK);
    ck_assert_int_eq(
        tkx__splitter_next(&splitter, text, 0, sizeof text, &start, &stop, &err),
        TKX_ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "backtracking"));
    tkx_error_free(err);
    tkx__splitter_clear(&splitter);
}
END_TEST

START_TEST(expressions_of_another_dialect_are_refused)
{
    static const char *const refused[] = {"[a[^bc]]", "[\\p{L}&&[a-z]]", "(", "[\\W]"};
    tkx__splitter splitter;
    tkx_error *err = NULL;

    ck_assert_int_eq(
        tkx__splitter_init(&splitter, refused[_i], strlen(refused[_i]), &err),
        TKX_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), refused[_i]));
    tkx_error_free(err);
    tkx__splitter_clear(&splitter);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tok_scan");
    TCase *tables = tcase_create("tables"), *cuts = tcase_create("cuts"),
          *every_cut = tcase_create("every character");
    int n_known = 0;

    while (tkx__scan_known_at((size_t)n_known))
        n_known++;
    if (getenv("TKX_EVERY_CHARACTER"))
        tcase_add_unchecked_fixture(tables, setup, teardown);
    if (getenv("TKX_EVERY_CHARACTER")) {
        tcase_add_test(tables, categories_agree_on_assigned_code_points);
        tcase_add_test(tables, white_space_agrees);
    }
    tcase_add_test(tables, ascii_flags_are_those_of_the_table);
    suite_add_tcase(suite, tables);
    if (getenv("TKX_EVERY_CHARACTER")) { /* minutes: the slow entry of this program */
        tcase_add_unchecked_fixture(every_cut, setup_text, teardown_text);
        tcase_set_timeout(every_cut, 1100);
        tcase_add_loop_test(every_cut, scanners_cut_as_pcre2_does, 0, n_known);
        tcase_add_loop_test(every_cut, named_pre_tokenizers_cut_as_pcre2_does, 0, 9);
    }
    suite_add_tcase(suite, every_cut);
    tcase_add_loop_test(cuts, scanners_cut_chance_text_as_pcre2_does, 0, n_known);
    tcase_add_test(cuts, costly_expressions_end_in_an_error);
    tcase_add_loop_test(cuts, expressions_of_another_dialect_are_refused, 0, 4);
    suite_add_tcase(suite, cuts);
    return run_suite(suite);
}
