/* SPDX-License-Identifier: Apache-2.0 */
/* sample_args.c - see sample_args.h. */
#include "sample_args.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"

cli_option *cli_sample_params_options(cli_sample_args *a, cli_option *rows)
{
    const cli_option ours[] = {
        {"tokenizer", CLI_STRING, &a->tokenizer, "FILE",
         "tokenizer.json, GGUF file or model folder", 0, 0, NULL},
        {"max-tokens", CLI_INTEGER, &a->max_tokens, "N",
         "at most that many (the context's end)", 1, 1LL << 40, &a->has_max_tokens},
        {"temperature", CLI_NUMBER, &a->temperature, "T", "0 is greedy (1)", 0, 0, NULL},
        {"top-k", CLI_INTEGER, &a->top_k, "K", "the K likeliest only; -1 or 0: all (-1)",
         -1, 1LL << 31, NULL},
        {"top-p", CLI_NUMBER, &a->top_p, "P", "the likeliest up to that probability (1)",
         0, 0, NULL},
        {"seed", CLI_STRING, &a->seed, "N", "the same seed draws the same samples", 0, 0,
         NULL},
        {"stop", CLI_STRINGS, &a->stops, "TEXT", "end a sample there; may be repeated", 0,
         0, NULL},
    };

    return cli_options_add(rows, ours, sizeof ours / sizeof *ours);
}

cli_option *cli_sample_options(cli_sample_args *a, cli_option *rows)
{
    const cli_option ours[] = {
        {"num-samples", CLI_INTEGER, &a->num_samples, "N", "how many samples (1)", 1,
         1 << 20, NULL},
        {"json", CLI_FLAG, &a->as_json, NULL, "print JSON", 0, 0, NULL},
    };

    rows = cli_prompt_options(&a->prompt, rows);
    return cli_sample_params_options(
        a, cli_options_add(rows, ours, sizeof ours / sizeof *ours));
}

int cli_sample_params_check(const cli_sample_args *args)
{
    if (args->temperature < 0) {
        cli_error("--temperature %g: expected 0 or more", args->temperature);
        return CLI_USAGE;
    }
    if (args->top_p <= 0 || args->top_p > 1) {
        cli_error("--top-p %g: expected more than 0 and at most 1", args->top_p);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < args->stops.n_items; i++) {
        if (!args->stops.items[i][0]) {
            cli_error("--stop '': expected a text that ends a sample");
            return CLI_USAGE;
        }
    }
    return CLI_OK;
}

/* Any integer from -2^63 to 2^64-1. */
static int parse_seed(const char *text, tkx_seed *seed)
{
    char *end;

    errno = 0;
    if (text[0] == '-')
        *seed = tkx_seed_i64(strtoll(text, &end, 10));
    else
        *seed = tkx_seed_u64(strtoull(text, &end, 10));
    if (errno || *end || end == text || !isdigit((unsigned char)text[text[0] == '-'])) {
        cli_error("--seed %s: expected a whole number from -2^63 to 2^64-1", text);
        return CLI_USAGE;
    }
    return CLI_OK;
}

int cli_sample_args_request(const cli_sample_args *args, const cli_ids *ids,
                            tkx_chunk *chunk, tkx_sample_request *request)
{
    *chunk = tkx_chunk_text(ids->ids, ids->n_ids);
    request->num_samples = args->num_samples;
    request->prompt.chunks = chunk;
    request->prompt.n_chunks = 1;
    request->params.has_max_tokens = args->has_max_tokens;
    request->params.max_tokens = args->max_tokens;
    request->params.temperature = args->temperature;
    request->params.top_k = args->top_k ? args->top_k : -1; /* both mean all */
    request->params.top_p = args->top_p;
    if (args->stops.n_items) {
        request->params.stop_kind = TKX_STOP_STRINGS;
        request->params.stop_strings = args->stops.items;
        request->params.n_stop = args->stops.n_items;
    }
    return args->seed ? parse_seed(args->seed, &request->params.seed) : CLI_OK;
}

static cJSON *sequence_object(const tkx_sequence *sequence, const char *text, size_t n)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *tokens;
    cJSON *logprobs;

    if (text)
        cJSON_AddItemToObject(object, "text", cli_json_text(text, n));
    else
        cJSON_AddNullToObject(object, "text");
    tokens = cJSON_AddArrayToObject(object, "tokens");
    for (size_t i = 0; i < sequence->n_tokens; i++)
        cJSON_AddItemToArray(tokens, cJSON_CreateNumber(sequence->tokens[i]));
    if (sequence->logprobs) {
        logprobs = cJSON_AddArrayToObject(object, "logprobs");
        for (size_t i = 0; i < sequence->n_logprobs; i++)
            cJSON_AddItemToArray(logprobs,
                                 cJSON_CreateNumber((double)sequence->logprobs[i]));
    } else {
        cJSON_AddNullToObject(object, "logprobs");
    }
    cJSON_AddStringToObject(object, "stop_reason",
                            tkx_stop_reason_name(sequence->stop_reason));
    return object;
}

static void print_plain(const tkx_sequence *sequence, const char *text, size_t n)
{
    if (text) {
        fwrite(text, 1, n, stdout);
        putchar('\n');
        return;
    }
    for (size_t i = 0; i < sequence->n_tokens; i++)
        printf("%s%d", i ? "," : "", sequence->tokens[i]);
    putchar('\n');
}

int cli_sample_print(const tkx_sample_response *response, const tkx_tokenizer *tokenizer,
                     int as_json)
{
    for (size_t i = 0; i < response->n_sequences; i++) {
        const tkx_sequence *sequence = &response->sequences[i];
        char *text = NULL;
        size_t n = 0;

        if (tokenizer) {
            text = cli_text_decode(tokenizer, sequence->tokens, sequence->n_tokens, &n);
            if (!text)
                return CLI_FAILED;
        }
        if (as_json)
            cli_json_line(sequence_object(sequence, text, n));
        else
            print_plain(sequence, text, n);
        free(text);
    }
    return CLI_OK;
}

void cli_sample_args_clear(cli_sample_args *args)
{
    cli_prompt_clear(&args->prompt);
    cli_list_clear(&args->stops);
}
