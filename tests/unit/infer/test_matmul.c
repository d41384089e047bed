/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_matmul.c - products: right against double arithmetic, equal bit for bit between
 * instruction sets, thread counts, batches and ways to cut them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "infer/kernels/strips.h"
#include "support/suite.h"
#include "weights.h"

typedef struct setup {
    const tkx__kernels *k;
    tkx__threads *pool;
    tkx__work *work;
} setup;

static setup open_setup(const tkx__kernels *k, size_t n_threads, tkx__compute compute,
                        size_t max_tokens, size_t max_cols)
{
    tkx__work_limits limits = {max_tokens, max_cols, 24, 4};
    setup s = {.k = k};

    ck_assert_int_eq(tkx__threads_new(n_threads, &s.pool, NULL), TKX_OK);
    ck_assert_int_eq(tkx__work_new(k, s.pool, compute, &limits, &s.work, NULL), TKX_OK);
    return s;
}

static void close_setup(setup *s)
{
    tkx__work_free(s->work);
    tkx__threads_free(s->pool);
}

/* y [n_tok][n_rows + 3] = w x. */
static void multiply(const tkx__kernels *k, size_t n_threads, tkx__compute compute,
                     const tkx__matrix *w, const float *x, size_t n_tok, float *y)
{
    setup s = open_setup(k, n_threads, compute, n_tok, w->n_cols);
    tkx__product p = {.w = w, .y = y, .y_stride = w->n_rows + 3, .n_tok = n_tok};

    tkx__matmul(s.work, x, w->n_cols, n_tok, &p, 1);
    close_setup(&s);
}

static void assert_same(const float *a, const float *b, size_t n, const char *what,
                        tkx__wtype type, size_t rows, size_t cols, size_t toks)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(memcmp(&a[i], &b[i], sizeof *a) == 0,
                      "%s, %s %zu x %zu, %zu tokens: value %zu is %.9g, not %.9g", what,
                      tkx__wtype_name(type), rows, cols, toks, i, (double)b[i],
                      (double)a[i]);
}

/* Double arithmetic on decoded weights; fast mode within the rounding of 8 bits. */
START_TEST(products_are_right)
{
    uint32_t seed = 7;
    size_t cols = 512;
    size_t rows = 19;
    size_t toks = 5;
    const tkx__kernels *sets[8];
    size_t n_sets = usable_kernels(sets);

    for (size_t i = 0; i < n_wtypes; i++) {
        tkx__matrix w = chance_matrix(&seed, all_wtypes[i], rows, cols);
        float *x = chance_floats(&seed, toks * cols);
        float *y = calloc(toks * (rows + 3), sizeof *y);
        float *row = malloc(cols * sizeof *row);

        for (int m = 0; m < 2; m++) {
            double bound =
                m == TKX__COMPUTE_F32 || tkx__wtype_block_cols(w.type) == 1 ? 2e-6 : 2e-2;

            multiply(sets[n_sets - 1], 2, (tkx__compute)m, &w, x, toks, y);
            for (size_t r = 0; r < rows; r++) {
                tkx__matrix_row(sets[0], &w, r, row);
                for (size_t t = 0; t < toks; t++) {
                    double want = 0;
                    double size = 0;

                    for (size_t c = 0; c < cols; c++) {
                        want += (double)row[c] * (double)x[t * cols + c];
                        size += (double)row[c] * (double)row[c];
                    }
                    ck_assert_double_lt(fabs(want - (double)y[t * (rows + 3) + r]),
                                        bound * sqrt(size * (double)cols / 3) + 1e-9);
                }
            }
        }
        free(row);
        free(y);
        free(x);
        free((void *)w.data);
    }
}
END_TEST

static void compare_sets(tkx__wtype type, size_t rows, size_t cols, size_t toks,
                         uint32_t *seed)
{
    const tkx__kernels *sets[8];
    size_t n_sets = usable_kernels(sets);
    size_t n = toks * (rows + 3);
    tkx__matrix w = chance_matrix(seed, type, rows, cols);
    float *x = chance_floats(seed, toks * cols);
    float *want = calloc(n, sizeof *want);
    float *got = calloc(n, sizeof *got);

    for (int m = 0; m < 2; m++) {
        multiply(sets[0], 1, (tkx__compute)m, &w, x, toks, want);
        for (size_t i = 1; i < n_sets; i++) {
            multiply(sets[i], 1, (tkx__compute)m, &w, x, toks, got);
            assert_same(want, got, n, tkx__kernels_name(sets[i]), type, rows, cols, toks);
        }
    }
    free(got);
    free(want);
    free(x);
    free((void *)w.data);
}

