/* SPDX-License-Identifier: Apache-2.0 */
/* test_arena.c - alignment, limits and short memory of arenas. */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

START_TEST(allocates_aligned_and_apart)
{
    tkx__arena arena;
    unsigned char *blocks[100];

    tkx__arena_init(&arena, 64, 1 << 20);
    for (size_t i = 0; i < 100; i++) {
        blocks[i] = tkx__arena_alloc(&arena, i + 1, 3);
        ck_assert_ptr_nonnull(blocks[i]);
        ck_assert_uint_eq((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        memset(blocks[i], (int)i, (i + 1) * 3);
    }
    for (size_t i = 0; i < 100; i++)
        for (size_t j = 0; j < (i + 1) * 3; j++)
            ck_assert_uint_eq(blocks[i][j], i);
    tkx__arena_clear(&arena);
}
END_TEST

START_TEST(refuses_overflow_and_its_maximum)
{
    tkx__arena arena;

    tkx__arena_init(&arena, 64, 4096);
    ck_assert_ptr_null(tkx__arena_alloc(&arena, SIZE_MAX / 2, 3));
    ck_assert_ptr_null(tkx__arena_alloc(&arena, SIZE_MAX, 1));
    ck_assert_ptr_null(tkx__arena_alloc(&arena, 4097, 1));
    ck_assert_ptr_nonnull(tkx__arena_alloc(&arena, 4096, 1));
    ck_assert_ptr_null(tkx__arena_alloc(&arena, 1, 1));
    tkx__arena_clear(&arena);
}
END_TEST

START_TEST(survives_memory_failure)
{
    tkx__arena arena;

    tkx__arena_init(&arena, 64, 1 << 20);
    fail_alloc_begin(2);
    ck_assert_ptr_nonnull(tkx__arena_alloc(&arena, 64, 1));
    ck_assert_ptr_null(tkx__arena_alloc(&arena, 64, 1));
    ck_assert_str_eq(tkx__arena_strndup(&arena, "abc", 2), "ab");
    tkx__arena_clear(&arena);
    ck_assert_int_eq(fail_alloc_end(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arena");
    TCase *tc = tcase_create("arena");

    tcase_add_test(tc, allocates_aligned_and_apart);
    tcase_add_test(tc, refuses_overflow_and_its_maximum);
    tcase_add_test(tc, survives_memory_failure);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
