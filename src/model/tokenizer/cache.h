/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/cache.h - words that were encoded before, and their ids.
 *
 * A word of up to 16 bytes is its own key, in an entry of half a cache line that also
 * holds up to three ids; longer words (up to TKX__CACHE_MAX_WORD) and lists of ids lie in
 * side arrays.  The cache grows with use up to a bound, then starts again empty.  One
 * thread at a time.
 */
#ifndef TKX_MODEL_TOKENIZER_CACHE_H
#define TKX_MODEL_TOKENIZER_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "model/tokenizer/hash.h"

#define TKX__CACHE_MAX_WORD 192
#define TKX__CACHE_INLINE_IDS 3

typedef struct tkx__cache_entry {
    uint64_t lo, hi; /* the word, zero behind it; or two hashes of a longer one */
    uint32_t ids[TKX__CACHE_INLINE_IDS];
    uint8_t size; /* bytes of the word; 0: free */
    uint8_t n_ids;
    uint8_t is_listed; /* ids[0]: where the ids lie in `lists` */
    uint8_t unused;
} tkx__cache_entry;

typedef struct tkx__cache {
    void *block; /* what entries was allocated as */
    tkx__cache_entry *entries;
    size_t mask;
    size_t n_used;
    size_t n_text; /* bytes of the text that comes: what a new cache is made for */
    int shift;
    uint32_t *lists; /* ids of words with more than three; for words over 16 bytes, their
                        bytes behind the ids */
    size_t lists_size, lists_capacity;
} tkx__cache;

/* A word as a key. */
typedef struct tkx__cache_key {
    uint64_t lo, hi, hash;
    size_t size;
} tkx__cache_key;

void tkx__cache_clear(tkx__cache *cache);

/* The bytes of a word that 16 bytes hold. */
extern const uint64_t tkx__cache_masks[17][2];

/* Key of text[0..n), 0 < n <= TKX__CACHE_MAX_WORD; n_readable bytes may be read. */
static inline tkx__cache_key tkx__cache_key_of(const uint8_t *text, size_t n,
                                               size_t n_readable)
{
    tkx__cache_key key = {.size = n};

    if (n > 16) {
        key.lo = tkx__hash_bytes(text, n);
        memcpy(&key.hi, text + n - 8, 8);
    } else if (n_readable >= 16) { /* no branch on n: it is as good as random */
        memcpy(&key.lo, text, 8);
        memcpy(&key.hi, text + 8, 8);
        key.lo &= tkx__cache_masks[n][0];
        key.hi &= tkx__cache_masks[n][1];
    } else {
        memcpy(&key.lo, text, n < 8 ? n : 8);
        if (n > 8)
            memcpy(&key.hi, text + 8, n - 8);
    }
    key.hash = tkx__hash_words(key.lo, key.hi, n);
    return key;
}

/* Have the word's entry on its way while others are looked up. */
static inline void tkx__cache_prefetch(const tkx__cache *cache, const tkx__cache_key *key)
{
    if (cache->entries)
        __builtin_prefetch(&cache->entries[key->hash >> cache->shift]);
}

/* Whether a listed word's bytes are those of text. */
bool tkx__cache_is_word(const tkx__cache *cache, const tkx__cache_entry *entry,
                        const uint8_t *text);

/* NULL when the word is not there. */
static inline const tkx__cache_entry *
tkx__cache_find(const tkx__cache *cache, const tkx__cache_key *key, const uint8_t *text)
{
    size_t at;

    if (!cache->entries)
        return NULL;
    for (at = (size_t)(key->hash >> cache->shift);; at = (at + 1) & cache->mask) {
        const tkx__cache_entry *entry = &cache->entries[at];

        if (entry->size == 0)
            return NULL;
        if (entry->lo == key->lo && entry->hi == key->hi && entry->size == key->size &&
            (key->size <= 16 || tkx__cache_is_word(cache, entry, text)))
            return entry;
    }
}

static inline const uint32_t *tkx__cache_ids(const tkx__cache *cache,
                                             const tkx__cache_entry *entry)
{
    return entry->is_listed ? cache->lists + entry->ids[0] : entry->ids;
}

/* Room for n words more; entries stay where they are until this is called again. */
void tkx__cache_make_room(tkx__cache *cache, size_t n);

/* Remember a word that is not there.  Without room, or with too many ids, it is not
   remembered: a cache may forget. */
void tkx__cache_put(tkx__cache *cache, const tkx__cache_key *key, const uint8_t *text,
                    const uint32_t *ids, size_t n_ids);

#endif
