/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.c - tkx-bench codec: encoding and decoding, JSON and protobuf, for 128 datums x
 * 2,048 tokens with targets, weights and logprobs.  Each line: MB/s of CPU time in the
 * best round, heap allocations and the most bytes held at once in the worst one, beyond
 * the caller's arrays and what is handed in; ratio to memcpy (or to zstd alone); what was
 * aimed at, and whether it was met.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include <tkx/memory.h>

#include "batch.h"
#include "bench.h"
#include "types/forward_backward.h"
#include "types/forward_backward_output.h"
#include "types/sample_response.h"

enum { ROUNDS = 12, SLICE = 64 * 1024 };

typedef struct work {
    batch *b;
    tkx__buf json; /* scratch, kept between rounds */
    char *slice;   /* SLICE bytes */
    char *proto;   /* the whole protobuf body */
    size_t n_proto;
    char *zstd;
    size_t n_zstd;
    char *result_json;
    size_t n_result_json;
    char *result_proto;
    size_t n_result_proto;
    char *sample_proto;
    size_t n_sample_proto;
} work;

/* Allocations of the library, sizes kept in front of each block. */
static size_t n_allocs;
static size_t n_live;
static size_t n_peak;

static void *count_realloc(void *ptr, size_t size, void *user_data)
{
    size_t *old = ptr ? (size_t *)ptr - 2 : NULL;
    size_t before = old ? old[0] : 0;
    size_t *block = realloc(old, size + 2 * sizeof *block);

    (void)user_data;
    if (!block)
        return NULL;
    n_allocs++;
    n_live += size - before;
    n_peak = n_live > n_peak ? n_live : n_peak;
    block[0] = size;
    return block + 2;
}

static void *count_malloc(size_t size, void *user_data)
{
    return count_realloc(NULL, size, user_data);
}

static void count_free(void *ptr, void *user_data)
{
    (void)user_data;
    if (!ptr)
        return;
    n_live -= ((size_t *)ptr - 2)[0];
    free((size_t *)ptr - 2);
}

static size_t encode_json(work *w)
{
    tkx__buf_reset(&w->json);
    if (tkx__forward_backward_encode_json(&w->b->request, false, &w->json, NULL) !=
        TKX_OK)
        return 0;
    return w->json.size;
}

/* As the transport does: slice by slice from the arrays. */
static size_t encode_proto(work *w)
{
    tkx__forward_backward_body *body;
    size_t done = 0;
    ssize_t n;

    if (tkx__forward_backward_body_new(&w->b->request, &body, NULL) != TKX_OK)
        return 0;
    while ((n = tkx__forward_backward_body_read(body, done, w->slice, SLICE)) > 0)
        done += (size_t)n;
    tkx__forward_backward_body_free(body);
    return done;
}

static size_t encode_zstd(work *w)
{
    tkx__forward_backward_body *body;
    tkx__buf out;
    size_t n;

    tkx__buf_init(&out, SIZE_MAX);
    if (tkx__forward_backward_body_new(&w->b->request, &body, NULL) != TKX_OK)
        return 0;
    if (tkx__forward_backward_body_compress(body, &out, NULL) != TKX_OK)
        out.size = 0;
    n = out.size ? tkx__forward_backward_body_size(body) : 0;
    tkx__buf_clear(&out);
    tkx__forward_backward_body_free(body);
    return n;
}

static size_t zstd_alone(work *w)
{
    size_t n =
        ZSTD_compress(w->zstd, w->n_zstd, w->proto, w->n_proto, ZSTD_CLEVEL_DEFAULT);

    return ZSTD_isError(n) ? 0 : w->n_proto;
}

static size_t decode_json(work *w)
{
    tkx_forward_backward_output *out;

    if (tkx__forward_backward_output_decode_json(w->result_json, w->n_result_json, &out,
                                                 NULL) != TKX_OK)
        return 0;
    tkx_forward_backward_output_free(out);
    return w->n_result_json;
}

static size_t decode_proto(work *w)
{
    tkx_forward_backward_output *out;

    if (tkx__forward_backward_output_decode_proto(w->result_proto, w->n_result_proto,
                                                  &out, NULL) != TKX_OK)
        return 0;
    tkx_forward_backward_output_free(out);
    return w->n_result_proto;
}

static size_t decode_sample(work *w)
{
    tkx_sample_response *out;

    if (tkx__sample_response_decode_proto(w->sample_proto, w->n_sample_proto, &out,
                                          NULL) != TKX_OK)
        return 0;
    tkx_sample_response_free(out);
    return w->n_sample_proto;
}

static char *put_varint(char *to, size_t v)
{
    for (; v >= 0x80; v >>= 7)
        *to++ = (char)(v | 0x80);
    *to++ = (char)v;
    return to;
}

static size_t varint_size(size_t v)
{
    char scratch[10];

    return (size_t)(put_varint(scratch, v) - scratch);
}

