/* SPDX-License-Identifier: Apache-2.0 */
/* test_tokenizer.c - what a tokenizer does with texts, ids, broken files and short
 * memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/spelling.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/unicode_reference.h"
#include "support/fail_alloc.h"
#include "support/suite.h"
#include "tok_rig.h"

/* Letters a to c, "ab", "abc", a sign; "<e>" is special, "<t>" added. */
static const char small[] =
    "{\"added_tokens\":["
    "{\"id\":6,\"content\":\"<e>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":"
    "false,"
    "\"normalized\":false,\"special\":true},"
    "{\"id\":7,\"content\":\"<t>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":"
    "false,"
    "\"normalized\":false,\"special\":false}],"
    "\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":"
    "true},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
    "\"id\":\"<e>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
    "\"special_tokens\":{\"<e>\":{\"id\":\"<e>\",\"ids\":[6],\"tokens\":[\"<e>\"]}}},"
    "\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4,"
    "\"\xC4\xA0\":5},\"merges\":[\"a b\",\"ab c\"]}}";

START_TEST(merges_in_order_of_rank)
{
    tkx_tokenizer *t = load(small);

    expect_ids(t, "abcab", 5, 0, "4 3");
    expect_ids(t, "", 0, 0, "");
    expect_ids(t, "cba abc", 7, 0, "2 1 0 5 4");
    tkx_tokenizer_unref(t);
}
END_TEST

START_TEST(special_tokens_are_found_unless_the_text_is_plain)
{
    tkx_tokenizer *t = load(small);

    expect_ids(t, "a<e>b<t>", 8, TKX_ENCODE_DEFAULT, "0 6 1 7");
    expect_ids(t, "ab", 2, TKX_ENCODE_ADD_SPECIAL, "6 3");
    expect_ids(t, "a<t>", 4, TKX_ENCODE_PLAIN_TEXT, "0 7"); /* added, not special */
    ck_assert_int_eq(tkx_tokenizer_bos_id(t), 6);
    ck_assert_int_eq(tkx_tokenizer_find(t, "<e>"), 6);
    ck_assert_int_eq(tkx_tokenizer_find(t, " "), 5);
    ck_assert_int_eq(tkx_tokenizer_find(t, "nothing"), -1);
    tkx_tokenizer_unref(t);
}
END_TEST

static void expect_text(const tkx_tokenizer *t, const int64_t *ids, size_t n,
                        unsigned flags, const char *expected)
{
    char *text = NULL;
    size_t size = 99;

    ck_assert_int_eq(tkx_tokenizer_decode(t, ids, n, flags, &text, &size, NULL), TKX_OK);
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(size, strlen(expected));
    tkx_tokenizer_free_result(text);
}

/* As the reference has it; its own text still finds it. */
START_TEST(a_normalized_token_decodes_to_its_normal_form)
{
    static const char json[] =
        "{\"added_tokens\":[{\"id\":4,\"content\":\"AB\",\"normalized\":true,"
        "\"special\":true}],\"normalizer\":{\"type\":\"Lowercase\"},\"pre_tokenizer\":{"
        "\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
        "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{"
        "\"a\":0,\"b\":1,\"c\":2,\"A\":3},\"merges\":[]}}";
    const int64_t ids[] = {0, 4, 3};
    tkx_tokenizer *t = load(json);

    expect_ids(t, "cAbc", 4, 0, "2 4 2");
    expect_text(t, ids, 3, TKX_DECODE_DEFAULT, "aabA");
    expect_text(t, ids, 3, TKX_DECODE_SKIP_SPECIAL, "aA");
    ck_assert_int_eq(tkx_tokenizer_find(t, "AB"), 4);
    tkx_tokenizer_unref(t);
}
END_TEST

