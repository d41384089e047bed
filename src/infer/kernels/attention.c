// SPDX-License-Identifier: Apache-2.0
/*
 * attention.c - softmax(q k) v over cache blocks, shared out over the pool.
 *
 * A piece is some tokens against one key/value head.  Every query walks the blocks of
 * absolute positions in ascending order with a running maximum; a block that neighbouring
 * tokens share is decoded once for all of them.  The block in which a window begins is
 * copied without the positions before it, for one token at a time.
 */
#include <string.h>

#include "infer/kernels/work.h"

/* Query heads of one piece at most: their state stays in the second-level cache. */
#define MAX_STATES 64

typedef tkx__attn_job plan;

/* What one piece works with, carved from the thread's scratch. */
typedef struct area {
    tkx__attn_state *states;
    float *q;
    float *acc;
    float *kf; /* [head_dim][32] */
    float *vf; /* [32][padded] */
} area;

static size_t k_bytes(const tkx__kv_shape *s)
{
    return s->n_kv_heads * s->head_dim * TKX__KV_BLOCK * (s->is_f16 ? 2 : 4);
}

size_t tkx__kv_block_size(const tkx__kv_shape *s)
{
    size_t padded = (s->head_dim + 7) / 8 * 8;
    size_t v = s->n_kv_heads * padded * TKX__KV_BLOCK * (s->is_f16 ? 2 : 4);

    return (k_bytes(s) + v + 63) / 64 * 64;
}

static void store_f16(const tkx__kernels *k, const tkx__kv_shape *s, uint8_t *block,
                      size_t slot, const float *key, const float *value)
{
    size_t padded = (s->head_dim + 7) / 8 * 8;
    uint16_t *kb = (uint16_t *)(void *)block;
    uint16_t *vb = (uint16_t *)(void *)(block + k_bytes(s));
    uint16_t half[128];

    for (size_t h = 0; h < s->n_kv_heads; h++) {
        for (size_t d = 0; d < s->head_dim; d += 128) {
            size_t n = s->head_dim - d < 128 ? s->head_dim - d : 128;

            k->f16_pack(key + h * s->head_dim + d, n, half);
            for (size_t i = 0; i < n; i++)
                kb[(h * s->head_dim + d + i) * TKX__KV_BLOCK + slot] = half[i];
        }
        k->f16_pack(value + h * s->head_dim, s->head_dim,
                    vb + (h * TKX__KV_BLOCK + slot) * padded);
    }
}

void tkx__kv_store(const tkx__kernels *k, const tkx__kv_shape *s, void *block,
                   size_t slot, const float *key, const float *value)
{
    size_t padded = (s->head_dim + 7) / 8 * 8;
    float *kb = block;
    float *vb = (float *)(void *)((uint8_t *)block + k_bytes(s));

    if (s->is_f16) {
        store_f16(k, s, block, slot, key, value);
        return;
    }
    for (size_t i = 0; i < s->n_kv_heads * s->head_dim; i++)
        kb[i * TKX__KV_BLOCK + slot] = key[i];
    for (size_t h = 0; h < s->n_kv_heads; h++)
        memcpy(vb + (h * TKX__KV_BLOCK + slot) * padded, value + h * s->head_dim,
               s->head_dim * sizeof *vb);
}

/* ---- one piece ---- */

static area carve(const plan *p, void *scratch)
{
    size_t head_dim = p->args.shape.head_dim;
    area r;
    float *f = scratch;

    r.kf = f;
    r.vf = r.kf + head_dim * TKX__KV_BLOCK;
    r.acc = r.vf + p->padded * TKX__KV_BLOCK;
    r.q = r.acc + MAX_STATES * p->padded;
    r.states = (tkx__attn_state *)(void *)(r.q + MAX_STATES * p->padded);
    return r;
}

