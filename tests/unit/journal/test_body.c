/* SPDX-License-Identifier: Apache-2.0 */
/* test_body.c - bodies as they are kept: whole again, and refused when they are not. */
#include "journal/body.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "support/fail_alloc.h"
#include "support/suite.h"

#define MAX ((size_t)64 << 20)

static char *sample(size_t n)
{
    char *bytes = malloc(n + 1);
    unsigned x = 1;

    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (char)(x >> (i % 3 ? 28 : 24));
    }
    return bytes;
}

static void round_trip(const tkx__body_source *source, const char *bytes, size_t n)
{
    char sha256[TKX__SHA_TEXT];
    tkx__buf frame, back;
    size_t size = 0;

    tkx__buf_init(&frame, MAX);
    tkx__buf_init(&back, MAX);
    ck_assert_int_eq(tkx__body_pack(source, &frame, sha256, &size, NULL), TKX_OK);
    ck_assert_uint_eq(size, n);
    ck_assert_int_eq(tkx__body_unpack(frame.data, frame.size, n, sha256, &back, NULL),
                     TKX_OK);
    ck_assert_uint_eq(back.size, n);
    ck_assert(n == 0 || memcmp(back.data, bytes, n) == 0);
    tkx__buf_clear(&frame);
    tkx__buf_clear(&back);
}

START_TEST(any_size_comes_back)
{
    static const size_t sizes[] = {0, 1, 100, 131071, 131072, 131073, 700001};
    size_t n = sizes[_i];
    char *bytes = sample(n);
    const tkx__body_source source = {.bytes = bytes, .size = n};

    round_trip(&source, bytes, n);
    free(bytes);
}
END_TEST

/* As a body that is never in memory whole is read: a few bytes at a time. */
static ssize_t read_some(void *ctx, uint64_t offset, char *to, size_t n)
{
    size_t k = n < 1000 ? n : 1000;

    memcpy(to, (const char *)ctx + offset, k);
    return (ssize_t)k;
}

START_TEST(a_body_in_slices_comes_back)
{
    size_t n = 300001;
    char *bytes = sample(n);
    const tkx__body_source source = {.size = n, .read = read_some, .ctx = bytes};

    round_trip(&source, bytes, n);
    free(bytes);
}
END_TEST

/* What travels compressed is hashed as it is inside. */
START_TEST(a_frame_is_kept_as_it_is)
{
    size_t n = 300001;
    char *bytes = sample(n), plain_sha[TKX__SHA_TEXT], frame_sha[TKX__SHA_TEXT];
    size_t bound = ZSTD_compressBound(n), size;
    char *frame = malloc(bound);
    size_t frame_size = ZSTD_compress(frame, bound, bytes, n, 3);
    const tkx__body_source plain = {.bytes = bytes, .size = n};
    const tkx__body_source packed = {.bytes = frame, .size = frame_size, .is_zstd = true};
    tkx__buf out;

    tkx__buf_init(&out, MAX);
    ck_assert_int_eq(tkx__body_pack(&plain, &out, plain_sha, &size, NULL), TKX_OK);
    tkx__buf_clear(&out);
    ck_assert_int_eq(tkx__body_pack(&packed, &out, frame_sha, &size, NULL), TKX_OK);
    ck_assert_uint_eq(out.size, frame_size);
    ck_assert_mem_eq(out.data, frame, frame_size);
    ck_assert_str_eq(plain_sha, frame_sha);
    tkx__buf_clear(&out);
    round_trip(&packed, bytes, n);
    free(frame);
    free(bytes);
}
END_TEST

static ssize_t read_nothing(void *ctx, uint64_t offset, char *to, size_t n)
{
    (void)ctx, (void)offset, (void)to, (void)n;
    return -1;
}

START_TEST(a_source_that_fails_is_an_error)
{
    const tkx__body_source bad_read = {.size = 5, .read = read_nothing};
    const tkx__body_source bad_frame = {.bytes = "no frame", .size = 8, .is_zstd = true};
    char sha256[TKX__SHA_TEXT];
    size_t size;
    tkx__buf out;

    tkx__buf_init(&out, MAX);
    ck_assert_int_ne(tkx__body_pack(&bad_read, &out, sha256, &size, NULL), TKX_OK);
    ck_assert_int_ne(tkx__body_pack(&bad_frame, &out, sha256, &size, NULL), TKX_OK);
    tkx__buf_clear(&out);
}
END_TEST

START_TEST(damage_is_found)
{
    char *bytes = sample(5000), sha256[TKX__SHA_TEXT];
    const tkx__body_source source = {.bytes = bytes, .size = 5000};
    tkx__buf frame, back;
    size_t size;

    tkx__buf_init(&frame, MAX);
    tkx__buf_init(&back, MAX);
    ck_assert_int_eq(tkx__body_pack(&source, &frame, sha256, &size, NULL), TKX_OK);
    for (size_t i = 0; i < frame.size; i += 7) {
        frame.data[i] = (char)(frame.data[i] ^ 0x10);
        tkx_status st =
            tkx__body_unpack(frame.data, frame.size, size, sha256, &back, NULL);
        ck_assert(st == TKX_ERR_PARSE ||
                  (st == TKX_OK && memcmp(back.data, bytes, 5000) == 0));
        frame.data[i] = (char)(frame.data[i] ^ 0x10);
        tkx__buf_reset(&back);
    }
    ck_assert_int_eq(tkx__body_unpack(frame.data, frame.size, 4999, sha256, &back, NULL),
                     TKX_ERR_PARSE);
    ck_assert_int_eq(
        tkx__body_unpack(frame.data, frame.size - 1, size, sha256, &back, NULL),
        TKX_ERR_PARSE);
    sha256[0] = sha256[0] == '0' ? '1' : '0';
    ck_assert_int_eq(tkx__body_unpack(frame.data, frame.size, size, sha256, &back, NULL),
                     TKX_ERR_PARSE);
    ck_assert_int_eq(tkx__body_unpack(frame.data, frame.size, size, NULL, &back, NULL),
                     TKX_ERR_PARSE);
    tkx__buf_clear(&frame);
    tkx__buf_clear(&back);
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("body");
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, any_size_comes_back, 0, 7);
    tcase_add_test(tc, a_body_in_slices_comes_back);
    tcase_add_test(tc, a_frame_is_kept_as_it_is);
    tcase_add_test(tc, a_source_that_fails_is_an_error);
    tcase_add_test(tc, damage_is_found);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