/* One record, the field logprobs for every datum, as a server batches them. */
static int make_result_proto(work *w)
{
    size_t n_data = (size_t)BATCH_DATUMS * BATCH_TOKENS * sizeof(float);
    size_t n_offsets = (BATCH_DATUMS + 1) * sizeof(int64_t);
    size_t batched =
        1 + varint_size(n_data) + n_data + 1 + varint_size(n_offsets) + n_offsets + 2;
    size_t entry = 10 + 1 + varint_size(batched) + batched;
    size_t record = 1 + varint_size(entry) + entry + 1 + varint_size(BATCH_DATUMS);
    char *to = malloc(record + 16);

    if (!to)
        return 0;
    w->result_proto = to;
    *to++ = 0x12;
    to = put_varint(to, record);
    *to++ = 0x12;
    to = put_varint(to, entry);
    memcpy(to, "\x0a\x08logprobs\x12", 11);
    to = put_varint(to + 11, batched);
    *to++ = 0x0a;
    to = put_varint(to, n_data);
    memcpy(to, w->b->logprobs, n_data);
    to += n_data;
    *to++ = 0x12;
    to = put_varint(to, n_offsets);
    for (int64_t i = 0; i <= BATCH_DATUMS; i++, to += sizeof(int64_t))
        memcpy(to, &(int64_t){i * BATCH_TOKENS * (int64_t)sizeof(float)},
               sizeof(int64_t));
    memcpy(to, "\x18\x01\x18", 3);
    to = put_varint(to + 3, BATCH_DATUMS);
    w->n_result_proto = (size_t)(to - w->result_proto);
    return 1;
}

/* As many sequences as datums, each with as many tokens and their logprobs. */
static int make_sample_proto(work *w)
{
    size_t n = BATCH_TOKENS * sizeof(float); /* of tokens, and of logprobs */
    size_t sequence = 2 * (1 + varint_size(n) + n);
    char *to = malloc(BATCH_DATUMS * (sequence + 16));

    if (!to)
        return 0;
    w->sample_proto = to;
    for (size_t i = 0; i < BATCH_DATUMS; i++) {
        *to++ = 0x0a;
        to = put_varint(to, sequence);
        *to++ = 0x12;
        to = put_varint(to, n);
        memcpy(to, w->b->tokens + i * BATCH_TOKENS, n);
        to += n;
        *to++ = 0x1a;
        to = put_varint(to, n);
        memcpy(to, w->b->logprobs + i * BATCH_TOKENS, n);
        to += n;
    }
    w->n_sample_proto = (size_t)(to - w->sample_proto);
    return 1;
}

static int make_result_json(work *w)
{
    size_t room = (size_t)BATCH_DATUMS * BATCH_TOKENS * 24 + 65536;
    char *to = malloc(room);
    size_t n = 0;

    if (!to)
        return 0;
    n += (size_t)snprintf(
        to + n, room - n,
        "{\"loss_fn_output_type\":\"ArrayRecord\",\"loss_fn_outputs\":[");
    for (size_t i = 0; i < BATCH_DATUMS; i++) {
        n += (size_t)snprintf(to + n, room - n, "%s{\"logprobs\":{\"data\":[",
                              i ? "," : "");
        for (size_t k = 0; k < BATCH_TOKENS; k++)
            n += (size_t)snprintf(to + n, room - n, "%s%.17g", k ? "," : "",
                                  (double)w->b->logprobs[i * BATCH_TOKENS + k]);
        n += (size_t)snprintf(to + n, room - n,
                              "],\"dtype\":\"float32\",\"shape\":[%d]}}", BATCH_TOKENS);
    }
    n += (size_t)snprintf(to + n, room - n, "],\"metrics\":{\"loss:sum\":1.5}}");
    w->result_json = to;
    w->n_result_json = n;
    return 1;
}

static int set_up(work *w)
{
    tkx__forward_backward_body *body;

    w->b = batch_new(1);
    w->slice = malloc(SLICE);
    tkx__buf_init(&w->json, SIZE_MAX);
    if (!w->b || !w->slice || !make_result_proto(w) || !make_sample_proto(w) ||
        !make_result_json(w))
        return 0;
    if (tkx__forward_backward_body_new(&w->b->request, &body, NULL) != TKX_OK)
        return 0;
    w->n_proto = tkx__forward_backward_body_size(body);
    w->proto = malloc(w->n_proto);
    w->n_zstd = ZSTD_compressBound(w->n_proto);
    w->zstd = malloc(w->n_zstd);
    if (w->proto)
        tkx__forward_backward_body_read(body, 0, w->proto, w->n_proto);
    tkx__forward_backward_body_free(body);
    return w->proto && w->zstd;
}

