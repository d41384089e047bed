/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local engine under load: many requests at once, adapters that come and go, a full
 * queue, a long run in the same memory.
 */
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/context.h>
#include <tkx/local.h>
#include <tkx/memory.h>

#include "support/suite.h"

#define LLAMA TKX_TEST_DATA "/models/llama"

enum { N_PARALLEL = 64, N_ADAPTERS = 3, MAX_TOKENS = 24 };

static tkx_local *local;
static tkx_context *context;
static tkx_local_adapter *adapters[N_ADAPTERS + 1]; /* the first one is none */
static const char *const adapter_names[] = {"r4", "r8-unembed", "r4.tar.gz"};

static tkx_local_adapter *load(int i)
{
    tkx_local_adapter *adapter = NULL;
    tkx_error *err = NULL;
    char path[512];

    snprintf(path, sizeof path, LLAMA "/adapters/%s", adapter_names[i]);
    ck_assert_msg(tkx_local_adapter_load(local, path, &adapter, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    return adapter;
}

static void open_model(const tkx_local_options *options)
{
    tkx_context_options c = TKX_CONTEXT_OPTIONS_INIT;

    c.base_url = "http://localhost";
    ck_assert_int_eq(tkx_context_new(&c, &context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_local_open(LLAMA, options, &local, NULL), TKX_OK);
    for (int i = 0; i < N_ADAPTERS; i++)
        adapters[i + 1] = load(i);
}

static void close_model(void)
{
    for (int i = 0; i <= N_ADAPTERS; i++)
        tkx_local_adapter_unload(adapters[i]);
    tkx_local_free(local);
    tkx_context_free(context);
}

/* ---- requests that differ in everything ---- */

typedef struct question {
    int32_t tokens[96];
    tkx_chunk chunk;
    tkx_sample_request request;
    tkx_local_sample_options options;
} question;

static void ask_about(question *q, int i)
{
    memset(q, 0, sizeof *q);
    for (int t = 0; t < 96; t++) /* some share their beginnings */
        q->tokens[t] = (t * (t < 40 ? 7 : i + 3) + i % 3) % 250;
    q->chunk = tkx_chunk_text(q->tokens, (size_t)(1 + (i * 13) % 96));
    q->request = (tkx_sample_request)TKX_SAMPLE_REQUEST_INIT;
    q->options = (tkx_local_sample_options)TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    q->request.prompt = (tkx_model_input){&q->chunk, 1};
    q->request.num_samples = 1 + i % 3;
    q->request.prompt_logprobs = i % 4 == 0;
    q->request.params.has_max_tokens = true;
    q->request.params.max_tokens = 1 + (i * 5) % MAX_TOKENS;
    q->request.params.temperature = i % 5 ? 0.3 * (i % 5) : 0;
    q->request.params.top_k = i % 6 ? -1 : 20;
    q->request.params.top_p = i % 7 ? 1 : 0.8;
    q->request.params.seed = tkx_seed_i64(1000 - i);
    q->options.adapter = adapters[i % (N_ADAPTERS + 1)];
    q->options.repetition_penalty = i % 8 ? 0 : 1.2f;
}

static tkx_sample_response *answer(int i)
{
    question q;
    tkx_sample_response *response = NULL;
    tkx_error *err = NULL;

    ask_about(&q, i);
    ck_assert_msg(tkx_local_sample(local, &q.request, &q.options, &response, &err) ==
                      TKX_OK,
                  "%s", tkx_error_message(err));
    return response;
}

static void same(const tkx_sample_response *a, const tkx_sample_response *b)
{
    ck_assert_uint_eq(a->n_sequences, b->n_sequences);
    ck_assert_uint_eq(a->n_prompt_logprobs, b->n_prompt_logprobs);
    if (a->n_prompt_logprobs)
        ck_assert_mem_eq(a->prompt_logprobs, b->prompt_logprobs,
                         a->n_prompt_logprobs * sizeof(float));
    for (size_t s = 0; s < a->n_sequences; s++) {
        size_t n = a->sequences[s].n_tokens;

        ck_assert_uint_eq(n, b->sequences[s].n_tokens);
        ck_assert_mem_eq(a->sequences[s].tokens, b->sequences[s].tokens, n * 4);
        ck_assert_mem_eq(a->sequences[s].logprobs, b->sequences[s].logprobs, n * 4);
    }
}

static const tkx_local_options two_threads = {.struct_size = sizeof(tkx_local_options),
                                              .n_threads = 2};

START_TEST(parallel_requests_equal_serial_ones)
{
    static tkx_future *futures[N_PARALLEL];
    static tkx_sample_response *alone[N_PARALLEL];

    open_model(&two_threads);
    for (int i = 0; i < N_PARALLEL; i++)
        alone[i] = answer(i);
    for (int i = 0; i < N_PARALLEL; i++) {
        question q;

        ask_about(&q, i);
        ck_assert_int_eq(tkx_local_sample_start(local, context, &q.request, &q.options,
                                                &futures[i], NULL),
                         TKX_OK);
    }
    for (int i = 0; i < N_PARALLEL; i++) {
        tkx_sample_response *together = NULL;

        ck_assert_int_eq(tkx_future_wait(futures[i], -1, NULL), TKX_OK);
        ck_assert_int_eq(tkx_future_take_local_sample(futures[i], &together, NULL),
                         TKX_OK);
        same(alone[i], together);
        tkx_sample_response_free(together);
        tkx_sample_response_free(alone[i]);
        tkx_future_unref(futures[i]);
    }
    close_model();
}
END_TEST

/* ---- adapters come and go while requests run ---- */

static atomic_int is_over;

static void *come_and_go(void *arg)
{
    (void)arg;
    for (int i = 0; !atomic_load(&is_over); i++) {
        tkx_local_adapter *a = load(i % N_ADAPTERS);
        question q;
        tkx_sample_response *response = NULL;
        tkx_future *future = NULL;

        ask_about(&q, i);
        q.options.adapter = a;
        ck_assert_int_eq(
            tkx_local_sample_start(local, context, &q.request, &q.options, &future, NULL),
            TKX_OK);
        tkx_local_adapter_unload(a); /* its request goes on */
        ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
        ck_assert_int_eq(tkx_future_take_local_sample(future, &response, NULL), TKX_OK);
        tkx_sample_response_free(response);
        tkx_future_unref(future);
    }
    return NULL;
}

START_TEST(adapters_come_and_go)
{
    tkx_sample_response *quiet[8];
    pthread_t thread;

    open_model(&two_threads);
    for (int i = 0; i < 8; i++)
        quiet[i] = answer(i);
    ck_assert_int_eq(pthread_create(&thread, NULL, come_and_go, NULL), 0);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 8; i++) {
            tkx_sample_response *busy = answer(i);

            same(quiet[i], busy);
            tkx_sample_response_free(busy);
        }
    }
    atomic_store(&is_over, 1);
    pthread_join(thread, NULL);
    for (int i = 0; i < 8; i++)
        tkx_sample_response_free(quiet[i]);
    close_model();
}
END_TEST

/* ---- the queue ---- */

static tkx_status start(int i, tkx_future **out)
{
    question q;

    ask_about(&q, i);
    return tkx_local_sample_start(local, context, &q.request, &q.options, out, NULL);
}

START_TEST(full_paused_and_cancelled)
{
    tkx_local_options o = two_threads;
    tkx_future *futures[2];
    tkx_future *third = NULL;

    o.max_requests = 2;
    open_model(&o);
    tkx_local_pause(local, 1);
    ck_assert_int_eq(start(1, &futures[0]), TKX_OK);
    ck_assert_int_eq(start(2, &futures[1]), TKX_OK);
    ck_assert_int_eq(start(3, &third), TKX_ERR_BUSY);
    ck_assert_ptr_null(third);
    tkx_future_cancel(futures[0]);
    ck_assert_int_eq(tkx_future_wait(futures[0], -1, NULL), TKX_OK);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(futures[0])), TKX_ERR_CANCELLED);
    ck_assert_int_eq(tkx_future_is_done(futures[1]), 0);
    tkx_local_pause(local, 0);
    ck_assert_int_eq(tkx_future_wait(futures[1], -1, NULL), TKX_OK);
    ck_assert_ptr_null(tkx_future_error(futures[1]));
    tkx_sample_response_free(answer(4)); /* there is room again */

    tkx_local_pause(local, 1); /* closed while paused: what is open ends */
    tkx_future_unref(futures[1]);
    ck_assert_int_eq(start(5, &futures[1]), TKX_OK);
    for (int i = 0; i <= N_ADAPTERS; i++) {
        tkx_local_adapter_unload(adapters[i]);
        adapters[i] = NULL;
    }
    tkx_local_free(local);
    local = NULL;
    ck_assert_int_eq(tkx_future_wait(futures[1], -1, NULL), TKX_OK);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(futures[1])), TKX_ERR_CLOSED);
    tkx_future_unref(futures[0]);
    tkx_future_unref(futures[1]);
    close_model();
}
END_TEST

