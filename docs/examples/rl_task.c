/* SPDX-License-Identifier: Apache-2.0 */
/* rl_task.c - see rl_task.h. */
#include "rl_task.h"

#include <math.h>
#include <string.h>

enum { N_LETTERS = 8, N_PROBLEMS = N_LETTERS * N_LETTERS * N_LETTERS };

uint64_t rl_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static int digit(unsigned number, size_t i)
{
    return (int)((number >> (3 * i)) % N_LETTERS);
}

/* The sum of the letters decides, so that every letter occurs everywhere in both
   parts. */
static int held_out(unsigned number)
{
    return (digit(number, 0) + digit(number, 1) + digit(number, 2)) % 8 == 0;
}

void rl_problem_draw(uint64_t *random, int is_held_out, rl_problem *problem)
{
    unsigned number;

    do
        number = (unsigned)(rl_random(random) % N_PROBLEMS);
    while (held_out(number) != is_held_out);
    for (size_t i = 0; i < RL_N_ANSWER; i++) {
        problem->prompt[i] = 'a' + digit(number, i);
        problem->answer[RL_N_ANSWER - 1 - i] = problem->prompt[i];
    }
    problem->prompt[RL_N_ANSWER] = '>';
}

static int is_right(const rl_problem *problem, const tkx_sequence *sequence, size_t i)
{
    return i < sequence->n_tokens && sequence->tokens[i] == problem->answer[i];
}

double rl_reward(const rl_problem *problem, const tkx_sequence *sequence)
{
    int n_right = 0;

    for (size_t i = 0; i < RL_N_ANSWER; i++)
        n_right += is_right(problem, sequence, i);
    return n_right / (double)RL_N_ANSWER;
}

/* Position i of the input predicts token i + 1 of prompt and answer together. */
static void fill(rl_example *example, const rl_problem *problem, const int32_t *answer)
{
    int32_t all[RL_N_PROMPT + RL_N_ANSWER];

    memset(example, 0, sizeof *example);
    memcpy(all, problem->prompt, sizeof problem->prompt);
    memcpy(all + RL_N_PROMPT, answer, RL_N_ANSWER * sizeof *answer);
    for (size_t i = 0; i < RL_N_INPUT; i++) {
        example->tokens[i] = all[i];
        example->targets[i] = all[i + 1];
    }
    example->chunk = tkx_chunk_text(example->tokens, RL_N_INPUT);
    example->inputs[0].name = "target_tokens";
    example->inputs[0].tensor = tkx_tensor_i64(example->targets, RL_N_INPUT);
    example->inputs[1].tensor = tkx_tensor_f32(example->weights, RL_N_INPUT);
    example->inputs[2].name = "logprobs";
    example->inputs[2].tensor = tkx_tensor_f32(example->logprobs, RL_N_INPUT);
}

static tkx_datum datum(const rl_example *example, size_t n_inputs)
{
    tkx_datum result;

    memset(&result, 0, sizeof result);
    result.model_input.chunks = &example->chunk;
    result.model_input.n_chunks = 1;
    result.loss_fn_inputs = example->inputs;
    result.n_loss_fn_inputs = n_inputs;
    return result;
}

tkx_datum rl_supervised(const rl_problem *problem, rl_example *example)
{
    fill(example, problem, problem->answer);
    for (size_t i = RL_N_PROMPT - 1; i < RL_N_INPUT; i++)
        example->weights[i] = 1.0f;
    example->inputs[1].name = "weights";
    return datum(example, 2);
}

/* The advantages of byte i: (reward - mean) / deviation; none where all did the same. */
static void set_advantages(const rl_problem *problem, const tkx_sample_response *response,
                           size_t i, rl_example *examples)
{
    double n = (double)response->n_sequences;
    double mean = 0;
    double deviation;

    for (size_t k = 0; k < response->n_sequences; k++)
        mean += is_right(problem, &response->sequences[k], i) / n;
    deviation = sqrt(mean * (1 - mean)); /* of rewards that are 0 or 1 */
    for (size_t k = 0; k < response->n_sequences && deviation > 1e-9; k++)
        examples[k].weights[RL_N_PROMPT - 1 + i] =
            (float)((is_right(problem, &response->sequences[k], i) - mean) / deviation);
}

int rl_group(const rl_problem *problem, const tkx_sample_response *response,
             rl_example *examples, tkx_datum *data)
{
    for (size_t k = 0; k < response->n_sequences; k++) {
        const tkx_sequence *sequence = &response->sequences[k];

        if (sequence->n_tokens != RL_N_ANSWER || sequence->n_logprobs != RL_N_ANSWER)
            return 0;
        fill(&examples[k], problem, sequence->tokens);
        memcpy(&examples[k].logprobs[RL_N_PROMPT - 1], sequence->logprobs,
               RL_N_ANSWER * sizeof *sequence->logprobs);
        examples[k].inputs[1].name = "advantages";
        data[k] = datum(&examples[k], 3);
    }
    for (size_t i = 0; i < RL_N_ANSWER; i++)
        set_advantages(problem, response, i, examples);
    return 1;
}
