/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - tkx-bench engine: speed of the local engine, as JSON lines.
 *
 *   ppN         a prompt of N tokens into an empty context
 *   tgN         N steps of one sequence from an empty context
 *   tgNxB@P     N steps of B sequences that share a prompt of P tokens
 *   firstN      from the start of the program to the first token of N
 *   load        open the model, make a context of 512
 *   tok:FILE    encode a file, one thread
 *   roof        memory and arithmetic limits of the machine
 *
 * After prefill and decode tests a line without "test" says how the best samples compare
 * with the limits measured in the same run.  Token i of every test is a fixed function of
 * i, so that all engines do equal work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>
#include <unistd.h>

#include <tkx/tokenizer.h>

#include "bench.h"
#include "infer/adapter.h"
#include "infer/graph.h"
#include "roof.h"
#include "tok.h"

#define MAX_REPS 100
#define MAX_RATES 16

/* Best steps per second of a decode test, or tokens per second of a prefill. */
typedef struct rate {
    const char *test;
    double best;
    bool is_prefill;
} rate;

typedef struct engine {
    const char *path;
    const char *adapter_path;
    size_t n_threads;
    size_t n_reps;
    double started;

    tkx__weights *weights;
    const tkx__kernels *kernels;
    tkx__threads *pool;
    tkx__adapter *adapter;

    rate rates[MAX_RATES]; /* what the roofs are compared with */
    size_t n_rates;
} engine;

/* A cache and a graph for one test. */
typedef struct context {
    engine *e;
    tkx__kv *kv;
    tkx__graph *graph;
    uint32_t *ids; /* [n_seqs][n_blocks] */
    size_t n_blocks;
    float top_logit;
    size_t top;
} context;

typedef struct samples {
    double rate[MAX_REPS];
    double others[MAX_REPS];
    size_t n;
} samples;

static _Noreturn void die(const char *what, tkx_error *err)
{
    fprintf(stderr, "tkx-bench engine: %s: %s\n", what,
            err ? tkx_error_message(err) : "");
    exit(1);
}

/* ---- what is reported ---- */

