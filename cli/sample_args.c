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

#define MAX_PROMPT_FILE_BYTES (64u << 20)

cli_option *cli_sample_params_options(cli_sample_args *a, cli_option *rows)
{
    const cli_option ours[] = {
        {"tokenizer", CLI_STRING, &a->tokenizer, "FILE",
         "tokenizer.json, GGUF file or model folder", 0, 0, NULL},
        {"max-tokens", CLI_INTEGER, &a->max_tokens, "N",
         "at most that many (the context's end)", 1, 1LL << 40, &a->has_max_tokens},
        {"temperature", CLI_NUMBER, &a->temperature, "T", "0 is greedy (1)", 0, 0, NULL},
        {"top-k", CLI_INTEGER, &a->top_k, "K", "the K likeliest only; -1: all (-1)", -1,
         1LL << 31, NULL},
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
        {"prompt", CLI_STRING, &a->prompt, "TEXT", "what to continue", 0, 0, NULL},
        {"prompt-tokens", CLI_STRING, &a->prompt_tokens, "1,2,3",
         "the prompt as token ids", 0, 0, NULL},
        {"prompt-file", CLI_STRING, &a->prompt_file, "FILE",
         "the prompt from a file: text, or a JSON array of ids", 0, 0, NULL},
        {"num-samples", CLI_INTEGER, &a->num_samples, "N", "how many samples (1)", 1,
         1 << 20, NULL},
        {"json", CLI_FLAG, &a->as_json, NULL, "print JSON", 0, 0, NULL},
    };

    return cli_sample_params_options(
        a, cli_options_add(rows, ours, sizeof ours / sizeof *ours));
}

int cli_sample_args_check(const cli_sample_args *args)
{
    int n_prompts = !!args->prompt + !!args->prompt_tokens + !!args->prompt_file;

    if (n_prompts != 1) {
        cli_error(
            "give one of --prompt TEXT, --prompt-tokens 1,2,3 and --prompt-file FILE");
        return CLI_USAGE;
    }
    return cli_sample_params_check(args);
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
    if (args->top_k == 0) {
        cli_error("--top-k 0: expected -1 or 1 and more");
        return CLI_USAGE;
    }
    return CLI_OK;
}

/* The whole file, NUL-terminated; free() it.  NULL after saying why. */
static char *read_file(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(MAX_PROMPT_FILE_BYTES + 1);

    *n = 0;
    if (!file) {
        cli_error("cannot read the prompt %s: %s", path, strerror(errno));
    } else if (!text) {
        cli_error("out of memory");
    } else {
        *n = fread(text, 1, MAX_PROMPT_FILE_BYTES + 1, file);
        if (ferror(file))
            cli_error("reading %s: %s", path, strerror(errno));
        else if (*n > MAX_PROMPT_FILE_BYTES)
            cli_error("%s is longer than %u bytes", path, MAX_PROMPT_FILE_BYTES);
        else if (memchr(text, '\0', *n))
            cli_error("%s holds a NUL byte; give a text or a JSON array of ids", path);
        else {
            text[*n] = '\0';
            fclose(file);
            return text;
        }
    }
    if (file)
        fclose(file);
    free(text);
    return NULL;
}

static int ids_of_json(const char *path, const cJSON *array, cli_ids *ids)
{
    const cJSON *item = array ? array->child : NULL;

    for (size_t i = 0; item; item = item->next, i++) {
        if (!cJSON_IsNumber(item) ||
            item->valuedouble != (double)(int64_t)item->valuedouble) {
            cli_error("%s: entry %zu is not a token id", path, i);
            return CLI_FAILED;
        }
        if (cli_ids_append(ids, (int64_t)item->valuedouble) != CLI_OK)
            return CLI_FAILED;
    }
    return CLI_OK;
}

/* A JSON array of numbers, as opposed to a text that happens to begin with a bracket. */
static cJSON *parse_ids(const char *text)
{
    cJSON *array;

    while (isspace((unsigned char)*text))
        text++;
    if (*text != '[')
        return NULL;
    array = cJSON_ParseWithOpts(text, NULL, 1);
    if (cJSON_IsArray(array) && (!array->child || cJSON_IsNumber(array->child)))
        return array;
    cJSON_Delete(array);
    return NULL;
}

int cli_sample_args_is_text(const cli_sample_args *args)
{
    char *text;
    cJSON *array;
    size_t n;

    if (args->prompt || args->prompt_tokens)
        return args->prompt != NULL;
    text = read_file(args->prompt_file, &n);
    array = text ? parse_ids(text) : NULL;
    free(text);
    cJSON_Delete(array);
    return array == NULL;
}

int cli_sample_args_prompt(const cli_sample_args *args, const tkx_tokenizer *tokenizer,
                           cli_ids *ids)
{
    char *text;
    cJSON *array;
    size_t n;
    int status;

    if (args->prompt_tokens)
        return cli_ids_parse("prompt-tokens", args->prompt_tokens, ids);
    if (args->prompt)
        return cli_text_encode(tokenizer, args->prompt, ids);
    text = read_file(args->prompt_file, &n);
    if (!text)
        return CLI_FAILED;
    array = parse_ids(text);
    status = array ? ids_of_json(args->prompt_file, array, ids)
                   : cli_text_encode(tokenizer, text, ids);
    cJSON_Delete(array);
    free(text);
    return status;
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
    request->params.top_k = args->top_k;
    request->params.top_p = args->top_p;
    if (args->stops.n_items) {
        request->params.stop_kind = TKX_STOP_STRINGS;
        request->params.stop_strings = args->stops.items;
        request->params.n_stop = args->stops.n_items;
    }
    return args->seed ? parse_seed(args->seed, &request->params.seed) : CLI_OK;
}

static cJSON *sequence_object(const tkx_sequence *sequence, const char *text)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *tokens;
    cJSON *logprobs;

    if (text)
        cJSON_AddStringToObject(object, "text", text);
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

static void print_plain(const tkx_sequence *sequence, const char *text)
{
    if (text) {
        puts(text);
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

        if (tokenizer) {
            text = cli_text_decode(tokenizer, sequence->tokens, sequence->n_tokens);
            if (!text)
                return CLI_FAILED;
        }
        if (as_json)
            cli_json_line(sequence_object(sequence, text));
        else
            print_plain(sequence, text);
        free(text);
    }
    return CLI_OK;
}
