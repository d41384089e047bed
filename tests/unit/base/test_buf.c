/* SPDX-License-Identifier: Apache-2.0 */
/* test_buf.c - growing buffers: their maximum, their first failure. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

START_TEST(appends_and_takes)
{
    tkx__buf buf;
    size_t size;
    char *text;

    tkx__buf_init(&buf, 1000);
    ck_assert_str_eq(tkx__buf_text(&buf), "");
    tkx__buf_puts(&buf, "ab");
    tkx__buf_printf(&buf, "-%d-", 12345);
    tkx__buf_putc(&buf, 'z');
    text = tkx__buf_take(&buf, &size);
    ck_assert_str_eq(text, "ab-12345-z");
    ck_assert_uint_eq(size, 10);
    ck_assert_ptr_null(buf.data);
    tkx__free(text);
}
END_TEST

/* Exactly the maximum fits; one more fails once and for all, keeping what was there. */
START_TEST(stops_at_its_maximum)
{
    tkx__buf buf;

    tkx__buf_init(&buf, 5);
    tkx__buf_append(&buf, "12345", 5);
    ck_assert_int_eq(buf.status, TKX_OK);
    tkx__buf_putc(&buf, '6');
    ck_assert_int_eq(buf.status, TKX_ERR_LIMIT);
    ck_assert_str_eq(buf.data, "12345");
    ck_assert_ptr_null(tkx__buf_take(&buf, NULL));
}
END_TEST

START_TEST(remembers_memory_failure)
{
    tkx__buf buf;

    tkx__buf_init(&buf, 1 << 20);
    fail_alloc_begin(2);
    for (int i = 0; i < 1000; i++)
        tkx__buf_puts(&buf, "0123456789");
    ck_assert_int_eq(buf.status, TKX_ERR_NO_MEMORY);
    tkx__buf_clear(&buf);
    ck_assert_int_eq(fail_alloc_end(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buf");
    TCase *tc = tcase_create("buf");

    tcase_add_test(tc, appends_and_takes);
    tcase_add_test(tc, stops_at_its_maximum);
    tcase_add_test(tc, remembers_memory_failure);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
