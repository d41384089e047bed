/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - from a path to a tokenizer: which file it is, and what the files beside a
 * tokenizer.json add (end ids, begin-of-text, chat template).
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/json_text.h"
#include "model/mapped.h"
#include "model/tokenizer/tokenizer.h"

#define MAX_CONFIG ((size_t)64 << 20)

/* dir/name where such a file can be read, else NULL. */
static tkx_status find_file(const char *dir, const char *name, char **out,
                            tkx_error **err)
{
    tkx__buf path;

    tkx__buf_init(&path, 1 << 16);
    tkx__buf_printf(&path, "%s/%s", dir, name);
    *out = tkx__buf_take(&path, NULL);
    if (!*out)
        return tkx__fail_memory(err);
    if (access(*out, R_OK) != 0) {
        tkx__free(*out);
        *out = NULL;
    }
    return TKX_OK;
}

static tkx_status open_json(const char *path, tkx_tokenizer **out, tkx_error **err)
{
    tkx__mapped file;
    tkx_status st = tkx__mapped_open(&file, path, err);

    if (st != TKX_OK)
        return st;
    st = tkx__tokenizer_from_json((const char *)file.data, file.size, path, out, err);
    tkx__mapped_close(&file);
    return st;
}

static tkx_status open_gguf(const char *path, tkx_tokenizer **out, tkx_error **err)
{
    tkx__gguf *gguf = NULL;
    tkx_status st = tkx__gguf_open(path, &gguf, err);

    if (st == TKX_OK)
        st = tkx__tokenizer_from_gguf(gguf, path, out, err);
    tkx__gguf_free(gguf);
    return st;
}

/* ---- the files beside a tokenizer.json ---- */

/* A JSON file of the folder; *out is NULL when it is not there. */
static tkx_status read_config(const char *dir, const char *name, cJSON **out,
                              tkx_error **err)
{
    char *path;
    tkx_status st = find_file(dir, name, &path, err);

    *out = NULL;
    if (st != TKX_OK || !path)
        return st;
    st = tkx__json_text_read(path, MAX_CONFIG, out, err);
    tkx__free(path);
    return st;
}

/* eos_token_id of a config: a number or a list.  How many there were. */
static size_t take_end_ids(tkx_tokenizer *t, const cJSON *config)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, "eos_token_id");
    const cJSON *one = cJSON_IsArray(item) ? item->child : item;
    size_t n = 0, id;

    for (; one; one = cJSON_IsArray(item) ? one->next : NULL) {
        if (!tkx__json_text_size(one, &id))
            continue;
        if (n++ == 0)
            t->n_end_ids = 0; /* what the vocabulary's names suggested */
        tkx__tokenizer_add_end_id(t, (int64_t)id);
    }
    return n;
}

static tkx_status read_end_ids(tkx_tokenizer *t, const char *dir, tkx_error **err)
{
    static const char *const names[] = {"generation_config.json", "config.json"};

    for (size_t i = 0; i < 2; i++) {
        cJSON *config;
        tkx_status st = read_config(dir, names[i], &config, err);
        size_t n = st == TKX_OK ? take_end_ids(t, config) : 0;

        cJSON_Delete(config);
        if (st != TKX_OK || n > 0)
            return st;
    }
    return TKX_OK;
}

/* A token in tokenizer_config.json: a text, or an object with "content". */
static int64_t token_of(const tkx_tokenizer *t, const cJSON *config, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, key);

    if (cJSON_IsObject(item))
        item = cJSON_GetObjectItemCaseSensitive(item, "content");
    return cJSON_IsString(item) ? tkx_tokenizer_find(t, item->valuestring) : -1;
}

/* chat_template: a text, or a list of {"name", "template"} of which "default" is meant.
 */
static const char *template_of(const cJSON *config)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, "chat_template");
    const cJSON *one;

    if (cJSON_IsString(item))
        return item->valuestring;
    cJSON_ArrayForEach(one, item)
    {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(one, "name");
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(one, "template");

        if (cJSON_IsString(name) && cJSON_IsString(text) &&
            strcmp(name->valuestring, "default") == 0)
            return text->valuestring;
    }
    return NULL;
}

