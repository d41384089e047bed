/* SPDX-License-Identifier: Apache-2.0 */
/* test_train.c - neither threads nor recomputing change a bit of a training step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn_fixture.h"
#include "support/suite.h"

enum { N = 9 };

static fixture_datum store[N];
static nn_datum datums[N];

/* Weights and gradients after two accumulated batches, one step and another batch. */
static void run_some(nn_engine *engine, nn_model *model)
{
    fixture_datums(store, datums, N,
                   nn_base_get_info(nn_engine_base_at(engine, 0)).vocab_size);
    fixture_train(model, datums, N);
    fixture_train(model, datums, 3);
    fixture_step(model, 1e-2);
    fixture_train(model, datums, N);
}

static void ck_same(const nn_model *a, const nn_model *b)
{
    size_t size = a->adapter.n_values * sizeof(float);

    ck_assert_uint_eq(a->adapter.n_values, b->adapter.n_values);
    ck_assert_mem_eq(a->adapter.values, b->adapter.values, size);
    ck_assert_mem_eq(a->gradient, b->gradient, size);
    ck_assert_mem_eq(a->m, b->m, size);
    ck_assert_mem_eq(a->v, b->v, size);
}

/* The same bits for any number of threads. */
START_TEST(threads_change_no_bit)
{
    static const char *const models[] = {NULL, "qwen3moe", "qwen2"};
    const char *name = models[_i];
    nn_engine *one = fixture_engine_of(1, name), *many = fixture_engine_of(5, name);
    nn_model *a = fixture_model(one, 4, 7), *b = fixture_model(many, 4, 7);

    run_some(one, a);
    run_some(many, b);
    ck_same(a, b);
    nn_model_free(a);
    nn_model_free(b);
    nn_engine_free(one);
    nn_engine_free(many);
}
END_TEST

/* With little room for activations each layer is made again: same bits. */
START_TEST(recomputing_changes_no_bit)
{
    nn_engine *roomy = fixture_engine_of(2, _i ? "qwen3moe-nonorm" : NULL);
    nn_engine *tight = fixture_engine_of(2, _i ? "qwen3moe-nonorm" : NULL);
    nn_model *a = fixture_model(roomy, 3, 7), *b = fixture_model(tight, 3, 7);

    tight->options.max_activation_bytes = 1;
    run_some(roomy, a);
    run_some(tight, b);
    ck_same(a, b);
    nn_model_free(a);
    nn_model_free(b);
    nn_engine_free(roomy);
    nn_engine_free(tight);
}
END_TEST

/* Until the first step a model is its base, and after it A has not moved. */
START_TEST(starts_as_its_base)
{
    nn_engine *engine = fixture_engine(2);
    nn_model *model = fixture_model(engine, 4, 1), *other = fixture_model(engine, 9, 2);
    float *before;
    size_t size = model->adapter.n_values * sizeof *before;
    double a, b;

    fixture_datums(store, datums, N, 257);
    a = fixture_train(model, datums, N);
    b = fixture_train(other, datums, N);
    ck_assert_double_eq(a, b);
    before = malloc(size);
    memcpy(before, model->adapter.values, size);
    fixture_step(model, 0.5);
    for (size_t i = 0; i < 3; i++) {
        const nn_slot *s = &model->adapter.layers[i][NN_Q];

        ck_assert_mem_eq(before + s->a, model->adapter.values + s->a,
                         4 * s->in * sizeof *before);
        for (size_t j = 0; j < 4 * s->out; j++)
            ck_assert_double_eq_tol(fabs((double)model->adapter.values[s->b + j]), 0.5,
                                    1e-6);
    }
    ck_assert_int_eq(nn_model_step(model), 1);
    free(before);
    nn_model_free(model);
    nn_model_free(other);
    nn_engine_free(engine);
}
END_TEST

START_TEST(same_seed_same_adapter)
{
    nn_engine *engine = fixture_engine(1);
    nn_model *a = fixture_model(engine, 4, 5), *b = fixture_model(engine, 4, 5);
    nn_model *c = fixture_model(engine, 4, 6);

    ck_same(a, b);
    ck_assert_mem_ne(a->adapter.values, c->adapter.values, 100);
    nn_model_free(a);
    nn_model_free(b);
    nn_model_free(c);
    nn_engine_free(engine);
}
END_TEST

/* Two batches accumulate to what one batch gives; forward adds nothing. */
START_TEST(gradients_accumulate)
{
    nn_engine *engine = fixture_engine(2);
    nn_model *a = fixture_model(engine, 4, 5), *b = fixture_model(engine, 4, 5);
    const nn_loss loss = {.name = "cross_entropy"};
    nn_loss_result *r;

    fixture_datums(store, datums, N, 257);
    fixture_train(a, datums, N);
    fixture_train(b, datums, 4);
    ck_assert_int_eq(nn_model_forward(b, datums, N, &loss, &r, NULL), TKX_OK);
    nn_loss_result_free(r);
    fixture_train(b, datums + 4, N - 4);
    for (size_t i = 0; i < a->adapter.n_values; i++)
        ck_assert_double_eq_tol((double)a->gradient[i], (double)b->gradient[i],
                                1e-3 + 1e-5 * fabs((double)a->gradient[i]));
    nn_model_free(a);
    nn_model_free(b);
    nn_engine_free(engine);
}
END_TEST

