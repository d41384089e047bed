/* SPDX-License-Identifier: Apache-2.0 */
/* nn_fixture.c - the trainer on a small model, and datums for it. */
#include "nn_fixture.h"

#include <stdio.h>
#include <string.h>

#include <check.h>

nn_engine *fixture_engine(int n_threads)
{
    return fixture_engine_of(n_threads, NULL);
}

nn_engine *fixture_engine_of(int n_threads, const char *model)
{
    const nn_engine_options options = {.n_threads = n_threads, .max_context = 600};
    nn_engine *engine = NULL;
    tkx_error *err = NULL;
    char path[4096];

    snprintf(path, sizeof path, "%s/models/%s", TKX_TEST_DATA, model ? model : "");
    ck_assert_int_eq(nn_engine_new(&options, &engine, &err), TKX_OK);
    ck_assert_msg(nn_engine_add_base(engine, "base", model ? path : NULL, &err) == TKX_OK,
                  "%s", tkx_error_message(err));
    return engine;
}

nn_model *fixture_model(nn_engine *engine, size_t rank, uint64_t seed)
{
    nn_lora_options options = NN_LORA_OPTIONS_INIT;
    nn_model *model = NULL;

    options.rank = rank;
    options.seed = seed;
    ck_assert_int_eq(
        nn_model_new(engine, nn_engine_base_at(engine, 0), &options, &model, NULL),
        TKX_OK);
    return model;
}

static void set_datum(fixture_datum *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        d->ones[i] = 1;
    d->datum = (nn_datum){.tokens = d->tokens,
                          .n_tokens = n,
                          .targets = d->tokens + 1,
                          .n_targets = n,
                          .k = 1,
                          .weights = {d->ones, n}};
}

void fixture_text(fixture_datum *d, const char *text)
{
    size_t n = strlen(text);

    ck_assert_uint_lt(n, 512);
    for (size_t i = 0; i < n; i++)
        d->tokens[i] = (unsigned char)text[i];
    set_datum(d, n - 1);
}

void fixture_datums(fixture_datum *store, nn_datum *datums, size_t n, size_t vocab)
{
    uint64_t state = 99;

    for (size_t i = 0; i < n; i++) {
        size_t length = 5 + 37 * i % 120;

        for (size_t t = 0; t <= length; t++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            store[i].tokens[t] = (int64_t)((state >> 33) % vocab);
        }
        set_datum(&store[i], length);
        datums[i] = store[i].datum;
    }
}

double fixture_train(nn_model *model, const nn_datum *datums, size_t n)
{
    const nn_loss loss = {.name = "cross_entropy"};
    nn_loss_result *r = NULL;
    tkx_error *err = NULL;
    double sum;

    ck_assert_msg(nn_model_forward_backward(model, datums, n, &loss, &r, &err) == TKX_OK,
                  "%s", tkx_error_message(err));
    sum = r->metrics[0].value;
    nn_loss_result_free(r);
    return sum;
}

void fixture_step(nn_model *model, double lr)
{
    nn_optim_params params = NN_ADAMW_INIT;

    params.learning_rate = lr;
    ck_assert_int_eq(nn_model_optim_step(model, &params, NULL, NULL), TKX_OK);
}
