/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefix.c - a hash table of blocks, chained by serial numbers.
 *
 * An entry names its predecessor by serial, which is never used twice: when an entry is
 * dropped, those behind it are no longer found and fall out in their turn.  One that is
 * inserted again behind a new predecessor before that leaves its old place: a block that
 * two entries held would never fall out.
 */
#include "infer/prefix.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

#define NONE UINT32_MAX
/* Serials of entries count up from 1; a root has this bit. */
#define ROOT_BIT (UINT64_C(1) << 63)

typedef struct entry {
    uint64_t parent; /* serial of the entry before, or the root */
    uint64_t serial; /* 0: free */
    uint64_t used_at;
    uint32_t block;
    uint32_t next; /* in its bucket */
    int64_t tokens[TKX__KV_BLOCK];
} entry;

struct tkx__prefix {
    tkx__kv *kv;
    entry *entries; /* [n_entries] */
    uint32_t *buckets;
    uint32_t *entry_of; /* [n_entries] of each block; NONE: it has none */
    size_t n_entries;
    size_t n_buckets; /* a power of two */
    uint32_t n_fresh; /* entries that were never used */
    uint32_t free;    /* list of dropped ones */
    uint64_t last_serial;
    uint64_t clock;
};

tkx_status tkx__prefix_new(tkx__kv *kv, tkx__prefix **out, tkx_error **err)
{
    tkx__prefix *p = tkx__calloc(1, sizeof *p);

    if (!p)
        return tkx__fail_memory(err);
    p->kv = kv;
    p->n_entries = tkx__kv_n_blocks(kv);
    p->free = NONE;
    for (p->n_buckets = 16; p->n_buckets < p->n_entries; p->n_buckets *= 2)
        ;
    p->entries = tkx__calloc(p->n_entries, sizeof *p->entries);
    p->buckets = tkx__malloc(p->n_buckets * sizeof *p->buckets);
    p->entry_of = tkx__malloc(p->n_entries * sizeof *p->entry_of);
    if (!p->entries || !p->buckets || !p->entry_of) {
        tkx__prefix_free(p);
        return tkx__fail_memory(err);
    }
    memset(p->buckets, 0xff, p->n_buckets * sizeof *p->buckets);
    memset(p->entry_of, 0xff, p->n_entries * sizeof *p->entry_of);
    *out = p;
    return TKX_OK;
}

void tkx__prefix_free(tkx__prefix *prefix)
{
    if (!prefix)
        return;
    for (size_t i = 0; prefix->entries && i < prefix->n_entries; i++) {
        if (prefix->entries[i].serial)
            tkx__kv_unref(prefix->kv, prefix->entries[i].block);
    }
    tkx__free(prefix->entries);
    tkx__free(prefix->buckets);
    tkx__free(prefix->entry_of);
    tkx__free(prefix);
}

static uint32_t *bucket_of(const tkx__prefix *p, uint64_t parent, const int64_t *tokens)
{
    uint64_t h = parent * 0x9E3779B97F4A7C15u;

    for (size_t i = 0; i < TKX__KV_BLOCK; i++) {
        h ^= (uint64_t)tokens[i];
        h *= 0xBF58476D1CE4E5B9u;
        h ^= h >> 29;
    }
    return &p->buckets[h & (p->n_buckets - 1)];
}

static entry *find(const tkx__prefix *p, uint64_t parent, const int64_t *tokens)
{
    for (uint32_t i = *bucket_of(p, parent, tokens); i != NONE; i = p->entries[i].next) {
        entry *e = &p->entries[i];

        if (e->parent == parent && memcmp(e->tokens, tokens, sizeof e->tokens) == 0)
            return e;
    }
    return NULL;
}

size_t tkx__prefix_match(tkx__prefix *p, uint64_t root, const int64_t *tokens,
                         size_t n_tokens, uint32_t *blocks)
{
    uint64_t parent = root | ROOT_BIT;
    size_t n = 0;

    for (; (n + 1) * TKX__KV_BLOCK <= n_tokens; n++) {
        entry *e = find(p, parent, tokens + n * TKX__KV_BLOCK);

        if (!e)
            break;
        e->used_at = ++p->clock;
        tkx__kv_ref(p->kv, e->block);
        blocks[n] = e->block;
        parent = e->serial;
    }
    return n;
}

static void drop(tkx__prefix *p, entry *e)
{
    uint32_t index = (uint32_t)(e - p->entries);
    uint32_t *at = bucket_of(p, e->parent, e->tokens);

    while (*at != index)
        at = &p->entries[*at].next;
    *at = e->next;
    p->entry_of[e->block] = NONE;
    tkx__kv_unref(p->kv, e->block);
    e->serial = 0;
    e->next = p->free;
    p->free = index;
}

/* The entry longest unused whose block nobody else holds; NULL: there is none. */
static entry *oldest(const tkx__prefix *p)
{
    entry *best = NULL;

    for (size_t i = 0; i < p->n_fresh; i++) {
        entry *e = &p->entries[i];

        if (e->serial && tkx__kv_n_refs(p->kv, e->block) == 1 &&
            (!best || e->used_at < best->used_at))
            best = e;
    }
    return best;
}

static uint32_t take_entry(tkx__prefix *p)
{
    uint32_t index = p->free;

    if (index != NONE)
        p->free = p->entries[index].next;
    else
        index = p->n_fresh++; /* as many as blocks, and each holds another one */
    return index;
}

static entry *add(tkx__prefix *p, uint64_t parent, const int64_t *tokens, uint32_t block)
{
    uint32_t *bucket = bucket_of(p, parent, tokens);
    uint32_t index;
    entry *e;

    tkx__kv_ref(p->kv, block);
    if (p->entry_of[block] != NONE)
        drop(p, &p->entries[p->entry_of[block]]);
    index = take_entry(p);
    e = &p->entries[index];
    e->parent = parent;
    e->serial = ++p->last_serial;
    e->block = block;
    memcpy(e->tokens, tokens, sizeof e->tokens);
    e->next = *bucket;
    *bucket = index;
    p->entry_of[block] = index;
    return e;
}

void tkx__prefix_insert(tkx__prefix *p, uint64_t root, const int64_t *tokens,
                        size_t n_tokens, const uint32_t *blocks)
{
    uint64_t parent = root | ROOT_BIT;

    for (size_t n = 0; (n + 1) * TKX__KV_BLOCK <= n_tokens; n++) {
        const int64_t *own = tokens + n * TKX__KV_BLOCK;
        entry *e = find(p, parent, own);

        if (!e)
            e = add(p, parent, own, blocks[n]);
        e->used_at = ++p->clock;
        parent = e->serial;
    }
}

static bool make_room(tkx__prefix *p)
{
    entry *e;

    if (tkx__kv_n_available(p->kv) > 0)
        return true;
    e = oldest(p);
    if (e)
        drop(p, e);
    return e != NULL;
}

uint32_t tkx__prefix_alloc(tkx__prefix *prefix)
{
    return make_room(prefix) ? tkx__kv_alloc(prefix->kv) : TKX__KV_NONE;
}

uint32_t tkx__prefix_copy(tkx__prefix *prefix, uint32_t block)
{
    return make_room(prefix) ? tkx__kv_copy(prefix->kv, block) : TKX__KV_NONE;
}
