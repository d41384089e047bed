/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merges.c - filling the table of pairs.
 *
 * A chain of slots longer than MAX_PROBES does not come about by chance: such a file is
 * refused, rather than letting it make every lookup slow.  A packed table has so many
 * slots behind its last place, so that a chain never wraps.
 */
#include "model/tokenizer/merges.h"

#include <string.h>

#include "base/error.h"
#include "base/large.h"
#include "base/mem.h"

#define MAX_PROBES 4096
#define AHEAD 32      /* pairs whose slots are fetched before they are filled */
#define FILTER_BITS 6 /* a pair */
#define MAX_PACKED_ID ((1u << TKX__PACKED_ID_BITS) - 2) /* the last one is nobody */
#define MAX_PACKED_RANK ((1u << TKX__PACKED_RANK_BITS) - 1)

void tkx__merges_clear(tkx__merges *merges)
{
    tkx__free(merges->slots);
    tkx__free(merges->packed_block);
    tkx__free(merges->filter);
    tkx__free(merges->made);
    tkx__free(merges->small);
    *merges = (tkx__merges){0};
}

/* ---- slots ---- */

tkx_status tkx__merges_init(tkx__merges *merges, size_t n_expected, tkx_error **err)
{
    size_t n_slots = 64;
    int bits = 6;

    *merges = (tkx__merges){0};
    while (n_slots / 2 <= n_expected) {
        n_slots *= 2;
        bits++;
    }
    merges->slots = tkx__malloc(n_slots * sizeof *merges->slots);
    if (!merges->slots)
        return tkx__fail_memory(err);
    memset(merges->slots, 0xFF, n_slots * sizeof *merges->slots);
    merges->mask = n_slots - 1;
    merges->shift = 64 - bits;
    return TKX_OK;
}

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static size_t place_of(const tkx__merges *merges, uint64_t pair)
{
    uint64_t h = pair * 0x9E3779B97F4A7C15u;

    h ^= h >> 32;
    return (size_t)(h * 0xD6E8FEB86659FD93u >> merges->shift);
}

static tkx_status rehash(tkx__merges *merges, tkx_error **err)
{
    tkx__merges bigger;
    tkx_status st = tkx__merges_init(&bigger, merges->n * 2, err);

    for (size_t i = 0; st == TKX_OK && i <= merges->mask; i++) {
        const tkx__merge *m = &merges->slots[i];

        if (m->pair != UINT64_MAX)
            st = tkx__merges_put(&bigger, (uint32_t)(m->pair >> 32), (uint32_t)m->pair,
                                 m->rank, m->id, err);
    }
    if (st == TKX_OK) {
        tkx__merges_clear(merges);
        *merges = bigger;
    } else {
        tkx__merges_clear(&bigger);
    }
    return st;
}

static tkx_status collide(uint32_t rank, tkx_error **err)
{
    return tkx__fail(err, TKX_ERR_PARSE,
                     "the merges collide too often (merge %u); they look made to slow a "
                     "reader down",
                     rank);
}

tkx_status tkx__merges_put(tkx__merges *merges, uint32_t left, uint32_t right,
                           uint32_t rank, uint32_t id, tkx_error **err)
{
    uint64_t pair = pair_of(left, right);
    size_t at;

    if ((merges->n + 1) * 2 > merges->mask + 1) {
        tkx_status st = rehash(merges, err);

        if (st != TKX_OK)
            return st;
    }
    at = place_of(merges, pair);
    for (size_t n = 0; n < MAX_PROBES; n++, at = (at + 1) & merges->mask) {
        tkx__merge *m = &merges->slots[at];

        if (m->pair != UINT64_MAX && m->pair != pair)
            continue;
        merges->n += m->pair != pair;
        *m = (tkx__merge){pair, rank, id};
        return TKX_OK;
    }
    return collide(rank, err);
}

const tkx__merge *tkx__merges_find(const tkx__merges *merges, uint32_t left,
                                   uint32_t right)
{
    const uint64_t pair = pair_of(left, right);
    size_t at = place_of(merges, pair);

    while (merges->slots[at].pair != pair) {
        if (merges->slots[at].pair == UINT64_MAX)
            return NULL;
        at = (at + 1) & merges->mask;
    }
    return &merges->slots[at];
}

/* ---- packed ---- */

/* Whether ids and ranks fit. */
static bool fits(const tkx__merge *m)
{
    return m->pair >> 32 <= MAX_PACKED_ID && (uint32_t)m->pair <= MAX_PACKED_ID &&
           m->rank < MAX_PACKED_RANK;
}

static bool init_packed(tkx__merges *merges, size_t n, size_t n_ranks)
{
    size_t n_slots = 64, n_bits;

    *merges = (tkx__merges){.shift = 64 - 6};
    for (; n_slots < n * 2; n_slots *= 2)
        merges->shift--;
    n_slots += TKX__PACKED_NOWHERE + MAX_PROBES;
    merges->mask = n_slots - 1;
    merges->packed =
        tkx__large_alloc(n_slots * sizeof *merges->packed, false, &merges->packed_block);
    merges->made = tkx__realloc(NULL, n_ranks, sizeof *merges->made);
    merges->filter_shift = 64 - 6;
    for (n_bits = 64; n_bits < n * FILTER_BITS; n_bits *= 2)
        merges->filter_shift--;
    merges->filter = tkx__calloc(n_bits / 64, sizeof *merges->filter);
    if (!merges->packed || !merges->made || !merges->filter) {
        tkx__merges_clear(merges);
        return false;
    }
    memset(merges->packed, 0xFF, n_slots * sizeof *merges->packed);
    memset(merges->made, 0xFF, n_ranks * sizeof *merges->made);
    return true;
}

