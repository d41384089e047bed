/* SPDX-License-Identifier: Apache-2.0 */
/* test_error.c - what an error carries, also when memory is short. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

START_TEST(carries_facts_and_cause)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;
    tkx_error *cause = NULL;
    tkx_error *error = NULL;
    tkx_error *copy;

    facts.http_status = 503;
    facts.request_id = "req-1";
    facts.seq_id = 7;
    ck_assert_int_eq(tkx__fail_facts(&cause, TKX_ERR_HTTP, &facts, "POST /x: %d", 503),
                     TKX_ERR_HTTP);
    tkx__fail_cause(&error, TKX_ERR_TIMEOUT, NULL, &cause, "gave up");
    ck_assert_ptr_null(cause);
    copy = tkx__error_copy(error);
    tkx_error_free(error);
    ck_assert_int_eq(tkx_error_status(copy), TKX_ERR_TIMEOUT);
    ck_assert_str_eq(tkx_error_message(copy), "gave up");
    ck_assert_str_eq(tkx_error_request_id(copy), "req-1");
    ck_assert_int_eq(tkx_error_seq_id(copy), 7);
    ck_assert_int_eq(tkx_error_http_status(tkx_error_cause(copy)), 503);
    ck_assert_str_eq(tkx_error_message(tkx_error_cause(copy)), "POST /x: 503");
    tkx_error_free(copy);
}
END_TEST

START_TEST(newest_failure_wins_and_null_is_accepted)
{
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_PARSE, "one");
    ck_assert_int_eq(tkx__fail_errno(&error, ENOENT, "open %s", "/x"), TKX_ERR_NOT_FOUND);
    ck_assert_str_eq(tkx_error_message(error), "open /x: No such file or directory");
    tkx_error_free(error);
    ck_assert_int_eq(tkx__fail(NULL, TKX_ERR_PARSE, "two"), TKX_ERR_PARSE);
    ck_assert_int_eq(tkx_error_status(NULL), TKX_OK);
    ck_assert_str_eq(tkx_error_message(NULL), "no error");
    ck_assert_str_eq(tkx_status_name(TKX_ERR_WOULD_BLOCK), "TKX_ERR_WOULD_BLOCK");
}
END_TEST

START_TEST(every_status_has_a_name)
{
    for (int i = 0; i < TKX_N_STATUSES; i++)
        ck_assert_str_ne(tkx_status_name((tkx_status)i), "TKX_ERR_UNKNOWN");
    ck_assert_str_eq(tkx_status_name(TKX_N_STATUSES), "TKX_ERR_UNKNOWN");
}
END_TEST

START_TEST(out_of_memory_is_static)
{
    tkx_error *error = NULL;

    fail_alloc_begin(1);
    tkx__fail(&error, TKX_ERR_PARSE, "lost");
    ck_assert_int_eq(tkx_error_status(error), TKX_ERR_NO_MEMORY);
    tkx_error_free(error);
    ck_assert_int_eq(fail_alloc_end(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    TCase *tc = tcase_create("error");

    tcase_add_test(tc, carries_facts_and_cause);
    tcase_add_test(tc, newest_failure_wins_and_null_is_accepted);
    tcase_add_test(tc, every_status_has_a_name);
    tcase_add_test(tc, out_of_memory_is_static);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
