/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_tokenize.c - tkx tokenize: text to token ids, and ids back to text.
 *
 * Special tokens in the text are recognised unless --plain; --special also adds what the
 * model wants around a text (begin-of-text).  --decode takes ids, as a JSON array or
 * apart by blanks or commas, and keeps special tokens unless --skip-special.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/tokenizer.h>

#include "args.h"
#include "command.h"
#include "output.h"

#define MAX_INPUT ((size_t)1 << 30)

typedef struct tokenize_args {
    const char *text;
    int adds_special, is_plain, decodes, skips_special, as_json;
} tokenize_args;

/* A whole stream; NULL after saying why. */
static char *read_all(FILE *from, const char *name, size_t *size)
{
    size_t capacity = 65536, n = 0, got;
    char *text = malloc(capacity);

    while (text && (got = fread(text + n, 1, capacity - n - 1, from)) > 0) {
        n += got;
        if (n + 1 == capacity) {
            char *bigger = capacity < MAX_INPUT ? realloc(text, capacity * 2) : NULL;

            if (!bigger) {
                free(text);
                text = NULL;
            } else {
                text = bigger;
                capacity *= 2;
            }
        }
    }
    if (text && ferror(from)) {
        cli_error("reading %s: %s", name, strerror(errno));
        free(text);
        return NULL;
    }
    if (!text) {
        cli_error("reading %s: larger than memory allows", name);
        return NULL;
    }
    text[n] = '\0';
    *size = n;
    return text;
}

static char *read_input(const tokenize_args *args, const char *path, size_t *size)
{
    char *text;
    FILE *f;

    if (args->text) {
        *size = strlen(args->text);
        text = malloc(*size + 1);
        if (text)
            memcpy(text, args->text, *size + 1);
        else
            cli_error("out of memory");
        return text;
    }
    if (strcmp(path, "-") == 0)
        return read_all(stdin, "standard input", size);
    f = fopen(path, "rb");
    if (!f) {
        cli_error("opening %s: %s", path, strerror(errno));
        return NULL;
    }
    text = read_all(f, path, size);
    fclose(f);
    return text;
}

/* ---- ids ---- */

/* Behind {"ids":, where the text begins so. */
static const char *skip_key(const char *text)
{
    static const char *const parts[] = {"{", "\"ids\"", ":"};
    const char *at = text;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        at += strspn(at, " \t\r\n");
        if (strncmp(at, parts[i], strlen(parts[i])) != 0)
            return text;
        at += strlen(parts[i]);
    }
    return at;
}

/* Ids apart by blanks, commas and brackets, or {"ids": [...]}; -1 after saying what is
 * wrong. */
static int parse_ids(const char *text, size_t size, int64_t **ids, size_t *n_ids)
{
    const char *at = text, *end = text + size;
    int64_t *list = malloc((size / 2 + 1) * sizeof *list);
    size_t n = 0;

    if (!list) {
        cli_error("out of memory");
        return -1;
    }
    at = skip_key(text);
    while (at < end) {
        char *stop;

        if (strchr(" \t\r\n,[]}", *at) && *at) {
            at++;
            continue;
        }
        errno = 0;
        list[n] = strtoll(at, &stop, 10);
        if (stop == at || errno != 0) {
            cli_error("byte %td of the input ('%.16s') is no token id", at - text, at);
            cli_hint("write ids as [1,2,3] or 1 2 3");
            free(list);
            return -1;
        }
        n++;
        at = stop;
    }
    *ids = list;
    *n_ids = n;
    return 0;
}

static void print_ids(const int64_t *ids, size_t n, int as_json)
{
    fputs(as_json ? "{\"ids\": [" : "", stdout);
    for (size_t i = 0; i < n; i++)
        printf("%s%lld", i == 0 ? "" : as_json ? ", " : " ", (long long)ids[i]);
    puts(as_json ? "]}" : "");
}