static tkx_status set_template(tkx_tokenizer *t, const char *text, size_t n,
                               tkx_error **err)
{
    tkx__free(t->chat_template);
    t->chat_template = tkx__strndup(text, n);
    return t->chat_template ? TKX_OK : tkx__fail_memory(err);
}

static tkx_status read_tokenizer_config(tkx_tokenizer *t, const char *dir,
                                        tkx_error **err)
{
    cJSON *config;
    const char *text;
    tkx_status st = read_config(dir, "tokenizer_config.json", &config, err);
    int64_t bos;

    if (st != TKX_OK || !config)
        return st;
    bos = token_of(t, config, "bos_token");
    if (bos >= 0)
        t->bos_id = bos;
    if (t->n_end_ids == 0)
        tkx__tokenizer_add_end_id(t, token_of(t, config, "eos_token"));
    text = template_of(config);
    if (text)
        st = set_template(t, text, strlen(text), err);
    cJSON_Delete(config);
    return st;
}

static tkx_status read_template_file(tkx_tokenizer *t, const char *dir, tkx_error **err)
{
    tkx__mapped file;
    char *path;
    tkx_status st = find_file(dir, "chat_template.jinja", &path, err);

    if (st != TKX_OK || !path)
        return st;
    st = tkx__mapped_open(&file, path, err);
    tkx__free(path);
    if (st != TKX_OK)
        return st;
    if (file.size > MAX_CONFIG)
        st = tkx__fail(err, TKX_ERR_LIMIT, "%s/chat_template.jinja is larger than 64 MiB",
                       dir);
    else
        st = set_template(t, file.data ? (const char *)file.data : "", file.size, err);
    tkx__mapped_close(&file);
    return st;
}

/* The tokenizer itself: tokenizer.json, else tokenizer.gguf. */
static tkx_status open_main_file(const char *dir, tkx_tokenizer **out, tkx_error **err)
{
    char *json = NULL, *gguf = NULL;
    tkx_status st = find_file(dir, "tokenizer.json", &json, err);

    if (st == TKX_OK && !json)
        st = find_file(dir, "tokenizer.gguf", &gguf, err);
    if (st == TKX_OK && json)
        st = open_json(json, out, err);
    else if (st == TKX_OK && gguf)
        st = open_gguf(gguf, out, err);
    else if (st == TKX_OK)
        st = tkx__fail(err, TKX_ERR_NOT_FOUND,
                       "folder %s has neither tokenizer.json nor tokenizer.gguf; a "
                       "SentencePiece tokenizer.model must be converted to "
                       "tokenizer.json first",
                       dir);
    tkx__free(json);
    tkx__free(gguf);
    return st;
}

static tkx_status open_dir(const char *dir, tkx_tokenizer **out, tkx_error **err)
{
    tkx_tokenizer *t = NULL;
    tkx_status st = open_main_file(dir, &t, err);

    if (st == TKX_OK)
        st = read_end_ids(t, dir, err);
    if (st == TKX_OK)
        st = read_tokenizer_config(t, dir, err);
    if (st == TKX_OK)
        st = read_template_file(t, dir, err);
    if (st != TKX_OK) {
        tkx_tokenizer_unref(t);
        return st;
    }
    *out = t;
    return TKX_OK;
}

tkx_status tkx_tokenizer_open(const char *path, tkx_tokenizer **out, tkx_error **err)
{
    char magic[4] = "";
    tkx__mapped file;
    struct stat sb;
    tkx_status st;

    if (strcmp(path, "bytes") == 0)
        return tkx__tokenizer_new_bytes(out, err);
    if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode))
        return open_dir(path, out, err);
    st = tkx__mapped_open(&file, path, err);
    if (st != TKX_OK)
        return st;
    if (file.size >= 4)
        memcpy(magic, file.data, 4);
    tkx__mapped_close(&file);
    return memcmp(magic, "GGUF", 4) == 0 ? open_gguf(path, out, err)
                                         : open_json(path, out, err);
}