static void tear_down(work *w)
{
    tkx__buf_clear(&w->json);
    batch_free(w->b);
    free(w->slice);
    free(w->proto);
    free(w->zstd);
    free(w->result_json);
    free(w->result_proto);
    free(w->sample_proto);
}

typedef struct measure {
    const char *name;
    size_t (*run)(work *w);
    /* what is aimed at; 0: nothing */
    double least_mb_s;
    double least_ratio;
    size_t most_allocs;
    size_t most_held;
    /* what came out */
    size_t bytes;
    double mb_s;
    double ratio;
    size_t allocs;
    size_t peak;
} measure;

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static int measure_one(work *w, measure *m)
{
    tkx__buf_clear(&w->json); /* the first round pays for all of it */
    tkx__buf_init(&w->json, SIZE_MAX);
    for (int i = 0; i < ROUNDS; i++) {
        size_t live = n_live;
        double start = bench_cpu_seconds();
        double rate;

        n_allocs = 0;
        n_peak = n_live;
        m->bytes = m->run(w);
        if (!m->bytes)
            return 0;
        rate = (double)m->bytes / (bench_cpu_seconds() - start) / 1e6;
        m->mb_s = rate > m->mb_s ? rate : m->mb_s;
        m->allocs = larger(m->allocs, n_allocs);
        m->peak = larger(m->peak, n_peak - live);
    }
    return 1;
}

static int is_met(const measure *m)
{
    return m->mb_s >= m->least_mb_s && m->ratio >= m->least_ratio &&
           (!m->most_allocs || m->allocs <= m->most_allocs) &&
           (!m->most_held || m->peak <= m->most_held);
}

static void print_aims(const measure *m)
{
    if (m->least_mb_s <= 0 && m->least_ratio <= 0 && !m->most_allocs && !m->most_held)
        return;
    printf("  %s:", is_met(m) ? "met" : "MISSED");
    if (m->least_mb_s > 0)
        printf(" >= %.0f MB/s", m->least_mb_s);
    if (m->least_ratio > 0)
        printf(" ratio >= %.3f", m->least_ratio);
    if (m->most_allocs)
        printf(" <= %zu allocations", m->most_allocs);
    if (m->most_held)
        printf(" <= %zu bytes held", m->most_held);
}

static void print_one(const measure *m, const char *of, int is_json)
{
    if (is_json) {
        printf(
            "{\"name\": \"%s\", \"bytes\": %zu, \"mb_s\": %.1f, \"allocations\": %zu, "
            "\"peak_bytes\": %zu, \"ratio\": %.4f, \"ratio_of\": \"%s\", \"met\": %s}\n",
            m->name, m->bytes, m->mb_s, m->allocs, m->peak, m->ratio, of,
            is_met(m) ? "true" : "false");
        return;
    }
    printf("%-13s %9zu bytes %9.1f MB/s %4zu allocations %9zu bytes held  %.4f of %s",
           m->name, m->bytes, m->mb_s, m->allocs, m->peak, m->ratio, of);
    print_aims(m);
    putchar('\n');
}

int bench_codec(int argc, char **argv)
{
    static const tkx_allocator counting = {sizeof counting, count_malloc, count_realloc,
                                           count_free, NULL};
    /* zstd may take 1.1 times as long as alone */
    measure all[] = {
        {.name = "json encode", .run = encode_json, .most_allocs = 10},
        {.name = "json decode", .run = decode_json, .least_mb_s = 500, .most_allocs = 10},
        {.name = "proto encode",
         .run = encode_proto,
         .least_ratio = 0.5,
         .most_allocs = 10,
         .most_held = (size_t)2 << 20},
        {.name = "proto decode",
         .run = decode_proto,
         .least_mb_s = 500,
         .most_allocs = 10},
        {.name = "sample decode",
         .run = decode_sample,
         .least_mb_s = 500,
         .most_allocs = 10},
        {.name = "zstd alone", .run = zstd_alone},
        {.name = "proto+zstd",
         .run = encode_zstd,
         .least_ratio = 1 / 1.1,
         .most_allocs = 10},
    };
    const size_t n = sizeof all / sizeof *all;
    int is_json = argc > 1 && strcmp(argv[1], "--json") == 0;
    int status = 1;
    double copy;
    work w = {0};

    if (tkx_set_allocator(&counting) != TKX_OK || !set_up(&w))
        goto done;
    copy = bench_memcpy_mb_s(w.n_proto);
    for (size_t i = 0; i < n; i++) {
        int is_last = i == n - 1;

        if (!measure_one(&w, &all[i])) {
            fprintf(stderr, "tkx-bench codec: %s failed\n", all[i].name);
            goto done;
        }
        all[i].ratio = all[i].mb_s / (is_last ? all[i - 1].mb_s : copy);
        print_one(&all[i], is_last ? "zstd alone" : "memcpy", is_json);
    }
    status = 0;
done:
    tear_down(&w);
    tkx_set_allocator(NULL);
    return status;
}
