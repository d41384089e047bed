/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rl_model.h - one LoRA model being trained, and its newest published weights.
 *
 * The calls named submit return at once, and the service carries them out in their order;
 * the ones named finish wait.  All return 1, or 0 after saying on stderr what failed.
 */
#ifndef RL_MODEL_H
#define RL_MODEL_H

#include <tkx/sampling.h>
#include <tkx/training.h>

typedef struct rl_model {
    tkx_training *training;
    tkx_sampling *sampling; /* of the newest published weights */
    tkx_future *publishing; /* the next ones */
    tkx_future *forward_backward, *optim;
} rl_model;

/* Says what failed, frees the error and returns 0. */
int rl_fail(const char *what, tkx_error *err);

int rl_model_create(rl_model *model, tkx_service *service, const char *base_model,
                    int64_t rank, uint64_t seed);

/* The datums are borrowed until the step has finished. */
int rl_model_submit_step(rl_model *model, const tkx_datum *data, size_t n_data,
                         const char *loss, double learning_rate);

/* At once when no step was submitted. */
int rl_model_finish_step(rl_model *model);

int rl_model_submit_publishing(rl_model *model);
int rl_model_finish_publishing(rl_model *model);

/* What is under way goes on, and may read its datums until the context is freed. */
void rl_model_clear(rl_model *model);

#endif
