// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_panel.c - quantised weights against several tokens.
 *
 * 16 rows are unpacked to bytes in the order that the multiplication wants: 4 columns of
 * 8 rows to a register, so that one broadcast of 4 activations meets 8 rows and the sums
 * of a row stay in its lane: no sums across lanes.  Unpacking is shared by all tokens.
 * Pairs are summed in 16 bits as long as the type's range allows:
 *   4 bits: 8 * 2 * 15 * 127 = 30,480    Q5_K: 4 * 2 * 31 * 127 = 31,496
 * The sums of Q5_0, Q5_1 and Q6_K begin with what makes them those of signed weights
 * (table.h, start), so that a whole block or sub-block fits.
 */
#include <string.h>

#include "infer/kernels/avx2_strip.h"

#define ROWS TKX__PANEL_ROWS

typedef tkx__panel_group group;

/* ---- multiplying ---- */

/* The sums of 2 x 8 rows for each token: what earlier columns left, or nothing. */
TKX__INLINE void load_out(const group *g, int n_tok, size_t first, __m256 y[4][2])
{
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            y[t][r] = first ? _mm256_loadu_ps(g->out[t] + 8 * r) : _mm256_setzero_ps();
}

TKX__INLINE void store_out(const group *g, int n_tok, __m256 y[4][2])
{
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            _mm256_storeu_ps(g->out[t] + 8 * r, y[t][r]);
}

/* Adds 4 columns of 2 x 8 rows times each token's 4 activations from column `at` on. */
TKX__INLINE void add_step(const uint8_t w[2][32], const group *g, size_t at, int n_tok,
                          __m256i acc[4][2])
{
    __m256i w0 = _mm256_load_si256((const __m256i *)(const void *)w[0]);
    __m256i w1 = _mm256_load_si256((const __m256i *)(const void *)w[1]);

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        __m256i x = broadcast4(g->q[t] + at);

        acc[t][0] = _mm256_add_epi16(acc[t][0], _mm256_maddubs_epi16(w0, x));
        acc[t][1] = _mm256_add_epi16(acc[t][1], _mm256_maddubs_epi16(w1, x));
        TKX__KEEP(acc[t][0]);
        TKX__KEEP(acc[t][1]);
    }
}

/* One block of 32: integers of 2 x 8 rows for each token. */
TKX__INLINE void dot32(const panel32 *p, const group *g, size_t b, int n_tok,
                       bool is_5bit, __m256i dot[4][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[4][2];

    for (int t = 0; t < n_tok; t++)
        acc[t][0] = acc[t][1] =
            is_5bit ? broadcast4(g->start[t] + 4 * b) : _mm256_setzero_si256();
    TKX__UNROLL
    for (int s = 0; s < 8; s++)
        add_step(p->q[s], g, b * 32 + (size_t)s * 4, n_tok, acc);
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            dot[t][r] = _mm256_madd_epi16(acc[t][r], ones);
}

TKX__INLINE void micro32(const panel32 *p, size_t first, size_t n_blocks, const group *g,
                         int n_tok, bool is_5bit, bool has_min)
{
    __m256 y[4][2];

    load_out(g, n_tok, first, y);
    for (size_t b = first; b < first + n_blocks; b++, p++) {
        __m256i dot[4][2];

        dot32(p, g, b, n_tok, is_5bit, dot);
        for (int t = 0; t < n_tok; t++) {
            __m256 d = _mm256_broadcast_ss(g->d[t] + b);
            __m256i sum = broadcast4(g->sum[t] + 4 * b);

            for (int r = 0; r < 2; r++) {
                __m256i i = strip32_offset(is_5bit, has_min, dot[t][r], sum);

                y[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->d[r]), d),
                                          _mm256_cvtepi32_ps(i), y[t][r]);
                if (has_min)
                    y[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->m[r]), d),
                                              _mm256_cvtepi32_ps(sum), y[t][r]);
            }
        }
    }
    store_out(g, n_tok, y);
}