START_TEST(decoding_skips_what_it_is_told_and_what_is_no_token)
{
    const int64_t ids[] = {4, 6, -1, 5, 99, 1000000000000, 7};
    tkx_tokenizer *t = load(small);

    expect_text(t, ids, 7, TKX_DECODE_DEFAULT, "abc<e> <t>");
    expect_text(t, ids, 7, TKX_DECODE_SKIP_SPECIAL, "abc <t>");
    expect_text(t, ids, 0, 0, "");
    tkx_tokenizer_unref(t);
}
END_TEST

START_TEST(bytes_tokenizer_is_the_bytes)
{
    const int64_t ids[] = {'h', 0xE2, 0x82, 'i', 256};
    tkx_tokenizer *t = NULL;
    const int64_t *ends;
    size_t n;

    ck_assert_int_eq(tkx_tokenizer_open("bytes", &t, NULL), TKX_OK);
    ck_assert_uint_eq(tkx_tokenizer_vocab_size(t), 257);
    expect_ids(t, "h\xFF\0i", 4, 0, "104 255 0 105");
    expect_text(t, ids, 5, TKX_DECODE_SKIP_SPECIAL, "h\xEF\xBF\xBDi");
    ends = tkx_tokenizer_end_ids(t, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(ends[0], 256);
    tkx_tokenizer_unref(t);
}
END_TEST

START_TEST(input_that_is_no_utf8_counts_as_replacement_characters)
{
    /* U+FFFD is EF BF BD, of which this vocabulary knows no byte: nothing is left. */
    tkx_tokenizer *t = load(small);

    expect_ids(t, "a\xFF\xC3(b", 5, 0, "0 1");
    tkx_tokenizer_unref(t);
}
END_TEST

static void expect_pieces(tkx_tokenizer *t, const int64_t *ids, const char *const *pieces,
                          size_t n, const char *last)
{
    tkx_text_stream *stream = NULL;
    const char *piece;
    size_t size;

    ck_assert_int_eq(tkx_text_stream_new(t, 0, &stream, NULL), TKX_OK);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(tkx_text_stream_push(stream, ids[i], &piece, &size, NULL),
                         TKX_OK);
        ck_assert_str_eq(piece, pieces[i]);
        ck_assert_uint_eq(size, strlen(piece));
    }
    ck_assert_int_eq(tkx_text_stream_finish(stream, &piece, &size, NULL), TKX_OK);
    ck_assert_str_eq(piece, last);
    tkx_text_stream_free(stream);
}

START_TEST(stream_holds_back_unfinished_characters)
{
    tkx_tokenizer *t = NULL;

    ck_assert_int_eq(tkx_tokenizer_open("bytes", &t, NULL), TKX_OK);
    expect_pieces(t, (int64_t[]){'a', 0xE4, 0xBD, 0xA0, 'b'},
                  (const char *[]){"a", "", "", "\xE4\xBD\xA0", "b"}, 5, "");
    expect_pieces(t, (int64_t[]){0xE4, 0xBD}, (const char *[]){"", ""}, 2,
                  "\xEF\xBF\xBD");
    expect_pieces(t, (int64_t[]){0xFF, 'x'}, (const char *[]){"", "\xEF\xBF\xBDx"}, 2,
                  "");
    tkx_tokenizer_unref(t);
}
END_TEST

START_TEST(a_stream_does_not_wait_for_ever)
{
    tkx_tokenizer *t = NULL;
    tkx_text_stream *stream = NULL;
    const char *piece;
    size_t size, released = 0;

    ck_assert_int_eq(tkx_tokenizer_open("bytes", &t, NULL), TKX_OK);
    ck_assert_int_eq(tkx_text_stream_new(t, 0, &stream, NULL), TKX_OK);
    for (int i = 0; i < 20000; i++) {
        ck_assert_int_eq(tkx_text_stream_push(stream, 0xFF, &piece, &size, NULL), TKX_OK);
        ck_assert_uint_lt(size, 8192);
        released += size;
    }
    ck_assert_uint_gt(released, 50000);
    tkx_text_stream_free(stream);
    tkx_tokenizer_unref(t);
}
END_TEST

