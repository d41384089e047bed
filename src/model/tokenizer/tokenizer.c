/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer.c - owners, simple facts, and the calls of tkx/tokenizer.h around encoding
 * and decoding.
 */
#include "model/tokenizer/tokenizer.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

static const char bytes_end[] = "<|endoftext|>";

tkx_status tkx__tokenizer_new(tkx_tokenizer **out, tkx_error **err)
{
    tkx_tokenizer *t = tkx__calloc(1, sizeof *t);
    tkx_status st;

    if (!t)
        return tkx__fail_memory(err);
    atomic_init(&t->n_owners, 1);
    t->unk_id = TKX__NO_ID;
    t->unigram.unk_id = TKX__NO_ID;
    t->bos_id = -1;
    memset(t->byte_ids, 0xFF, sizeof t->byte_ids);
    memset(t->unigram.byte_ids, 0xFF, sizeof t->unigram.byte_ids);
    st = tkx__added_init(&t->raw_added, err);
    if (st == TKX_OK)
        st = tkx__added_init(&t->normalized_added, err);
    if (st == TKX_OK && pthread_mutex_init(&t->lock, NULL) != 0)
        st = tkx__fail_memory(err);
    else if (st == TKX_OK)
        t->has_lock = true;
    if (st != TKX_OK) {
        tkx_tokenizer_unref(t);
        return st;
    }
    *out = t;
    return TKX_OK;
}

tkx_tokenizer *tkx_tokenizer_ref(tkx_tokenizer *tokenizer)
{
    atomic_fetch_add_explicit(&tokenizer->n_owners, 1, memory_order_relaxed);
    return tokenizer;
}

void tkx_tokenizer_unref(tkx_tokenizer *tokenizer)
{
    if (!tokenizer ||
        atomic_fetch_sub_explicit(&tokenizer->n_owners, 1, memory_order_acq_rel) != 1)
        return;
    tkx__encoders_free(tokenizer->idle);
    tkx__vocab_clear(&tokenizer->vocab);
    tkx__merges_clear(&tokenizer->merges);
    tkx__unigram_clear(&tokenizer->unigram);
    tkx__added_clear(&tokenizer->raw_added);
    tkx__added_clear(&tokenizer->normalized_added);
    tkx__normalizer_clear(&tokenizer->normalizer);
    tkx__pretok_clear(&tokenizer->pretok);
    tkx__free(tokenizer->chat_template);
    if (tokenizer->has_lock)
        pthread_mutex_destroy(&tokenizer->lock);
    tkx__free(tokenizer);
}

tkx_status tkx__tokenizer_new_bytes(tkx_tokenizer **out, tkx_error **err)
{
    tkx_tokenizer *t;
    tkx_status st = tkx__tokenizer_new(&t, err);

    if (st != TKX_OK)
        return st;
    t->kind = TKX__TOKENIZER_BYTES;
    t->is_byte_level = true;
    t->decoder.is_byte_level = true;
    for (unsigned i = 0; i < 256 && st == TKX_OK; i++) {
        uint8_t byte = (uint8_t)i;

        t->byte_ids[i] = i;
        st = tkx__vocab_set(&t->vocab, i, &byte, 1, 0, err);
    }
    if (st == TKX_OK)
        st = tkx__vocab_set(&t->vocab, 256, bytes_end, strlen(bytes_end),
                            TKX__TOKEN_SPECIAL, err);
    if (st == TKX_OK)
        st = tkx__vocab_index_all(&t->vocab, TKX__TOKEN_DEFINED, 0, err);
    if (st != TKX_OK) {
        tkx_tokenizer_unref(t);
        return st;
    }
    tkx__tokenizer_add_end_id(t, 256);
    *out = t;
    return TKX_OK;
}

/* ---- facts ---- */

size_t tkx_tokenizer_vocab_size(const tkx_tokenizer *tokenizer)
{
    return tokenizer->vocab.n_tokens;
}

int64_t tkx_tokenizer_find(const tkx_tokenizer *tokenizer, const char *text)
{
    const tkx__vocab *vocab = &tokenizer->vocab;
    size_t n = strlen(text);
    uint32_t id = tkx__vocab_find(vocab, text, n);

    if (id != TKX__NO_ID)
        return id;
    for (size_t i = 0; i < vocab->n_tokens; i++) /* added tokens are not indexed */
        if (vocab->tokens[i].size == n && tkx__vocab_has(vocab, i) &&
            (vocab->tokens[i].flags & (TKX__TOKEN_ADDED | TKX__TOKEN_LITERAL)) &&
            memcmp(tkx__vocab_text(vocab, (uint32_t)i), text, n) == 0)
            return (int64_t)i;
    return -1;
}

int64_t tkx_tokenizer_bos_id(const tkx_tokenizer *tokenizer)
{
    return tokenizer->bos_id;
}

const int64_t *tkx_tokenizer_end_ids(const tkx_tokenizer *tokenizer, size_t *n_ids)
{
    *n_ids = tokenizer->n_end_ids;
    return tokenizer->end_ids;
}

void tkx__tokenizer_add_end_id(tkx_tokenizer *tokenizer, int64_t id)
{
    if (id < 0 || tokenizer->n_end_ids == TKX__TOKENIZER_END_IDS)
        return;
    for (size_t i = 0; i < tokenizer->n_end_ids; i++)
        if (tokenizer->end_ids[i] == id)
            return;
    tokenizer->end_ids[tokenizer->n_end_ids++] = id;
}

const char *tkx_tokenizer_chat_template(const tkx_tokenizer *tokenizer)
{
    return tokenizer->chat_template;
}

/* ---- encoding and decoding ---- */

tkx_status tkx_tokenizer_encode(const tkx_tokenizer *tokenizer, const char *text,
                                size_t size_bytes, unsigned flags, int64_t **ids,
                                size_t *n_ids, tkx_error **err)
{
    tkx__ids list = {0};
    int64_t *wide = NULL;
    tkx_status st = tkx__tokenizer_encode(tokenizer, text, size_bytes, flags, &list, err);

    if (st == TKX_OK && list.n > 0) {
        wide = tkx__realloc(NULL, list.n, sizeof *wide);
        if (!wide)
            st = tkx__fail_memory(err);
    }
    if (st == TKX_OK) {
        for (size_t i = 0; i < list.n; i++)
            wide[i] = list.data[i];
        *ids = wide;
        *n_ids = list.n;
    }
    tkx__ids_clear(&list);
    return st;
}

tkx_status tkx_tokenizer_decode(const tkx_tokenizer *tokenizer, const int64_t *ids,
                                size_t n_ids, unsigned flags, char **text,
                                size_t *size_bytes, tkx_error **err)
{
    tkx__decoding d;
    tkx_status st;

    tkx__decoding_init(&d, &tokenizer->decoder, &tokenizer->vocab,
                       (flags & TKX_DECODE_SKIP_SPECIAL) != 0, false);
    tkx__buf_puts(&d.text, ""); /* an empty text is a text too */
    for (size_t i = 0; i < n_ids; i++)
        tkx__decoding_push(&d, ids[i]);
    tkx__decoding_finish(&d);
    st = tkx__decoding_status(&d, err);
    if (st == TKX_OK) {
        *size_bytes = d.text.size;
        *text = d.text.data;
        tkx__buf_init(&d.text, 0); /* moved out */
    }
    tkx__decoding_clear(&d);
    return st;
}

void tkx_tokenizer_free_result(void *result)
{
    tkx__free(result);
}
