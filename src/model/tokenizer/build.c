/* SPDX-License-Identifier: Apache-2.0 */
/* build.c - tokens, merges and facts from their spellings. */
#include "model/tokenizer/build.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/spelling.h"
#include "model/tokenizer/utf8.h"

#define MAX_SPELLING 65536
/* "end", "of" and "sentence" with U+2581 between and U+FF5C around; \x65 is an e, which
 * would be taken for one more digit of \x9C. */
#define DEEPSEEK_END "<\xEF\xBD\x9C\x65nd\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"

ptrdiff_t tkx__build_unspell(const char *text, size_t n, uint8_t *out)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t size = 0;

    for (size_t at = 0; at < n;) {
        size_t len = tkx__utf8_len(p[at]);
        int byte;

        if (p[at] > ' ' && p[at] < 0x7F) { /* most are spelt as themselves */
            out[size++] = p[at++];
            continue;
        }
        if (len > n - at)
            return -1;
        byte = tkx__spelt_byte(tkx__utf8_get(p + at, &len));
        if (byte < 0)
            return -1;
        out[size++] = (uint8_t)byte;
        at += len;
    }
    return (ptrdiff_t)size;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* <0xHH> */
static bool is_byte_token(const char *text, size_t n, uint8_t *byte)
{
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' ||
        hex_digit(text[3]) < 0 || hex_digit(text[4]) < 0)
        return false;
    *byte = (uint8_t)(hex_digit(text[3]) << 4 | hex_digit(text[4]));
    return true;
}

tkx_status tkx__build_token(tkx_tokenizer *t, uint64_t id, const char *text, size_t n,
                            unsigned flags, tkx_error **err)
{
    uint8_t bytes[256], byte;
    uint8_t *place = bytes;
    ptrdiff_t size = -1;
    tkx_status st;

    if (n > MAX_SPELLING)
        return tkx__fail(err, TKX_ERR_LIMIT,
                         "token %llu is %zu bytes long; at most %d are allowed",
                         (unsigned long long)id, n, MAX_SPELLING);
    if (!t->is_byte_level) {
        st = tkx__vocab_set(&t->vocab, id, text, n, flags, err);
        if (st == TKX_OK && is_byte_token(text, n, &byte)) {
            t->vocab.tokens[id].flags |= TKX__TOKEN_BYTE;
            t->vocab.tokens[id].byte = byte;
        }
        return st;
    }
    if (n > sizeof bytes) {
        place = tkx__malloc(n);
        if (!place)
            return tkx__fail_memory(err);
    }
    size = tkx__build_unspell(text, n, place);
    if (size >= 0)
        st = tkx__vocab_set(&t->vocab, id, place, (size_t)size, flags, err);
    else
        st = tkx__vocab_set(&t->vocab, id, text, n, flags | TKX__TOKEN_LITERAL, err);
    if (place != bytes)
        tkx__free(place);
    return st;
}

tkx_status tkx__build_rename(tkx_tokenizer *t, uint32_t id, const char *text, size_t n,
                             tkx_error **err)
{
    uint8_t *bytes = tkx__malloc(n + 1);
    ptrdiff_t size = -1;
    tkx_status st;

    if (!bytes)
        return tkx__fail_memory(err);
    if (t->is_byte_level)
        size = tkx__build_unspell(text, n, bytes);
    if (size >= 0)
        st = tkx__vocab_rename(&t->vocab, id, bytes, (size_t)size, err);
    else
        st = tkx__vocab_rename(&t->vocab, id, text, n, err);
    tkx__free(bytes);
    return st;
}

tkx_status tkx__build_index(tkx_tokenizer *t, tkx_error **err)
{
    const tkx__vocab *vocab = &t->vocab;
    tkx_status st =
        tkx__vocab_index_all(&t->vocab, TKX__TOKEN_DEFINED, TKX__TOKEN_LITERAL, err);

    if (st != TKX_OK)
        return st;
    for (size_t id = 0; id < vocab->n_tokens; id++)
        if (vocab->tokens[id].flags & TKX__TOKEN_BYTE)
            t->byte_ids[vocab->tokens[id].byte] = (uint32_t)id;
    for (unsigned i = 0; t->is_byte_level && i < 256; i++) {
        uint8_t byte = (uint8_t)i;

        t->byte_ids[i] = tkx__vocab_find(vocab, &byte, 1);
    }
    memcpy(t->unigram.byte_ids, t->byte_ids, sizeof t->byte_ids);
    return TKX_OK;
}

