/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_attention.c - attention against double arithmetic; equal bits for any set, thread
 * count, batch and sharing of blocks.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "support/suite.h"
#include "weights.h"

typedef struct cache {
    tkx__kv_shape shape;
    uint8_t *base;
    size_t stride;
    float *k; /* [n][n_kv_heads * head_dim] */
    float *v;
    size_t n;
} cache;

static cache make_cache(const tkx__kernels *k, uint32_t *seed, tkx__kv_shape shape,
                        size_t n, const uint32_t *ids)
{
    size_t width = shape.n_kv_heads * shape.head_dim;
    cache c = {.shape = shape, .stride = tkx__kv_block_size(&shape), .n = n};

    c.base = calloc(16, c.stride);
    c.k = chance_floats(seed, n * width);
    c.v = chance_floats(seed, n * width);
    for (size_t i = 0; i < n * width; i++)
        c.k[i] *= 3;
    for (size_t p = 0; p < n; p++)
        tkx__kv_store(k, &shape, c.base + ids[p / TKX__KV_BLOCK] * c.stride,
                      p % TKX__KV_BLOCK, c.k + p * width, c.v + p * width);
    return c;
}

static void free_cache(cache *c)
{
    free(c->base);
    free(c->k);
    free(c->v);
}

/* Attention of queries at positions pos[n_tok] of one sequence. */
static void attend(const tkx__kernels *k, size_t n_threads, const cache *c,
                   const uint32_t *ids, size_t n_heads, size_t window, const float *q,
                   const size_t *pos, size_t n_tok, float *out)
{
    tkx__threads *pool = NULL;
    tkx__work *work = NULL;
    tkx__work_limits limits = {n_tok, 64, 0, 0};
    tkx__attn_token *tokens = calloc(n_tok, sizeof *tokens);
    size_t width = n_heads * c->shape.head_dim;
    tkx__attn_args a = {.shape = c->shape,
                        .kv_base = c->base,
                        .block_stride = c->stride,
                        .n_heads = n_heads,
                        .window = window,
                        .scale = 0.3f,
                        .q = q,
                        .q_stride = width,
                        .out = out,
                        .out_stride = width,
                        .tokens = tokens,
                        .n_tok = n_tok};

    for (size_t t = 0; t < n_tok; t++)
        tokens[t] = (tkx__attn_token){ids, pos[t]};
    ck_assert_int_eq(tkx__threads_new(n_threads, &pool, NULL), TKX_OK);
    ck_assert_int_eq(tkx__work_new(k, pool, TKX__COMPUTE_FAST, &limits, &work, NULL),
                     TKX_OK);
    tkx__attention(work, &a);
    tkx__work_free(work);
    tkx__threads_free(pool);
    free(tokens);
}

static const uint32_t ids[] = {5, 0, 3, 9, 1};
static const struct {
    tkx__kv_shape shape;
    size_t n_heads;
} shapes[] = {
    {{true, 2, 64}, 14}, {{false, 2, 64}, 2}, {{true, 1, 20}, 3},
    {{false, 3, 13}, 9}, {{true, 2, 128}, 8},
};
/* none; the token alone; within a block; a block; over blocks; more than there is */
static const size_t windows[] = {0, 1, 7, 32, 50, 1000};
#define N_WINDOWS (sizeof windows / sizeof windows[0])
#define N_POS 150
#define N_TOK 9

/* What one query sees at one key/value head, in double: [dim]. */
static void expected(const cache *c, const float *q, size_t pos, size_t window,
                     size_t kv_head, double *want)
{
    size_t dim = c->shape.head_dim;
    size_t width = c->shape.n_kv_heads * dim;
    size_t first = window && pos >= window ? pos + 1 - window : 0;
    double w[N_POS];
    double sum = 0;

    for (size_t p = first; p <= pos; p++) {
        double s = 0;

        for (size_t d = 0; d < dim; d++)
            s += (double)q[d] * (double)c->k[p * width + kv_head * dim + d];
        w[p] = exp(s * (double)0.3f);
        sum += w[p];
    }
    for (size_t d = 0; d < dim; d++) {
        want[d] = 0;
        for (size_t p = first; p <= pos; p++)
            want[d] += w[p] / sum * (double)c->v[p * width + kv_head * dim + d];
    }
}

