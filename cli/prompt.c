/* SPDX-License-Identifier: Apache-2.0 */
/* prompt.c - see prompt.h. */
#include "prompt.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "command.h"
#include "output.h"

#define MAX_FILE_BYTES ((size_t)64 << 20)

cli_option *cli_prompt_options(cli_prompt *p, cli_option *rows)
{
    const cli_option ours[] = {
        {"prompt", CLI_STRING, &p->given_text, "TEXT", "what to continue", 0, 0, NULL},
        {"prompt-tokens", CLI_STRING, &p->given_tokens, "1,2,3",
         "the prompt as token ids", 0, 0, NULL},
        {"prompt-file", CLI_STRING, &p->file, "FILE",
         "the prompt from a file (- is standard input): text, or a JSON array of ids", 0,
         0, NULL},
    };

    return cli_options_add(rows, ours, sizeof ours / sizeof *ours);
}

int cli_prompt_check(const cli_prompt *p)
{
    if (!!p->given_text + !!p->given_tokens + !!p->file == 1)
        return CLI_OK;
    cli_error("give one of --prompt TEXT, --prompt-tokens 1,2,3 and --prompt-file FILE");
    return CLI_USAGE;
}

/* ---- the file ---- */

/* What is wrong with the bytes read; NULL: nothing. */
static const char *fault_of(FILE *from, const char *text, size_t n)
{
    if (ferror(from))
        return strerror(errno);
    if (n > MAX_FILE_BYTES)
        return "it is longer than 64 MiB";
    return memchr(text, '\0', n)
               ? "it holds a NUL byte; give a text or a JSON array of ids"
               : NULL;
}

/* All of it, NUL-terminated; free() it.  NULL after saying why. */
static char *read_stream(FILE *from, const char *name)
{
    char *text = malloc(MAX_FILE_BYTES + 1);
    const char *fault;
    size_t n;

    if (!text) {
        cli_error("out of memory");
        return NULL;
    }
    n = fread(text, 1, MAX_FILE_BYTES + 1, from);
    fault = fault_of(from, text, n);
    if (fault) {
        cli_error("cannot read the prompt %s: %s", name, fault);
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

static char *read_file(const char *path)
{
    FILE *file;
    char *text;

    if (strcmp(path, "-") == 0)
        return read_stream(stdin, "from standard input");
    file = fopen(path, "rb");
    if (!file) {
        cli_error("cannot read the prompt %s: %s", path, strerror(errno));
        return NULL;
    }
    text = read_stream(file, path);
    fclose(file);
    return text;
}

/* ---- ids in it ---- */

static const char *skip_blanks(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* [1,2,3], or {"ids": [1,2,3]} as tkx tokenize prints it; NULL where it is neither, such
   as a text that begins with a bracket.  `root` is the caller's. */
static const cJSON *find_ids(const char *text, cJSON **root)
{
    const cJSON *array;

    text = skip_blanks(text);
    if (*text != '[' && *text != '{')
        return NULL;
    *root = cJSON_ParseWithOpts(text, NULL, 1);
    array = *root;
    if (cJSON_IsObject(array) && array->child && !array->child->next)
        array = cJSON_GetObjectItemCaseSensitive(*root, "ids");
    return cJSON_IsArray(array) && (!array->child || cJSON_IsNumber(array->child)) ? array
                                                                                   : NULL;
}

/* A list that lost its end, say: taking it for a text would score its digits. */
static int is_like_ids(const char *text)
{
    const char *inner = skip_blanks(text);

    while (*inner == '[')
        inner = skip_blanks(inner + 1);
    return *skip_blanks(text) == '[' && isdigit((unsigned char)*inner) &&
           inner[strspn(inner, "[]0123456789,.-+eE \t\r\n")] == '\0';
}

static int take_ids(cli_prompt *p, const cJSON *array)
{
    size_t i = 0;

    for (const cJSON *item = array->child; item; item = item->next, i++) {
        double value = cJSON_IsNumber(item) ? item->valuedouble : -1;

        if (!(value >= 0 && value <= (double)INT32_MAX) ||
            (double)(int32_t)value < value) {
            cli_error("the prompt %s: entry %zu is not a token id", p->file, i);
            return CLI_FAILED;
        }
        if (cli_ids_append(&p->ids, (int64_t)value) != CLI_OK)
            return CLI_FAILED;
    }
    return CLI_OK;
}

static int load_file(cli_prompt *p)
{
    char *text = read_file(p->file);
    cJSON *root = NULL;
    const cJSON *ids = text ? find_ids(text, &root) : NULL;
    int status = CLI_FAILED;

    if (ids) {
        status = take_ids(p, ids);
    } else if (text && is_like_ids(text)) {
        cli_error("the prompt %s looks like token ids, and is no JSON array of them",
                  p->file);
        cli_hint("write ids as [1,2,3]; a text like this one can be given with --prompt");
    } else if (text) {
        p->text = p->file_text = text;
        text = NULL;
        status = CLI_OK;
    }
    cJSON_Delete(root);
    free(text);
    return status;
}

int cli_prompt_load(cli_prompt *p)
{
    p->text = p->given_text;
    if (p->given_tokens)
        return cli_ids_parse("prompt-tokens", p->given_tokens, &p->ids);
    return p->file ? load_file(p) : CLI_OK;
}

int cli_prompt_encode(cli_prompt *p, const tkx_tokenizer *tokenizer)
{
    return p->text ? cli_text_encode(tokenizer, p->text, &p->ids) : CLI_OK;
}

void cli_prompt_clear(cli_prompt *p)
{
    free(p->file_text);
    cli_ids_clear(&p->ids);
}