static void print_text(const char *text, size_t n)
{
    cJSON *quoted = cli_json_text(text, n);

    printf("{\"text\": %s}\n", quoted ? quoted->valuestring : "null");
    cJSON_Delete(quoted);
}

static int encode(const tkx_tokenizer *tokenizer, const tokenize_args *args,
                  const char *text, size_t size)
{
    unsigned flags = TKX_ENCODE_DEFAULT;
    int64_t *ids = NULL;
    size_t n = 0;
    tkx_error *err = NULL;

    if (args->adds_special)
        flags |= TKX_ENCODE_ADD_SPECIAL;
    if (args->is_plain)
        flags |= TKX_ENCODE_PLAIN_TEXT;
    if (tkx_tokenizer_encode(tokenizer, text, size, flags, &ids, &n, &err) != TKX_OK)
        return cli_fail(err, "encoding");
    print_ids(ids, n, args->as_json);
    tkx_tokenizer_free_result(ids);
    return CLI_OK;
}

static int decode(const tkx_tokenizer *tokenizer, const tokenize_args *args,
                  const char *input, size_t size)
{
    unsigned flags = args->skips_special ? TKX_DECODE_SKIP_SPECIAL : TKX_DECODE_DEFAULT;
    int64_t *ids = NULL;
    size_t n_ids = 0, n = 0;
    char *text = NULL;
    tkx_error *err = NULL;
    tkx_status st;

    if (parse_ids(input, size, &ids, &n_ids) != 0)
        return CLI_FAILED;
    st = tkx_tokenizer_decode(tokenizer, ids, n_ids, flags, &text, &n, &err);
    free(ids);
    if (st != TKX_OK)
        return cli_fail(err, "decoding");
    if (args->as_json) {
        print_text(text, n);
    } else {
        fwrite(text, 1, n, stdout);
        putchar('\n');
    }
    tkx_tokenizer_free_result(text);
    return CLI_OK;
}

int cmd_tokenize(int argc, char **argv)
{
    tokenize_args args = {0};
    const char *operands[2] = {NULL, NULL};
    size_t n_operands = 0, size = 0;
    const cli_option options[] = {
        {"text", CLI_STRING, &args.text, "TEXT", "the text (or ids), in place of a file",
         0, 0, NULL},
        {"special", CLI_FLAG, &args.adds_special, NULL,
         "add the model's own tokens around the text, such as begin-of-text", 0, 0, NULL},
        {"plain", CLI_FLAG, &args.is_plain, NULL,
         "special tokens written in the text are plain text", 0, 0, NULL},
        {"decode", CLI_FLAG, &args.decodes, NULL, "from ids to text", 0, 0, NULL},
        {"skip-special", CLI_FLAG, &args.skips_special, NULL,
         "with --decode: leave special tokens out", 0, 0, NULL},
        {"json", CLI_FLAG, &args.as_json, NULL, "print {\"ids\"} or {\"text\"}", 0, 0,
         NULL},
        {NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const cli_syntax syntax = {"tokenize MODEL|tokenizer.json|VOCAB.gguf|bytes [options] "
                               "(--text TEXT | FILE | -)",
                               "Turn text into token ids, or ids into text.", options, 1,
                               2};
    int status = cli_parse(&syntax, argc, argv, operands, &n_operands);
    tkx_tokenizer *tokenizer = NULL;
    tkx_error *err = NULL;
    char *input;

    if (status >= 0)
        return status;
    if ((n_operands == 2) == (args.text != NULL)) {
        cli_error("give either --text TEXT or a file (- is standard input)");
        return CLI_USAGE;
    }
    input = read_input(&args, operands[1], &size);
    if (!input)
        return CLI_FAILED;
    if (tkx_tokenizer_open(operands[0], &tokenizer, &err) != TKX_OK) {
        free(input);
        return cli_fail(err, "opening the tokenizer");
    }
    status = args.decodes ? decode(tokenizer, &args, input, size)
                          : encode(tokenizer, &args, input, size);
    tkx_tokenizer_unref(tokenizer);
    free(input);
    return status;
}
