/* SPDX-License-Identifier: Apache-2.0 */
/* snapshots.c - the least recently used of a few entries makes room. */
#include "mock_server/snapshots.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/checkpoint.h"
#include "mock_server/util.h"

enum { N_ENTRIES = 16, MAX_KEY = 600 };

typedef struct entry {
    char key[MAX_KEY];
    nn_snapshot *snapshot; /* NULL: free */
    uint64_t used;
} entry;

struct snapshot_cache {
    mock_server *srv;
    pthread_mutex_t lock;
    uint64_t clock;
    entry entries[N_ENTRIES];
};

tkx_status snapshots_new(mock_server *srv, snapshot_cache **out, tkx_error **err)
{
    snapshot_cache *cache = tkx__calloc(1, sizeof *cache);
    if (!cache)
        return tkx__fail_memory(err);
    cache->srv = srv;
    pthread_mutex_init(&cache->lock, NULL);
    *out = cache;
    return TKX_OK;
}

void snapshots_free(snapshot_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < N_ENTRIES; i++)
        nn_snapshot_unref(cache->entries[i].snapshot);
    pthread_mutex_destroy(&cache->lock);
    tkx__free(cache);
}

static nn_snapshot *find(snapshot_cache *cache, const char *key)
{
    nn_snapshot *found = NULL;
    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < N_ENTRIES && !found; i++) {
        entry *e = &cache->entries[i];
        if (e->snapshot && strcmp(e->key, key) == 0) {
            e->used = ++cache->clock;
            found = nn_snapshot_ref(e->snapshot);
        }
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

static void keep(snapshot_cache *cache, const char *key, nn_snapshot *snapshot)
{
    entry *oldest = &cache->entries[0];
    nn_snapshot *old;
    pthread_mutex_lock(&cache->lock);
    for (size_t i = 1; i < N_ENTRIES; i++) {
        entry *e = &cache->entries[i];
        if (oldest->snapshot && (!e->snapshot || e->used < oldest->used))
            oldest = e;
    }
    old = oldest->snapshot;
    snprintf(oldest->key, sizeof oldest->key, "%s", key);
    oldest->snapshot = nn_snapshot_ref(snapshot);
    oldest->used = ++cache->clock;
    pthread_mutex_unlock(&cache->lock);
    nn_snapshot_unref(old);
}

void snapshots_put(snapshot_cache *cache, const char *file, nn_snapshot *snapshot)
{
    keep(cache, file, snapshot);
}

static tkx_status load(snapshot_cache *cache, const nn_base *base, const char *file,
                       nn_snapshot **out, tkx_error **err)
{
    mock_server *srv = cache->srv;
    char path[4096], *bytes = NULL;
    size_t size = 0;
    tkx_status st;
    if (!file)
        return nn_snapshot_of_base(srv->engine, base, out, err);
    snprintf(path, sizeof path, "%s/%s", srv->state_dir, file);
    st = mock_read_file(path, &bytes, &size, err);
    if (st == TKX_OK)
        st = nn_snapshot_from_state(srv->engine, base, bytes, size, out, err);
    tkx__free(bytes);
    return st;
}

tkx_status snapshots_get(snapshot_cache *cache, const char *base_model, const char *file,
                         nn_snapshot **out, tkx_error **err)
{
    char key[MAX_KEY];
    const nn_base *base = nn_engine_find_base(cache->srv->engine, base_model);
    tkx_status st;
    if (!base)
        return tkx__fail(err, TKX_ERR_NOT_FOUND, "base model %s: not offered here",
                         base_model);
    if ((size_t)snprintf(key, sizeof key, "%s%s",
                         file ? "" : "base:", file ? file : base_model) >= sizeof key)
        return tkx__fail(err, TKX_ERR_LIMIT, "the name of the weights is too long");
    *out = find(cache, key);
    if (*out)
        return TKX_OK;
    st = load(cache, base, file, out, err);
    if (st == TKX_OK)
        keep(cache, key, *out);
    return st;
}
