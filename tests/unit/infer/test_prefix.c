/* SPDX-License-Identifier: Apache-2.0 */
/* test_prefix.c - the prefix cache gives back every block that nobody holds. */
#include "infer/prefix.h"
#include "support/suite.h"

enum { N_BLOCKS = 8, N_TOKENS = 3 * TKX__KV_BLOCK };

static void clear(void *ctx, uint32_t id)
{
    (void)ctx;
    (void)id;
}

static void copy(void *ctx, uint32_t to, uint32_t from)
{
    (void)ctx;
    (void)to;
    (void)from;
}

static void take(tkx__prefix *prefix, size_t n, uint32_t *blocks)
{
    for (size_t i = 0; i < n; i++) {
        blocks[i] = tkx__prefix_alloc(prefix);
        ck_assert_msg(blocks[i] != TKX__KV_NONE, "block %zu of %zu", i, n);
    }
}

static void give_back(tkx__kv *kv, size_t n, const uint32_t *blocks)
{
    for (size_t i = 0; i < n; i++)
        tkx__kv_unref(kv, blocks[i]);
}

/* Two requests compute the same three blocks.  What the first one left is dropped before
   the second one ends, whose third block then gets a new predecessor. */
START_TEST(a_block_with_a_new_predecessor_is_held_once)
{
    const tkx__kv_memory nowhere = {.clear = clear, .copy = copy};
    int64_t tokens[N_TOKENS];
    uint32_t first[2], second[3], found[3], others[N_BLOCKS];
    tkx__kv *kv = NULL;
    tkx__prefix *prefix = NULL;

    for (int i = 0; i < N_TOKENS; i++)
        tokens[i] = i;
    ck_assert_int_eq(tkx__kv_new_on(&nowhere, N_BLOCKS, &kv, NULL), TKX_OK);
    ck_assert_int_eq(tkx__prefix_new(kv, &prefix, NULL), TKX_OK);
    take(prefix, 2, first);
    take(prefix, 3, second);
    tkx__prefix_insert(prefix, 0, tokens, 2 * TKX__KV_BLOCK, first);
    tkx__prefix_insert(prefix, 0, tokens, N_TOKENS, second);
    give_back(kv, 2, first);
    take(prefix, 4, others); /* the fourth is the first one's first */
    tkx__prefix_insert(prefix, 0, tokens, N_TOKENS, second);
    give_back(kv, 3, second);
    ck_assert_uint_eq(tkx__prefix_match(prefix, 0, tokens, N_TOKENS, found), 3);
    give_back(kv, 3, found);
    take(prefix, 4, others + 4);
    give_back(kv, N_BLOCKS, others);
    tkx__prefix_free(prefix);
    ck_assert_uint_eq(tkx__kv_n_available(kv), N_BLOCKS);
    tkx__kv_free(kv);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prefix");
    TCase *tc = tcase_create("prefix");

    tcase_add_test(tc, a_block_with_a_new_predecessor_is_held_once);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