/* ---- long words ---- */

/* The same word through the heap and, in bits, through the short way: merges of aa and
   aaaa do not depend on the cut here. */
START_TEST(a_word_of_a_megabyte_takes_its_time_and_no_more)
{
    size_t n = (size_t)1 << 20;
    char *text = malloc(n);
    tkx_tokenizer *t = load(
        "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
        "\"use_regex\":true},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":"
        "{\"a\":0,\"aa\":1,\"aaaa\":2,\"aaaaaaaa\":3},\"merges\":[\"a a\",\"aa aa\","
        "\"aaaa aaaa\"]}}");
    int64_t *ids = NULL;
    size_t n_ids;

    ck_assert_ptr_nonnull(text);
    memset(text, 'a', n);
    ck_assert_int_eq(tkx_tokenizer_encode(t, text, n - 1, 0, &ids, &n_ids, NULL), TKX_OK);
    ck_assert_uint_eq(n_ids, n / 8 - 1 + 3); /* 7 left: 4 + 2 + 1 */
    ck_assert_int_eq(ids[0], 3);
    ck_assert_int_eq(ids[n_ids - 3], 2);
    ck_assert_int_eq(ids[n_ids - 1], 0);
    tkx_tokenizer_free_result(ids);
    tkx_tokenizer_unref(t);
    free(text);
}
END_TEST

/* Pairs of a few symbols that merge: a rank of NONE says that one does not. */
#define N_SYMBOLS 12
#define NONE UINT32_MAX

typedef struct plain_merges {
    tkx__merge pairs[N_SYMBOLS][N_SYMBOLS];
} plain_merges;

enum { SHARED_RANKS, OWN_RANKS, RANKS_IN_ORDER, N_WAYS };

