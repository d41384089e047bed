/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/schedule.h - continuous batching: all open jobs advance in common steps.
 *
 * A schedule owns the compute thread, which alone touches graph, cache and sequences.  A
 * job is one prompt with any number of samples: the prompt is computed once, its blocks
 * are shared, and each sample draws with its own generator, so that what a sample gets
 * depends on the job alone.  Full blocks of finished work stay in a prefix cache until
 * their memory is wanted.
 */
#ifndef TKX_INFER_SCHEDULE_H
#define TKX_INFER_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "infer/backend.h"
#include "infer/sample.h"

typedef struct tkx__schedule tkx__schedule;
typedef struct tkx__job tkx__job;

typedef struct tkx__schedule_options {
    tkx__compute compute;
    size_t n_threads;            /* 0: as many as the process may run on */
    size_t kv_blocks;            /* of the cache */
    size_t max_jobs;             /* open at once, waiting ones included; 0: 1024 */
    size_t max_sequences;        /* that decode at once; 0: 64 */
    size_t step_tokens;          /* of one step; 0: 512 */
    const char *kernels;         /* NULL: the best */
    const tkx__backend *backend; /* NULL: the best */
} tkx__schedule_options;

/* ---- results ---- */

typedef struct tkx__job_sequence {
    int32_t *tokens; /* [n] */
    float *logprobs; /* [n] */
    size_t n;
    bool is_stop;         /* ended by a stop id or string, else by max_tokens */
    int64_t *topk_ids;    /* [n][topk_sample] or NULL */
    float *topk_logprobs; /* likewise */
} tkx__job_sequence;

typedef struct tkx__job_result {
    tkx__job_sequence *sequences; /* [n_sequences] */
    size_t n_sequences;
    size_t n_prompt;
    size_t first_scored;    /* what comes before was not asked about, or has no value */
    float *prompt_logprobs; /* [n_prompt], NaN before it; NULL: not asked */
    size_t topk;
    int64_t *topk_ids;      /* [n_prompt][topk]; row 0 is (0, -99999); NULL: not asked */
    float *topk_logprobs;   /* likewise */
    float *target_logprobs; /* [n_targets]; NULL: not asked */
    size_t n_targets;
    size_t alt_k;
    int64_t *alt_ids;    /* [n_prompt - 1][alt_k]; NULL: not asked */
    float *alt_logprobs; /* likewise */
    size_t topk_sample;
    size_t n_cached; /* prompt tokens taken from the prefix cache */
} tkx__job_result;

void tkx__job_result_free(tkx__job_result *result);

/*
 * A sample got a token.  True ends it here, as a stop does (the token is kept).
 * Thread: the compute thread; must be short.
 */
typedef bool tkx__token_fn(void *ctx, size_t sample, int64_t id, float logprob);
/*
 * The job has ended: result (the receiver's) or error (likewise), the other NULL.
 * Thread: the compute thread, or that of tkx__schedule_free(); once.
 */
typedef void tkx__job_fn(void *ctx, tkx__job_result *result, tkx_error *error);

/* Arrays are copied; the adapter is counted. */
typedef struct tkx__job_spec {
    const int32_t *prompt; /* [n_prompt], at least 1 */
    size_t n_prompt;
    size_t n_samples;
    size_t
        max_tokens; /* 0: only the prompt is scored; SIZE_MAX: what the context holds */
    tkx__sample_params params;
    uint64_t seed; /* sample i draws with seed + i */
    const int32_t *stop_ids;
    size_t n_stop_ids;
    bool wants_prompt_logprobs;
    size_t topk_prompt; /* k for each prompt position; 0: none */
    size_t score_last;  /* the two above: of the last so many tokens only; 0: of all */
    /* Row i of n_prompt - 1 asks for the logprobs of target_ids[target_rows[i] ..
       target_rows[i + 1] - 1] in the place of prompt token i + 1; -1 asks nothing. */
    const int64_t *target_ids; /* NULL: none */
    const size_t *target_rows; /* [n_prompt] */
    size_t alt_k;              /* draws for each prompt token but the first; 0: none */
    size_t topk_sample;
    tkx__adapter *adapter;   /* NULL: the base */
    tkx__token_fn *on_token; /* NULL: none */
    tkx__job_fn *on_done;
    void *ctx;
} tkx__job_spec;

/* ---- the schedule ---- */

/* weights are borrowed and must outlive the schedule.  Starts the compute thread. */
tkx_status tkx__schedule_new(const tkx__weights *weights,
                             const tkx__schedule_options *options, tkx__schedule **out,
                             tkx_error **err);
/* Ends open jobs with CLOSED, then the thread.  Thread: any but the compute thread. */
void tkx__schedule_free(tkx__schedule *schedule);

/*
 * Take a job on.  Thread: any.
 *
 * Errors: BUSY when max_jobs are open; INVALID_ARGUMENT for parameters or ids that cannot
 *         be; LIMIT when prompt and tokens do not fit into the context or the cache.
 */
tkx_status tkx__schedule_submit(tkx__schedule *schedule, const tkx__job_spec *spec,
                                uint64_t *job_id, tkx_error **err);
/* The job ends with CANCELLED at the next step; too late is harmless.  Thread: any. */
void tkx__schedule_cancel(tkx__schedule *schedule, uint64_t job_id);
/* Stop stepping after the step under way, or go on.  Thread: any. */
void tkx__schedule_pause(tkx__schedule *schedule, bool is_paused);

/* Positions that one sequence may have: of the model and of the cache.  Thread: any. */
size_t tkx__schedule_max_positions(const tkx__schedule *schedule);
const char *tkx__schedule_kernels(const tkx__schedule *schedule);
size_t tkx__schedule_n_threads(const tkx__schedule *schedule);

#endif