/* A cancel is carried out on the loop thread, which may come to it when the model has
   been freed already. */
typedef struct gate {
    pthread_mutex_t lock;
    atomic_int is_reached;
} gate;

static void pass_gate(tkx_future *future, void *user_data)
{
    gate *g = user_data;

    (void)future;
    atomic_store(&g->is_reached, 1);
    pthread_mutex_lock(&g->lock);
    pthread_mutex_unlock(&g->lock);
}

START_TEST(a_cancel_may_outlive_the_model)
{
    gate g = {PTHREAD_MUTEX_INITIALIZER, 0};
    tkx_future *futures[2];

    open_model(&two_threads);
    tkx_local_pause(local, 1);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(start(i, &futures[i]), TKX_OK);
    pthread_mutex_lock(&g.lock);
    tkx_future_on_complete(futures[0], pass_gate, &g, NULL);
    tkx_future_cancel(futures[0]);
    while (!atomic_load(&g.is_reached))
        sched_yield();
    tkx_future_cancel(futures[1]);
    for (int i = 0; i <= N_ADAPTERS; i++) {
        tkx_local_adapter_unload(adapters[i]);
        adapters[i] = NULL;
    }
    tkx_local_free(local);
    local = NULL;
    pthread_mutex_unlock(&g.lock);
    ck_assert_int_eq(tkx_future_wait(futures[1], -1, NULL), TKX_OK);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(futures[1])), TKX_ERR_CANCELLED);
    for (int i = 0; i < 2; i++)
        tkx_future_unref(futures[i]);
    close_model();
}
END_TEST