/* Without gradients a step still counts, and moves by what the moments hold. */
START_TEST(empty_step_counts)
{
    nn_engine *engine = fixture_engine(1);
    nn_model *model = fixture_model(engine, 2, 5);
    float before;

    fixture_datums(store, datums, 1, 257);
    fixture_train(model, datums, 1);
    fixture_step(model, 0.1);
    before = model->adapter.values[model->adapter.unembed.b];
    fixture_step(model, 0.1);
    ck_assert_int_eq(nn_model_step(model), 2);
    ck_assert_float_ne(model->adapter.values[model->adapter.unembed.b], before);
    nn_model_free(model);
    nn_engine_free(engine);
}
END_TEST

/* A wrong datum late in the batch: the user's error, nothing added. */
START_TEST(refusal_leaves_the_model_alone)
{
    nn_engine *engine = fixture_engine(2);
    nn_model *model = fixture_model(engine, 2, 5);
    const nn_loss loss = {.name = "cross_entropy"};
    nn_loss_result *r = NULL;
    tkx_error *err = NULL;

    fixture_datums(store, datums, N, 257);
    store[N - 1].tokens[3] = 257;
    ck_assert_int_ne(nn_model_forward_backward(model, datums, N, &loss, &r, &err),
                     TKX_OK);
    ck_assert_ptr_null(r);
    ck_assert_int_eq(tkx_error_get_category(err), TKX_ERROR_CATEGORY_USER);
    ck_assert_ptr_nonnull(
        strstr(tkx_error_message(err), "datum 8: model_input[3] is 257"));
    for (size_t i = 0; i < model->adapter.n_values; i++)
        ck_assert_float_eq(model->gradient[i], 0);
    tkx_error_free(err);
    nn_model_free(model);
    nn_engine_free(engine);
}
END_TEST

/* Loss on a few pairs falls to a tenth within a hundred steps. */
START_TEST(learns)
{
    static const char *const texts[] = {"one -> uno.", "two -> dos.", "red -> rojo.",
                                        "sun -> sol."};
    nn_engine *engine = fixture_engine(2);
    nn_model *model = fixture_model(engine, 16, 1);
    double first = 0, last = 0;

    for (size_t i = 0; i < 4; i++) {
        fixture_text(&store[i], texts[i]);
        datums[i] = store[i].datum;
    }
    for (int step = 0; step < 40; step++) {
        last = fixture_train(model, datums, 4);
        first = step == 0 ? last : first;
        fixture_step(model, 5e-3);
    }
    ck_assert_double_lt(last, first / 10);
    nn_model_free(model);
    nn_engine_free(engine);
}
END_TEST

/* dimuon lowers the loss too, and refuses another family's parameters. */
START_TEST(dimuon_learns)
{
    nn_engine *engine = fixture_engine(2);
    nn_lora_options options = {.rank = 4, .train_mlp = true, .optimizer = NN_DIMUON};
    nn_optim_params params = NN_DIMUON_INIT, adam = NN_ADAMW_INIT;
    nn_model *model = NULL;
    double first = 0, last = 0;

    ck_assert_int_eq(
        nn_model_new(engine, nn_engine_base_at(engine, 0), &options, &model, NULL),
        TKX_OK);
    fixture_text(&store[0], "one -> uno, two -> dos, three -> tres");
    params.learning_rate = 0.02;
    for (int step = 0; step < 20; step++) {
        last = fixture_train(model, &store[0].datum, 1);
        first = step == 0 ? last : first;
        ck_assert_int_eq(nn_model_optim_step(model, &params, NULL, NULL), TKX_OK);
    }
    ck_assert_double_lt(last, first * 0.7);
    ck_assert_int_eq(nn_model_optim_step(model, &adam, NULL, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    nn_model_free(model);
    nn_engine_free(engine);
}
END_TEST

START_TEST(refuses_bad_options)
{
    static const nn_lora_options bad[] = {
        {.rank = 0, .train_mlp = true},
        {.rank = 100000, .train_mlp = true},
        {.rank = 4},
        {.rank = 4, .train_mlp = true, .alpha = -1},
    };
    nn_engine *engine = fixture_engine(1);
    nn_model *model = NULL;
    tkx_error *err = NULL;

    ck_assert_int_eq(
        nn_model_new(engine, nn_engine_base_at(engine, 0), &bad[_i], &model, &err),
        TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx_error_get_category(err), TKX_ERROR_CATEGORY_USER);
    tkx_error_free(err);
    nn_engine_free(engine);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("train");
    TCase *tc = tcase_create("train");

    tcase_add_loop_test(tc, threads_change_no_bit, 0, 3);
    tcase_add_loop_test(tc, recomputing_changes_no_bit, 0, 2);
    tcase_add_test(tc, starts_as_its_base);
    tcase_add_test(tc, same_seed_same_adapter);
    tcase_add_test(tc, gradients_accumulate);
    tcase_add_test(tc, empty_step_counts);
    tcase_add_test(tc, refusal_leaves_the_model_alone);
    tcase_add_test(tc, learns);
    tcase_add_test(tc, dimuon_learns);
    tcase_add_loop_test(tc, refuses_bad_options, 0, 4);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
