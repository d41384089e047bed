/* SPDX-License-Identifier: Apache-2.0 */
/* test_sample.c - samples of the trainer agree with its forward pass. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mock_server/nn/prefix.h"
#include "nn_fixture.h"
#include "support/suite.h"

static const int64_t prompt[] = {72, 101, 108, 108, 111};

static nn_engine *engine;
static nn_snapshot *snapshot;

static void setup(void)
{
    engine = fixture_engine(3);
    ck_assert_int_eq(
        nn_snapshot_of_base(engine, nn_engine_base_at(engine, 0), &snapshot, NULL),
        TKX_OK);
}

static void teardown(void)
{
    nn_snapshot_unref(snapshot);
    nn_engine_free(engine);
}

static nn_sample_request request(void)
{
    nn_sample_request q = NN_SAMPLE_REQUEST_INIT;

    q.prompt = prompt;
    q.n_prompt = 5;
    q.max_tokens = 12;
    q.seed = 3;
    return q;
}

static void run(const nn_sample_request *q, nn_sample_result *r)
{
    ck_assert_int_eq(nn_sample(snapshot, q, 1, r, NULL), TKX_OK);
    ck_assert_msg(r->status == TKX_OK, "%s", tkx_error_message(r->error));
}

/* A sequence is the same alone, among many samples, and beside other requests. */
START_TEST(batch_does_not_matter)
{
    nn_sample_request q[3] = {request(), request(), request()};
    nn_sample_result alone, r[3];

    q[0].n_samples = 11;
    q[1].n_prompt = 3;
    q[2].seed = 3 + 9;
    run(&q[2], &alone);
    ck_assert_int_eq(nn_sample(snapshot, q, 3, r, NULL), TKX_OK);
    for (size_t i = 0; i < 2; i++) {
        const nn_sequence *s = i ? &r[2].sequences[0] : &r[0].sequences[9];

        ck_assert_uint_eq(s->n_tokens, alone.sequences[0].n_tokens);
        ck_assert_mem_eq(s->tokens, alone.sequences[0].tokens, s->n_tokens * 4);
        ck_assert_mem_eq(s->logprobs, alone.sequences[0].logprobs, s->n_tokens * 4);
    }
    ck_assert_mem_ne(r[0].sequences[0].tokens, r[0].sequences[1].tokens, 12);
    nn_sample_result_clear(&alone);
    for (size_t i = 0; i < 3; i++)
        nn_sample_result_clear(&r[i]);
}
END_TEST

/* The reported logprobs are forward's. */
START_TEST(agrees_with_forward)
{
    nn_model *model = fixture_model(engine, 4, 1);
    nn_snapshot *trained = NULL;
    nn_sample_request q = request();
    nn_sample_result r;
    nn_loss_result *f;
    const nn_loss loss = {.name = "cross_entropy"};
    fixture_datum d;

    fixture_text(&d, "abcabcabc");
    for (int i = 0; i < 3; i++) {
        fixture_train(model, &d.datum, 1);
        fixture_step(model, 1e-2);
    }
    ck_assert_int_eq(nn_snapshot_of_model(model, &trained, NULL), TKX_OK);
    q.prompt_logprobs = true;
    q.use_default_stop = false;
    ck_assert_int_eq(nn_sample(trained, &q, 1, &r, NULL), TKX_OK);
    memcpy(d.tokens, prompt, sizeof prompt);
    for (size_t i = 0; i < 12; i++)
        d.tokens[5 + i] = r.sequences[0].tokens[i];
    d.datum.n_tokens = d.datum.n_targets = 16;
    d.datum.weights.n = 0;
    ck_assert_int_eq(nn_model_forward(model, &d.datum, 1, &loss, &f, NULL), TKX_OK);
    ck_assert(isnan(r.prompt_logprobs[0]));
    for (size_t i = 1; i < 5; i++)
        ck_assert_float_eq_tol(r.prompt_logprobs[i], f->datums[0].logprobs[i - 1], 1e-4f);
    for (size_t i = 0; i < 12; i++)
        ck_assert_float_eq_tol(r.sequences[0].logprobs[i], f->datums[0].logprobs[4 + i],
                               1e-4f);
    nn_loss_result_free(f);
    nn_sample_result_clear(&r);
    nn_snapshot_unref(trained);
    nn_model_free(model);
}
END_TEST

