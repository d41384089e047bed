/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rl_task.h - a task whose answers can be checked: write three letters backwards.
 *
 * Tokens are bytes.  A problem reads "abc>", its answer is "cba"; every right byte earns
 * a third of the reward.  One problem in eight is held out and only ever used to measure.
 */
#ifndef RL_TASK_H
#define RL_TASK_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/types/datum.h>
#include <tkx/types/sample_response.h>

enum {
    RL_N_ANSWER = 3,
    RL_N_PROMPT = RL_N_ANSWER + 1,
    RL_N_INPUT = RL_N_PROMPT + RL_N_ANSWER - 1
};

typedef struct rl_problem {
    int32_t prompt[RL_N_PROMPT];
    int32_t answer[RL_N_ANSWER];
} rl_problem;

/* A datum and all it points to; must stay where it is while the datum is in use. */
typedef struct rl_example {
    int32_t tokens[RL_N_INPUT];
    int64_t targets[RL_N_INPUT];
    float weights[RL_N_INPUT]; /* supervised: 1 on the answer; RL: the advantages */
    float logprobs[RL_N_INPUT];
    tkx_chunk chunk;
    tkx_named_tensor inputs[3];
} rl_example;

/* The next number of a SplitMix64 generator. */
uint64_t rl_random(uint64_t *state);

void rl_problem_draw(uint64_t *random, int is_held_out, rl_problem *problem);

/* The share of right bytes, in [0, 1]. */
double rl_reward(const rl_problem *problem, const tkx_sequence *sequence);

/* A datum for cross_entropy on the right answer. */
tkx_datum rl_supervised(const rl_problem *problem, rl_example *example);

/*
 * Datums for importance_sampling, one for each sequence of the group.  The rewards of
 * each byte are normalised over the group: a byte is credited with nothing but itself.
 * 0 when a sequence lacks the logprobs or has not RL_N_ANSWER tokens; else 1.
 */
int rl_group(const rl_problem *problem, const tkx_sample_response *response,
             rl_example *examples, tkx_datum *data);

#endif
