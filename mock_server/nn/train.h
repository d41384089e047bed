/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/train.h - LoRA models: forward, forward_backward, optim_step.
 *
 * The formulas are those of docs/design/trainer.md.  Everything is a plain sum over
 * positions and datums.  Thread: calls on one model one at a time; different models at
 * once are fine. No call changes the model when it fails.
 */
#ifndef MOCK_NN_TRAIN_H
#define MOCK_NN_TRAIN_H

#include "mock_server/nn/engine.h"

typedef struct nn_model nn_model;

typedef enum nn_optimizer { NN_ADAMW = 0, NN_DIMUON } nn_optimizer;

typedef struct nn_lora_options {
    size_t rank;  /* 1 .. 1024 */
    double alpha; /* 0: 32, the service's */
    bool use_rslora;
    uint64_t seed; /* of A; the caller draws one when the request has none */
    bool train_attn;
    bool train_mlp;
    bool train_unembed;
    nn_optimizer optimizer;
} nn_lora_options;

#define NN_LORA_OPTIONS_INIT                                                             \
    {                                                                                    \
        .rank = 32, .train_attn = true, .train_mlp = true, .train_unembed = true         \
    }

/* Ownership: *out is the caller's; nn_model_free().  B is zero: it equals its base. */
tkx_status nn_model_new(nn_engine *engine, const nn_base *base,
                        const nn_lora_options *options, nn_model **out, tkx_error **err);
void nn_model_free(nn_model *model);

nn_lora_options nn_model_options(const nn_model *model);
int64_t nn_model_step(const nn_model *model); /* optimiser steps done */
/* What a model of these options would hold in bytes (weights, gradients, moments). */
uint64_t nn_model_size_bytes(const nn_base *base, const nn_lora_options *options);

/*
 * One datum.  n positions predict; element t of every input belongs to position t.
 * NULL: the request has no such input.  All arrays are borrowed for the call.
 */
typedef struct nn_input {
    const float *data;
    size_t n; /* elements, so that a wrong length can be reported */
} nn_input;

/* An input by its name; is_known: it also stands in its place below. */
typedef struct nn_named_input {
    struct nn_named_input *next;
    const char *name;
    nn_input input;
    size_t dims[2];
    size_t n_dims; /* above 2: dims are not said */
    bool is_known;
} nn_named_input;

typedef struct nn_datum {
    const int64_t *tokens; /* [n_tokens] */
    size_t n_tokens;
    const int64_t *targets; /* [n_tokens] or, with top-k targets, [n_tokens, k] */
    size_t n_targets;       /* elements */
    size_t k;               /* 1; above 1 only with cross_entropy */
    bool is_matrix;         /* targets came as (N, K), also when K is 1 */
    nn_input weights;       /* cross_entropy, shape of targets */
    nn_input logprobs;      /* the sampler's, [n_tokens] */
    nn_input advantages;    /* [n_tokens] */
    nn_input clip_low;      /* per token thresholds in place of the configured ones */
    nn_input clip_high;
    nn_input sequence_ratio_mask; /* gspo */
    const nn_named_input *named;  /* all but the targets, for custom losses */
} nn_datum;

typedef struct nn_loss_param {
    const char *key; /* "clip_low_threshold", "clip_high_threshold", "beta" */
    double value;
} nn_loss_param;

/* A loss from outside, known by the name "custom". */
typedef struct nn_custom_loss {
    /* A datum's loss and its derivative by the target logprobs l[n_targets], into
       g[n_targets].  Thread: any; each datum once. */
    void (*eval)(void *ctx, const nn_datum *datum, const double *l, double *loss,
                 double *g);
    /* After all datums: what went wrong.  Then nothing of the pass counts. */
    tkx_status (*finish)(void *ctx, tkx_error **err);
    void *ctx;
} nn_custom_loss;

typedef struct nn_loss {
    const char *name; /* cross_entropy importance_sampling ppo cispo dro gspo custom */
    const nn_custom_loss *custom; /* of "custom", else NULL */
    const nn_loss_param *params;
    size_t n_params;
} nn_loss;

typedef struct nn_datum_result {
    size_t n; /* positions */
    size_t k;
    bool is_matrix;     /* logprobs have shape (n, k), else (n) */
    float *logprobs;    /* [n, k], of the targets, before any step */
    float *elementwise; /* [n], e_t */
} nn_datum_result;

enum { NN_MAX_METRICS = 40 };

typedef struct nn_metric {
    const char *name; /* such as "loss:sum"; outlives the result */
    double value;
} nn_metric;

typedef struct nn_loss_result {
    nn_datum_result *datums; /* [n_datums], in request order */
    size_t n_datums;
    nn_metric metrics[NN_MAX_METRICS];
    size_t n_metrics;
} nn_loss_result;

void nn_loss_result_free(nn_loss_result *result);

/*
 * Losses and target logprobs; forward_backward also adds to the model's gradients.
 * Ownership: *out is the caller's; nn_loss_result_free().  No datums: an empty result.
 * Errors:    USER for an unknown loss or key, missing input, wrong length, token outside
 *            the vocabulary, or a datum longer than the context, naming datum and
 *            position.
 */
tkx_status nn_model_forward(nn_model *model, const nn_datum *datums, size_t n_datums,
                            const nn_loss *loss, nn_loss_result **out, tkx_error **err);
tkx_status nn_model_forward_backward(nn_model *model, const nn_datum *datums,
                                     size_t n_datums, const nn_loss *loss,
                                     nn_loss_result **out, tkx_error **err);

/* What optim_step takes; must be of the model's family. */
typedef struct nn_optim_params {
    nn_optimizer family;
    double learning_rate;
    double beta1;
    double beta2;          /* adamw */
    double eps;            /* adamw */
    double weight_decay;   /* adamw, decoupled */
    double grad_clip_norm; /* <= 0: off */
} nn_optim_params;

#define NN_ADAMW_INIT                                                                    \
    {                                                                                    \
        .family = NN_ADAMW, .learning_rate = 1e-4, .beta1 = 0.9, .beta2 = 0.95,          \
        .eps = 1e-12                                                                     \
    }
#define NN_DIMUON_INIT                                                                   \
    {                                                                                    \
        .family = NN_DIMUON, .beta1 = 0.9                                                \
    }

typedef struct nn_step_result {
    int64_t step;     /* this step's number, from 1 */
    double grad_norm; /* before clipping */
} nn_step_result;

/* One step on the accumulated gradients, which are zero afterwards. */
tkx_status nn_model_optim_step(nn_model *model, const nn_optim_params *params,
                               nn_step_result *result, tkx_error **err);

#endif
