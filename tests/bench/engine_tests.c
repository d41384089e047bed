/* SPDX-License-Identifier: Apache-2.0 */
/* engine_tests.c - the tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/tokenizer.h>

#include "engine.h"
#include "roof.h"
#include "tok.h"

#define MOST_TOKENS 512 /* of a step */

static void run_prefill(engine *e, const engine_test *test)
{
    engine_samples s = {.n = 0};
    size_t n = test->n;
    char extra[128];
    engine_context c;

    engine_open_context(e, &c, n, 1, n < MOST_TOKENS ? n : MOST_TOKENS);
    engine_prefill(&c, n < 32 ? n : 32);
    engine_prefill(&c, n < 32 ? n : 32); /* puts weights into kernel order */
    while (s.n < e->n_reps) {
        engine_moment start = engine_start();

        engine_prefill(&c, n);
        engine_take(&s, (double)n, &start);
    }
    snprintf(extra, sizeof extra, ",\"top\":%zu,\"top_logit\":%.4f", c.top,
             (double)c.top_logit);
    engine_report(e, test->text, "tok/s", &s, extra);
    engine_keep_rate(e, test->text, &s, 1, true);
    engine_close_context(&c);
}

static int run_decode(engine *e, const engine_test *test)
{
    engine_samples s = {.n = 0};
    size_t n_seqs = test->n_seqs;
    size_t batch = test->n_prompt < MOST_TOKENS ? test->n_prompt : MOST_TOKENS;
    tkx__step_part *parts = calloc(n_seqs, sizeof *parts);
    int64_t *tokens = calloc(n_seqs, sizeof *tokens);
    engine_context c;

    if (!parts || !tokens) {
        fprintf(stderr, "tkx-bench engine: no memory for %zu sequences\n", n_seqs);
        free(parts);
        free(tokens);
        return 0;
    }
    engine_open_context(e, &c, test->n_prompt + test->n + 2, n_seqs,
                        batch > n_seqs ? batch : n_seqs);
    if (test->n_prompt) {
        engine_prefill(&c, test->n_prompt);
        engine_share_prompt(&c, n_seqs, test->n_prompt);
    }
    engine_decode(&c, 2, n_seqs, test->n_prompt, parts, tokens);
    while (s.n < e->n_reps) {
        engine_moment start = engine_start();

        engine_decode(&c, test->n, n_seqs, test->n_prompt, parts, tokens);
        engine_take(&s, (double)(test->n * n_seqs), &start);
    }
    engine_report(e, test->text, "tok/s", &s, "");
    engine_keep_rate(e, test->text, &s, (double)n_seqs, false);
    engine_close_context(&c);
    free(tokens);
    free(parts);
    return 1;
}

static void run_first(engine *e, const engine_test *test, double loaded)
{
    engine_samples s = {.n = 0};
    char extra[160];
    double ready;
    engine_context c;

    engine_open_context(e, &c, test->n + 8, 1, test->n);
    ready = bench_now();
    engine_prefill(&c, test->n);
    engine_take_seconds(&s, &e->started);
    snprintf(extra, sizeof extra,
             ",\"load_s\":%.4f,\"context_s\":%.4f,\"prefill_s\":%.4f,\"top\":%zu,"
             "\"top_logit\":%.4f",
             loaded - e->started.at, ready - loaded, bench_now() - ready, c.top,
             (double)c.top_logit);
    engine_report(e, test->text, "s", &s, extra);
    engine_close_context(&c);
}

static void run_load(engine *e, const engine_test *test)
{
    engine_samples s = {.n = 0};

    while (s.n < e->n_reps) {
        engine fresh = {
            .path = e->path, .adapter_path = e->adapter_path, .n_threads = e->n_threads};
        engine_moment start = engine_start();
        engine_context c;

        engine_open(&fresh);
        engine_open_context(&fresh, &c, 512, 1, MOST_TOKENS);
        engine_take_seconds(&s, &start);
        engine_close_context(&c);
        engine_close(&fresh);
    }
    engine_report(e, test->text, "s", &s, "");
}

static void run_roof(engine *e, const engine_test *test)
{
    engine_samples s = {.n = 1};
    char extra[80];

    s.rate[0] = roof_read(e->n_threads) / 1e9;
    snprintf(extra, sizeof extra, ",\"fma_gflops\":%.1f", roof_fma(e->n_threads) / 1e9);
    engine_report(e, test->text, "GB/s", &s, extra);
}

static int run_tokenizer(engine *e, const char *path)
{
    const char *slash = strrchr(e->path, '/');
    tkx_error *err = NULL;
    tkx_tokenizer *tokenizer = NULL;
    int failed;

    if (tkx_tokenizer_open(e->path, &tokenizer, &err) != TKX_OK) {
        fprintf(stderr, "tkx-bench engine: open tokenizer: %s\n", tkx_error_message(err));
        tkx_error_free(err);
        return 0;
    }
    failed = bench_tok_file(tokenizer, slash ? slash + 1 : e->path, path, (int)e->n_reps);
    tkx_tokenizer_unref(tokenizer);
    return !failed;
}

int engine_run(engine *e, const engine_test *test)
{
    if (test->kind == ENGINE_PREFILL || test->kind == ENGINE_DECODE ||
        test->kind == ENGINE_FIRST)
        engine_open(e);
    switch (test->kind) {
    case ENGINE_PREFILL:
        run_prefill(e, test);
        return 1;
    case ENGINE_DECODE:
        return run_decode(e, test);
    case ENGINE_FIRST:
        run_first(e, test, bench_now());
        return 1;
    case ENGINE_LOAD:
        run_load(e, test);
        return 1;
    case ENGINE_TOK:
        return run_tokenizer(e, test->text + strlen("tok:"));
    default:
        run_roof(e, test);
        return 1;
    }
}