static uint64_t packed_pair(const tkx__merge *m)
{
    return tkx__merges_packed_pair((uint32_t)(m->pair >> 32), (uint32_t)m->pair);
}

static uint64_t *packed_slot(const tkx__merges *merges, uint64_t pair)
{
    return merges->packed + TKX__PACKED_NOWHERE +
           (tkx__merges_packed_hash(pair) >> merges->shift);
}

/* False when a chain gets too long, or pairs of one rank make different ids. */
static bool put_packed(tkx__merges *merges, const tkx__merge *m)
{
    const uint64_t pair = packed_pair(m);
    const uint64_t bit = tkx__merges_packed_hash(pair) >> merges->filter_shift;
    uint64_t *slot = packed_slot(merges, pair);

    for (size_t n = 0; n < MAX_PROBES - 1; n++, slot++) {
        if (*slot != UINT64_MAX && *slot >> TKX__PACKED_RANK_BITS != pair)
            continue;
        if (merges->made[m->rank] != TKX__NO_RANK && merges->made[m->rank] != m->id)
            return false;
        merges->n += *slot == UINT64_MAX;
        *slot = pair << TKX__PACKED_RANK_BITS | m->rank;
        merges->made[m->rank] = m->id;
        merges->filter[bit >> 6] |= UINT64_C(1) << (bit & 63);
        return true;
    }
    return false;
}

/* The usual vocabulary's merge i makes id first + i: then no table needs to say so. */
static void drop_made(tkx__merges *merges, size_t n_ranks)
{
    uint32_t first = merges->made[0];

    for (size_t i = 0; i < n_ranks; i++)
        if (merges->made[i] != TKX__NO_RANK && merges->made[i] != first + (uint32_t)i)
            return;
    merges->first_made = first;
    tkx__free(merges->made);
    merges->made = NULL;
}

static bool pack_list(tkx__merges *merges, const tkx__merge *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!fits(&list[i]))
            return false;
    if (!init_packed(merges, n, n))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(packed_slot(merges, packed_pair(&list[i + AHEAD])), 1);
        if (!put_packed(merges, &list[i])) {
            tkx__merges_clear(merges);
            return false;
        }
    }
    drop_made(merges, n);
    return true;
}

tkx_status tkx__merges_put_list(tkx__merges *merges, const tkx__merge *list, size_t n,
                                tkx_error **err)
{
    tkx_status st;

    if (n > 0 && pack_list(merges, list, n))
        return TKX_OK;
    st = tkx__merges_init(merges, n, err);
    for (size_t i = 0; i < n && st == TKX_OK; i++)
        st = tkx__merges_put(merges, (uint32_t)(list[i].pair >> 32),
                             (uint32_t)list[i].pair, list[i].rank, list[i].id, err);
    return st;
}

/* A packed table in place of the slots; without memory or room for a rank they stay. */
static void pack_slots(tkx__merges *merges)
{
    size_t n_ranks = 0;
    tkx__merges to;

    for (size_t i = 0; i <= merges->mask; i++) {
        const tkx__merge *m = &merges->slots[i];

        if (m->pair == UINT64_MAX)
            continue;
        if (!fits(m) || m->rank / 4 > merges->n)
            return;
        if (m->rank >= n_ranks)
            n_ranks = m->rank + 1;
    }
    if (n_ranks == 0 || !init_packed(&to, merges->n, n_ranks))
        return;
    for (size_t i = 0; i <= merges->mask; i++)
        if (merges->slots[i].pair != UINT64_MAX && !put_packed(&to, &merges->slots[i])) {
            tkx__merges_clear(&to);
            return;
        }
    drop_made(&to, n_ranks);
    tkx__merges_clear(merges);
    *merges = to;
}

/* ---- both ---- */

bool tkx__merges_at(const tkx__merges *merges, size_t i, tkx__merge *merge)
{
    uint64_t slot;

    if (!merges->packed) {
        *merge = merges->slots[i];
        return merge->pair != UINT64_MAX;
    }
    slot = merges->packed[i];
    if (slot == UINT64_MAX)
        return false;
    merge->rank = (uint32_t)slot & MAX_PACKED_RANK;
    slot >>= TKX__PACKED_RANK_BITS;
    merge->pair = pair_of((uint32_t)(slot >> TKX__PACKED_ID_BITS),
                          (uint32_t)slot & ((1u << TKX__PACKED_ID_BITS) - 1));
    merge->id = tkx__merges_made(merges, merge->rank, (uint32_t)(merge->pair >> 32),
                                 (uint32_t)merge->pair);
    return true;
}

tkx_status tkx__merges_finish(tkx__merges *merges, uint32_t first_small, bool may_pack,
                              tkx_error **err)
{
    const size_t n = (size_t)TKX__SMALL_IDS * TKX__SMALL_IDS;
    tkx__merge m;

    if ((!merges->slots && !merges->packed) || merges->small)
        return TKX_OK;
    if (merges->slots && may_pack)
        pack_slots(merges);
    merges->small = tkx__malloc(n * sizeof *merges->small);
    if (!merges->small)
        return tkx__fail_memory(err);
    memset(merges->small, 0xFF, n * sizeof *merges->small);
    merges->first_small = first_small;
    for (size_t i = 0; i <= merges->mask; i++) {
        uint64_t left, right;

        if (!tkx__merges_at(merges, i, &m))
            continue;
        left = (m.pair >> 32) - first_small;
        right = (uint32_t)m.pair - (uint64_t)first_small;
        if (left < TKX__SMALL_IDS && right < TKX__SMALL_IDS)
            merges->small[left * TKX__SMALL_IDS + right] = m.rank;
    }
    return TKX_OK;
}