/* ---- memory ---- */

static atomic_long n_allocations, live_bytes;

static void *counting_malloc(size_t size, void *user_data)
{
    void *ptr = malloc(size);

    (void)user_data;
    atomic_fetch_add(&n_allocations, 1);
    atomic_fetch_add(&live_bytes, (long)malloc_usable_size(ptr));
    return ptr;
}

static void *counting_realloc(void *old, size_t size, void *user_data)
{
    long before = (long)malloc_usable_size(old);
    void *ptr = realloc(old, size);

    (void)user_data;
    atomic_fetch_add(&n_allocations, 1);
    if (ptr)
        atomic_fetch_add(&live_bytes, (long)malloc_usable_size(ptr) - before);
    return ptr;
}

static void counting_free(void *ptr, void *user_data)
{
    (void)user_data;
    atomic_fetch_sub(&live_bytes, (long)malloc_usable_size(ptr));
    free(ptr);
}

static const tkx_allocator counting = {.struct_size = sizeof(tkx_allocator),
                                       .malloc_fn = counting_malloc,
                                       .realloc_fn = counting_realloc,
                                       .free_fn = counting_free};

typedef struct token_counts {
    long at_third, at_last;
    int n;
} token_counts;

static void count_token(int64_t sample, int32_t token, float logprob, void *user_data)
{
    token_counts *c = user_data;

    (void)sample;
    (void)token;
    (void)logprob;
    if (++c->n == 3)
        c->at_third = atomic_load(&n_allocations);
    c->at_last = atomic_load(&n_allocations);
}

static const char *const stops[] = {"no sample says this"};

/* From the third token on (the second step packs the weights) nothing is allocated: with
   an adapter, filters, top-k, penalties and a stop string, and across KV blocks. */
START_TEST(no_allocation_per_token)
{
    token_counts counts = {0};
    tkx_sample_response *response = NULL;
    tkx_local_options o = two_threads;
    question q;

    ck_assert_int_eq(tkx_set_allocator(&counting), TKX_OK);
    o.compute = _i ? TKX_LOCAL_COMPUTE_F32 : TKX_LOCAL_COMPUTE_FAST;
    open_model(&o);
    ask_about(&q, 40);
    q.request.num_samples = 1;
    q.request.params.max_tokens = 150;
    q.request.params.top_k = 50;
    q.request.params.top_p = 0.9;
    q.request.topk_sample_logprobs = 3;
    q.request.params.stop_kind = TKX_STOP_STRINGS;
    q.request.params.stop_strings = stops;
    q.request.params.n_stop = 1;
    q.options.adapter = adapters[1];
    q.options.frequency_penalty = 0.1f;
    q.options.on_token = count_token;
    q.options.user_data = &counts;
    ck_assert_int_eq(tkx_local_sample(local, &q.request, &q.options, &response, NULL),
                     TKX_OK);
    ck_assert_int_eq(counts.n, 150);
    ck_assert_int_gt(counts.at_third, 0);
    ck_assert_int_eq(counts.at_last, counts.at_third);
    tkx_sample_response_free(response);
    close_model();
}
END_TEST

/* Different prompts, adapters and lengths; the first hundred fill the caches. Counted
   is what was allocated: resident memory moves by itself (large pages, heaps of threads).
   The job of the last answer may be on its way out. */
START_TEST(hundreds_of_samples_in_the_same_memory)
{
    enum { ONE_JOB = 1 << 16 };
    long before = 0;

    ck_assert_int_eq(tkx_set_allocator(&counting), TKX_OK);
    open_model(&two_threads);
    for (int i = 0; i < 500; i++) {
        if (i == 100)
            before = atomic_load(&live_bytes);
        tkx_sample_response_free(answer(i));
    }
    long grown = atomic_load(&live_bytes) - before;
    ck_assert_msg(grown < ONE_JOB, "%ld bytes became %ld more", before, grown);
    close_model();
    ck_assert_int_eq(atomic_load(&live_bytes), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("local load");
    TCase *tc = tcase_create("local load");

    tcase_add_test(tc, parallel_requests_equal_serial_ones);
    tcase_add_test(tc, adapters_come_and_go);
    tcase_add_test(tc, full_paused_and_cancelled);
    tcase_add_test(tc, a_cancel_may_outlive_the_model);
    tcase_add_loop_test(tc, no_allocation_per_token, 0, 2);
    tcase_add_test(tc, hundreds_of_samples_in_the_same_memory);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
