/* SPDX-License-Identifier: Apache-2.0 */
/* hf_dir.c - the tensors of a Hugging Face folder: one file, or shards and an index. */
#include "model/hf_dir.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/json_text.h"
#include "model/safetensors.h"

#define MAX_INDEX_BYTES ((size_t)64 << 20)
#define MAX_SHARDS 4096
#define MAX_LISTED 4000 /* bytes of a list in an error message */

typedef struct shard {
    char *name;
    tkx__safetensors *file;
} shard;

struct tkx__hf_dir {
    shard *shards;
    size_t n_shards;
    tkx__tensors tensors; /* of all shards; names belong to them */
    size_t size_bytes;
};

static tkx_status join(const char *dir, const char *name, char **out, tkx_error **err)
{
    tkx__buf path;

    tkx__buf_init(&path, 1 << 16);
    tkx__buf_printf(&path, "%s/%s", dir, name);
    *out = tkx__buf_take(&path, NULL);
    if (*out)
        return TKX_OK;
    tkx__buf_clear(&path);
    return tkx__fail(err, TKX_ERR_LIMIT, "the path of %.200s is too long", name);
}

static const shard *find_shard(const tkx__hf_dir *hf, const char *name)
{
    for (size_t i = 0; i < hf->n_shards; i++) {
        if (strcmp(hf->shards[i].name, name) == 0)
            return &hf->shards[i];
    }
    return NULL;
}

static tkx_status open_shard(tkx__hf_dir *hf, const char *dir, const char *name,
                             tkx_error **err)
{
    shard *grown = tkx__realloc(hf->shards, hf->n_shards + 1, sizeof *grown);
    shard *added;
    char *path = NULL;
    const tkx__tensors *table;
    tkx_status st;

    if (!grown)
        return tkx__fail_memory(err);
    hf->shards = grown;
    added = &grown[hf->n_shards];
    added->file = NULL;
    added->name = tkx__strdup(name);
    if (!added->name)
        return tkx__fail_memory(err);
    hf->n_shards++;
    st = join(dir, name, &path, err);
    if (st == TKX_OK)
        st = tkx__safetensors_open(path, &added->file, err);
    tkx__free(path);
    if (st != TKX_OK)
        return st;
    hf->size_bytes += tkx__safetensors_size_bytes(added->file);
    table = tkx__safetensors_tensors(added->file);
    for (size_t i = 0; i < table->n && st == TKX_OK; i++)
        st = tkx__tensors_append(&hf->tensors, &table->items[i], err);
    return st;
}

/* A plain file name: nothing of it may lead out of the folder. */
static bool is_contained(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) < 256;
}

static tkx_status open_shards(tkx__hf_dir *hf, const char *dir, const cJSON *map,
                              tkx_error **err)
{
    for (const cJSON *item = map->child; item; item = item->next) {
        tkx_status st;

        if (!cJSON_IsString(item) || !is_contained(item->valuestring))
            return tkx__fail(
                err, TKX_ERR_PARSE,
                "the index in %s puts tensor '%.200s' into '%.200s', which is no "
                "file name of that folder",
                dir, item->string,
                cJSON_IsString(item) ? item->valuestring : "(no text)");
        if (find_shard(hf, item->valuestring))
            continue;
        if (hf->n_shards == MAX_SHARDS)
            return tkx__fail(err, TKX_ERR_LIMIT,
                             "the index in %s names more than %d files", dir, MAX_SHARDS);
        st = open_shard(hf, dir, item->valuestring, err);
        if (st != TKX_OK)
            return st;
    }
    return TKX_OK;
}