static uint32_t chance(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* The same pairs as a table: slots, packed, or packed where ids follow from ranks. */
static void fill(plain_merges *plain, tkx__merges *merges, int way)
{
    tkx__merge list[N_SYMBOLS * N_SYMBOLS];
    uint32_t state = 7;
    size_t n = 0;

    for (uint32_t a = 0; a < N_SYMBOLS; a++)
        for (uint32_t b = 0; b < N_SYMBOLS; b++) {
            tkx__merge *m = &plain->pairs[a][b];

            *m = (tkx__merge){(uint64_t)a << 32 | b, NONE, 0};
            if (chance(&state) % 3 != 0 || (way == RANKS_IN_ORDER && n == N_SYMBOLS))
                continue;
            m->rank = way == SHARED_RANKS ? chance(&state) % 40 : (uint32_t)n;
            m->id = way == RANKS_IN_ORDER ? (uint32_t)n : chance(&state) % N_SYMBOLS;
            list[n++] = *m;
        }
    if (way == SHARED_RANKS) {
        ck_assert_int_eq(tkx__merges_init(merges, 0, NULL), TKX_OK);
        for (size_t i = 0; i < n; i++)
            ck_assert_int_eq(tkx__merges_put(merges, (uint32_t)(list[i].pair >> 32),
                                             (uint32_t)list[i].pair, list[i].rank,
                                             list[i].id, NULL),
                             TKX_OK);
    } else {
        ck_assert_int_eq(tkx__merges_put_list(merges, list, n, NULL), TKX_OK);
        ck_assert_ptr_nonnull(merges->packed);
        ck_assert(!merges->made == (way == RANKS_IN_ORDER));
    }
    ck_assert_int_eq(tkx__merges_finish(merges, 3, true, NULL), TKX_OK);
}

static size_t merge_plainly(const plain_merges *plain, uint32_t *symbols, size_t n)
{
    for (;;) {
        const tkx__merge *best = NULL;
        size_t at = 0;

        for (size_t i = 0; i + 1 < n; i++) {
            const tkx__merge *m = &plain->pairs[symbols[i]][symbols[i + 1]];

            if (m->rank != NONE && (!best || m->rank < best->rank)) {
                best = m;
                at = i;
            }
        }
        if (!best)
            return n;
        symbols[at] = best->id;
        n--;
        memmove(symbols + at + 1, symbols + at + 2, (n - at - 1) * sizeof *symbols);
    }
}

/* A character that is no token merges with nobody, whatever its bits. */
START_TEST(characters_are_no_tokens)
{
    const uint32_t left = 3, right = 7, character = TKX__CHARACTER_SYMBOL + right;
    uint32_t symbols[] = {left, character};
    tkx__merges merges;

    ck_assert_int_eq(tkx__merges_init(&merges, 0, NULL), TKX_OK);
    ck_assert_int_eq(tkx__merges_put(&merges, left | 4, right, 0, 9, NULL), TKX_OK);
    ck_assert_int_eq(tkx__merges_finish(&merges, 0, false, NULL), TKX_OK);
    ck_assert_uint_eq(tkx__merges_rank(&merges, left | 4, right), 0);
    ck_assert_uint_eq(tkx__merges_rank(&merges, left, character), TKX__NO_RANK);
    ck_assert_uint_eq(tkx__bpe_merge_short(&merges, symbols, 2), 2);
    tkx__merges_clear(&merges);
}
END_TEST

/* Lengths around the switch from the one way of merging to the other agree with a plain
   search for the best pair. */
START_TEST(both_ways_of_merging_agree_with_a_plain_search)
{
    plain_merges plain_pairs;
    tkx__merges merges;
    tkx__bpe_scratch scratch = {0};
    uint32_t state = 9;

    fill(&plain_pairs, &merges, _i);
    for (size_t n = 1; n < 120; n++) {
        uint32_t got[120], plain[120];
        size_t n_got = n, n_plain;

        for (size_t i = 0; i < n; i++)
            got[i] = plain[i] = chance(&state) % N_SYMBOLS;
        n_plain = merge_plainly(&plain_pairs, plain, n);
        ck_assert_int_eq(tkx__bpe_merge(&merges, got, &n_got, &scratch, NULL), TKX_OK);
        ck_assert_uint_eq(n_got, n_plain);
        ck_assert_mem_eq(got, plain, n_got * sizeof *got);
    }
    tkx__bpe_scratch_clear(&scratch);
    tkx__merges_clear(&merges);
}
END_TEST

/* Words of all lengths merge side by side as each does alone; more than run at a time. */
START_TEST(words_merge_side_by_side)
{
    plain_merges plain_pairs;
    tkx__merges merges;
    tkx__bpe_word words[50];
    uint32_t plain[50][TKX__BPE_WORD];
    size_t n_plain[50];
    uint32_t state = 13;

    fill(&plain_pairs, &merges, _i);
    for (size_t n = 0; n <= 50; n++) {
        for (size_t i = 0; i < n; i++) {
            words[i].n = n_plain[i] = chance(&state) % (TKX__BPE_WORD + 1);
            for (size_t j = 0; j < words[i].n; j++)
                words[i].symbols[j] = plain[i][j] = chance(&state) % N_SYMBOLS;
            n_plain[i] = merge_plainly(&plain_pairs, plain[i], n_plain[i]);
        }
        tkx__bpe_merge_words(&merges, words, n);
        for (size_t i = 0; i < n; i++) {
            ck_assert_uint_eq(words[i].n, n_plain[i]);
            ck_assert_mem_eq(words[i].symbols, plain[i], n_plain[i] * sizeof **plain);
        }
    }
    tkx__merges_clear(&merges);
}
END_TEST

/* ---- broken files ---- */

static const struct {
    const char *json, *says;
    tkx_status status;
} broken[] = {
    {"", "test.json", TKX_ERR_PARSE},
    {"{}", "no model", TKX_ERR_PARSE},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "WordPiece",
     TKX_ERR_UNSUPPORTED},
    {"{\"model\":{\"vocab\":{}}}", "empty", TKX_ERR_PARSE},
    {"{\"model\":{\"vocab\":{\"a\":4000000000}}}", "4000000000", TKX_ERR_LIMIT},
    {"{\"model\":{\"vocab\":{\"a\":-1}}}", "test.json", TKX_ERR_PARSE},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}", "merge 0", TKX_ERR_PARSE},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", "merge 0", TKX_ERR_PARSE},
    {"{\"model\":{\"vocab\":{\"a\":0},\"unk_token\":\"u\"}}", "unk_token", TKX_ERR_PARSE},
    {"{\"normalizer\":{\"type\":\"Precompiled\"},\"model\":{\"vocab\":{\"a\":0}}}",
     "Precompiled", TKX_ERR_PARSE},
    {"{\"normalizer\":{\"type\":\"Nmt\"},\"model\":{\"vocab\":{\"a\":0}}}", "Nmt",
     TKX_ERR_UNSUPPORTED},
    {"{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Strip\",\"content\":"
     "\" "
     "\",\"start\":1,\"stop\":0},{\"type\":\"Fuse\"}]},\"model\":{\"vocab\":{\"a\":0}}}",
     "Strip", TKX_ERR_UNSUPPORTED},
    {"{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"},\"model\":{\"vocab\":{\"a\":0}}}",
     "UnicodeScripts", TKX_ERR_UNSUPPORTED},
    {"{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"a\":0}}}",
     "ByteLevel", TKX_ERR_UNSUPPORTED},
    {"{\"model\":{\"vocab\":{\"a\":0},\"end_of_word_suffix\":\"</w>\"}}",
     "end_of_word_suffix", TKX_ERR_UNSUPPORTED},
    {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":5,\"vocab\":[[\"a\",-1.0]]}}", "unk_id",
     TKX_ERR_PARSE},
    {"{\"added_tokens\":[{\"content\":\"x\"}],\"model\":{\"vocab\":{\"a\":0}}}",
     "added token", TKX_ERR_PARSE},
};