static void init_states(const plan *p, const area *r, size_t tok, size_t n_tok,
                        size_t head)
{
    const tkx__attn_args *a = &p->args;
    size_t dim = a->shape.head_dim;

    for (size_t t = 0; t < n_tok; t++) {
        for (size_t h = 0; h < p->heads_of_part; h++) {
            size_t i = t * p->heads_of_part + h;
            const float *q = a->q + (tok + t) * a->q_stride + (head + h) * dim;
            float *scaled = r->q + i * p->padded;

            for (size_t d = 0; d < dim; d++)
                scaled[d] = q[d] * a->scale;
            r->states[i] = (tkx__attn_state){
                .q = scaled, .max = -__builtin_inff(), .acc = r->acc + i * p->padded};
            memset(r->states[i].acc, 0, p->padded * sizeof(float));
        }
    }
}

/* Decode the block's K and V of one head to float32, or point at them. */
static void load_block(const plan *p, const area *r, uint32_t id, size_t kv_head,
                       const float **kf, const float **vf)
{
    const tkx__attn_args *a = &p->args;
    const uint8_t *block = (const uint8_t *)a->kv_base + id * a->block_stride;
    const uint8_t *v = block + k_bytes(&a->shape);
    size_t k_n = a->shape.head_dim * TKX__KV_BLOCK;
    size_t v_n = p->padded * TKX__KV_BLOCK;

    if (!a->shape.is_f16) {
        *kf = (const float *)(const void *)block + kv_head * k_n;
        *vf = (const float *)(const void *)v + kv_head * v_n;
        return;
    }
    p->work->k->f16_unpack((const uint16_t *)(const void *)block + kv_head * k_n, k_n,
                           r->kf);
    p->work->k->f16_unpack((const uint16_t *)(const void *)v + kv_head * v_n, v_n, r->vf);
    *kf = r->kf;
    *vf = r->vf;
}

/* The first position that a token sees. */
static size_t first_seen(const plan *p, const tkx__attn_token *t)
{
    size_t window = p->args.window;

    return window && t->pos >= window ? t->pos + 1 - window : 0;
}

static bool reaches(const plan *p, const tkx__attn_token *t, size_t block)
{
    return t->pos / TKX__KV_BLOCK >= block && first_seen(p, t) / TKX__KV_BLOCK <= block;
}

/* Positions of block b that a token's window begins behind. */
static size_t n_hidden(const plan *p, const tkx__attn_token *t, size_t block)
{
    size_t first = first_seen(p, t);

    return first > block * TKX__KV_BLOCK ? first - block * TKX__KV_BLOCK : 0;
}

/* The block without its first n positions; zeros, which no sum takes up, follow. */
static void drop_first(const plan *p, const area *r, size_t n, const float **kf,
                       const float **vf)
{
    size_t left = TKX__KV_BLOCK - n;

    for (size_t d = 0; d < p->args.shape.head_dim; d++) {
        float *row = r->kf + d * TKX__KV_BLOCK;

        memmove(row, *kf + d * TKX__KV_BLOCK + n, left * sizeof *row);
        memset(row + left, 0, n * sizeof *row);
    }
    memmove(r->vf, *vf + n * p->padded, left * p->padded * sizeof *r->vf);
    memset(r->vf + left * p->padded, 0, n * p->padded * sizeof *r->vf);
    *kf = r->kf;
    *vf = r->vf;
}

/* Tokens first .. first+n-1 of the tile, which all have this block at place b and see it
   from its position `hidden` on. */
static void do_block(const plan *p, const area *r, const tkx__attn_token *tokens,
                     size_t first, size_t n, size_t b, size_t hidden, size_t kv_head)
{
    const float *kf;
    const float *vf;

    load_block(p, r, tokens[first].block_ids[b], kv_head, &kf, &vf);
    if (hidden)
        drop_first(p, r, hidden, &kf, &vf);
    for (size_t t = first; t < first + n; t++) {
        size_t left = tokens[t].pos + 1 - b * TKX__KV_BLOCK;

        if (left > TKX__KV_BLOCK)
            left = TKX__KV_BLOCK;
        for (size_t h = 0; h < p->heads_of_part; h++)
            r->states[t * p->heads_of_part + h].n_valid = left - hidden;
    }
    p->work->k->attn_block(r->states + first * p->heads_of_part, n * p->heads_of_part, kf,
                           vf, p->args.shape.head_dim);
}

/* How many tokens from t on take block b together: those that share it and see the same
   part of it. */
