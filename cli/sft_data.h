/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sft_data.h - training pairs as datums for cross_entropy.
 *
 * The tokens of an example are prompt + completion + end of text.  Targets inside the
 * prompt weigh 0, those after it 1.
 */
#ifndef CLI_SFT_DATA_H
#define CLI_SFT_DATA_H

#include <tkx/tokenizer.h>
#include <tkx/types/datum.h>

#include "dataset.h"

typedef struct sft_example {
    int32_t *tokens;  /* [n_tokens] inputs */
    int64_t *targets; /* [n_tokens] the token after each */
    float *weights;   /* [n_tokens] */
    size_t n_tokens;
    double weight_sum;
    tkx_chunk chunk;
    tkx_named_tensor inputs[2];
    tkx_datum datum; /* points into this example, which must not move */
} sft_example;

/* examples[dataset->n_pairs], the caller's: sft_examples_free().  NULL after saying
   why. */
sft_example *sft_examples_make(const cli_dataset *dataset,
                               const tkx_tokenizer *tokenizer);
void sft_examples_free(sft_example *examples, size_t n_examples);

#endif
