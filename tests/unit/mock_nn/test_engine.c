/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine.c - opening a model for training; the names and the pool. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "mock_server/nn/pool.h"
#include "nn_fixture.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

/* A copy of a model folder in a fresh temporary one, its files to be spoilt. */
static void copy_model(const char *model, char dir[64])
{
    static const char *const files[] = {"config.json", "generation_config.json",
                                        "model.safetensors"};
    char from[4096], to[4096], bytes[4096];

    strcpy(dir, "/tmp/tkx-nn-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    for (size_t i = 0; i < 3; i++) {
        FILE *in, *out;
        size_t n;

        snprintf(from, sizeof from, "%s/models/%s/%s", TKX_TEST_DATA, model, files[i]);
        snprintf(to, sizeof to, "%s/%s", dir, files[i]);
        in = fopen(from, "rb");
        out = fopen(to, "wb");
        ck_assert(in && out);
        while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
            fwrite(bytes, 1, n, out);
        fclose(in);
        fclose(out);
    }
}

static void remove_model(const char *dir)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/config.json", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/generation_config.json", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    unlink(path);
    rmdir(dir);
}

/* Replace text in a file by as many bytes. */
static void spoil(const char *dir, const char *file, const char *what, const char *by)
{
    char path[4096], *bytes = malloc(1 << 21), *at = NULL;
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, file);
    f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    n = fread(bytes, 1, 1 << 21, f);
    for (size_t i = 0; i + strlen(what) <= n && !at; i++)
        if (memcmp(bytes + i, what, strlen(what)) == 0)
            at = bytes + i;
    ck_assert_ptr_nonnull(at);
    memcpy(at, by, strlen(what));
    rewind(f);
    fwrite(bytes, 1, n, f);
    fclose(f);
    free(bytes);
}

static void ck_refused(const char *dir, const char *said)
{
    nn_engine *engine = NULL;
    tkx_error *err = NULL;

    ck_assert_int_eq(nn_engine_new(NULL, &engine, NULL), TKX_OK);
    ck_assert_int_ne(nn_engine_add_base(engine, "x", dir, &err), TKX_OK);
    ck_assert_msg(strstr(tkx_error_message(err), said) != NULL, "says: %s",
                  tkx_error_message(err));
    ck_assert_uint_eq(nn_engine_n_bases(engine), 0);
    tkx_error_free(err);
    nn_engine_free(engine);
}

/* Both missing tensors are listed. */
START_TEST(missing_tensors_are_listed)
{
    char dir[64];

    copy_model("llama", dir);
    spoil(dir, "model.safetensors", "layers.1.mlp.up_proj", "layers.1.mlp.Up_proj");
    spoil(dir, "model.safetensors", "layers.0.self_attn.q_proj",
          "layers.0.self_attn.Q_proj");
    ck_refused(dir, "layers.1.mlp.up_proj.weight");
    ck_refused(dir, "layers.0.self_attn.q_proj.weight");
    remove_model(dir);
}
END_TEST

START_TEST(wrong_shape_is_named)
{
    char dir[64];

    copy_model("llama", dir);
    spoil(dir, "config.json", "\"intermediate_size\": 160", "\"intermediate_size\": 161");
    ck_refused(dir, "gate_proj");
    remove_model(dir);
}
END_TEST

START_TEST(unknown_architecture)
{
    char dir[64];

    copy_model("llama", dir);
    spoil(dir, "config.json", "\"model_type\": \"llama\"", "\"model_type\": \"lemma\"");
    ck_refused(dir, "lemma");
    remove_model(dir);
}
END_TEST

START_TEST(truncated_weights)
{
    char dir[64], path[128];

    copy_model("llama", dir);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    ck_assert_int_eq(truncate(path, 5000), 0);
    ck_refused(dir, "model.safetensors");
    ck_assert_int_eq(truncate(path, 3), 0);
    ck_refused(dir, "model.safetensors");
    remove_model(dir);
    ck_refused("/nonexistent/model", "/nonexistent/model");
}
END_TEST