/* One type per case of the loop: shapes that leave every kind of tail; with the most
   tokens fewer of them. */
START_TEST(sets_agree)
{
    static const size_t rows[] = {1, 2, 7, 8, 9, 16, 17, 31, 49};
    static const size_t toks[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 130};
    const size_t n_toks = sizeof toks / sizeof *toks;
    tkx__wtype type = all_wtypes[_i];
    size_t block = tkx__wtype_block_cols(type);
    uint32_t seed = 11 + (uint32_t)_i;

    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t t = 0; t < n_toks - (r % 4 != 0); t++) {
            if (block == 1) {
                compare_sets(type, rows[r], 1 + chance(&seed) % 70, toks[t], &seed);
                compare_sets(type, rows[r], 8 * (1 + chance(&seed) % 9), toks[t], &seed);
            } else {
                compare_sets(type, rows[r], block * (1 + chance(&seed) % 4), toks[t],
                             &seed);
            }
        }
    compare_sets(type, 40, block == 1 ? 1300 : 2048, 9, &seed);
    compare_sets(type, 40, block == 1 ? 1301 : 2304, 1, &seed);
    compare_sets(type, 14, block == 1 ? 2056 : 2304, 10, &seed);
    if (block == 1) /* many rows at once, columns in chunks */
        compare_sets(type, 26, 4371, 51, &seed);
}
END_TEST

/* All bytes of a matrix but its half-precision numbers. */
static void fill_blocks(tkx__matrix *w, int byte)
{
    tkx__strip_shape s = tkx__strip_shape_of(w->type);
    size_t size = tkx__wtype_block_size(w->type);
    unsigned char *p = (unsigned char *)w->data;

    for (size_t at = 0; at < w->n_rows * w->row_size; at += size) {
        memset(p + at, byte, s.half_at);
        memset(p + at + s.half_at + 2 * s.n_halves, byte,
               size - s.half_at - 2 * s.n_halves);
    }
}

/* The largest sums that there are, where 16 bits are just enough. */
START_TEST(sets_agree_at_the_limits)
{
    enum { ROWS = 17, COLS = 512, TOKS = 24 };
    static const int bytes[] = {0x00, 0xff, 0x7f, 0x80, 0x0f, 0xf0};
    tkx__wtype type = all_wtypes[_i];
    uint32_t seed = 3;
    const tkx__kernels *sets[8];
    size_t n_sets = usable_kernels(sets);
    tkx__matrix w = chance_matrix(&seed, type, ROWS, COLS);
    static float x[TOKS * COLS];
    static float want[TOKS * (ROWS + 3)];
    static float got[TOKS * (ROWS + 3)];

    for (size_t t = 0; t < TOKS; t++) /* all 127, all -127, in turn by 1, by 2, .. */
        for (size_t c = 0; c < COLS; c++)
            x[t * COLS + c] = t == 0 || (t > 1 && c / (t - 1) % 2) ? 1.0f : -1.0f;
    for (size_t b = 0; tkx__wtype_block_cols(type) > 1 && b < 6; b++) {
        fill_blocks(&w, bytes[b]);
        for (size_t n = 1; n <= TOKS; n += n < 4 ? 1 : 4) {
            multiply(sets[0], 1, TKX__COMPUTE_FAST, &w, x, n, want);
            for (size_t i = 1; i < n_sets; i++) {
                multiply(sets[i], 1, TKX__COMPUTE_FAST, &w, x, n, got);
                assert_same(want, got, n * (ROWS + 3), tkx__kernels_name(sets[i]), type,
                            ROWS, COLS, n);
            }
        }
    }
    free((void *)w.data);
}
END_TEST

