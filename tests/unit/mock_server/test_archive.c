/* SPDX-License-Identifier: Apache-2.0 */
/* test_archive.c - archives of checkpoints and the ranges asked of them. */
#include "mock_server/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "support/suite.h"

static const archive_member members[] = {
    {"adapter_config.json", "{}", 2},
    {"adapter_model.safetensors", "0123456789", 10},
    {"checkpoint_complete", "", 0},
};

static tkx__buf make(archive_form form)
{
    tkx__buf out;
    tkx__buf_init(&out, 1 << 20);
    ck_assert_int_eq(archive_write_members(members, 3, form, 0, &out, NULL), TKX_OK);
    return out;
}

START_TEST(a_tar_has_its_members_at_the_root)
{
    tkx__buf a = make(ARCHIVE_TAR), b = make(ARCHIVE_TAR);
    struct archive *in = archive_read_new();
    struct archive_entry *entry;
    char data[16];
    archive_read_support_format_tar(in);
    ck_assert_int_eq(archive_read_open_memory(in, a.data, a.size), ARCHIVE_OK);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(archive_read_next_header(in, &entry), ARCHIVE_OK);
        ck_assert_str_eq(archive_entry_pathname(entry), members[i].name);
        ck_assert_int_eq(archive_read_data(in, data, sizeof data), (int)members[i].size);
        ck_assert_mem_eq(data, members[i].data, members[i].size);
    }
    ck_assert_int_eq(archive_read_next_header(in, &entry), ARCHIVE_EOF);
    archive_read_free(in);
    ck_assert_uint_eq(a.size, b.size); /* the same every time, so that ranges fit */
    ck_assert_mem_eq(a.data, b.data, a.size);
    tkx__buf_clear(&a);
    tkx__buf_clear(&b);
}
END_TEST

START_TEST(the_other_form_is_stored_gzip)
{
    tkx__buf a = make(ARCHIVE_STORED_GZ);
    ck_assert_mem_eq(a.data, "\x1f\x8b", 2);
    ck_assert_uint_gt(a.size, 4096); /* nothing was squeezed */
    tkx__buf_clear(&a);
}
END_TEST

START_TEST(ranges_are_read_as_http_says)
{
    const struct {
        const char *header;
        range_result result;
        size_t from, to;
    } cases[] = {
        {"bytes=0-0", RANGE_PART, 0, 0},
        {"bytes=10-", RANGE_PART, 10, 99},
        {"bytes=-5", RANGE_PART, 95, 99},
        {"bytes=-500", RANGE_PART, 0, 99},
        {"bytes=90-1000", RANGE_PART, 90, 99},
        {"bytes=100-", RANGE_BAD, 0, 0},
        {"bytes=-0", RANGE_BAD, 0, 0},
        {"bytes=5-4", RANGE_NONE, 0, 0},
        {"bytes=a-", RANGE_NONE, 0, 0},
        {"bytes=0-1,3-4", RANGE_NONE, 0, 0},
        {"lines=0-1", RANGE_NONE, 0, 0},
        {NULL, RANGE_NONE, 0, 0},
        {"bytes=99999999999999999999999-", RANGE_NONE, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t from, to;
        ck_assert_int_eq(archive_range(cases[i].header, 100, &from, &to),
                         cases[i].result);
        if (cases[i].result == RANGE_PART) {
            ck_assert_uint_eq(from, cases[i].from);
            ck_assert_uint_eq(to, cases[i].to);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("archive");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, a_tar_has_its_members_at_the_root);
    tcase_add_test(tc, the_other_form_is_stored_gzip);
    tcase_add_test(tc, ranges_are_read_as_http_says);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
