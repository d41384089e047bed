/* SPDX-License-Identifier: Apache-2.0 */
/* test_tok_corners.c - corners where only the reference says what is right. */
#include "model/tokenizer/regex.h"
#include "support/suite.h"
#include "tok_rig.h"

/* "ab" takes the blanks behind it, and " c" may still begin with one of them. */
START_TEST(blanks_that_a_token_takes_may_begin_the_next)
{
    static const char json[] =
        "{\"added_tokens\":[{\"id\":6,\"content\":\"ab\",\"rstrip\":true,"
        "\"normalized\":false,\"special\":false},{\"id\":7,\"content\":\" c\","
        "\"normalized\":false,\"special\":false}],\"pre_tokenizer\":{\"type\":"
        "\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},\"decoder\":{"
        "\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,"
        "\"b\":1,\"c\":2,\"\xC4\xA0\":3},\"merges\":[]}}";
    tkx_tokenizer *t = load(json);

    expect_ids(t, "bab c", 5, 0, "1 6 7");
    expect_ids(t, "ab  ca", 6, 0, "6 7 0");
    expect_ids(t, "ab  a", 5, 0, "6 0");
    tkx_tokenizer_unref(t);
}
END_TEST

/* "c" would take the blank before it, which is all there is of it. */
START_TEST(a_token_whose_blanks_are_taken_is_none)
{
    static const char json[] =
        "{\"added_tokens\":[{\"id\":6,\"content\":\"ab\",\"rstrip\":true,"
        "\"normalized\":false,\"special\":false},{\"id\":7,\"content\":\" \",\"lstrip\":"
        "true,\"normalized\":false,\"special\":false}],\"pre_tokenizer\":{\"type\":"
        "\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},\"decoder\":{"
        "\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,"
        "\"b\":1,\"c\":2,\"\xC4\xA0\":3},\"merges\":[]}}";
    tkx_tokenizer *t = load(json);

    expect_ids(t, "ab a", 4, 0, "6 0");
    expect_ids(t, "ab  a", 5, 0, "6 0");
    expect_ids(t, "b  a", 4, 0, "1 7 7 0");
    tkx_tokenizer_unref(t);
}
END_TEST

/* Nine signs or one: sums that are equal with the last bit as the reference reads it. */
START_TEST(scores_are_read_as_the_reference_reads_them)
{
    static const char json[] =
        "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"!\","
        "-5.393608833732145],[\"!!!!!!!!!\",-6.616356976843374],[\"a!!!\","
        "-7.4497903441209115]]}}";
    tkx_tokenizer *t = load(json);

    expect_ids(t, "a!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!", 34, 0, "3 1 1 1 2 2 2");
    tkx_tokenizer_unref(t);
}
END_TEST

/* "first" is the text's beginning, which is gone here. */
START_TEST(a_sign_goes_before_the_beginning_only)
{
    static const char json[] =
        "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
        "\"WhitespaceSplit\"},{\"type\":\"Metaspace\",\"replacement\":\"_\","
        "\"prepend_scheme\":\"first\",\"split\":true}]},\"model\":{\"type\":\"BPE\","
        "\"vocab\":{\"a\":0,\"_\":1},\"merges\":[]}}";
    tkx_tokenizer *t = load(json);

    expect_ids(t, "a a", 3, 0, "1 0 0");
    expect_ids(t, " a", 2, 0, "0");
    tkx_tokenizer_unref(t);
}
END_TEST

/* What Ruby's syntax means by it, and PCRE2's does not. */
static const struct {
    const char *expression, *text;
    size_t start, stop;
} meant[] = {
    {"\\p{N}{1,3}+", "ab12345", 2, 7},
    {"\\x{62}{1,2}+c", "abbbbc", 1, 6},
    {"x(?:a|b){2}+c", "xababc", 0, 6},
    {"[ab]{2}+c", "ababc", 0, 5},
    {"ax{,2}b", "axxb", 0, 4},
    {"a{b}", "a{b}", 0, 4},
    {"(?m:a.b)", "xa\nb", 1, 4},
    {"(?i-m:A.B)", "a\nbaxb", 3, 6},
    {"\\bthe\\b", "the\xCC\x81 the", 6, 9},
    {"\\Bb",
     "a\xCC\x80"
     "b b",
     3, 4},
    {"[\\b]", "b\b", 1, 2},
    {"\\v", "\n\v", 1, 2},
};

START_TEST(expressions_mean_what_they_mean_to_the_reference)
{
    const char *text = meant[_i].text;
    tkx__regex *regex = NULL;
    size_t start = 0, stop = 0;

    ck_assert_int_eq(
        tkx__regex_new(meant[_i].expression, strlen(meant[_i].expression), &regex, NULL),
        TKX_OK);
    ck_assert_int_eq(tkx__regex_next(regex, (const uint8_t *)text, 0, strlen(text),
                                     &start, &stop, NULL),
                     TKX_OK);
    ck_assert_uint_eq(start, meant[_i].start);
    ck_assert_uint_eq(stop, meant[_i].stop);
    tkx__regex_free(regex);
}
END_TEST

START_TEST(quotation_is_refused)
{
    tkx__regex *regex = NULL;

    ck_assert_int_eq(tkx__regex_new("\\Qa\\E", 5, &regex, NULL), TKX_ERR_UNSUPPORTED);
    ck_assert_ptr_null(regex);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tok_corners");
    TCase *tc = tcase_create("reference");

    tcase_add_test(tc, blanks_that_a_token_takes_may_begin_the_next);
    tcase_add_test(tc, a_token_whose_blanks_are_taken_is_none);
    tcase_add_test(tc, scores_are_read_as_the_reference_reads_them);
    tcase_add_loop_test(tc, expressions_mean_what_they_mean_to_the_reference, 0,
                        sizeof meant / sizeof meant[0]);
    tcase_add_test(tc, quotation_is_refused);
    tcase_add_test(tc, a_sign_goes_before_the_beginning_only);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