/* Adds sub-block `j` of sub_steps * 4 columns, scaled, to dot. */
TKX__INLINE void dot_sub(const panel256 *p, const group *g, size_t b, size_t j, int n_tok,
                         int sub_steps, int steps, bool starts, __m256i dot[4][2])
{
    __m256i s0 = _mm256_load_si256((const __m256i *)(const void *)p->scale[j][0]);
    __m256i s1 = _mm256_load_si256((const __m256i *)(const void *)p->scale[j][1]);

    TKX__UNROLL
    for (int first = 0; first < sub_steps; first += steps) {
        __m256i acc[4][2];

        for (int t = 0; t < n_tok; t++)
            acc[t][0] = acc[t][1] = starts ? broadcast4(g->start[t] + 64 * b + 4 * j)
                                           : _mm256_setzero_si256();
        TKX__UNROLL
        for (int i = first; i < first + steps; i++) {
            size_t s = j * (size_t)sub_steps + (size_t)i;

            add_step(p->q[s], g, b * 256 + s * 4, n_tok, acc);
        }
        for (int t = 0; t < n_tok; t++) {
            dot[t][0] = _mm256_add_epi32(dot[t][0], _mm256_madd_epi16(acc[t][0], s0));
            dot[t][1] = _mm256_add_epi32(dot[t][1], _mm256_madd_epi16(acc[t][1], s1));
        }
    }
}

TKX__INLINE __m256i dot_pairs(const panel256 *p, const uint8_t *sums, int r, int n)
{
    __m256i acc = _mm256_setzero_si256();

    for (int j = 0; j < n; j++)
        acc = _mm256_add_epi32(
            acc, _mm256_madd_epi16(
                     _mm256_load_si256((const __m256i *)(const void *)p->pair[j][r]),
                     broadcast4(sums + 4 * j)));
    return acc;
}

TKX__INLINE void micro256(const panel256 *p, size_t first, size_t n_blocks,
                          const group *g, int n_tok, int sub_steps, int steps,
                          int offset_bits, bool has_min)
{
    __m256 y[4][2];
    int n_sub = 64 / sub_steps;
    bool starts = !offset_bits && !has_min; /* Q6_K */

    load_out(g, n_tok, first, y);
    for (size_t b = first; b < first + n_blocks; b++, p++) {
        __m256i dot[4][2];

        for (int t = 0; t < n_tok; t++)
            dot[t][0] = dot[t][1] = _mm256_setzero_si256();
        for (int j = 0; j < n_sub; j++)
            dot_sub(p, g, b, (size_t)j, n_tok, sub_steps, steps, starts, dot);
        for (int t = 0; t < n_tok; t++) {
            __m256 d = _mm256_broadcast_ss(g->d[t] + b);
            const uint8_t *sums =
                sub_steps == 8 ? g->sum32[t] + b * 16 : g->sum[t] + b * 32;

            for (int r = 0; r < 2; r++) {
                __m256i i = dot[t][r];
                __m256i pairs = dot_pairs(p, sums, r, n_sub / 2);

                if (offset_bits)
                    i = _mm256_sub_epi32(i, _mm256_slli_epi32(pairs, offset_bits));
                y[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->d[r]), d),
                                          _mm256_cvtepi32_ps(i), y[t][r]);
                if (has_min)
                    y[t][r] = _mm256_fnmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->m[r]), d),
                                               _mm256_cvtepi32_ps(pairs), y[t][r]);
            }
        }
    }
    store_out(g, n_tok, y);
}

/* ---- Q8_0 ---- */

/* Adds step s: the sign goes to x by an exclusive or, which any of the CPU's pipes does. */
TKX__INLINE void add_step8(const panel8 *p, const group *g, size_t b, int s, int n_tok,
                           __m256i dot[4][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i size[2];
    __m256i sign[2];

    TKX__UNROLL
    for (int r = 0; r < 2; r++) {
        size[r] = load256(p->size[s][r]);
        sign[r] = load256(p->sign[s][r]);
        TKX__KEEP(size[r]);
        TKX__KEEP(sign[r]);
    }
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        __m256i x = broadcast4(g->q[t] + b * 32 + s * 4);

        TKX__UNROLL
        for (int r = 0; r < 2; r++) {
            __m256i v = _mm256_maddubs_epi16(size[r], _mm256_xor_si256(x, sign[r]));

            dot[t][r] = _mm256_add_epi32(dot[t][r], _mm256_madd_epi16(v, ones));
            TKX__KEEP(dot[t][r]);
        }
    }
}

