/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler on a backend that is not the CPU's: a toy whose logits follow from the
 * tokens of the whole sequence, read back from memory of its own through block numbers.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "infer/backend.h"
#include "infer/kv.h"
#include "infer/schedule.h"
#include "support/suite.h"

enum { N_BLOCKS = 8 };

static int64_t cells[N_BLOCKS][TKX__KV_BLOCK];

static void clear(void *ctx, uint32_t id)
{
    (void)ctx;
    memset(cells[id], 0, sizeof cells[id]);
}

static void copy(void *ctx, uint32_t to, uint32_t from)
{
    (void)ctx;
    memcpy(cells[to], cells[from], sizeof cells[to]);
}

static const tkx__kv_memory memory = {.clear = clear, .copy = copy};

START_TEST(blocks_elsewhere_are_counted_here)
{
    tkx__kv *kv = NULL;
    uint32_t a;
    uint32_t b;

    ck_assert_int_eq(tkx__kv_new_on(&memory, 0, &kv, NULL), TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx__kv_new_on(&memory, N_BLOCKS, &kv, NULL), TKX_OK);
    cells[0][3] = 9;
    a = tkx__kv_alloc(kv);
    ck_assert_int_eq(cells[a][3], 0);
    cells[a][3] = 7;
    b = tkx__kv_copy(kv, a);
    ck_assert_int_eq(cells[b][3], 7);
    ck_assert_uint_ne(a, b);
    ck_assert_uint_eq(tkx__kv_n_available(kv), N_BLOCKS - 2);
    tkx__kv_ref(kv, a);
    tkx__kv_unref(kv, a);
    ck_assert_uint_eq(tkx__kv_n_refs(kv, a), 1);
    tkx__kv_unref(kv, a);
    tkx__kv_unref(kv, b);
    ck_assert_uint_eq(tkx__kv_n_available(kv), N_BLOCKS);
    tkx__kv_free(kv);
}
END_TEST

/* ---- the toy ---- */

static const tkx__model_config *config;
static tkx__kv *pool;
static float *row;
static size_t n_steps;

static const char *never(void)
{
    return NULL;
}

static tkx_status toy_open(const tkx__backend_setup *setup, tkx__backend_state **out,
                           tkx__kv **kv, tkx_error **err)
{
    tkx_status st = tkx__kv_new_on(&memory, setup->kv_blocks, &pool, err);

    config = &setup->weights->config;
    row = calloc(config->vocab_size, sizeof *row);
    *out = (tkx__backend_state *)(void *)&config; /* anything */
    *kv = pool;
    return st;
}

static void toy_close(tkx__backend_state *state)
{
    (void)state;
    tkx__kv_free(pool);
    free(row);
}

static tkx_status toy_admit(tkx__backend_state *state, const tkx__adapter *adapter,
                            tkx_error **err)
{
    (void)state;
    (void)adapter;
    (void)err;
    return TKX_OK;
}

static size_t next_of(int64_t sum, size_t pos)
{
    return (size_t)(sum * 31 + (int64_t)pos * 7) % config->vocab_size;
}

/* All tokens up to pos, through the blocks. */
static int64_t sum_of(const tkx__step_part *part, size_t pos)
{
    int64_t sum = 0;

    for (size_t i = 0; i <= pos; i++)
        sum += cells[part->block_ids[i / TKX__KV_BLOCK]][i % TKX__KV_BLOCK];
    return sum;
}

static tkx_status toy_step(tkx__backend_state *state, const tkx__step_part *parts,
                           size_t n_parts, tkx__logits_fn *fn, void *ctx, tkx_error **err)
{
    (void)state;
    (void)err;
    n_steps++;
    for (size_t p = 0; p < n_parts; p++) {
        for (size_t t = 0; t < parts[p].n_tokens; t++) {
            size_t pos = parts[p].pos + t;
            tkx__logits_row at = {p, t};
            size_t best;

            cells[parts[p].block_ids[pos / TKX__KV_BLOCK]][pos % TKX__KV_BLOCK] =
                parts[p].tokens[t];
            if (t < parts[p].n_tokens - parts[p].n_logits)
                continue;
            best = next_of(sum_of(&parts[p], pos), pos);
            row[best] = 10;
            fn(ctx, &at, 1, row);
            row[best] = 0;
        }
    }
    return TKX_OK;
}

static const tkx__backend toy = {.name = "toy",
                                 .why_not = never,
                                 .scratch_bytes = tkx__graph_scratch_bytes,
                                 .open = toy_open,
                                 .close = toy_close,
                                 .admit = toy_admit,
                                 .step = toy_step};

/* ---- the scheduler on it ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static tkx__job_result *result;

static void on_done(void *ctx, tkx__job_result *r, tkx_error *error)
{
    (void)ctx;
    ck_assert_ptr_null(error);
    pthread_mutex_lock(&lock);
    result = r;
    pthread_cond_signal(&ended);
    pthread_mutex_unlock(&lock);
}

static void run(tkx__schedule *s, const int32_t *prompt, size_t n)
{
    tkx__job_spec spec = {.prompt = prompt,
                          .n_prompt = n,
                          .n_samples = 3,
                          .max_tokens = 50,
                          .params = {.temperature = 0, .top_p = 1},
                          .on_done = on_done};

    result = NULL;
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL), TKX_OK);
    pthread_mutex_lock(&lock);
    while (!result)
        pthread_cond_wait(&ended, &lock);
    pthread_mutex_unlock(&lock);
}

/* Two turns with samples that share blocks: each token is what the whole text asks for.
 */
START_TEST(schedules_on_another_backend)
{
    tkx__weights *weights = NULL;
    tkx__schedule *s = NULL;
    tkx__schedule_options o = {.backend = &toy, .kv_blocks = N_BLOCKS, .n_threads = 1};
    int32_t prompt[70];

    for (int i = 0; i < 70; i++)
        prompt[i] = i + 1;
    ck_assert_int_eq(tkx__weights_open(TKX_TEST_DATA "/models/llama", &weights, NULL),
                     TKX_OK);
    ck_assert_int_eq(tkx__schedule_new(weights, &o, &s, NULL), TKX_OK);
    for (int turn = 0; turn < 2; turn++) {
        run(s, prompt, 70);
        ck_assert_uint_eq(result->n_cached, turn ? 64 : 0);
        for (size_t k = 0; k < 3; k++) {
            int64_t sum = 70 * 71 / 2;

            ck_assert_uint_eq(result->sequences[k].n, 50);
            for (size_t i = 0; i < 50; i++) {
                int32_t want = (int32_t)next_of(sum, 69 + i);

                ck_assert_int_eq(result->sequences[k].tokens[i], want);
                sum += want;
            }
        }
        tkx__job_result_free(result);
    }
    ck_assert_uint_gt(n_steps, 50);
    tkx__schedule_free(s);
    tkx__weights_free(weights);
}
END_TEST

START_TEST(backends_are_found)
{
    const tkx__backend *backend = NULL;

    ck_assert_int_eq(tkx__backend_find(NULL, &backend, NULL), TKX_OK);
    ck_assert_str_eq(backend->name, "cpu");
    ck_assert_int_eq(tkx__backend_find("cpu", &backend, NULL), TKX_OK);
    ck_assert_int_eq(tkx__backend_find("abacus", &backend, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backend");
    TCase *tc = tcase_create("backend");

    tcase_add_test(tc, blocks_elsewhere_are_counted_here);
    tcase_add_test(tc, schedules_on_another_backend);
    tcase_add_test(tc, backends_are_found);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