START_TEST(names_are_unique)
{
    nn_engine *engine = fixture_engine(1);
    nn_base_info info = nn_base_get_info(nn_engine_base_at(engine, 0));

    ck_assert_int_eq(nn_engine_add_base(engine, "base", NULL, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_null(nn_engine_find_base(engine, "other"));
    ck_assert_str_eq(info.tokenizer_id, "bytes");
    ck_assert_uint_eq(info.vocab_size, 257);
    ck_assert_int_eq(info.end_ids[0], 256);
    nn_engine_free(engine);
}
END_TEST

static void count_up(void *ctx, size_t piece)
{
    atomic_int *counts = ctx;

    atomic_fetch_add(&counts[piece], 1);
}

/* Every piece once, whatever the number of threads. */
START_TEST(pool_runs_every_piece_once)
{
    nn_pool *pool = NULL;
    atomic_int counts[100];

    ck_assert_int_eq(nn_pool_new(_i, &pool, NULL), TKX_OK);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 100; i++)
            atomic_init(&counts[i], 0);
        nn_pool_run(pool, 100, count_up, counts);
        for (size_t i = 0; i < 100; i++)
            ck_assert_int_eq(atomic_load(&counts[i]), 1);
    }
    nn_pool_run(pool, 0, count_up, counts);
    nn_pool_free(pool);
}
END_TEST

/* One whole round: base, model, training, step, state, sample. */
static tkx_status round_trip(const char *path)
{
    const nn_engine_options options = {.n_threads = 1, .max_context = 64};
    const nn_loss loss = {.name = "cross_entropy"};
    nn_lora_options lora = {.rank = 2, .train_attn = true, .train_mlp = true};
    nn_optim_params params = NN_ADAMW_INIT;
    nn_engine *engine = NULL;
    nn_model *model = NULL;
    nn_loss_result *r = NULL;
    nn_snapshot *snapshot = NULL;
    nn_sample_request q = NN_SAMPLE_REQUEST_INIT;
    nn_sample_result s = {0};
    nn_bytes bytes = {0};
    fixture_datum d;
    tkx_status st = nn_engine_new(&options, &engine, NULL);

    fixture_text(&d, "abcde");
    q.prompt = d.tokens;
    q.n_prompt = 3;
    q.max_tokens = 2;
    q.prompt_logprobs = true;
    if (st == TKX_OK)
        st = nn_engine_add_base(engine, "m", path, NULL);
    if (st == TKX_OK)
        st = nn_model_new(engine, nn_engine_base_at(engine, 0), &lora, &model, NULL);
    if (st == TKX_OK)
        st = nn_model_forward_backward(model, &d.datum, 1, &loss, &r, NULL);
    if (st == TKX_OK)
        st = nn_model_optim_step(model, &params, NULL, NULL);
    if (st == TKX_OK)
        st = nn_model_save_state(model, NN_STATE_OPTIMIZER, &bytes, NULL);
    if (st == TKX_OK)
        st = nn_model_load_state(model, bytes.data, bytes.size, NN_STATE_OPTIMIZER, NULL);
    if (st == TKX_OK)
        st = nn_snapshot_of_model(model, &snapshot, NULL);
    if (st == TKX_OK)
        st = nn_sample(snapshot, &q, 1, &s, NULL);
    if (st == TKX_OK)
        st = s.status;
    nn_sample_result_clear(&s);
    nn_snapshot_unref(snapshot);
    nn_loss_result_free(r);
    tkx__free(bytes.data);
    nn_model_free(model);
    nn_engine_free(engine);
    return st;
}

/* Whichever allocation fails: an error, and nothing left behind.  (Two things are optional
   and may fail unnoticed: the three parts of the packed table of merges, which leaves the
   slower one, and keeping the prompt.) */
START_TEST(every_allocation_may_fail)
{
    char path[4096];
    size_t nth = 1, n_survived = 0;

    snprintf(path, sizeof path, "%s/models/llama", TKX_TEST_DATA);
    for (int ended = 0; !ended; nth++) {
        tkx_status st;

        fail_alloc_begin(nth);
        st = round_trip(path);
        ended = !fail_alloc_hit();
        ck_assert_int_eq(fail_alloc_end(), 0);
        n_survived += !ended && st == TKX_OK;
        ck_assert_msg(!ended || st == TKX_OK, "%s", tkx_status_name(st));
    }
    ck_assert_uint_le(n_survived, 4);
    ck_assert_uint_gt(nth, 50);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tc = tcase_create("engine");

    tcase_add_test(tc, missing_tensors_are_listed);
    tcase_add_test(tc, wrong_shape_is_named);
    tcase_add_test(tc, unknown_architecture);
    tcase_add_test(tc, truncated_weights);
    tcase_add_test(tc, names_are_unique);
    tcase_add_loop_test(tc, pool_runs_every_piece_once, 1, 5);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