/* Later steps do not reach a snapshot. */
START_TEST(snapshot_is_frozen)
{
    nn_model *model = fixture_model(engine, 4, 1);
    nn_sample_request q = request();
    nn_sample_result before, after;
    nn_snapshot *frozen = NULL;
    fixture_datum d;

    ck_assert_int_eq(nn_snapshot_of_model(model, &frozen, NULL), TKX_OK);
    q.temperature = 0;
    ck_assert_int_eq(nn_sample(frozen, &q, 1, &before, NULL), TKX_OK);
    fixture_text(&d, "Hello, world");
    fixture_train(model, &d.datum, 1);
    fixture_step(model, 0.1);
    ck_assert_int_eq(nn_sample(frozen, &q, 1, &after, NULL), TKX_OK);
    ck_assert_mem_eq(before.sequences[0].logprobs, after.sequences[0].logprobs,
                     before.sequences[0].n_tokens * sizeof(float));
    nn_sample_result_clear(&before);
    nn_sample_result_clear(&after);
    nn_model_free(model);
    nn_snapshot_unref(frozen);
}
END_TEST

/* A stop token is the last token; absent it, the length ends. */
START_TEST(stops_at_tokens)
{
    nn_sample_request q = request();
    nn_sample_result free_run, r;
    int64_t stop;

    q.use_default_stop = false;
    run(&q, &free_run);
    ck_assert_uint_eq(free_run.sequences[0].n_tokens, 12);
    ck_assert(!free_run.sequences[0].is_stopped);
    stop = free_run.sequences[0].tokens[6];
    q.stop_tokens = &stop;
    q.n_stop_tokens = 1;
    run(&q, &r);
    ck_assert_uint_le(r.sequences[0].n_tokens, 7);
    ck_assert_int_eq(r.sequences[0].tokens[r.sequences[0].n_tokens - 1], stop);
    ck_assert(r.sequences[0].is_stopped);
    nn_sample_result_clear(&free_run);
    nn_sample_result_clear(&r);
}
END_TEST

/* Text is cut after the token that completes a stop string; the prompt is not
   searched. */
START_TEST(stops_at_strings)
{
    nn_sample_request q = request();
    nn_sample_result free_run, r;
    char text[2];
    nn_stop_string stops[2] = {{"Hello", 5}, {text, 2}};
    size_t n;

    q.use_default_stop = false;
    run(&q, &free_run);
    text[0] = (char)free_run.sequences[0].tokens[7];
    text[1] = (char)free_run.sequences[0].tokens[8];
    q.stop_strings = stops;
    q.n_stop_strings = 2;
    run(&q, &r);
    n = r.sequences[0].n_tokens;
    ck_assert_uint_le(n, 9);
    ck_assert_uint_ge(n, 2);
    ck_assert_int_eq((char)r.sequences[0].tokens[n - 2], text[0]);
    ck_assert_int_eq((char)r.sequences[0].tokens[n - 1], text[1]);
    ck_assert(r.sequences[0].is_stopped);
    nn_sample_result_clear(&free_run);
    nn_sample_result_clear(&r);
}
END_TEST

/* With a vocabulary of its own: text is decoded, special tokens included. */
START_TEST(stops_at_text_of_a_tokenizer)
{
    nn_engine *other = fixture_engine_of(1, "qwen3");
    nn_snapshot *base = NULL;
    nn_sample_request q = request();
    nn_sample_result free_run, r;
    tkx_tokenizer *tokenizer = NULL;
    char path[4096], *text;
    size_t size;
    int64_t ids[12];
    nn_stop_string stop;

    snprintf(path, sizeof path, "%s/models/qwen3", TKX_TEST_DATA);
    ck_assert_int_eq(tkx_tokenizer_open(path, &tokenizer, NULL), TKX_OK);
    ck_assert_int_eq(nn_snapshot_of_base(other, nn_engine_base_at(other, 0), &base, NULL),
                     TKX_OK);
    q.use_default_stop = false;
    q.temperature = 0;
    ck_assert_int_eq(nn_sample(base, &q, 1, &free_run, NULL), TKX_OK);
    for (size_t i = 0; i < 12; i++)
        ids[i] = free_run.sequences[0].tokens[i];
    ck_assert_int_eq(
        tkx_tokenizer_decode(tokenizer, ids, 4, TKX_DECODE_DEFAULT, &text, &size, NULL),
        TKX_OK);
    stop = (nn_stop_string){text, size};
    q.stop_strings = &stop;
    q.n_stop_strings = 1;
    ck_assert_int_eq(nn_sample(base, &q, 1, &r, NULL), TKX_OK);
    ck_assert_int_eq(r.status, TKX_OK);
    ck_assert(r.sequences[0].is_stopped);
    ck_assert_uint_ge(r.sequences[0].n_tokens, 4);
    ck_assert_uint_le(r.sequences[0].n_tokens, 6);
    tkx_tokenizer_free_result(text);
    tkx_tokenizer_unref(tokenizer);
    nn_sample_result_clear(&free_run);
    nn_sample_result_clear(&r);
    nn_snapshot_unref(base);
    nn_engine_free(other);
}
END_TEST

