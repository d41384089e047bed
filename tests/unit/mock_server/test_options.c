/* SPDX-License-Identifier: Apache-2.0 */
/* test_options.c - the mock server's flags. */
#include "mock_server/options.h"

#include <string.h>

#include "support/suite.h"

static tkx_status parse(mock_options *out, const char *a, const char *b, const char *c)
{
    char *argv[6] = {(char *)"x", (char *)"--state=/s", (char *)a, (char *)b, (char *)c,
                     NULL};
    int argc = 2 + (a != NULL) + (b != NULL) + (c != NULL);
    return mock_options_parse(argc, argv, out, NULL);
}

START_TEST(flags_take_their_values)
{
    mock_options o;
    ck_assert_int_eq(parse(&o, "--port", "0", "--strict"), TKX_OK);
    ck_assert_int_eq(o.port, 0);
    ck_assert(o.is_strict);
    ck_assert_str_eq(o.host, "127.0.0.1");
    ck_assert_int_eq(parse(&o, "--base-model", "a/b=/p=q", NULL), TKX_OK);
    ck_assert_str_eq(o.bases[0].name, "a/b");
    ck_assert_str_eq(o.bases[0].path, "/p=q");
    ck_assert_int_eq(parse(&o, "--dialect=skyrl", NULL, NULL), TKX_OK);
    ck_assert_int_eq(o.dialect, DIALECT_SKYRL);
}
END_TEST

START_TEST(wrong_flags_are_refused)
{
    mock_options o;
    const char *const bad[][2] = {
        {"--port", "70000"},    {"--port", "x"},        {"--port", NULL},
        {"--odd", NULL},        {"--dialect", "other"}, {"--jwt", "0"},
        {"--base-model", "=x"}, {"--base-model", "x="}, {"--strict=1", NULL}};
    char *none[] = {(char *)"x", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(parse(&o, bad[i][0], bad[i][1], NULL) == TKX_ERR_INVALID_ARGUMENT,
                      "%s", bad[i][0]);
    ck_assert_int_eq(mock_options_parse(1, none, &o, NULL), TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("options");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, flags_take_their_values);
    tcase_add_test(tc, wrong_flags_are_refused);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
