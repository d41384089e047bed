/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset.h - training pairs from a file of JSON lines: {"prompt": str, "completion":
 * str}.
 *
 * Blank lines are skipped; any other shape is an error that names file and line.
 */
#ifndef CLI_DATASET_H
#define CLI_DATASET_H

#include <stddef.h>
#include <stdint.h>

typedef struct cli_pair {
    char *prompt;
    char *completion;
} cli_pair;

typedef struct cli_dataset {
    cli_pair *pairs;
    size_t n_pairs;
} cli_dataset;

/* Returns CLI_OK, or CLI_FAILED after saying what is wrong.  Clear it in either case. */
int cli_dataset_load(const char *path, cli_dataset *dataset);
void cli_dataset_clear(cli_dataset *dataset);

/*
 * The order in which pairs are visited: file order, wrapping around; with a seed each
 * epoch is a permutation of its own.
 */
typedef struct cli_order {
    size_t *index; /* [n_pairs] */
    size_t n_pairs;
    size_t at;
    uint64_t state;
    int is_shuffled;
} cli_order;

int cli_order_init(cli_order *order, size_t n_pairs, int is_shuffled, uint64_t seed);
size_t cli_order_next(cli_order *order);
void cli_order_clear(cli_order *order);

#endif
