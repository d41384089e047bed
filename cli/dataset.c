/* SPDX-License-Identifier: Apache-2.0 */
/* dataset.c - see dataset.h. */
#include "dataset.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"

static int is_blank(const char *line, size_t n)
{
    return strspn(line, " \t\r\n") >= n;
}

static int add_pair(cli_dataset *dataset, size_t *capacity, const char *prompt,
                    const char *completion)
{
    cli_pair *pair;

    if (dataset->n_pairs == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : 64;
        cli_pair *pairs = realloc(dataset->pairs, wanted * sizeof *pairs);

        if (!pairs)
            return 0;
        dataset->pairs = pairs;
        *capacity = wanted;
    }
    pair = &dataset->pairs[dataset->n_pairs];
    pair->prompt = strdup(prompt);
    pair->completion = strdup(completion);
    if (!pair->prompt || !pair->completion) {
        free(pair->prompt);
        free(pair->completion);
        return 0;
    }
    dataset->n_pairs++;
    return 1;
}

/* NULL, or what is wrong with the object. */
static const char *check(const cJSON *object)
{
    const cJSON *prompt = cJSON_GetObjectItemCaseSensitive(object, "prompt");
    const cJSON *completion = cJSON_GetObjectItemCaseSensitive(object, "completion");

    if (!object)
        return "is not JSON";
    if (!cJSON_IsObject(object))
        return "is not an object";
    if (!cJSON_IsString(prompt))
        return "has no text \"prompt\"";
    if (!cJSON_IsString(completion))
        return "has no text \"completion\"";
    if (cJSON_GetArraySize(object) != 2)
        return "has other keys than \"prompt\" and \"completion\"";
    return NULL;
}

static int add_line(cli_dataset *dataset, size_t *capacity, const char *path,
                    size_t number, const char *line, size_t n)
{
    const char *end = NULL;
    cJSON *object;
    const char *wrong;
    int status = CLI_FAILED;

    if (memchr(line, '\0', n)) {
        cli_error("%s line %zu holds a NUL byte", path, number);
        return CLI_FAILED;
    }
    object = cJSON_ParseWithLengthOpts(line, n, &end, 0);
    wrong = check(object);
    if (!wrong && !is_blank(end, n - (size_t)(end - line)))
        wrong = "has something after the object";
    if (wrong) {
        cli_error("%s line %zu %s", path, number, wrong);
        cli_hint("each line is {\"prompt\": \"...\", \"completion\": \"...\"}");
    } else if (!add_pair(
                   dataset, capacity,
                   cJSON_GetObjectItemCaseSensitive(object, "prompt")->valuestring,
                   cJSON_GetObjectItemCaseSensitive(object, "completion")->valuestring)) {
        cli_error("out of memory");
    } else {
        status = CLI_OK;
    }
    cJSON_Delete(object);
    return status;
}

int cli_dataset_load(const char *path, cli_dataset *dataset)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t line_capacity = 0;
    size_t capacity = 0;
    int status = CLI_OK;
    ssize_t n = 0;

    memset(dataset, 0, sizeof *dataset);
    if (!file) {
        cli_error("cannot read the training data %s: %s", path, strerror(errno));
        return CLI_FAILED;
    }
    for (size_t number = 1; status == CLI_OK; number++) {
        errno = 0;
        n = getline(&line, &line_capacity, file);
        if (n < 0)
            break;
        if (!is_blank(line, (size_t)n))
            status = add_line(dataset, &capacity, path, number, line, (size_t)n);
    }
    if (n < 0 && !feof(file)) {
        cli_error("reading %s: %s", path, strerror(errno));
        status = CLI_FAILED;
    } else if (status == CLI_OK && dataset->n_pairs == 0) {
        cli_error("%s has no training pairs", path);
        cli_hint("each line is {\"prompt\": \"...\", \"completion\": \"...\"}");
        status = CLI_FAILED;
    }
    free(line);
    fclose(file);
    return status;
}

void cli_dataset_clear(cli_dataset *dataset)
{
    for (size_t i = 0; i < dataset->n_pairs; i++) {
        free(dataset->pairs[i].prompt);
        free(dataset->pairs[i].completion);
    }
    free(dataset->pairs);
    memset(dataset, 0, sizeof *dataset);
}

/* SplitMix64: small, seedable, and the same on every machine. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static void shuffle(cli_order *order)
{
    for (size_t i = order->n_pairs; i > 1; i--) {
        size_t j = (size_t)(next_random(&order->state) % i);
        size_t held = order->index[i - 1];

        order->index[i - 1] = order->index[j];
        order->index[j] = held;
    }
}

int cli_order_init(cli_order *order, size_t n_pairs, int is_shuffled, uint64_t seed)
{
    memset(order, 0, sizeof *order);
    order->index = malloc(n_pairs * sizeof *order->index);
    if (!order->index) {
        cli_error("out of memory");
        return CLI_FAILED;
    }
    for (size_t i = 0; i < n_pairs; i++)
        order->index[i] = i;
    order->n_pairs = n_pairs;
    order->is_shuffled = is_shuffled;
    order->state = seed;
    if (is_shuffled)
        shuffle(order);
    return CLI_OK;
}

size_t cli_order_next(cli_order *order)
{
    if (order->at == order->n_pairs) {
        order->at = 0;
        if (order->is_shuffled)
            shuffle(order);
    }
    return order->index[order->at++];
}

void cli_order_clear(cli_order *order)
{
    free(order->index);
    memset(order, 0, sizeof *order);
}