START_TEST(broken_files_say_what_is_wrong)
{
    tkx_tokenizer *t = NULL;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx__tokenizer_from_json(broken[_i].json, strlen(broken[_i].json),
                                              "test.json", &t, &err),
                     broken[_i].status);
    ck_assert_msg(strstr(tkx_error_message(err), broken[_i].says) != NULL, "%s",
                  tkx_error_message(err));
    ck_assert_msg(strstr(tkx_error_message(err), "test.json") != NULL, "%s",
                  tkx_error_message(err));
    tkx_error_free(err);
}
END_TEST

START_TEST(short_memory_is_an_error_and_leaks_nothing)
{
    for (size_t n = 1;; n++) {
        tkx_tokenizer *t = NULL;
        int64_t *ids = NULL;
        size_t n_ids;
        tkx_status st;
        int was_hit;

        fail_alloc_begin(n);
        st = tkx__tokenizer_from_json(small, strlen(small), "test.json", &t, NULL);
        if (st == TKX_OK)
            st = tkx_tokenizer_encode(t, "abc<e> cab", 10, 0, &ids, &n_ids, NULL);
        was_hit = fail_alloc_hit();
        tkx_tokenizer_free_result(ids);
        tkx_tokenizer_unref(t);
        ck_assert_int_eq(fail_alloc_end(), 0);
        if (!was_hit) {
            ck_assert_int_eq(st, TKX_OK);
            break;
        }
    }
}
END_TEST

START_TEST(missing_paths_are_told)
{
    tkx_tokenizer *t = NULL;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx_tokenizer_open("/nowhere/tokenizer.json", &t, &err),
                     TKX_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "/nowhere/tokenizer.json"));
    tkx_error_free(err);
    err = NULL;
    ck_assert_int_eq(tkx_tokenizer_open(TKX_TEST_DATA, &t, &err), TKX_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "tokenizer.json"));
    tkx_error_free(err);
}
END_TEST

