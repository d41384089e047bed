/* SPDX-License-Identifier: Apache-2.0 */
/* added.c - finding added tokens; rules of the reference, in its order. */
#include "model/tokenizer/added.h"

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"
#include "model/tokenizer/vec16.h"

/* Looking for a text costs its length at every place of the input. */
#define MAX_TEXT 1024

tkx_status tkx__added_init(tkx__added *added, tkx_error **err)
{
    *added = (tkx__added){0};
    return tkx__trie_init(&added->trie, 64, err);
}

void tkx__added_clear(tkx__added *added)
{
    tkx__trie_clear(&added->trie);
    tkx__free(added->tokens);
    *added = (tkx__added){0};
}

static void note_pair(tkx__added *added, unsigned first, unsigned second)
{
    unsigned pair = first << 8 | second;

    added->pairs[pair >> 6] |= UINT64_C(1) << (pair & 63);
}

/* What find_start() goes by. */
static void note_start(tkx__added *added, const uint8_t *text, size_t n)
{
    if (!added->trie.is_first[text[0]]) {
        if (added->n_firsts < TKX__FEW_FIRSTS)
            added->firsts[added->n_firsts] = text[0];
        added->n_firsts++;
    }
    if (n > 1)
        note_pair(added, text[0], text[1]);
    else
        for (unsigned second = 0; second < 256; second++)
            note_pair(added, text[0], second);
}

tkx_status tkx__added_put(tkx__added *added, const tkx__added_token *token,
                          const uint8_t *text, size_t n, tkx_error **err)
{
    if (n == 0)
        return TKX_OK;
    if (n > MAX_TEXT)
        return tkx__fail(err, TKX_ERR_LIMIT,
                         "added token %u is %zu bytes long; at most %d are allowed",
                         token->id, n, MAX_TEXT);
    if (added->n_tokens == added->capacity) {
        size_t want = added->capacity ? added->capacity * 2 : 16;
        tkx__added_token *tokens = tkx__realloc(added->tokens, want, sizeof *tokens);

        if (!tokens)
            return tkx__fail_memory(err);
        added->tokens = tokens;
        added->capacity = want;
    }
    added->tokens[added->n_tokens++] = *token;
    added->n_plain += !token->is_special;
    note_start(added, text, n);
    return tkx__trie_put(&added->trie, text, n, (uint32_t)(added->n_tokens - 1), err);
}

static bool is_inside_word(const uint8_t *text, size_t n, size_t start, size_t stop)
{
    size_t len;

    if (start > 0 &&
        tkx__unicode_is_word(tkx__utf8_get(text + tkx__utf8_back(text, start), &len)))
        return true;
    return stop < n && tkx__unicode_is_word(tkx__utf8_get(text + stop, &len));
}

static size_t blanks_before(const uint8_t *text, size_t from, size_t at)
{
    while (at > from) {
        size_t back = tkx__utf8_back(text, at), len;

        if (!(tkx__unicode_flags_at(text + back, &len) & TKX__UNI_SPACE))
            break;
        at = back;
    }
    return at;
}

/* Every token in a long run of blanks may take its rest: it is walked over once. */
static size_t blanks_after(tkx__added_scan *scan, const uint8_t *text, size_t n,
                           size_t at)
{
    size_t len;

    if (at >= scan->blanks && at < scan->blanks_end)
        return scan->blanks_end;
    scan->blanks = at;
    while (at < n && (tkx__unicode_flags_at(text + at, &len) & TKX__UNI_SPACE))
        at += len;
    scan->blanks_end = at;
    return at;
}

static bool may_start(const tkx__added *added, const uint8_t *text, size_t at, size_t n)
{
    unsigned pair;

    if (at + 1 >= n)
        return true;
    pair = (unsigned)text[at] << 8 | text[at + 1];
    return added->pairs[pair >> 6] >> (pair & 63) & 1;
}

#if defined(TKX__HAS_VEC16)

/* Of 64 bytes, those that begin a text. */
TKX__FORCE_INLINE uint64_t firsts_in(const tkx__added *added, const uint8_t *text)
{
    tkx__vec hits[4];

    for (size_t q = 0; q < 4; q++) {
        const tkx__vec v = tkx__vec_load(text + 16 * q);

        hits[q] = tkx__vec_is(v, added->firsts[0]);
        for (size_t i = 1; i < added->n_firsts; i++)
            hits[q] = tkx__vec_either(hits[q], tkx__vec_is(v, added->firsts[i]));
    }
    return tkx__vec_bits_of(hits[0], hits[1], hits[2], hits[3]);
}

#endif

/* The next place from at on where the trie is worth a walk; n: none. */
static size_t find_start(const tkx__added *added, const uint8_t *text, size_t at,
                         size_t n)
{
#if defined(TKX__HAS_VEC16)
    for (; added->n_firsts <= TKX__FEW_FIRSTS && n - at > 64; at += 64) {
        uint64_t hits = firsts_in(added, text + at);

        for (; hits; hits &= hits - 1)
            if (may_start(added, text, at + (size_t)__builtin_ctzll(hits), n))
                return at + (size_t)__builtin_ctzll(hits);
    }
#endif
    while (at < n && !may_start(added, text, at, n))
        at++;
    return at;
}

bool tkx__added_next(const tkx__added *added, const uint8_t *text, size_t n, size_t from,
                     tkx__added_scan *scan, bool skips_special, tkx__added_match *match)
{
    size_t at = scan->at;

    if (added->n_tokens == 0 || (skips_special && added->n_plain == 0))
        return false;
    while (at < n) {
        const tkx__added_token *token;
        uint32_t index = 0;
        size_t size;

        at = find_start(added, text, at, n);
        size = at < n ? tkx__trie_longest(&added->trie, text + at, n - at, &index) : 0;
        if (size == 0) {
            at++;
            continue;
        }
        token = &added->tokens[index];
        if ((skips_special && token->is_special) ||
            (token->is_single_word && is_inside_word(text, n, at, at + size))) {
            at += size;
            continue;
        }
        match->id = token->id;
        match->start = token->strips_left ? blanks_before(text, from, at) : at;
        match->stop =
            token->strips_right ? blanks_after(scan, text, n, at + size) : at + size;
        at += size; /* blanks that it takes may begin the next one */
        if (token->strips_left && match->stop <= from)
            continue; /* of blanks alone, and the one before took them all */
        scan->at = at;
        return true;
    }
    return false;
}