/* What the extras say about the prompt hangs together. */
START_TEST(prompt_extras)
{
    static const int64_t targets[4 * 2] = {101, -1, -1, 108, -1, -1, 0, 111};
    nn_sample_request q = request();
    nn_sample_result r;

    q.max_tokens = 2;
    q.prompt_logprobs = true;
    q.prompt_last_n = 2;
    q.topk_prompt = 300; /* more than there are tokens */
    q.topk_sample = 3;
    q.prompt_targets = targets;
    q.n_prompt_targets = 2;
    q.prompt_alt_k = 4;
    run(&q, &r);
    ck_assert(isnan(r.prompt_logprobs[2]));
    ck_assert_float_eq_tol(r.prompt_logprobs[4], r.prompt_target_logprobs[3 * 2 + 1],
                           1e-6f);
    ck_assert_float_eq(r.prompt_target_logprobs[1], 0);
    ck_assert_float_eq(r.prompt_topk.logprobs[0], -99999.0f);
    ck_assert_float_ge(r.prompt_topk.logprobs[4 * 300],
                       r.prompt_topk.logprobs[4 * 300 + 1]);
    ck_assert_float_eq(r.prompt_topk.logprobs[4 * 300 + 299], -99999.0f);
    ck_assert_uint_eq(r.sequences[0].topk.n, 2);
    for (size_t i = 0; i < 16; i++)
        ck_assert(r.prompt_alt_tokens[i] >= 0 && r.prompt_alt_tokens[i] < 257 &&
                  r.prompt_alt_logprobs[i] < 0);
    nn_sample_result_clear(&r);
}
END_TEST

static bool always(void *user_data)
{
    ++*(int *)user_data;
    return true;
}

START_TEST(can_be_cancelled)
{
    nn_sample_request q = request();
    nn_sample_result r;
    int n_asked = 0;

    q.is_cancelled = always;
    q.user_data = &n_asked;
    ck_assert_int_eq(nn_sample(snapshot, &q, 1, &r, NULL), TKX_OK);
    ck_assert_int_eq(r.status, TKX_ERR_CANCELLED);
    ck_assert_int_gt(n_asked, 0);
    ck_assert_uint_eq(r.n_sequences, 0);
    nn_sample_result_clear(&r);
}
END_TEST

/* Each wrong request fails alone, as the user's error. */
START_TEST(refuses_wrong_requests)
{
    static const int64_t out_of_range[] = {5, 257}, negative[] = {-1};
    nn_sample_request q[12];
    nn_sample_result r[12];

    for (size_t i = 0; i < 12; i++)
        q[i] = request();
    q[1].prompt = out_of_range;
    q[1].n_prompt = 2;
    q[2].prompt = negative;
    q[2].n_prompt = 1;
    q[3].n_prompt = 0;
    q[4].temperature = -1;
    q[5].temperature = (double)NAN;
    q[6].top_p = 0;
    q[7].n_samples = 0;
    q[8].max_tokens = 0;
    q[9].max_tokens = 597;
    q[10].prompt_last_n = 1;
    q[11].topk_prompt = SIZE_MAX / 2;
    ck_assert_int_eq(nn_sample(snapshot, q, 12, r, NULL), TKX_OK);
    ck_assert_int_eq(r[0].status, TKX_OK);
    for (size_t i = 1; i < 12; i++) {
        ck_assert_msg(r[i].status != TKX_OK, "request %zu was served", i);
        ck_assert_int_eq(tkx_error_get_category(r[i].error), TKX_ERROR_CATEGORY_USER);
    }
    for (size_t i = 0; i < 12; i++)
        nn_sample_result_clear(&r[i]);
}
END_TEST

