/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - see text.h. */
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"

int cli_text_open(const char *file, const char *tokenizer_id, tkx_tokenizer **out)
{
    tkx_error *err = NULL;

    if (!file && (!tokenizer_id || strcmp(tokenizer_id, "bytes") != 0)) {
        cli_error("the model's tokenizer '%s' is not known here",
                  tokenizer_id ? tokenizer_id : "(not named by the service)");
        cli_hint("name its file with --tokenizer FILE, or give ids with --prompt-tokens "
                 "1,2,3");
        return CLI_FAILED;
    }
    if (tkx_tokenizer_open(file ? file : "bytes", out, &err) != TKX_OK)
        return cli_fail(err, "cannot use the tokenizer %s", file ? file : "bytes");
    return CLI_OK;
}

int cli_ids_append(cli_ids *ids, int64_t id)
{
    if (id < 0 || id > INT32_MAX) {
        cli_error("token id %lld is outside 0 to %d", (long long)id, INT32_MAX);
        return CLI_FAILED;
    }
    if (ids->n_ids == ids->capacity) {
        size_t capacity = ids->capacity ? ids->capacity * 2 : 64;
        int32_t *grown = realloc(ids->ids, capacity * sizeof *grown);

        if (!grown) {
            cli_error("out of memory");
            return CLI_FAILED;
        }
        ids->ids = grown;
        ids->capacity = capacity;
    }
    ids->ids[ids->n_ids++] = (int32_t)id;
    return CLI_OK;
}

void cli_ids_clear(cli_ids *ids)
{
    free(ids->ids);
    memset(ids, 0, sizeof *ids);
}

int cli_text_encode(const tkx_tokenizer *tokenizer, const char *text, cli_ids *ids)
{
    int64_t *encoded = NULL;
    size_t n = 0;
    tkx_error *err = NULL;
    int status = CLI_OK;

    if (tkx_tokenizer_encode(tokenizer, text, strlen(text), TKX_ENCODE_DEFAULT, &encoded,
                             &n, &err) != TKX_OK)
        return cli_fail(err, "cannot encode the text");
    for (size_t i = 0; i < n && status == CLI_OK; i++)
        status = cli_ids_append(ids, encoded[i]);
    tkx_tokenizer_free_result(encoded);
    return status;
}

int cli_ids_parse(const char *option, const char *list, cli_ids *ids)
{
    const char *at = list;

    for (;;) {
        char *end;
        long long id;

        errno = 0;
        id = strtoll(at, &end, 10);
        if (errno || end == at || (*end && *end != ',') || *at == ' ') {
            cli_error("--%s %s: expected token ids such as 1,2,3", option, list);
            return CLI_USAGE;
        }
        if (cli_ids_append(ids, id) != CLI_OK)
            return CLI_FAILED;
        if (!*end)
            return CLI_OK;
        at = end + 1;
    }
}

static char *decode(const tkx_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                    unsigned flags, size_t *n_text)
{
    int64_t *wide = malloc((n_ids ? n_ids : 1) * sizeof *wide);
    char *text = NULL;
    char *copy = NULL;
    size_t n = 0;
    tkx_error *err = NULL;

    if (!wide) {
        cli_error("out of memory");
        return NULL;
    }
    for (size_t i = 0; i < n_ids; i++)
        wide[i] = ids[i];
    if (tkx_tokenizer_decode(tokenizer, wide, n_ids, flags, &text, &n, &err) != TKX_OK) {
        cli_fail(err, "cannot decode %zu tokens", n_ids);
    } else {
        copy = calloc(1, n + 1);
        if (copy && n)
            memcpy(copy, text, n);
    }
    if (n_text)
        *n_text = n;
    tkx_tokenizer_free_result(text);
    free(wide);
    return copy;
}

char *cli_text_decode(const tkx_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                      size_t *n_text)
{
    return decode(tokenizer, ids, n_ids, TKX_DECODE_SKIP_SPECIAL, n_text);
}

char *cli_text_of_id(const tkx_tokenizer *tokenizer, int32_t id)
{
    return decode(tokenizer, &id, 1, TKX_DECODE_DEFAULT, NULL);
}

int64_t cli_text_end_id(const tkx_tokenizer *tokenizer)
{
    size_t n;
    const int64_t *ids = tkx_tokenizer_end_ids(tokenizer, &n);

    if (n > 0)
        return ids[0];
    cli_error("the tokenizer names no token that ends a text");
    return -1;
}

int cli_text_chat_format(const tkx_tokenizer *tokenizer, const char *name,
                         tkx_chat_format *out)
{
    tkx_error *err = NULL;
    tkx_status st =
        name ? tkx_chat_format_find(name, out, &err)
             : tkx_chat_format_detect(tkx_tokenizer_chat_template(tokenizer), out, &err);

    if (st == TKX_OK)
        return CLI_OK;
    cli_fail(err, "cannot tell the model's chat format");
    if (!name)
        cli_hint("name it with --chat-format NAME");
    return CLI_FAILED;
}

int cli_text_chat_stops(const tkx_tokenizer *tokenizer, tkx_chat_format format,
                        cli_ids *ids)
{
    size_t n_texts;
    size_t n_ends;
    const char *const *texts = tkx_chat_format_stops(format, &n_texts);
    const int64_t *ends = tkx_tokenizer_end_ids(tokenizer, &n_ends);
    int status = CLI_OK;

    for (size_t i = 0; i < n_texts && status == CLI_OK; i++) {
        int64_t id = tkx_tokenizer_find(tokenizer, texts[i]);

        if (id >= 0)
            status = cli_ids_append(ids, id);
    }
    for (size_t i = 0; i < n_ends && status == CLI_OK; i++)
        status = cli_ids_append(ids, ends[i]);
    return status;
}
