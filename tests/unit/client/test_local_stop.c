/* SPDX-License-Identifier: Apache-2.0 */
/* test_local_stop.c - with which token a stop string is complete. */
#include <string.h>

#include "client/local_stop.h"
#include "model/tokenizer/tokenizer.h"
#include "support/suite.h"

/* "c", a blank with the first byte of a letter, its second byte, the blank alone. */
static const char json[] =
    "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"decoder\":{"
    "\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"c\":0,"
    "\"\xC4\xA0\xC3\x83\":1,\"\xC2\xA9\":2,\"\xC4\xA0\":3},\"merges\":[]}}";

static const struct {
    const char *stop;
    int64_t ids[4];
    size_t n_ids;
    size_t stops_at; /* n_ids: never */
} cases[] = {
    {"c ", {0, 1, 2}, 3, 1}, /* though the letter is still to come */
    {"c ", {0, 3, 0}, 3, 1},
    {"c \xC3\xA9", {0, 1, 2}, 3, 2},
    {"\xC3\xA9"
     "c",
     {1, 2, 0},
     3,
     2},
    {"\xEF\xBF\xBD", {0, 1, 2}, 3, 3}, /* no sign for what may become a letter */
    {"\xEF\xBF\xBD", {0, 1, 0}, 3, 2},
    {" c", {1, 0, 3, 0}, 4, 3},
};

START_TEST(stops_with_the_token_that_completes_it)
{
    tkx_tokenizer *tokenizer = NULL;
    tkx__stop_watch *watch = NULL;
    size_t at = 0;

    ck_assert_int_eq(
        tkx__tokenizer_from_json(json, strlen(json), "test.json", &tokenizer, NULL),
        TKX_OK);
    ck_assert_int_eq(tkx__stop_watch_new(tokenizer, &cases[_i].stop, 1, 1, &watch, NULL),
                     TKX_OK);
    while (at < cases[_i].n_ids && !tkx__stop_watch_push(watch, 0, cases[_i].ids[at]))
        at++;
    ck_assert_uint_eq(at, cases[_i].stops_at);
    tkx__stop_watch_free(watch);
    tkx_tokenizer_unref(tokenizer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("local_stop");
    TCase *tc = tcase_create("local_stop");

    tcase_add_loop_test(tc, stops_with_the_token_that_completes_it, 0,
                        sizeof cases / sizeof cases[0]);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
