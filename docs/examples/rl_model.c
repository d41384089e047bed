/* SPDX-License-Identifier: Apache-2.0 */
/* rl_model.c - see rl_model.h. */
#include "rl_model.h"

#include <stdio.h>
#include <string.h>

int rl_fail(const char *what, tkx_error *err)
{
    fprintf(stderr, "tkx-example-rl: %s: %s\n", what, tkx_error_message(err));
    tkx_error_free(err);
    return 0;
}

/* Wait for *future and let go of it.  For operations whose result is of no interest. */
static int finish(const char *what, tkx_future **future)
{
    tkx_error *err = NULL;
    int ok = !*future || tkx_future_wait(*future, -1, &err) == TKX_OK;

    if (!ok)
        return rl_fail(what, err);
    if (*future && tkx_future_error(*future)) {
        fprintf(stderr, "tkx-example-rl: %s: %s\n", what,
                tkx_error_message(tkx_future_error(*future)));
        ok = 0;
    }
    tkx_future_unref(*future);
    *future = NULL;
    return ok;
}

int rl_model_create(rl_model *model, tkx_service *service, const char *base_model,
                    int64_t rank, uint64_t seed)
{
    tkx_lora_options lora = TKX_LORA_OPTIONS_INIT;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    int ok;

    lora.base_model = base_model;
    lora.lora.rank = rank;
    lora.lora.seed = tkx_seed_u64(seed);
    ok = tkx_service_create_lora(service, &lora, &future, &err) == TKX_OK &&
         tkx_future_wait(future, -1, &err) == TKX_OK &&
         tkx_future_take_training(future, &model->training, &err) == TKX_OK;
    tkx_future_unref(future);
    return ok ? 1 : rl_fail("creating the LoRA model", err);
}

int rl_model_submit_step(rl_model *model, const tkx_datum *data, size_t n_data,
                         const char *loss, double learning_rate)
{
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    tkx_optim_options optim = TKX_OPTIM_OPTIONS_INIT;
    tkx_error *err = NULL;

    adam.learning_rate = learning_rate;
    optim.adam = &adam;
    if (tkx_training_forward_backward(model->training, data, n_data, loss, NULL,
                                      &model->forward_backward, &err) != TKX_OK)
        return rl_fail("forward_backward", err);
    if (tkx_training_optim_step(model->training, &optim, &model->optim, &err) != TKX_OK)
        return rl_fail("optim_step", err);
    return 1;
}

int rl_model_finish_step(rl_model *model)
{
    return finish("forward_backward", &model->forward_backward) &&
           finish("optim_step", &model->optim);
}

int rl_model_submit_publishing(rl_model *model)
{
    tkx_error *err = NULL;

    if (tkx_training_save_weights_and_get_sampling_client(
            model->training, NULL, &model->publishing, &err) != TKX_OK)
        return rl_fail("publishing the weights", err);
    return 1;
}

int rl_model_finish_publishing(rl_model *model)
{
    tkx_error *err = NULL;
    int ok;

    tkx_sampling_free(model->sampling);
    model->sampling = NULL;
    ok = tkx_future_wait(model->publishing, -1, &err) == TKX_OK &&
         tkx_future_take_sampling(model->publishing, &model->sampling, &err) == TKX_OK;
    tkx_future_unref(model->publishing);
    model->publishing = NULL;
    return ok ? 1 : rl_fail("publishing the weights", err);
}

void rl_model_clear(rl_model *model)
{
    tkx_future_unref(model->publishing);
    tkx_future_unref(model->forward_backward);
    tkx_future_unref(model->optim);
    tkx_sampling_free(model->sampling);
    tkx_training_free(model->training);
    memset(model, 0, sizeof *model);
}