/* ---- merges from scores ---- */

typedef struct scored {
    float score;
    uint32_t id;
} scored;

static int by_score(const void *a, const void *b)
{
    float x = ((const scored *)a)->score, y = ((const scored *)b)->score;

    return x > y ? -1 : x < y;
}

/* A part of a token as a symbol: its id, or the character that it is. */
static uint32_t symbol_of(const tkx_tokenizer *t, const uint8_t *text, size_t n)
{
    uint32_t id = tkx__vocab_find(&t->vocab, text, n);
    size_t len;

    if (id == TKX__NO_ID && tkx__utf8_len(text[0]) == n)
        id = TKX__CHARACTER_SYMBOL + tkx__utf8_get(text, &len);
    return id;
}

static tkx_status cut_token(tkx_tokenizer *t, uint32_t id, uint32_t rank, tkx_error **err)
{
    const uint8_t *text = tkx__vocab_text(&t->vocab, id);
    size_t n = t->vocab.tokens[id].size;

    if (n == 0 || tkx__utf8_check(text, n) != n ||
        tkx__vocab_find(&t->vocab, text, n) != id)
        return TKX_OK;
    for (size_t at = tkx__utf8_len(text[0]); at < n; at += tkx__utf8_len(text[at])) {
        uint32_t left = symbol_of(t, text, at);
        uint32_t right = left == TKX__NO_ID ? left : symbol_of(t, text + at, n - at);
        tkx_status st;

        if (right == TKX__NO_ID)
            continue;
        st = tkx__merges_put(&t->merges, left, right, rank, id, err);
        if (st != TKX_OK)
            return st;
    }
    return TKX_OK;
}

tkx_status tkx__build_scored_merges(tkx_tokenizer *t, const float *scores,
                                    size_t n_scores, tkx_error **err)
{
    scored *order = tkx__realloc(NULL, n_scores ? n_scores : 1, sizeof *order);
    tkx_status st = TKX_OK;
    uint32_t rank = 0;

    if (!order)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < n_scores; i++)
        order[i] = (scored){scores[i], (uint32_t)i};
    qsort(order, n_scores, sizeof *order, by_score);
    for (size_t i = 0; i < n_scores && st == TKX_OK; i++) {
        rank += i > 0 && order[i].score != order[i - 1].score;
        if (tkx__vocab_has(&t->vocab, order[i].id))
            st = cut_token(t, order[i].id, rank, err);
    }
    tkx__free(order);
    return st;
}

/* ---- facts ---- */

tkx_status tkx__build_finish(tkx_tokenizer *t, tkx_error **err)
{
    uint32_t first = TKX__NO_ID;

    t->has_all_bytes = true;
    for (unsigned i = 0; i < 256; i++) {
        t->has_all_bytes &= t->byte_ids[i] != TKX__NO_ID;
        if (t->byte_ids[i] < first)
            first = t->byte_ids[i];
    }
    return tkx__merges_finish(&t->merges, first == TKX__NO_ID ? 0 : first,
                              !t->falls_back_late, err);
}

/* As tkx_tokenizer_find(), but without a walk over all tokens for a name that is not there.
 */
static int64_t find_added(const tkx_tokenizer *t, const char *name)
{
    const size_t n = strlen(name);
    uint32_t id = tkx__vocab_find(&t->vocab, name, n), index = 0;

    if (id != TKX__NO_ID)
        return id;
    if (tkx__trie_longest(&t->raw_added.trie, (const uint8_t *)name, n, &index) == n)
        return t->raw_added.tokens[index].id;
    return t->normalized_added.n_tokens > 0 ? tkx_tokenizer_find(t, name) : -1;
}

void tkx__build_named_end_ids(tkx_tokenizer *t)
{
    static const char *const names[] = {
        "<|eot_id|>",    "<|im_end|>", "<|end|>",         "<|end_of_text|>",
        "<|endoftext|>", "</s>",       "<|eom_id|>",      "<end_of_turn>",
        "<|return|>",    "<eos>",      "<|end_of_turn|>", "<|EOT|>",
        DEEPSEEK_END};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t id = find_added(t, names[i]);

        if (id >= 0 && (t->vocab.tokens[id].flags & TKX__TOKEN_SPECIAL))
            tkx__tokenizer_add_end_id(t, id);
    }
}
