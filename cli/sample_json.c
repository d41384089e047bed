/* SPDX-License-Identifier: Apache-2.0 */
/* sample_json.c - see sample_json.h. */
#include "sample_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "text.h"

/* Shortest digits that give the same float again; null where there is no value. */
static cJSON *number_of(float value)
{
    char text[32];

    if (isnan(value) || isinf(value))
        return cJSON_CreateNull();
    snprintf(text, sizeof text, "%.9g", (double)value);
    return cJSON_CreateRaw(text);
}

static cJSON *numbers_of(const float *values, size_t n)
{
    cJSON *array = cJSON_CreateArray();

    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(array, number_of(values[i]));
    return array;
}

static cJSON *topk_of(const tkx_topk *topk)
{
    cJSON *array = cJSON_CreateArray();

    for (size_t i = 0; i < topk->n_rows; i++) {
        const tkx_topk_row *row = &topk->rows[i];
        cJSON *pairs = row->tokens ? cJSON_CreateArray() : cJSON_CreateNull();

        for (size_t k = 0; row->tokens && k < row->count; k++) {
            cJSON *pair = cJSON_CreateArray();

            cJSON_AddItemToArray(pair, cJSON_CreateNumber(row->tokens[k]));
            cJSON_AddItemToArray(pair, number_of(row->logprobs[k]));
            cJSON_AddItemToArray(pairs, pair);
        }
        cJSON_AddItemToArray(array, pairs);
    }
    return array;
}

static int add_sequence(cJSON *array, const tkx_sequence *s, tkx_tokenizer *tokenizer)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *tokens = cJSON_CreateArray();
    char *text;
    size_t n;

    cJSON_AddItemToArray(array, object);
    cJSON_AddStringToObject(object, "stop_reason", tkx_stop_reason_name(s->stop_reason));
    for (size_t i = 0; i < s->n_tokens; i++)
        cJSON_AddItemToArray(tokens, cJSON_CreateNumber(s->tokens[i]));
    cJSON_AddItemToObject(object, "tokens", tokens);
    cJSON_AddItemToObject(object, "logprobs", numbers_of(s->logprobs, s->n_logprobs));
    if (!tokenizer)
        return 1;
    text = cli_text_decode(tokenizer, s->tokens, s->n_tokens, &n);
    if (!text)
        return 0;
    cJSON_AddItemToObject(object, "text", cli_json_text(text, n));
    free(text);
    return 1;
}

cJSON *cli_sample_json(const tkx_sample_response *r, tkx_tokenizer *tokenizer)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *sequences;

    cJSON_AddStringToObject(object, "type", "sample");
    sequences = cJSON_AddArrayToObject(object, "sequences");
    for (size_t i = 0; i < r->n_sequences; i++) {
        if (!add_sequence(sequences, &r->sequences[i], tokenizer)) {
            cJSON_Delete(object);
            return NULL;
        }
    }
    if (r->prompt_logprobs)
        cJSON_AddItemToObject(object, "prompt_logprobs",
                              numbers_of(r->prompt_logprobs, r->n_prompt_logprobs));
    if (r->topk_prompt_logprobs)
        cJSON_AddItemToObject(object, "topk_prompt_logprobs",
                              topk_of(r->topk_prompt_logprobs));
    cJSON_AddNumberToObject(object, "prompt_cache_hit_tokens",
                            (double)r->prompt_cache_hit_tokens);
    return object;
}

static void add_text(cJSON *object, const char *name, const char *text)
{
    if (text)
        cJSON_AddStringToObject(object, name, text);
}

void cli_label_json(cJSON *object, const tkx_sample_label *label, const char *adapter)
{
    add_text(object, "backend", label->backend);
    if (label->weight_type)
        cJSON_AddStringToObject(object, "weight_type", label->weight_type);
    else /* the service does not say */
        cJSON_AddNullToObject(object, "weight_type");
    add_text(object, "logprob_mode", label->logprob_mode);
    add_text(object, "reason", label->reason);
    add_text(object, "compute", label->compute);
    add_text(object, "model", label->model);
    if (strcmp(label->backend, "local") == 0)
        add_text(object, "adapter", adapter);
    add_text(object, "adapter_base_model", label->adapter_base);
    add_text(object, "warning", label->warning);
}