/* Tokens in one call or one by one, one thread or three: the same bits. */
START_TEST(batch_and_threads_change_nothing)
{
    tkx__wtype type = all_wtypes[_i];
    uint32_t seed = 3 + (uint32_t)_i;
    size_t cols = 768;
    size_t rows = 77;
    size_t toks = 140;
    size_t stride = rows + 3;
    const tkx__kernels *k = NULL;
    tkx__matrix w = chance_matrix(&seed, type, rows, cols);
    float *x = chance_floats(&seed, toks * cols);
    float *want = calloc(toks * stride, sizeof *want);
    float *got = calloc(toks * stride, sizeof *got);

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    for (int m = 0; m < 2; m++) {
        tkx__compute compute = (tkx__compute)m;

        multiply(k, 1, compute, &w, x, toks, want);
        multiply(k, 3, compute, &w, x, toks, got);
        assert_same(want, got, toks * stride, "3 threads", type, rows, cols, toks);
        for (size_t t = 0; t < toks;) {
            size_t n = 1 + chance(&seed) % 6;

            n = n < toks - t ? n : toks - t;
            multiply(k, 2, compute, &w, x + t * cols, n, got + t * stride);
            t += n;
        }
        assert_same(want, got, toks * stride, "pieces", type, rows, cols, toks);
    }
    free(got);
    free(want);
    free(x);
    free((void *)w.data);
}
END_TEST

static void assert_reference_packs_alike(const tkx__matrix *w,
                                         const unsigned char *packed)
{
    size_t n_blocks = w->n_cols / tkx__wtype_block_cols(w->type);
    size_t size = TKX__STRIP_ROWS * w->row_size;
    const uint8_t *rows[TKX__STRIP_ROWS];
    unsigned char *strip = malloc(size);

    for (size_t i = 0; i < TKX__STRIP_ROWS; i++)
        rows[i] = (const uint8_t *)w->data + i * w->row_size;
    tkx__strip_pack(w->type, rows, n_blocks, strip);
    ck_assert_mem_eq(strip, packed, size);
    free(strip);
}

/* Columns of a matrix that may be packed: of a plain one few. */
static size_t chance_cols(uint32_t *seed, tkx__wtype type)
{
    size_t block = tkx__wtype_block_cols(type);

    return block == 1 ? 8 * (1 + chance(seed) % 8) : block * (1 + chance(seed) % 5);
}

/* In kernel order: the same bits for any number of tokens, and the same rows. */
START_TEST(packing_changes_nothing)
{
    static const size_t toks[] = {1, 2, 3, 4, 5, 7, 11, 12, 13, 130};
    tkx__wtype type = all_wtypes[_i];
    uint32_t seed = 21 + (uint32_t)_i;
    const tkx__kernels *k = NULL;

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    for (size_t i = 0; i < sizeof toks / sizeof *toks; i++) {
        size_t cols = chance_cols(&seed, type);
        size_t rows = 8 * (1 + chance(&seed) % 12);
        size_t n = toks[i] * (rows + 3);
        tkx__matrix w = chance_matrix(&seed, type, rows, cols);
        tkx__matrix p = w;
        float *x = chance_floats(&seed, toks[i] * cols);
        float *want = calloc(n + cols, sizeof *want);
        float *got = calloc(n + cols, sizeof *got);

        if (tkx__matrix_can_pack(k, &w)) {
            unsigned char *packed = malloc(rows * w.row_size);

            tkx__matrix_pack(k, &w, 0, 8, packed);
            tkx__matrix_pack(k, &w, 8, rows - 8, packed);
            p.data = packed;
            p.is_packed = true;
            ck_assert(!tkx__matrix_can_pack(k, &p));
            assert_reference_packs_alike(&w, packed);
            multiply(k, 2, TKX__COMPUTE_FAST, &w, x, toks[i], want);
            multiply(k, 2, TKX__COMPUTE_FAST, &p, x, toks[i], got);
            assert_same(want, got, n, "packed", type, rows, cols, toks[i]);
            for (size_t r = 0; r < rows; r += 5) {
                tkx__matrix_row(k, &w, r, want);
                tkx__matrix_row(k, &p, r, got);
                assert_same(want, got, cols, "packed row", type, rows, cols, 1);
            }
            free(packed);
        }
        free(got);
        free(want);
        free(x);
        free((void *)w.data);
    }
}
END_TEST

