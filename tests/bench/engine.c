/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - tkx-bench engine: speed of the local engine, as JSON lines.
 *
 *   ppN             a prompt of N tokens into an empty context
 *   tgN             N steps of one sequence from an empty context
 *   tgNxB, tgN@P, tgNxB@P
 *                   N steps of B sequences that share a prompt of P tokens
 *   firstN          from the start of the program to the first token of N
 *   load            open the model, make a context of 512
 *   tok:FILE        encode a file, one thread
 *   roof            memory and arithmetic limits of the machine
 *
 * After prefill and decode tests a line without "test" says how the best samples compare
 * with the limits measured in the same run.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "engine.h"

#define MAX_THREADS 64
#define MAX_TOKENS ((size_t)1 << 20)
#define MAX_SEQS 512

/* A number from 1 to max at *at, which moves behind it. */
static bool take_number(const char **at, size_t max, size_t *out)
{
    char *end;
    unsigned long v;

    if (!isdigit((unsigned char)**at))
        return false;
    v = strtoul(*at, &end, 10);
    *at = end;
    *out = v;
    return v > 0 && v <= max;
}

static bool take_word(const char **at, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(*at, word, n) != 0)
        return false;
    *at += n;
    return true;
}

static bool parse_test(const char *text, engine_test *out)
{
    const char *at = text;

    *out = (engine_test){.text = text, .n_seqs = 1};
    if (strcmp(text, "load") == 0 || strcmp(text, "roof") == 0) {
        out->kind = *text == 'l' ? ENGINE_LOAD : ENGINE_ROOF;
        return true;
    }
    if (take_word(&at, "tok:")) {
        out->kind = ENGINE_TOK;
        return *at != '\0';
    }
    if (take_word(&at, "pp"))
        out->kind = ENGINE_PREFILL;
    else if (take_word(&at, "first"))
        out->kind = ENGINE_FIRST;
    else if (take_word(&at, "tg"))
        out->kind = ENGINE_DECODE;
    else
        return false;
    if (!take_number(&at, MAX_TOKENS, &out->n))
        return false;
    if (out->kind == ENGINE_DECODE && take_word(&at, "x") &&
        !take_number(&at, MAX_SEQS, &out->n_seqs))
        return false;
    if (out->kind == ENGINE_DECODE && take_word(&at, "@") &&
        !take_number(&at, MAX_TOKENS, &out->n_prompt))
        return false;
    return *at == '\0';
}

static int usage(void)
{
    fprintf(stderr, "usage: tkx-bench engine [-t THREADS] [-r REPS] [-l ADAPTER] MODEL "
                    "TEST...\n"
                    "  ppN tgN tgNxB tgN@P tgNxB@P firstN load tok:FILE roof\n");
    return 2;
}

/* Options up to the model: its index, or 0. */
static int parse_options(int argc, char **argv, engine *e)
{
    int at = 1;

    for (; at < argc && argv[at][0] == '-'; at += 2) {
        const char *value = at + 1 < argc ? argv[at + 1] : "";
        bool is_good;

        if (strcmp(argv[at], "-t") == 0)
            is_good = take_number(&value, MAX_THREADS, &e->n_threads) && !*value;
        else if (strcmp(argv[at], "-r") == 0)
            is_good = take_number(&value, ENGINE_MAX_REPS, &e->n_reps) && !*value;
        else if (strcmp(argv[at], "-l") == 0)
            is_good = *(e->adapter_path = value) != '\0';
        else
            is_good = false;
        if (!is_good) {
            fprintf(stderr, "tkx-bench engine: bad option '%s %s'\n", argv[at],
                    at + 1 < argc ? argv[at + 1] : "");
            return 0;
        }
    }
    return argc - at < 2 ? 0 : at;
}

int bench_engine(int argc, char **argv)
{
    engine e = {.n_reps = 3, .started = engine_start()};
    int at = parse_options(argc, argv, &e);
    engine_test test;
    int rc = 0;

    if (at == 0)
        return usage();
    e.path = argv[at++];
    for (int i = at; i < argc; i++) {
        if (parse_test(argv[i], &test))
            continue;
        fprintf(stderr, "tkx-bench engine: unknown test '%s'\n", argv[i]);
        return usage();
    }
    for (; at < argc && rc == 0; at++)
        rc = parse_test(argv[at], &test) && engine_run(&e, &test) ? 0 : 1;
    if (rc == 0)
        engine_report_roofs(&e);
    engine_close(&e);
    return rc;
}
