/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/schedule_in.h - the inside of a schedule, for schedule*.c alone.
 *
 *     job:  WAITING --room--> PREFILL --prompt computed--> DRAWING --all samples--> ended
 *
 * Blocks are promised before they are taken: a job in PREFILL has room for its prompt and
 * one sample, each further sample starts when there is room for all of it.  What is
 * promised never exceeds the pool, and cached blocks give way, so taking one cannot fail.
 */
#ifndef TKX_INFER_SCHEDULE_IN_H
#define TKX_INFER_SCHEDULE_IN_H

#include <pthread.h>
#include <stdatomic.h>

#include "infer/prefix.h"
#include "infer/schedule.h"

typedef enum job_state { JOB_WAITING = 0, JOB_PREFILL, JOB_DRAWING } job_state;

/* A sample under way. */
typedef struct sequence {
    tkx__job *job;
    size_t index;
    tkx__rng rng;
    uint32_t *blocks; /* [n_blocks] held, room for all it may need */
    size_t n_blocks;
    size_t pos;       /* positions computed */
    int64_t last;     /* token to feed next */
    int64_t *history; /* prompt and tokens, for penalties and the cache */
    size_t n_history;
    float logprob;  /* of last, when just drawn */
    bool is_fresh;  /* its first token is to be drawn from the job's logits */
    bool has_drawn; /* last is new and not kept yet */
} sequence;

struct tkx__job {
    uint64_t id;
    job_state state;
    tkx__job_spec spec; /* arrays are copies of our own */
    int64_t *prompt;
    int32_t *stop_ids;
    tkx__sample_extras extras;
    tkx__job_result *result;
    size_t promised;  /* blocks */
    uint32_t *blocks; /* [blocks of the prompt] held */
    size_t n_blocks;
    size_t n_computed; /* positions of the prompt */
    size_t first_row;  /* from here on the logits of the prompt's tokens are wanted */
    int64_t *target_ids;
    size_t *target_rows;
    float *logits;    /* [vocab_size] after the prompt */
    size_t n_started; /* samples */
    size_t n_ended;
    bool is_cancelled;      /* under the lock */
    atomic_bool is_unsound; /* some logits were no numbers */
    tkx__job *next;
};

/* What a part of the running step belongs to. */
typedef struct part_owner {
    tkx__job *job;
    sequence *seq; /* NULL: a piece of the prompt */
} part_owner;

struct tkx__schedule {
    const tkx__weights *weights;
    const tkx__kernels *kernels;
    tkx__threads *pool;
    const tkx__backend *backend;
    tkx__backend_state *state;
    tkx__kv *kv; /* of the state */
    tkx__prefix *prefix;
    tkx__token_sampler **samplers; /* [n_threads] */
    size_t max_positions;
    size_t max_jobs;
    size_t max_sequences;
    size_t step_tokens;
    pthread_t thread;
    bool has_thread;

    struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        tkx__job *incoming, **incoming_tail;
        tkx__job *open; /* jobs the compute thread has, linked through next */
        size_t n_jobs;
        uint64_t last_id;
        bool is_paused;
        bool is_closing;
    } shared;

    struct {
        size_t n_promised;    /* blocks */
        sequence **sequences; /* [max_sequences] */
        sequence **fresh;     /* [max_sequences] those whose first token is due */
        size_t n_sequences;
        size_t turn; /* where the next step begins, so that none is left out for ever */
        tkx__step_part *parts; /* [max_sequences + MAX_PREFILLS] */
        part_owner *owners;
        size_t n_parts;
    } run; /* compute thread only */
};

#define MAX_PREFILLS 16 /* prompts that advance in one step */

/* ---- schedule_job.c ---- */
tkx_status tkx__job_new(const tkx__schedule *s, const tkx__job_spec *spec, tkx__job **out,
                        tkx_error **err);
void tkx__job_free(tkx__job *job);                  /* the result too, if still there */
size_t tkx__job_sample_blocks(const tkx__job *job); /* that one sample needs of its own */
tkx_status tkx__sequence_new(tkx__job *job, size_t index, sequence **out,
                             tkx_error **err);
void tkx__sequence_free(sequence *seq);

/* ---- schedule_prompt.c ---- */
/* INVALID_ARGUMENT for a question about the prompt that cannot be. */
tkx_status tkx__prompt_check(const tkx__job_spec *spec, size_t vocab_size,
                             tkx_error **err);
/* Copies of the targets, room in the result, the first row; false: out of memory. */
bool tkx__prompt_prepare(tkx__job *job);
/* Logits after the prompt's token `row`, not the last: they score the next one. */
void tkx__prompt_score(tkx__job *job, size_t row, const float *logits,
                       tkx__token_sampler *sampler);

/* ---- schedule_step.c ---- */
/* One step of all open jobs; false when there was nothing to do. */
bool tkx__schedule_step(tkx__schedule *s);
/* End a job: let go of its blocks and sequences, tell on_done, free it. */
void tkx__schedule_end(tkx__schedule *s, tkx__job *job, tkx_error *error);

#endif