/* CPU seconds that all processes of the machine have used; 0 where nothing says so. */
static double machine_seconds(void)
{
    FILE *f = fopen("/proc/stat", "r");
    double v[8] = {0};
    char line[256] = "";

    if (!f)
        return 0;
    if (fgets(line, sizeof line, f) && strncmp(line, "cpu ", 4) == 0) {
        char *at = line + 4;

        for (int i = 0; i < 8; i++)
            v[i] = strtod(at, &at);
    }
    fclose(f);
    return (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / (double)sysconf(_SC_CLK_TCK);
}

static double own_seconds(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static double peak_mb(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_maxrss / 1024;
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "";
}

static void print_list(const char *name, const double *v, size_t n, const char *fmt)
{
    printf("\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        if (i)
            putchar(',');
        printf(fmt, v[i]);
    }
    putchar(']');
}

static void report(const engine *e, const char *test, const char *unit, const samples *s,
                   const char *extra)
{
    printf("{\"engine\":\"tkx %s\",\"model\":\"%s\",\"lora\":\"%s\",\"threads\":%zu,"
           "\"test\":\"%s\",\"unit\":\"%s\",",
           TKX_VERSION_STRING, base_name(e->path), base_name(e->adapter_path),
           e->n_threads, test, unit);
    print_list("samples", s->rate, s->n, "%.5g");
    printf(",\"rss_mb\":%.0f,", peak_mb());
    print_list("others", s->others, s->n, "%.2f");
    printf("%s}\n", extra);
    fflush(stdout);
}

/* ---- running ---- */

static int64_t token_of(const engine *e, size_t i)
{
    return (int64_t)(((uint32_t)i * 2654435761u >> 8) %
                     (e->weights->config.vocab_size - 8));
}

static void open_model(engine *e)
{
    tkx_error *err = NULL;

    if (e->weights)
        return;
    if (tkx__kernels_select(NULL, &e->kernels, &err) != TKX_OK ||
        tkx__threads_new(e->n_threads, &e->pool, &err) != TKX_OK ||
        tkx__weights_open(e->path, &e->weights, &err) != TKX_OK)
        die("open model", err);
    if (e->adapter_path &&
        (tkx__adapter_open(e->adapter_path, e->weights, &e->adapter, &err) != TKX_OK ||
         tkx__adapter_halve(e->adapter, &err) != TKX_OK))
        die("open adapter", err);
    e->n_threads = tkx__threads_count(e->pool);
}

static void open_context(engine *e, context *c, size_t n_pos, size_t n_seqs, size_t batch)
{
    tkx__graph_options options = {
        .compute = TKX__COMPUTE_FAST, .max_tokens = batch, .max_logits = n_seqs};
    tkx_error *err = NULL;

    *c = (context){.e = e, .n_blocks = tkx__kv_blocks_for(n_pos)};
    c->ids = calloc(n_seqs * c->n_blocks, sizeof *c->ids);
    if (!c->ids || tkx__kv_new(&e->weights->config, true, n_seqs * c->n_blocks, &c->kv,
                               &err) != TKX_OK)
        die("cache", err);
    for (size_t i = 0; i < n_seqs * c->n_blocks; i++)
        c->ids[i] = tkx__kv_alloc(c->kv);
    if (tkx__graph_new(e->weights, e->kernels, e->pool, c->kv, &options, &c->graph,
                       &err) != TKX_OK ||
        (e->adapter && tkx__graph_admit(c->graph, e->adapter, &err) != TKX_OK))
        die("graph", err);
}

static void close_context(context *c)
{
    tkx__graph_free(c->graph);
    tkx__kv_free(c->kv);
    free(c->ids);
}

static void take_logits(void *ctx, const tkx__logits_row *rows, size_t n_rows,
                        const float *logits)
{
    context *c = ctx;
    size_t n = c->e->weights->config.vocab_size;

    (void)rows;
    c->top = tkx__argmax(c->e->kernels, logits + (n_rows - 1) * n, n);
    c->top_logit = logits[(n_rows - 1) * n + c->top];
}

static void step(context *c, const tkx__step_part *parts, size_t n_parts)
{
    tkx_error *err = NULL;

    if (tkx__graph_step(c->graph, parts, n_parts, take_logits, c, &err) != TKX_OK)
        die("step", err);
}

static void prefill(context *c, size_t n)
{
    size_t most = tkx__graph_max_tokens(c->graph);
    int64_t *tokens = malloc(n * sizeof *tokens);

    if (!tokens)
        die("prompt", NULL);
    for (size_t i = 0; i < n; i++)
        tokens[i] = token_of(c->e, i);
    for (size_t at = 0; at < n; at += most) {
        size_t m = n - at < most ? n - at : most;

        step(c,
             &(tkx__step_part){.tokens = tokens + at,
                               .n_tokens = m,
                               .pos = at,
                               .block_ids = c->ids,
                               .adapter = c->e->adapter,
                               .n_logits = at + m == n},
             1);
    }
    free(tokens);
}

static void take_sample(samples *s, double units, double wall, double busy, double own)
{
    double others = (busy - own) / wall;

    s->rate[s->n] = units / wall;
    s->others[s->n++] = others > 0 ? others : 0;
}

static void keep_rate(engine *e, const char *test, const samples *s, double per_unit,
                      bool is_prefill)
{
    rate r = {.test = test, .is_prefill = is_prefill};

    for (size_t i = 0; i < s->n; i++)
        r.best = s->rate[i] > r.best ? s->rate[i] : r.best;
    r.best /= per_unit;
    if (e->n_rates < MAX_RATES)
        e->rates[e->n_rates++] = r;
}

/* ---- the tests ---- */

static void test_prefill(engine *e, const char *test, size_t n)
{
    samples s = {.n = 0};
    char extra[128];
    context c;

    open_model(e);
    open_context(e, &c, n, 1, n < 512 ? n : 512);
    prefill(&c, n < 32 ? n : 32); /* the second step puts weights into kernel order */
    prefill(&c, n < 32 ? n : 32);
    while (s.n < e->n_reps) {
        double busy = machine_seconds();
        double own = own_seconds();
        double start = bench_now();

        prefill(&c, n);
        take_sample(&s, (double)n, bench_now() - start, machine_seconds() - busy,
                    own_seconds() - own);
    }
    snprintf(extra, sizeof extra, ",\"top\":%zu,\"top_logit\":%.4f", c.top,
             (double)c.top_logit);
    report(e, test, "tok/s", &s, extra);
    keep_rate(e, test, &s, 1, true);
    close_context(&c);
}

/* n steps of n_seqs sequences after n_prompt common tokens. */
static void decode(context *c, size_t n, size_t n_seqs, size_t n_prompt,
                   tkx__step_part *parts, int64_t *tokens)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t q = 0; q < n_seqs; q++) {
            tokens[q] = token_of(c->e, n_prompt + i * n_seqs + q);
            parts[q] = (tkx__step_part){.tokens = tokens + q,
                                        .n_tokens = 1,
                                        .pos = n_prompt + i,
                                        .block_ids = c->ids + q * c->n_blocks,
                                        .adapter = c->e->adapter,
                                        .n_logits = 1};
        }
        step(c, parts, n_seqs);
    }
}