static tkx_status check_map(const tkx__hf_dir *hf, const char *dir, const cJSON *map,
                            tkx_error **err)
{
    tkx__buf missing;
    tkx_status st = TKX_OK;

    tkx__buf_init(&missing, MAX_LISTED);
    for (const cJSON *item = map->child; item; item = item->next) {
        const shard *in = find_shard(hf, item->valuestring);

        if (!tkx__tensors_find(tkx__safetensors_tensors(in->file), item->string))
            tkx__buf_printf(&missing, "\n  %.200s in %s", item->string, in->name);
    }
    if (missing.size)
        st = tkx__fail(err, TKX_ERR_PARSE,
                       "tensors that the index of %s names are not there:%s", dir,
                       tkx__buf_text(&missing));
    tkx__buf_clear(&missing);
    return st;
}

static tkx_status open_indexed(tkx__hf_dir *hf, const char *dir, const char *index_path,
                               tkx_error **err)
{
    cJSON *index = NULL;
    const cJSON *map;
    tkx_status st = tkx__json_text_read(index_path, MAX_INDEX_BYTES, &index, err);

    if (st != TKX_OK)
        return st;
    map = cJSON_GetObjectItemCaseSensitive(index, "weight_map");
    if (!cJSON_IsObject(map))
        st = tkx__fail(err, TKX_ERR_PARSE, "%s has no weight_map", index_path);
    if (st == TKX_OK)
        st = open_shards(hf, dir, map, err);
    if (st == TKX_OK)
        st = check_map(hf, dir, map, err);
    cJSON_Delete(index);
    return st;
}

static tkx_status open_files(tkx__hf_dir *hf, const char *dir, tkx_error **err)
{
    char *single = NULL;
    char *index = NULL;
    tkx_status st = join(dir, "model.safetensors", &single, err);

    if (st == TKX_OK)
        st = join(dir, "model.safetensors.index.json", &index, err);
    if (st != TKX_OK)
        goto done;
    if (access(single, F_OK) == 0)
        st = open_shard(hf, dir, "model.safetensors", err);
    else if (access(index, F_OK) == 0)
        st = open_indexed(hf, dir, index, err);
    else
        st = tkx__fail(
            err, TKX_ERR_NOT_FOUND,
            "%s has neither model.safetensors nor model.safetensors.index.json; weights "
            "of other kinds (.bin, .pth) must be converted to safetensors first",
            dir);
    if (st == TKX_OK)
        st = tkx__tensors_index(&hf->tensors, dir, err);
done:
    tkx__free(index);
    tkx__free(single);
    return st;
}

tkx_status tkx__hf_dir_open(const char *dir, tkx__hf_dir **out, tkx_error **err)
{
    tkx__hf_dir *hf = tkx__calloc(1, sizeof *hf);
    tkx_status st;

    if (!hf)
        return tkx__fail_memory(err);
    st = open_files(hf, dir, err);
    if (st == TKX_OK) {
        *out = hf;
        return TKX_OK;
    }
    tkx__hf_dir_free(hf);
    return st;
}

void tkx__hf_dir_free(tkx__hf_dir *hf)
{
    if (!hf)
        return;
    for (size_t i = 0; i < hf->n_shards; i++) {
        tkx__safetensors_free(hf->shards[i].file);
        tkx__free(hf->shards[i].name);
    }
    tkx__free(hf->shards);
    tkx__tensors_clear(&hf->tensors);
    tkx__free(hf);
}

const tkx__tensors *tkx__hf_dir_tensors(const tkx__hf_dir *hf)
{
    return &hf->tensors;
}

size_t tkx__hf_dir_size_bytes(const tkx__hf_dir *hf)
{
    return hf->size_bytes;
}

bool tkx__hf_dir_holds(const tkx__hf_dir *hf, const void *byte)
{
    for (size_t i = 0; i < hf->n_shards; i++)
        if (tkx__safetensors_holds(hf->shards[i].file, byte))
            return true;
    return false;
}

void tkx__hf_dir_forget(const tkx__hf_dir *hf, const void *bytes, size_t size)
{
    for (size_t i = 0; i < hf->n_shards; i++)
        tkx__safetensors_forget(hf->shards[i].file, bytes, size);
}
