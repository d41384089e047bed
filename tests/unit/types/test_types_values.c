/* SPDX-License-Identifier: Apache-2.0 */
/* test_types_values.c - times, checkpoint paths, lengths of inputs. */
#include <string.h>

#include <tkx/types/model_input.h>
#include <tkx/types/tinker_path.h>

#include "support/suite.h"
#include "types/time.h"

START_TEST(times_are_read_with_and_without_a_zone)
{
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {{"1970-01-01T00:00:00Z", 0},
                 {"2026-03-04T05:06:07.089012Z", 1772600767089012},
                 {"2026-03-04T05:06:07.089012", 1772600767089012},
                 {"2026-03-04T06:06:07.0890129+01:00", 1772600767089012},
                 {"2024-02-29T00:00:00z", 1709164800000000},
                 {"2024-02-29T00:00Z", 1709164800000000},
                 {"2024-02-29", 1709164800000000}};
    char text[TKX__TIME_TEXT_SIZE];
    tkx_time_us us;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(tkx__time_parse(cases[i].text, strlen(cases[i].text), &us), "%s",
                      cases[i].text);
        ck_assert_int_eq(us, cases[i].us);
    }
    tkx__time_print(1772600767089012, text);
    ck_assert_str_eq(text, "2026-03-04T05:06:07.089012Z");
}
END_TEST

START_TEST(numbers_are_seconds_or_milliseconds)
{
    tkx_time_us us;

    ck_assert(tkx__time_of_number(1772600767, &us));
    ck_assert_int_eq(us, 1772600767000000);
    ck_assert(tkx__time_of_number(1772600767089, &us));
    ck_assert_int_eq(us, 1772600767089000);
    ck_assert(tkx__time_of_number(-0.5, &us));
    ck_assert_int_eq(us, -500000);
    ck_assert(!tkx__time_of_number(1e300, &us));
}
END_TEST

START_TEST(other_texts_are_no_times)
{
    static const char *const bad[] = {"",
                                      "2026-03",
                                      "2026-03-04T05",
                                      "2026-03-04T05:06:",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00Zx"};
    tkx_time_us us;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!tkx__time_parse(bad[i], strlen(bad[i]), &us), "%s", bad[i]);
}
END_TEST

START_TEST(paths_are_taken_apart)
{
    tkx_tinker_path p;

    ck_assert_int_eq(
        tkx_tinker_path_parse("tinker://s:train:0/sampler_weights/a", &p, NULL), TKX_OK);
    ck_assert_int_eq(p.kind, TKX_PATH_SAMPLER_WEIGHTS);
    ck_assert_str_eq(p.checkpoint_id, "sampler_weights/a");
    ck_assert_str_eq(p.name, "a");
    ck_assert_uint_eq(p.run_id_size, 9);
    ck_assert_int_eq(tkx_tinker_path_parse("twinkle://r/a", &p, NULL), TKX_OK);
    ck_assert(p.is_two_part);
    ck_assert_int_eq(tkx_tinker_path_parse("tinker:///weights/a", &p, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx_tinker_path_parse("tinker://r/other/a", &p, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx_tinker_path_parse("tinker://r/weights/a/b", &p, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(length_counts_every_kind_of_chunk)
{
    static const int32_t tokens[] = {1, 2, 3};
    tkx_chunk chunks[3] = {
        tkx_chunk_text(tokens, 3),
        {.kind = TKX_CHUNK_IMAGE, .has_expected_tokens = true, .expected_tokens = 9},
        {.kind = TKX_CHUNK_DMEL, .bytes = "\x00\x02\x03\x04", .n_bytes = 4}};
    tkx_model_input input = {chunks, 3};
    size_t n;

    ck_assert_int_eq(tkx_model_input_length(&input, &n, NULL), TKX_OK);
    ck_assert_uint_eq(n, 15);
    chunks[1].has_expected_tokens = false;
    ck_assert_int_eq(tkx_model_input_length(&input, &n, NULL), TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("types values");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, times_are_read_with_and_without_a_zone);
    tcase_add_test(tc, numbers_are_seconds_or_milliseconds);
    tcase_add_test(tc, other_texts_are_no_times);
    tcase_add_test(tc, paths_are_taken_apart);
    tcase_add_test(tc, length_counts_every_kind_of_chunk);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