/* Two 8-bit signed numbers have no room for more than a pair in 16 bits. */
TKX__INLINE void micro8(const panel8 *p, size_t first, size_t n_blocks, const group *g,
                        int n_tok)
{
    __m256 y[4][2];

    load_out(g, n_tok, first, y);
    for (size_t b = first; b < first + n_blocks; b++, p++) {
        __m256i dot[4][2];

        for (int t = 0; t < n_tok; t++)
            for (int r = 0; r < 2; r++)
                dot[t][r] = load256(p->carry[r]);
        TKX__UNROLL
        for (int s = 0; s < 8; s++)
            add_step8(p, g, b, s, n_tok, dot);
        for (int t = 0; t < n_tok; t++) {
            __m256 d = _mm256_broadcast_ss(g->d[t] + b);

            for (int r = 0; r < 2; r++)
                y[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->d[r]), d),
                                          _mm256_cvtepi32_ps(dot[t][r]), y[t][r]);
        }
    }
    store_out(g, n_tok, y);
}

/* ---- one type, one chunk of columns ---- */

/* N, the number of tokens, is a constant in each CALL. */
#define PANEL_FN(NAME, CALL)                                                             \
    static void micro_##NAME(const void *panel, size_t first, size_t n, const group *g,  \
                             size_t n_tok)                                               \
    {                                                                                    \
        if (n_tok == 4) {                                                                \
            enum { N = 4 };                                                              \
            CALL;                                                                        \
        } else if (n_tok == 3) {                                                         \
            enum { N = 3 };                                                              \
            CALL;                                                                        \
        } else if (n_tok == 2) {                                                         \
            enum { N = 2 };                                                              \
            CALL;                                                                        \
        } else {                                                                         \
            enum { N = 1 };                                                              \
            CALL;                                                                        \
        }                                                                                \
    }

PANEL_FN(q4_0, micro32(panel, first, n, g, N, false, false))
PANEL_FN(q4_1, micro32(panel, first, n, g, N, false, true))
PANEL_FN(q5_0, micro32(panel, first, n, g, N, true, false))
PANEL_FN(q5_1, micro32(panel, first, n, g, N, true, true))
PANEL_FN(q2_k, micro256(panel, first, n, g, N, 4, 4, 0, true))
PANEL_FN(q3_k, micro256(panel, first, n, g, N, 4, 4, 2, false))
PANEL_FN(q4_k, micro256(panel, first, n, g, N, 8, 8, 0, true))
PANEL_FN(q5_k, micro256(panel, first, n, g, N, 8, 4, 0, true))
PANEL_FN(q6_k, micro256(panel, first, n, g, N, 4, 4, 0, false))
PANEL_FN(q8_0, micro8(panel, first, n, g, N))

static tkx__micro_fn *find_micro(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
        return micro_q4_0;
    case TKX__W_Q4_1:
        return micro_q4_1;
    case TKX__W_Q5_0:
        return micro_q5_0;
    case TKX__W_Q5_1:
        return micro_q5_1;
    case TKX__W_Q2_K:
        return micro_q2_k;
    case TKX__W_Q3_K:
        return micro_q3_k;
    case TKX__W_Q4_K:
        return micro_q4_k;
    case TKX__W_Q5_K:
        return micro_q5_k;
    case TKX__W_Q6_K:
        return micro_q6_k;
    default:
        return micro_q8_0;
    }
}

/* Tokens tok .. tok + n_tok - 1. */
static void make_group(const tkx__tile *t, size_t tok, size_t n_tok, size_t block,
                       group *g)
{
    tkx__act_form form = block == 32 ? TKX__ACT_Q8_32 : TKX__ACT_Q8_256;

    for (size_t i = 0; i < n_tok; i++) {
        const uint8_t *act = tkx__tile_act(t, tok + i);

        g->q[i] = (const int8_t *)act;
        g->d[i] = (const float *)(const void *)(act + tkx__act_d_offset(t->n_cols));
        g->sum[i] = act + tkx__act_sum_offset(form, t->n_cols);
        g->sum32[i] = block == 32 ? NULL : act + tkx__act_sum32_offset(t->n_cols);
        g->start[i] = act + tkx__act_start_offset(form, t->n_cols);
    }
}