/* Bias, adding, row lists and several products at once. */
START_TEST(products_of_a_group)
{
    uint32_t seed = 5;
    size_t cols = 64;
    tkx__matrix a = chance_matrix(&seed, TKX__W_Q8_0, 20, cols);
    tkx__matrix b = chance_matrix(&seed, TKX__W_F16, 33, cols);
    float *x = chance_floats(&seed, 4 * cols);
    float *bias = chance_floats(&seed, 20);
    float *plain_a = calloc(4 * 23, sizeof(float));
    float *plain_b = calloc(4 * 36, sizeof(float));
    float *ya = calloc(4 * 20, sizeof(float));
    float *yb = calloc(8 * 33, sizeof(float));
    static const uint32_t x_rows[] = {3, 1};
    static const uint32_t y_rows[] = {0, 6};
    const tkx__kernels *k = NULL;
    setup s;

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    multiply(k, 1, TKX__COMPUTE_FAST, &a, x, 4, plain_a);
    multiply(k, 1, TKX__COMPUTE_FAST, &b, x, 4, plain_b);
    s = open_setup(k, 2, TKX__COMPUTE_FAST, 4, cols);
    for (size_t i = 0; i < 8 * 33; i++)
        yb[i] = 2;
    tkx__matmul(s.work, x, cols, 4,
                (tkx__product[]){
                    {.w = &a, .bias = bias, .y = ya, .y_stride = 20, .n_tok = 4},
                    {.w = &b,
                     .y = yb,
                     .y_stride = 33,
                     .add = true,
                     .x_rows = x_rows,
                     .y_rows = y_rows,
                     .n_tok = 2},
                },
                2);
    for (size_t t = 0; t < 4; t++)
        for (size_t r = 0; r < 20; r++)
            ck_assert(ya[t * 20 + r] == plain_a[t * 23 + r] + bias[r]);
    for (size_t r = 0; r < 33; r++) {
        ck_assert(yb[r] == 2 + plain_b[3 * 36 + r]);
        ck_assert(yb[6 * 33 + r] == 2 + plain_b[1 * 36 + r]);
        ck_assert(yb[33 + r] == 2); /* not named: untouched */
    }
    close_setup(&s);
    free(yb);
    free(ya);
    free(plain_b);
    free(plain_a);
    free(bias);
    free(x);
    free((void *)b.data);
    free((void *)a.data);
}
END_TEST

/* An adapter's B in kernel order: the same bits for any number of tokens; with and
   without bias and what y holds. */
START_TEST(adapters_packed)
{
    static const size_t toks[] = {1, 2, 3, 4, 9, 17, 130};
    const tkx__kernels *k = NULL;
    uint32_t seed = 10 + (uint32_t)_i;

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    for (size_t i = 0; i < sizeof toks / sizeof *toks; i++) {
        size_t n = toks[i];
        size_t rows = 8 * (1 + chance(&seed) % 30);
        size_t rank = 8 * (1 + chance(&seed) % 3);
        tkx__matrix w = chance_matrix(&seed, _i & 1 ? TKX__W_F16 : TKX__W_Q8_0, rows, 64);
        tkx__matrix a = chance_matrix(&seed, TKX__W_F16, rank, 64);
        tkx__matrix b = chance_matrix(&seed, TKX__W_F16, rows, rank);
        float *bias = _i & 2 ? chance_floats(&seed, rows) : NULL;
        tkx__matrix packed = b;
        unsigned char *strips = malloc(rows * b.row_size);
        float *x = chance_floats(&seed, n * 64);
        float *y[2] = {calloc(n * rows, sizeof(float)), calloc(n * rows, sizeof(float))};

        for (size_t j = 0; j < n * rows; j++)
            y[0][j] = y[1][j] = (float)(j % 7);
        if (tkx__matrix_can_pack(k, &b)) {
            tkx__matrix_pack(k, &b, 0, rows, strips);
            packed.data = strips;
            packed.is_packed = true;
        }
        for (size_t j = 0; j < 2; j++) {
            tkx__lora_use use = {&a, j ? &packed : &b, 0.5f, NULL, n};
            setup s = open_setup(k, 2, TKX__COMPUTE_FAST, n, 64);

            tkx__matmul(s.work, x, 64, n,
                        &(tkx__product){.w = &w,
                                        .bias = bias,
                                        .y = y[j],
                                        .y_stride = rows,
                                        .add = _i & 4,
                                        .n_tok = n,
                                        .loras = &use,
                                        .n_loras = 1},
                        1);
            close_setup(&s);
        }
        assert_same(y[0], y[1], n * rows, "packed B", b.type, rows, rank, n);
        free(bias);
        free(y[1]);
        free(y[0]);
        free(x);
        free(strips);
        free((void *)b.data);
        free((void *)a.data);
        free((void *)w.data);
    }
}
END_TEST