static size_t n_together(const plan *p, const tkx__attn_token *tokens, size_t t,
                         size_t n_tok, size_t b)
{
    size_t hidden = n_hidden(p, &tokens[t], b);
    size_t n = 1;

    while (t + n < n_tok && reaches(p, &tokens[t + n], b) &&
           tokens[t + n].block_ids[b] == tokens[t].block_ids[b] &&
           n_hidden(p, &tokens[t + n], b) == hidden)
        n++;
    return n;
}

static void do_blocks(const plan *p, const area *r, const tkx__attn_token *tokens,
                      size_t n_tok, size_t kv_head)
{
    size_t n_blocks = 0;

    for (size_t t = 0; t < n_tok; t++)
        if (tokens[t].pos / TKX__KV_BLOCK + 1 > n_blocks)
            n_blocks = tokens[t].pos / TKX__KV_BLOCK + 1;
    for (size_t b = 0; b < n_blocks; b++) {
        for (size_t t = 0; t < n_tok;) {
            size_t n = 1;

            if (reaches(p, &tokens[t], b)) {
                n = n_together(p, tokens, t, n_tok, b);
                do_block(p, r, tokens, t, n, b, n_hidden(p, &tokens[t], b), kv_head);
            }
            t += n;
        }
    }
}

static void put_out(const plan *p, const area *r, size_t tok, size_t n_tok, size_t head)
{
    const tkx__attn_args *a = &p->args;
    size_t dim = a->shape.head_dim;

    for (size_t t = 0; t < n_tok; t++) {
        for (size_t h = 0; h < p->heads_of_part; h++) {
            const tkx__attn_state *s = &r->states[t * p->heads_of_part + h];
            const float *v = s->lanes;
            float sum = ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
            float *out = a->out + (tok + t) * a->out_stride + (head + h) * dim;

            for (size_t d = 0; d < dim; d++)
                out[d] = s->acc[d] / sum;
        }
    }
}

static void attention_piece(void *ctx, size_t piece, size_t thread)
{
    const plan *p = ctx;
    const tkx__attn_args *a = &p->args;
    size_t group = a->n_heads / a->shape.n_kv_heads;
    size_t tok = piece / p->n_parts / a->shape.n_kv_heads * p->toks_of_tile;
    size_t kv_head = piece / p->n_parts % a->shape.n_kv_heads;
    size_t head = kv_head * group + piece % p->n_parts * p->heads_of_part;
    size_t n_tok = a->n_tok - tok < p->toks_of_tile ? a->n_tok - tok : p->toks_of_tile;
    area r = carve(p, tkx__work_scratch(p->work, thread));

    init_states(p, &r, tok, n_tok, head);
    do_blocks(p, &r, a->tokens + tok, n_tok, kv_head);
    put_out(p, &r, tok, n_tok, head);
}

tkx__phase tkx__attention_phase(tkx__attn_job *p)
{
    const tkx__attn_args *a = &p->args;
    size_t group = a->n_heads / a->shape.n_kv_heads;
    size_t n_tiles;

    p->padded = (a->shape.head_dim + 7) / 8 * 8;
    /* more pieces than kv heads only where threads would stand idle */
    p->n_parts = 1;
    p->heads_of_part = group;
    while (p->heads_of_part > MAX_STATES || (p->n_parts * a->shape.n_kv_heads * a->n_tok <
                                                 tkx__threads_count(p->work->pool) &&
                                             p->heads_of_part > 1)) {
        p->n_parts++;
        while (group % p->n_parts)
            p->n_parts++;
        p->heads_of_part = group / p->n_parts;
    }
    p->toks_of_tile = MAX_STATES / p->heads_of_part;
    n_tiles = (a->n_tok + p->toks_of_tile - 1) / p->toks_of_tile;
    return (tkx__phase){.fn = attention_piece,
                        .ctx = p,
                        .n_pieces = n_tiles * a->shape.n_kv_heads * p->n_parts};
}

void tkx__attention(tkx__work *work, const tkx__attn_args *args)
{
    tkx__attn_job job = {.work = work, .args = *args};
    tkx__phase phase = tkx__attention_phase(&job);

    tkx__threads_run_phases(work->pool, &phase, 1);
}
