/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - tkx-bench client BENCHMARK --base-url URL [--option value]...
 */
#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef void run_fn(const bench_options *o);

static const struct {
    const char *name;
    run_fn *run;
} table[] = {
    {"startup", bench_startup},
    {"latency", bench_latency},
    {"concurrent", bench_concurrent},
    {"held", bench_held},
    {"fwdbwd", bench_fwdbwd},
    {"pipeline", bench_pipeline},
    {"busy", bench_busy},
};

static int usage(const char *what, const char *text)
{
    fprintf(stderr, "tkx-bench client: unknown %s '%s'\n", what, text);
    fprintf(
        stderr,
        "usage: tkx-bench client startup|latency|concurrent|held|fwdbwd|pipeline|busy "
        "--base-url URL [--n N] [--open N] [--rounds N] [--mode poll|futures] "
        "[--hold-s S] [--reps N] [--loss NAME] [--datums N] [--len N] "
        "[--tokens random|zipf] [--steps N] [--depth N] [--prompt N] "
        "[--max-tokens N] [--seconds S] [--zstd LEVEL]\n");
    return 2;
}

/* The server's client/config decides about mode and zstd: both are only accepted here. */
static int read_option(bench_options *o, const char *name, const char *value)
{
    const char *ignored;
    const struct {
        const char *name;
        const char **text;
        int *number;
        double *real;
    } options[] = {
        {"--base-url", &o->base_url, NULL, NULL},
        {"--mode", &o->mode, NULL, NULL},
        {"--zstd", &ignored, NULL, NULL},
        {"--loss", &o->loss, NULL, NULL},
        {"--tokens", &o->tokens, NULL, NULL},
        {"--n", NULL, &o->n, NULL},
        {"--open", NULL, &o->open, NULL},
        {"--rounds", NULL, &o->rounds, NULL},
        {"--datums", NULL, &o->datums, NULL},
        {"--len", NULL, &o->len, NULL},
        {"--reps", NULL, &o->reps, NULL},
        {"--steps", NULL, &o->steps, NULL},
        {"--depth", NULL, &o->depth, NULL},
        {"--prompt", NULL, &o->prompt, NULL},
        {"--max-tokens", NULL, &o->max_tokens, NULL},
        {"--hold-s", NULL, NULL, &o->hold_s},
        {"--seconds", NULL, NULL, &o->seconds},
    };

    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strcmp(options[i].name, name) != 0)
            continue;
        if (options[i].text)
            *options[i].text = value;
        else if (options[i].number)
            *options[i].number = atoi(value);
        else
            *options[i].real = atof(value);
        return 1;
    }
    return 0;
}

/* Over HTTP/1.1 each open poll holds a descriptor. */
static void raise_file_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv)
{
    bench_options o = {.base_url = "http://127.0.0.1:8200",
                       .loss = "cross_entropy",
                       .tokens = "random",
                       .mode = "poll",
                       .n = 2000,
                       .open = 1000,
                       .rounds = 1,
                       .reps = 10,
                       .steps = 200,
                       .depth = 2,
                       .max_tokens = 16,
                       .prompt = 16,
                       .hold_s = 8,
                       .seconds = 40};
    const char *name = argc > 1 ? argv[1] : "";
    int is_small = strcmp(name, "pipeline") == 0;

    for (int i = 2; i < argc; i += 2)
        if (i + 1 == argc || !read_option(&o, argv[i], argv[i + 1]))
            return usage("option", argv[i]);
    if (o.datums <= 0)
        o.datums = is_small ? 4 : strcmp(name, "busy") == 0 ? 1024 : 128;
    if (o.len <= 0)
        o.len = is_small ? 64 : 2048;
    if (o.prompt < 1 || o.prompt > 4096)
        return usage("prompt length, 1 to 4096 are possible:", "--prompt");
    raise_file_limit();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0) {
            table[i].run(&o);
            return 0;
        }
    return usage("benchmark", name);
}