START_TEST(a_folder_adds_end_ids_and_template)
{
    tkx_tokenizer *t = NULL;
    const int64_t *ends;
    size_t n;

    ck_assert_int_eq(tkx_tokenizer_open(TKX_TEST_DATA "/models/llama", &t, NULL), TKX_OK);
    ends = tkx_tokenizer_end_ids(t, &n);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(ends[0], 321);
    ck_assert_int_eq(tkx_tokenizer_bos_id(t), 320);
    ck_assert_ptr_nonnull(tkx_tokenizer_chat_template(t));
    tkx_tokenizer_unref(t);
}
END_TEST

START_TEST(every_byte_has_a_spelling)
{
    for (unsigned i = 0; i < 256; i++)
        ck_assert_int_eq(tkx__spelt_byte(tkx__spelling_of((uint8_t)i)), (int)i);
    ck_assert_uint_eq(tkx__spelling_of(' '), 0x120);
    ck_assert_int_eq(tkx__spelt_byte(0x144), -1);
}
END_TEST

START_TEST(normal_forms_are_of_the_reference_s_version)
{
    static const char text[] = "\xE3\x8B\xBF\xEF\xBC\xA1"; /* of Unicode 12.1; a wide A */
    tkx__normalizer normalizer = {.n_steps = 1, .steps[0].kind = TKX__NORM_NFKC};
    tkx__buf buffers[2];
    const uint8_t *out;
    size_t n;

    tkx__buf_init(&buffers[0], 1000);
    tkx__buf_init(&buffers[1], 1000);
    ck_assert_int_eq(tkx__normalizer_apply(&normalizer, (const uint8_t *)text,
                                           strlen(text), buffers, &out, &n, NULL),
                     TKX_OK);
    ck_assert_uint_eq(n, 4);
    ck_assert_mem_eq(out,
                     "\xE3\x8B\xBF"
                     "A",
                     4);
    tkx__buf_clear(&buffers[0]);
    tkx__buf_clear(&buffers[1]);
    ck_assert(tkx__unicode_is_accent(0x903));
    ck_assert(!tkx__unicode_is_accent(0x898));
    ck_assert_uint_eq(tkx__unicode_lower(0x1C89), 0x1C8A);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer");
    TCase *tc = tcase_create("tokenizer");

    tcase_add_test(tc, every_byte_has_a_spelling);
    tcase_add_test(tc, normal_forms_are_of_the_reference_s_version);
    tcase_add_test(tc, merges_in_order_of_rank);
    tcase_add_test(tc, a_normalized_token_decodes_to_its_normal_form);
    tcase_add_test(tc, special_tokens_are_found_unless_the_text_is_plain);
    tcase_add_test(tc, decoding_skips_what_it_is_told_and_what_is_no_token);
    tcase_add_test(tc, bytes_tokenizer_is_the_bytes);
    tcase_add_test(tc, input_that_is_no_utf8_counts_as_replacement_characters);
    tcase_add_test(tc, stream_holds_back_unfinished_characters);
    tcase_add_test(tc, a_stream_does_not_wait_for_ever);
    tcase_add_test(tc, a_word_of_a_megabyte_takes_its_time_and_no_more);
    tcase_add_loop_test(tc, words_merge_side_by_side, 0, N_WAYS);
    tcase_add_test(tc, characters_are_no_tokens);
    tcase_add_loop_test(tc, both_ways_of_merging_agree_with_a_plain_search, 0, N_WAYS);
    tcase_add_loop_test(tc, broken_files_say_what_is_wrong, 0,
                        (int)(sizeof broken / sizeof broken[0]));
    tcase_add_test(tc, short_memory_is_an_error_and_leaks_nothing);
    tcase_add_test(tc, missing_paths_are_told);
    tcase_add_test(tc, a_folder_adds_end_ids_and_template);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
