/* SPDX-License-Identifier: Apache-2.0 */
/* sft_data.c - see sft_data.h. */
#include "sft_data.h"

#include <stdlib.h>
#include <tkx/types/loss.h>

#include "command.h"
#include "output.h"
#include "text.h"

static int fill(sft_example *example, const cli_ids *ids, size_t n_prompt)
{
    size_t n = ids->n_ids - 1;

    example->n_tokens = n;
    example->tokens = malloc(n * sizeof *example->tokens);
    example->targets = malloc(n * sizeof *example->targets);
    example->weights = malloc(n * sizeof *example->weights);
    if (!example->tokens || !example->targets || !example->weights) {
        cli_error("out of memory");
        return CLI_FAILED;
    }
    for (size_t i = 0; i < n; i++) {
        example->tokens[i] = ids->ids[i];
        example->targets[i] = ids->ids[i + 1];
        example->weights[i] = i + 1 >= n_prompt ? 1.0f : 0.0f;
        example->weight_sum += example->weights[i];
    }
    example->chunk = tkx_chunk_text(example->tokens, n);
    example->inputs[0].name = "target_tokens";
    example->inputs[0].tensor = tkx_tensor_i64(example->targets, n);
    example->inputs[1].name = "weights";
    example->inputs[1].tensor = tkx_tensor_f32(example->weights, n);
    example->datum.model_input.chunks = &example->chunk;
    example->datum.model_input.n_chunks = 1;
    example->datum.loss_fn_inputs = example->inputs;
    example->datum.n_loss_fn_inputs = 2;
    return CLI_OK;
}

static int make(sft_example *example, const cli_pair *pair, size_t number,
                const tkx_tokenizer *tokenizer, int64_t end_id)
{
    cli_ids ids = {0};
    size_t n_prompt;
    int status = cli_text_encode(tokenizer, pair->prompt, &ids);

    n_prompt = ids.n_ids;
    if (status == CLI_OK)
        status = cli_text_encode(tokenizer, pair->completion, &ids);
    if (status == CLI_OK)
        status = cli_ids_append(&ids, end_id);
    if (status == CLI_OK && ids.n_ids < 2) {
        cli_error("training pair %zu is empty: nothing can be learnt from it", number);
        status = CLI_FAILED;
    }
    if (status == CLI_OK)
        status = fill(example, &ids, n_prompt);
    cli_ids_clear(&ids);
    return status;
}

sft_example *sft_examples_make(const cli_dataset *dataset, const tkx_tokenizer *tokenizer)
{
    int64_t end_id = cli_text_end_id(tokenizer);
    sft_example *examples;

    if (end_id < 0)
        return NULL;
    examples = calloc(dataset->n_pairs, sizeof *examples);
    if (!examples) {
        cli_error("out of memory");
        return NULL;
    }
    for (size_t i = 0; i < dataset->n_pairs; i++) {
        if (make(&examples[i], &dataset->pairs[i], i + 1, tokenizer, end_id) != CLI_OK) {
            sft_examples_free(examples, dataset->n_pairs);
            return NULL;
        }
    }
    return examples;
}

void sft_examples_free(sft_example *examples, size_t n_examples)
{
    for (size_t i = 0; examples && i < n_examples; i++) {
        free(examples[i].tokens);
        free(examples[i].targets);
        free(examples[i].weights);
    }
    free(examples);
}