/* The last token needs no place of its own. */
START_TEST(fills_the_context)
{
    nn_sample_request q = request();
    nn_sample_result r;

    q.max_tokens = 596;
    q.use_default_stop = false;
    run(&q, &r);
    ck_assert_uint_eq(r.sequences[0].n_tokens, 596);
    nn_sample_result_clear(&r);
}
END_TEST

/* What begins like an earlier prompt is read from where that one ends, to the same bits,
   and only as far as nothing is asked about the beginning. */
START_TEST(a_known_beginning_is_not_read_again)
{
    static int64_t tokens[560];
    nn_sample_request q = request();
    nn_sample_result first, again, other, scored;

    for (size_t i = 0; i < 560; i++)
        tokens[i] = (int64_t)(i * 37 % 251);
    q.prompt = tokens;
    q.n_prompt = 560;
    run(&q, &first);
    run(&q, &again);
    ck_assert_uint_eq(first.n_cached, 0);
    ck_assert_uint_eq(again.n_cached, 512);
    ck_assert_uint_eq(first.sequences[0].n_tokens, again.sequences[0].n_tokens);
    ck_assert_mem_eq(first.sequences[0].tokens, again.sequences[0].tokens,
                     first.sequences[0].n_tokens * 4);
    ck_assert_mem_eq(first.sequences[0].logprobs, again.sequences[0].logprobs,
                     first.sequences[0].n_tokens * 4);
    tokens[300]++; /* in the second block */
    run(&q, &other);
    ck_assert_uint_eq(other.n_cached, 256);
    q.prompt_logprobs = true;
    q.prompt_last_n = 200; /* from token 360 on */
    run(&q, &scored);
    ck_assert_uint_eq(scored.n_cached, 256);
    ck_assert(isnan(scored.prompt_logprobs[359]) && !isnan(scored.prompt_logprobs[360]));
    nn_sample_result_clear(&scored);
    q.prompt_last_n = 0;
    run(&q, &scored);
    ck_assert_uint_eq(scored.n_cached, 0);
    nn_sample_result_clear(&first);
    nn_sample_result_clear(&again);
    nn_sample_result_clear(&other);
    nn_sample_result_clear(&scored);
}
END_TEST

/* More prompts than there is room for: the oldest go, and nothing else happens. */
START_TEST(old_beginnings_make_room)
{
    static int64_t tokens[260];
    nn_sample_request q = request();
    nn_sample_result r;

    q.prompt = tokens;
    q.n_prompt = 260;
    for (int64_t i = 0; i < NN_PREFIX_SLOTS + 1; i++) {
        tokens[0] = i + 1;
        run(&q, &r);
        ck_assert_uint_eq(r.n_cached, 0);
        nn_sample_result_clear(&r);
    }
    run(&q, &r);
    ck_assert_uint_eq(r.n_cached, 256);
    nn_sample_result_clear(&r);
    tokens[0] = 1;
    run(&q, &r);
    ck_assert_uint_eq(r.n_cached, 0);
    nn_sample_result_clear(&r);
}
END_TEST

START_TEST(tempered_logprobs)
{
    nn_sample_request q = request();
    nn_sample_result raw, tempered;

    q.temperature = 0.5;
    run(&q, &raw);
    q.logprob_mode = NN_LOGPROB_TEMPERED;
    run(&q, &tempered);
    ck_assert_mem_eq(raw.sequences[0].tokens, tempered.sequences[0].tokens, 8);
    ck_assert_float_ne(raw.sequences[0].logprobs[0], tempered.sequences[0].logprobs[0]);
    nn_sample_result_clear(&raw);
    nn_sample_result_clear(&tempered);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sample");
    TCase *tc = tcase_create("sample");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, batch_does_not_matter);
    tcase_add_test(tc, agrees_with_forward);
    tcase_add_test(tc, snapshot_is_frozen);
    tcase_add_test(tc, stops_at_tokens);
    tcase_add_test(tc, stops_at_strings);
    tcase_add_test(tc, stops_at_text_of_a_tokenizer);
    tcase_add_test(tc, prompt_extras);
    tcase_add_test(tc, can_be_cancelled);
    tcase_add_test(tc, refuses_wrong_requests);
    tcase_add_test(tc, fills_the_context);
    tcase_add_test(tc, a_known_beginning_is_not_read_again);
    tcase_add_test(tc, old_beginnings_make_room);
    tcase_add_test(tc, tempered_logprobs);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