/* All sequences see the first one's prompt: whole blocks shared, the rest copied. */
static void share_prompt(context *c, size_t n_seqs, size_t n_prompt)
{
    size_t whole = n_prompt / TKX__KV_BLOCK;

    for (size_t q = 1; q < n_seqs; q++) {
        uint32_t *ids = c->ids + q * c->n_blocks;

        for (size_t b = 0; b < tkx__kv_blocks_for(n_prompt); b++) {
            tkx__kv_unref(c->kv, ids[b]);
            if (b < whole) {
                tkx__kv_ref(c->kv, c->ids[b]);
                ids[b] = c->ids[b];
            } else {
                ids[b] = tkx__kv_copy(c->kv, c->ids[b]);
            }
        }
    }
}

static void test_decode(engine *e, const char *test, size_t n, size_t n_seqs,
                        size_t n_prompt)
{
    samples s = {.n = 0};
    tkx__step_part *parts = calloc(n_seqs, sizeof *parts);
    int64_t *tokens = calloc(n_seqs, sizeof *tokens);
    size_t batch = n_prompt < 512 ? n_prompt : 512;
    context c;

    if (!parts || !tokens)
        die("parts", NULL);
    open_model(e);
    open_context(e, &c, n_prompt + n + 2, n_seqs, batch > n_seqs ? batch : n_seqs);
    if (n_prompt) {
        prefill(&c, n_prompt);
        share_prompt(&c, n_seqs, n_prompt);
    }
    decode(&c, 2, n_seqs, n_prompt, parts, tokens);
    while (s.n < e->n_reps) {
        double busy = machine_seconds();
        double own = own_seconds();
        double start = bench_now();

        decode(&c, n, n_seqs, n_prompt, parts, tokens);
        take_sample(&s, (double)(n * n_seqs), bench_now() - start,
                    machine_seconds() - busy, own_seconds() - own);
    }
    report(e, test, "tok/s", &s, "");
    keep_rate(e, test, &s, (double)n_seqs, false);
    close_context(&c);
    free(tokens);
    free(parts);
}

static void test_first(engine *e, const char *test, size_t n)
{
    samples s = {.n = 1};
    char extra[160];
    double loaded;
    double ready;
    context c;

    open_model(e);
    loaded = bench_now();
    open_context(e, &c, n + 8, 1, n);
    ready = bench_now();
    prefill(&c, n);
    s.rate[0] = bench_now() - e->started;
    snprintf(extra, sizeof extra,
             ",\"load_s\":%.4f,\"context_s\":%.4f,\"prefill_s\":%.4f,\"top\":%zu,"
             "\"top_logit\":%.4f",
             loaded - e->started, ready - loaded, bench_now() - ready, c.top,
             (double)c.top_logit);
    report(e, test, "s", &s, extra);
    close_context(&c);
}

static void test_load(engine *e, const char *test)
{
    samples s = {.n = 0};

    while (s.n < e->n_reps) {
        engine fresh = {
            .path = e->path, .adapter_path = e->adapter_path, .n_threads = e->n_threads};
        double start = bench_now();
        context c;

        open_model(&fresh);
        open_context(&fresh, &c, 512, 1, 512);
        s.rate[s.n++] = bench_now() - start;
        close_context(&c);
        tkx__adapter_unref(fresh.adapter);
        tkx__weights_free(fresh.weights);
        tkx__threads_free(fresh.pool);
    }
    report(e, test, "s", &s, "");
}

static void test_roof(engine *e, const char *test)
{
    samples s = {.n = 1};
    char extra[80];

    s.rate[0] = roof_read(e->n_threads) / 1e9;
    snprintf(extra, sizeof extra, ",\"fma_gflops\":%.1f", roof_fma(e->n_threads) / 1e9);
    report(e, test, "GB/s", &s, extra);
}

static int test_tokenizer(engine *e, const char *path)
{
    tkx_error *err = NULL;
    tkx_tokenizer *tokenizer = NULL;
    int failed;

    if (tkx_tokenizer_open(e->path, &tokenizer, &err) != TKX_OK)
        die("open tokenizer", err);
    failed = bench_tok_file(tokenizer, base_name(e->path), path, (int)e->n_reps);
    tkx_tokenizer_unref(tokenizer);
    return !failed;
}