/* ---- the tile ---- */

/* Where the two strips of rows r0 .. r0 + 15 begin, columns from block `block` on. */
typedef struct strips16 {
    const uint8_t *at[2];
} strips16;

/*
 * As stored, or brought into that order in room (16 rows of n_blocks blocks).  Short of
 * rows, the last one stands in again.
 */
static strips16 find_strips(const tkx__tile *t, size_t r0, size_t first, size_t n_blocks,
                            uint8_t *room)
{
    size_t size = tkx__wtype_block_size(t->type);
    strips16 s;

    for (size_t half = 0; half < 2; half++) {
        const uint8_t *rows[TKX__STRIP_ROWS];
        size_t row = r0 + half * TKX__STRIP_ROWS;

        if (t->is_packed) {
            if (row >= t->n_rows)
                row = r0;
            s.at[half] = t->w + row * t->row_size + first * size * TKX__STRIP_ROWS;
            continue;
        }
        for (size_t r = 0; r < TKX__STRIP_ROWS; r++)
            rows[r] = t->w +
                      (row + r < t->n_rows ? row + r : t->n_rows - 1) * t->row_size +
                      first * size;
        s.at[half] = room + half * TKX__STRIP_ROWS * n_blocks * size;
        tkx__avx2_pack(t->type, rows, n_blocks,
                       room + half * TKX__STRIP_ROWS * n_blocks * size);
    }
    return s;
}

/*
 * Share i of n_shares of the chunk after this one, of n blocks at block b: spread over
 * the groups, since nobody fetches ahead while a panel is multiplied.
 */
static void fetch_next(const tkx__tile *t, const strips16 *s, size_t b, size_t n,
                       size_t i, size_t n_shares)
{
    size_t n_blocks = t->n_cols / tkx__wtype_block_cols(t->type);
    size_t size = tkx__wtype_block_size(t->type) * TKX__STRIP_ROWS;
    /* behind a strip stands the other one: on to the next pair */
    size_t ahead = (b + n < n_blocks ? n : n + n_blocks) * size;
    size_t lines = n * size / 64;

    for (size_t l = lines * i / n_shares; l < lines * (i + 1) / n_shares; l++) {
        __builtin_prefetch(s->at[0] + ahead + l * 64, 0, 2);
        __builtin_prefetch(s->at[1] + ahead + l * 64, 0, 2);
    }
}

/* Columns of a chunk: a panel of about 20 KiB. */
static size_t chunk_of(tkx__wtype type)
{
    return type == TKX__W_Q8_0 ? 512 : 1024;
}

/* What a tile is worked on with; in the thread's scratch. */
typedef struct desk {
    group groups[TKX__TILE_TOKENS / TKX__STRIP_TOKENS];
    float out[TKX__TILE_TOKENS * ROWS];
    uint8_t room[TKX__STRIP_ROOM];
    panel256 panel[4]; /* or panel32[32], panel8[16]; larger than those */
} desk;

_Static_assert(sizeof(desk) <= TKX__TILE_SCRATCH, "a tile's desk fits its scratch");
_Static_assert(sizeof(panel256) * 4 >= sizeof(panel32) * 32, "1024 columns");
_Static_assert(sizeof(panel256) * 4 >= sizeof(panel8) * 16, "512 columns");

/* All groups of the tile; returns how many. */
static size_t make_groups(const tkx__tile *t, size_t at_once, desk *k)
{
    size_t block = tkx__wtype_block_cols(t->type);
    size_t n = 0;

    for (size_t tok = 0; tok < t->n_tok; tok += at_once, n++) {
        make_group(t, tok, t->n_tok - tok < at_once ? t->n_tok - tok : at_once, block,
                   &k->groups[n]);
        k->groups[n].is_first = n == 0;
    }
    return n;
}

/*
 * Sums of rows r0 .. r0 + 15 go where they belong, unless there are fewer rows: then they
 * pass through the desk.
 */
