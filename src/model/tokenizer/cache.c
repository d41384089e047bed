/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.c - growing and filling.  Load stays below one half; at MAX_ENTRIES the cache is
 * emptied instead of grown, so that no text can make it large or its chains long for
 * ever.
 */
#include "model/tokenizer/cache.h"

#include "base/large.h"
#include "base/mem.h"

#define FIRST_ENTRIES ((size_t)1 << 11)
#define MAX_FIRST_ENTRIES ((size_t)1 << 17)
#define MAX_ENTRIES ((size_t)1 << 18)
#define TEXT_PER_ENTRY 40 /* a long text has a new word about every 100 bytes */
#define MAX_LISTS ((size_t)1 << 20)
#define MAX_LIST (UINT8_MAX + TKX__CACHE_MAX_WORD / sizeof(uint32_t)) /* of a word */

#define LOW(n) (UINT64_MAX >> (64 - 8 * (n)))
const uint64_t tkx__cache_masks[17][2] = {
    {0, 0},           {LOW(1), 0},      {LOW(2), 0},      {LOW(3), 0},
    {LOW(4), 0},      {LOW(5), 0},      {LOW(6), 0},      {LOW(7), 0},
    {LOW(8), 0},      {LOW(8), LOW(1)}, {LOW(8), LOW(2)}, {LOW(8), LOW(3)},
    {LOW(8), LOW(4)}, {LOW(8), LOW(5)}, {LOW(8), LOW(6)}, {LOW(8), LOW(7)},
    {LOW(8), LOW(8)},
};
#undef LOW

void tkx__cache_clear(tkx__cache *cache)
{
    tkx__free(cache->block);
    tkx__free(cache->lists);
    *cache = (tkx__cache){0};
}

static void forget_all(tkx__cache *cache)
{
    if (cache->entries)
        memset(cache->entries, 0, (cache->mask + 1) * sizeof *cache->entries);
    cache->n_used = 0;
    cache->lists_size = 0;
}

static tkx__cache_entry *free_entry(tkx__cache *cache, uint64_t hash)
{
    size_t at = (size_t)(hash >> cache->shift);

    while (cache->entries[at].size != 0)
        at = (at + 1) & cache->mask;
    return &cache->entries[at];
}

static size_t first_entries(const tkx__cache *cache)
{
    size_t n = FIRST_ENTRIES;

    while (n < MAX_FIRST_ENTRIES && n < cache->n_text / TEXT_PER_ENTRY)
        n *= 2;
    return n;
}

/* Twice the entries; false without memory, the old ones stay. */
static bool grow(tkx__cache *cache)
{
    size_t n = cache->entries ? (cache->mask + 1) * 2 : first_entries(cache);
    tkx__cache bigger = *cache;
    int bits = 0;

    bigger.entries = tkx__large_alloc(n * sizeof *cache->entries, true, &bigger.block);
    if (!bigger.entries)
        return false;
    while (((size_t)1 << bits) < n)
        bits++;
    bigger.mask = n - 1;
    bigger.shift = 64 - bits;
    for (size_t i = 0; cache->entries && i <= cache->mask; i++) {
        const tkx__cache_entry *e = &cache->entries[i];

        if (e->size != 0)
            *free_entry(&bigger, tkx__hash_words(e->lo, e->hi, e->size)) = *e;
    }
    tkx__free(cache->block);
    *cache = bigger;
    return true;
}

bool tkx__cache_is_word(const tkx__cache *cache, const tkx__cache_entry *entry,
                        const uint8_t *text)
{
    return memcmp(cache->lists + entry->ids[0] + entry->n_ids, text, entry->size) == 0;
}

/* Room for n words in lists; SIZE_MAX when there is none. */
static size_t reserve_list(tkx__cache *cache, size_t n)
{
    if (cache->lists_size + n > cache->lists_capacity) {
        size_t want = cache->lists_capacity ? cache->lists_capacity * 2 : 1024;
        uint32_t *lists = tkx__realloc(cache->lists, want, sizeof *lists);

        if (!lists)
            return SIZE_MAX;
        cache->lists = lists;
        cache->lists_capacity = want;
    }
    cache->lists_size += n;
    return cache->lists_size - n;
}

static bool has_room(const tkx__cache *cache, size_t n)
{
    return cache->entries && (cache->n_used + n) * 2 <= cache->mask + 1;
}

void tkx__cache_make_room(tkx__cache *cache, size_t n)
{
    if (cache->lists_size + n * MAX_LIST > MAX_LISTS)
        forget_all(cache);
    while (!has_room(cache, n))
        if (cache->entries && cache->mask + 1 >= MAX_ENTRIES)
            forget_all(cache);
        else if (!grow(cache))
            return;
}

void tkx__cache_put(tkx__cache *cache, const tkx__cache_key *key, const uint8_t *text,
                    const uint32_t *ids, size_t n_ids)
{
    bool is_listed = n_ids > TKX__CACHE_INLINE_IDS || key->size > 16;
    tkx__cache_entry e = {.lo = key->lo,
                          .hi = key->hi,
                          .size = (uint8_t)key->size,
                          .n_ids = (uint8_t)n_ids,
                          .is_listed = is_listed};

    if (n_ids > UINT8_MAX || !has_room(cache, 1))
        return;
    if (is_listed) {
        size_t n_text = key->size > 16 ? (key->size + 3) / 4 : 0;
        size_t at = reserve_list(cache, n_ids + n_text);

        if (at == SIZE_MAX)
            return;
        if (n_ids)
            memcpy(cache->lists + at, ids, n_ids * sizeof *ids);
        if (n_text)
            memcpy(cache->lists + at + n_ids, text, key->size);
        e.ids[0] = (uint32_t)at;
    } else if (n_ids) {
        memcpy(e.ids, ids, n_ids * sizeof *ids);
    }
    *free_entry(cache, key->hash) = e;
    cache->n_used++;
}
