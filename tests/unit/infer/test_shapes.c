/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_shapes.c - every number of rows, tokens and columns from 1 to 257, rows of
 * weights, activations and results at chance distances: each instruction set gives the
 * bits of the scalar reference and writes nothing between the rows.
 */
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "support/suite.h"
#include "weights.h"

#define MOST ((size_t)257)
#define MOST_COLS ((size_t)256 * 10)

typedef struct bench {
    const tkx__kernels *sets[8];
    size_t n_sets;
    tkx__threads *pool;
    tkx__work *work[8][2]; /* by set and compute mode */
} bench;

static bench open_bench(void)
{
    tkx__work_limits limits = {MOST, MOST_COLS, 0, 0};
    bench b = {0};

    b.n_sets = usable_kernels(b.sets);
    ck_assert_int_eq(tkx__threads_new(2, &b.pool, NULL), TKX_OK);
    for (size_t s = 0; s < b.n_sets; s++)
        for (int m = 0; m < 2; m++)
            ck_assert_int_eq(tkx__work_new(b.sets[s], b.pool, (tkx__compute)m, &limits,
                                           &b.work[s][m], NULL),
                             TKX_OK);
    return b;
}

static void close_bench(bench *b)
{
    for (size_t s = 0; s < b->n_sets; s++)
        for (int m = 0; m < 2; m++)
            tkx__work_free(b->work[s][m]);
    tkx__threads_free(b->pool);
}

/* The same rows further apart, with bytes between them that are no numbers. */
static tkx__matrix spread_matrix(tkx__matrix w, size_t gap)
{
    tkx__matrix out = w;
    unsigned char *data;

    out.row_size = w.row_size + gap;
    data = malloc(w.n_rows * out.row_size);
    ck_assert_ptr_nonnull(data);
    memset(data, 0xff, w.n_rows * out.row_size);
    for (size_t r = 0; r < w.n_rows; r++)
        memcpy(data + r * out.row_size, (const unsigned char *)w.data + r * w.row_size,
               w.row_size);
    free((void *)w.data);
    out.data = data;
    return out;
}

static void compare_shape(const bench *b, tkx__wtype type, size_t rows, size_t cols,
                          size_t toks, uint32_t *seed)
{
    size_t x_stride = cols + chance(seed) % 10;
    size_t y_stride = rows + chance(seed) % 10;
    size_t size = toks * y_stride * sizeof(float);
    tkx__matrix w = chance_matrix(seed, type, rows, cols);
    float *x = chance_floats(seed, toks * x_stride);
    float *want = malloc(size);
    float *got = malloc(size);

    w = spread_matrix(w, 4 * (chance(seed) % 10));
    for (int m = 0; m < 2; m++) {
        tkx__product p = {.w = &w, .y = want, .y_stride = y_stride, .n_tok = toks};

        memset(want, 0xff, size);
        tkx__matmul(b->work[0][m], x, x_stride, toks, &p, 1);
        p.y = got;
        for (size_t s = 1; s < b->n_sets; s++) {
            memset(got, 0xff, size);
            tkx__matmul(b->work[s][m], x, x_stride, toks, &p, 1);
            ck_assert_msg(memcmp(want, got, size) == 0,
                          "%s, %s, mode %d: %zu x %zu, %zu tokens, strides %zu %zu %zu",
                          tkx__kernels_name(b->sets[s]), tkx__wtype_name(type), m, rows,
                          cols, toks, w.row_size, x_stride, y_stride);
        }
        for (size_t t = 0; t < toks; t++)
            for (size_t r = rows; r < y_stride; r++)
                ck_assert_uint_eq(((unsigned char *)&want[t * y_stride + r])[0], 0xff);
    }
    free(got);
    free(want);
    free(x);
    free((void *)w.data);
}

/* Columns of chance: any number, or whole blocks. */
static size_t some_cols(tkx__wtype type, uint32_t *seed)
{
    size_t block = tkx__wtype_block_cols(type);

    return block == 1 ? 1 + chance(seed) % 80 : block * (1 + chance(seed) % 3);
}

START_TEST(every_number_of_rows)
{
    tkx__wtype type = all_wtypes[_i];
    uint32_t seed = 101 + (uint32_t)_i;
    bench b = open_bench();

    for (size_t rows = 1; rows <= MOST; rows++)
        compare_shape(&b, type, rows, some_cols(type, &seed), 1 + chance(&seed) % 6,
                      &seed);
    close_bench(&b);
}
END_TEST

START_TEST(every_number_of_tokens)
{
    tkx__wtype type = all_wtypes[_i];
    uint32_t seed = 201 + (uint32_t)_i;
    bench b = open_bench();

    for (size_t toks = 1; toks <= MOST; toks++)
        compare_shape(&b, type, 1 + chance(&seed) % 20, some_cols(type, &seed), toks,
                      &seed);
    close_bench(&b);
}
END_TEST

/* Types in blocks have whole blocks only: up to 257 columns, and up to ten blocks. */
START_TEST(every_number_of_columns)
{
    tkx__wtype type = all_wtypes[_i];
    size_t block = tkx__wtype_block_cols(type);
    size_t last = block == 1 ? MOST : 10 * block;
    uint32_t seed = 301 + (uint32_t)_i;
    bench b = open_bench();

    for (size_t cols = block; cols <= last; cols += block)
        compare_shape(&b, type, 1 + chance(&seed) % 40, cols, 1 + chance(&seed) % 9,
                      &seed);
    close_bench(&b);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("shapes");
    Suite *s = suite_create("shapes");

    tcase_add_loop_test(tc, every_number_of_rows, 0, (int)n_wtypes);
    tcase_add_loop_test(tc, every_number_of_tokens, 0, (int)n_wtypes);
    tcase_add_loop_test(tc, every_number_of_columns, 0, (int)n_wtypes);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