static void aim_groups(const tkx__tile *t, size_t r0, size_t at_once, desk *k)
{
    bool is_whole = t->n_rows - r0 >= ROWS;

    for (size_t tok = 0; tok < t->n_tok; tok++)
        k->groups[tok / at_once].out[tok % at_once] =
            is_whole ? t->out + tok * t->out_stride + r0 : k->out + tok * ROWS;
}

static void put_rest(const tkx__tile *t, size_t r0, const desk *k)
{
    if (t->n_rows - r0 >= ROWS)
        return;
    for (size_t tok = 0; tok < t->n_tok; tok++)
        memcpy(t->out + tok * t->out_stride + r0, k->out + tok * ROWS,
               (t->n_rows - r0) * sizeof *k->out);
}

static size_t group_size(const tkx__tile *t, size_t at_once, size_t i)
{
    size_t left = t->n_tok - i * at_once;

    return left < at_once ? left : at_once;
}

/* Many tokens: the strips are unpacked to a panel once for all. */
void tkx__panel_tile(const tkx__tile *t, tkx__micro_fn *micro, size_t at_once)
{
    tkx__unpack_fn *unpack = tkx__avx2_unpacker(t->type);
    size_t block = tkx__wtype_block_cols(t->type);
    size_t n_blocks = t->n_cols / block;
    size_t chunk = chunk_of(t->type) / block;
    desk *k = t->scratch;
    size_t n_groups = make_groups(t, at_once, k);

    for (size_t r0 = 0; r0 < t->n_rows; r0 += ROWS) {
        aim_groups(t, r0, at_once, k);
        for (size_t b = 0; b < n_blocks; b += chunk) {
            size_t n = n_blocks - b < chunk ? n_blocks - b : chunk;
            strips16 s = find_strips(t, r0, b, n, k->room);

            unpack(s.at, n, k->panel);
            for (size_t i = 0; i < n_groups; i++) {
                if (t->is_packed)
                    fetch_next(t, &s, b, n, i, n_groups);
                micro(k->panel, b, n, &k->groups[i], group_size(t, at_once, i));
            }
        }
        put_rest(t, r0, k);
    }
}

/* Pages of a mapped file come with the first touch; until then nothing is fetched ahead. */
static void touch_pages(const tkx__tile *t)
{
    for (size_t at = 0; at < t->n_rows * t->row_size; at += 4096)
        (void)*(const volatile uint8_t *)(t->w + at);
}

/* Few tokens: straight from the strips. */
static void strip_tile(const tkx__tile *t)
{
    size_t block = tkx__wtype_block_cols(t->type);
    size_t n_blocks = t->n_cols / block;
    size_t chunk = t->is_packed ? n_blocks : chunk_of(t->type) / block;
    tkx__strip_fn *fn =
        block == 32 ? tkx__avx2_strip32(t->type) : tkx__avx2_strip256(t->type);
    desk *k = t->scratch;
    size_t n_groups = make_groups(t, TKX__STRIP_TOKENS, k);

    if (!t->is_packed)
        touch_pages(t);
    for (size_t r0 = 0; r0 < t->n_rows; r0 += ROWS) {
        aim_groups(t, r0, TKX__STRIP_TOKENS, k);
        for (size_t b = 0; b < n_blocks; b += chunk) {
            size_t n = n_blocks - b < chunk ? n_blocks - b : chunk;
            strips16 s = find_strips(t, r0, b, n, k->room);

            for (size_t i = 0; i < n_groups; i++)
                fn(s.at, b, n, &k->groups[i], group_size(t, TKX__STRIP_TOKENS, i));
        }
        put_rest(t, r0, k);
    }
}

/* From this many tokens on, unpacking once pays: the more operations unpacking takes, the
   earlier. */
static size_t panel_tokens(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
    case TKX__W_Q4_1:
    case TKX__W_Q8_0:
        return 24;
    case TKX__W_Q5_0:
    case TKX__W_Q5_1:
    case TKX__W_Q4_K:
        return 14;
    default:
        return 9;
    }
}

void tkx__avx2_panel_q(const tkx__tile *t)
{
    if (t->n_tok < panel_tokens(t->type))
        strip_tile(t);
    else
        tkx__panel_tile(t, find_micro(t->type), TKX__STRIP_TOKENS);
}