/* Rows of one batch under two adapters and none. */
START_TEST(adapters_per_row)
{
    uint32_t seed = 9;
    size_t cols = 64;
    size_t rows = 40;
    tkx__matrix w = chance_matrix(&seed, TKX__W_Q4_0, rows, cols);
    tkx__matrix a1 = chance_matrix(&seed, TKX__W_F32, 4, cols);
    tkx__matrix b1 = chance_matrix(&seed, TKX__W_F32, rows, 4);
    tkx__matrix a2 = chance_matrix(&seed, TKX__W_BF16, 13, cols);
    tkx__matrix b2 = chance_matrix(&seed, TKX__W_BF16, rows, 13);
    float *x = chance_floats(&seed, 5 * cols);
    float *base = calloc(5 * (rows + 3), sizeof(float));
    float *y = calloc(5 * rows, sizeof(float));
    static const uint32_t first[] = {0, 3};
    static const uint32_t second[] = {4};
    const tkx__lora_use uses[] = {{&a1, &b1, 0.5f, first, 2},
                                  {&a2, &b2, 2.0f, second, 1}};
    const tkx__kernels *k = NULL;
    setup s;

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    multiply(k, 1, TKX__COMPUTE_FAST, &w, x, 5, base);
    s = open_setup(k, 2, TKX__COMPUTE_FAST, 5, cols);
    tkx__matmul(
        s.work, x, cols, 5,
        &(tkx__product){
            .w = &w, .y = y, .y_stride = rows, .n_tok = 5, .loras = uses, .n_loras = 2},
        1);
    close_setup(&s);
    for (size_t t = 0; t < 5; t++) {
        const tkx__lora_use *u = t == 4 ? &uses[1] : &uses[0];
        double mid[16] = {0};
        float row[64];

        for (size_t j = 0; j < u->a->n_rows; j++) {
            tkx__matrix_row(k, u->a, j, row);
            for (size_t c = 0; c < cols; c++)
                mid[j] += (double)row[c] * (double)x[t * cols + c];
        }
        for (size_t r = 0; r < rows; r++) {
            double want = (double)base[t * (rows + 3) + r];

            tkx__matrix_row(k, u->b, r, row);
            for (size_t j = 0; j < u->a->n_rows && t != 1 && t != 2; j++)
                want += (double)(u->scale * row[j]) * mid[j];
            ck_assert_double_eq_tol((double)y[t * rows + r], want, 1e-4);
        }
    }
    free(y);
    free(base);
    free(x);
    free((void *)b2.data);
    free((void *)a2.data);
    free((void *)b1.data);
    free((void *)a1.data);
    free((void *)w.data);
}
END_TEST

START_TEST(unknown_set_is_an_error)
{
    const tkx__kernels *k = NULL;

    ck_assert_int_eq(tkx__kernels_select("mmx", &k, NULL), TKX_ERR_UNSUPPORTED);
    ck_assert_ptr_null(k);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("matmul");
    Suite *s = suite_create("matmul");

    tcase_add_test(tc, products_are_right);
    tcase_add_loop_test(tc, sets_agree, 0, (int)n_wtypes);
    tcase_add_loop_test(tc, sets_agree_at_the_limits, 0, (int)n_wtypes);
    tcase_add_loop_test(tc, batch_and_threads_change_nothing, 0, (int)n_wtypes);
    tcase_add_loop_test(tc, packing_changes_nothing, 0, (int)n_wtypes);
    tcase_add_test(tc, products_of_a_group);
    tcase_add_loop_test(tc, adapters_packed, 0, 8);
    tcase_add_test(tc, adapters_per_row);
    tcase_add_test(tc, unknown_set_is_an_error);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