START_TEST(is_a_softmax)
{
    static const size_t pos[N_TOK] = {0, 1, 31, 32, 33, 63, 64, 100, 149};
    uint32_t seed = 21;
    size_t dim = shapes[_i].shape.head_dim;
    size_t n_heads = shapes[_i].n_heads;
    size_t group = n_heads / shapes[_i].shape.n_kv_heads;
    const tkx__kernels *k = NULL;
    cache c;
    float *q = chance_floats(&seed, N_TOK * n_heads * dim);
    float *out = calloc(N_TOK * n_heads * dim, sizeof *out);
    double bound = shapes[_i].shape.is_f16 ? 4e-3 : 2e-6;
    double want[128];

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    c = make_cache(k, &seed, shapes[_i].shape, N_POS, ids);
    for (size_t i = 0; i < N_WINDOWS; i++) {
        attend(k, 2, &c, ids, n_heads, windows[i], q, pos, N_TOK, out);
        for (size_t j = 0; j < N_TOK * n_heads; j++) {
            expected(&c, q + j * dim, pos[j / n_heads], windows[i], j % n_heads / group,
                     want);
            for (size_t d = 0; d < dim; d++)
                ck_assert_double_eq_tol((double)out[j * dim + d], want[d], bound);
        }
    }
    free_cache(&c);
    free(out);
    free(q);
}
END_TEST

/* All at once, one by one, other sets, more threads: the same bits. */
START_TEST(bits_stay)
{
    static const size_t pos[N_TOK] = {90, 91, 92, 5, 6, 40, 149, 148, 147};
    uint32_t seed = 4;
    size_t dim = shapes[_i].shape.head_dim;
    size_t n_heads = shapes[_i].n_heads;
    size_t n = N_TOK * n_heads * dim;
    const tkx__kernels *sets[8];
    size_t n_sets = usable_kernels(sets);
    cache c = make_cache(sets[0], &seed, shapes[_i].shape, N_POS, ids);
    float *q = chance_floats(&seed, n);
    float *want = calloc(n, sizeof *want);
    float *got = calloc(n, sizeof *got);

    for (size_t i = 0; i < N_WINDOWS * n_sets; i++) {
        const tkx__kernels *set = sets[i / N_WINDOWS];
        size_t window = windows[i % N_WINDOWS];

        attend(sets[0], 1, &c, ids, n_heads, window, q, pos, N_TOK, want);
        attend(set, 3, &c, ids, n_heads, window, q, pos, N_TOK, got);
        ck_assert_msg(memcmp(want, got, n * sizeof *got) == 0, "%s, window %zu",
                      tkx__kernels_name(set), window);
        for (size_t t = 0; t < N_TOK; t++)
            attend(set, 5, &c, ids, n_heads, window, q + t * n_heads * dim, pos + t, 1,
                   got + t * n_heads * dim);
        ck_assert_msg(memcmp(want, got, n * sizeof *got) == 0,
                      "%s, window %zu, one by one", tkx__kernels_name(set), window);
    }
    for (size_t s = 0; s < n_sets; s++) {
        uint32_t again = 4;
        cache other = make_cache(sets[s], &again, shapes[_i].shape, N_POS, ids);

        ck_assert_mem_eq(other.base, c.base, 16 * c.stride);
        free_cache(&other);
    }
    free_cache(&c);
    free(got);
    free(want);
    free(q);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("attention");
    Suite *s = suite_create("attention");
    int n = (int)(sizeof shapes / sizeof shapes[0]);

    tcase_add_loop_test(tc, is_a_softmax, 0, n);
    tcase_add_loop_test(tc, bits_stay, 0, n);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