/* ---- shares of the machine's limits ---- */

/* Bytes of the matrices that every token meets: all but the rows of an untied embedding.
 */
static double active_bytes(const tkx__weights *w)
{
    double bytes = (double)w->head.n_rows * (double)w->head.row_bytes;

    for (size_t l = 0; l < w->config.n_layers; l++)
        for (int m = 0; m < TKX__N_LAYER_MATRICES; m++) {
            const tkx__stored *s = &w->layers[l].matrices[m];

            if (s->data)
                bytes += (double)s->n_rows * (double)s->row_bytes;
        }
    return bytes;
}

/* Operations per token of a prompt: the output matrix is for the last one only. */
static double prompt_flops(const tkx__weights *w)
{
    double n = 0;

    for (size_t l = 0; l < w->config.n_layers; l++)
        for (int m = 0; m < TKX__N_LAYER_MATRICES; m++) {
            const tkx__stored *s = &w->layers[l].matrices[m];

            if (s->data)
                n += 2.0 * (double)s->n_rows * (double)s->n_cols;
        }
    return n;
}

/* A line without "test", which a reader of results passes over. */
static void report_roofs(engine *e)
{
    bool is_dense = e->weights && e->weights->config.n_experts == 0;
    double read;
    double fma;

    if (!is_dense || e->n_rates == 0)
        return;
    read = roof_read(e->n_threads);
    fma = roof_fma(e->n_threads);
    printf("{\"roofs\":{\"threads\":%zu,\"read_gb_s\":%.1f,\"fma_gflop_s\":%.1f}",
           e->n_threads, read / 1e9, fma / 1e9);
    for (size_t i = 0; i < e->n_rates; i++) {
        const rate *r = &e->rates[i];

        if (r->is_prefill)
            printf(",\"%s\":{\"gflop_s\":%.1f,\"share_of_fma\":%.2f}", r->test,
                   r->best * prompt_flops(e->weights) / 1e9,
                   r->best * prompt_flops(e->weights) / fma);
        else
            printf(",\"%s\":{\"gb_s\":%.1f,\"share_of_read\":%.2f}", r->test,
                   r->best * active_bytes(e->weights) / 1e9,
                   r->best * active_bytes(e->weights) / read);
    }
    printf("}\n");
}

static int run_test(engine *e, const char *test)
{
    size_t n = 0;
    size_t n_seqs = 1;
    size_t n_prompt = 0;

    if (strcmp(test, "load") == 0)
        test_load(e, test);
    else if (strncmp(test, "tok:", 4) == 0)
        return test_tokenizer(e, test + 4);
    else if (strcmp(test, "roof") == 0)
        test_roof(e, test);
    else if (sscanf(test, "pp%zu", &n) == 1 && n > 0)
        test_prefill(e, test, n);
    else if (sscanf(test, "first%zu", &n) == 1 && n > 0)
        test_first(e, test, n);
    else if (sscanf(test, "tg%zux%zu@%zu", &n, &n_seqs, &n_prompt) == 3 ||
             sscanf(test, "tg%zux%zu", &n, &n_seqs) == 2 ||
             sscanf(test, "tg%zu@%zu", &n, &n_prompt) >= 1)
        test_decode(e, test, n, n_seqs, n_prompt);
    else
        return 0;
    return n_seqs > 0;
}

int bench_engine(int argc, char **argv)
{
    engine e = {.n_reps = 3, .started = bench_now()};
    int at = 1;

    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (strcmp(argv[at], "-t") == 0)
            e.n_threads = (size_t)strtoul(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "-r") == 0)
            e.n_reps = (size_t)strtoul(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "-l") == 0)
            e.adapter_path = argv[at + 1];
    }
    if (argc - at < 2 || e.n_reps == 0 || e.n_reps > MAX_REPS) {
        fprintf(stderr,
                "usage: tkx-bench engine [-t THREADS] [-r REPS] [-l ADAPTER] MODEL "
                "TEST...\n");
        return 2;
    }
    e.path = argv[at++];
    for (; at < argc; at++) {
        if (!run_test(&e, argv[at])) {
            fprintf(stderr, "tkx-bench engine: unknown test '%s'\n", argv[at]);
            return 2;
        }
    }
    report_roofs(&e);
    tkx__adapter_unref(e.adapter);
    tkx__weights_free(e.weights);
    tkx__threads_free(e.pool);
    return 0;
}
