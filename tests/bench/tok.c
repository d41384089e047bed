/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tok.c - tkx-bench tok MODEL FILE... [-r REPS]: encoding speed, one thread, no special
 * tokens.
 *
 * One JSON line a file, as the peers' drivers print it: the first pass (empty caches) as
 * "first", later ones in "samples", MB/s of 10^6 bytes; "hash" is FNV-1a (64 bits) over
 * the 32-bit ids and is equal in every correct tokenizer.
 */
#include "tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tkx/version.h>

#include "bench.h"
#include "model/mapped.h"
#include "model/tokenizer/tokenizer.h"

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static uint64_t fnv(const tkx__ids *ids)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < ids->n; i++)
        h = (h ^ ids->data[i]) * 1099511628211u;
    return h;
}

/* MB/s of one pass; negative after a failure, which is said. */
static double pass(const tkx_tokenizer *tokenizer, const tkx__mapped *file, tkx__ids *ids)
{
    tkx_error *err = NULL;
    double from;

    ids->n = 0;
    from = now_s();
    if (tkx__tokenizer_encode(tokenizer, (const char *)file->data, file->size,
                              TKX_ENCODE_PLAIN_TEXT, ids, &err) != TKX_OK) {
        fprintf(stderr, "tkx-bench: %s\n", tkx_error_message(err));
        tkx_error_free(err);
        return -1;
    }
    return (double)file->size / (now_s() - from) / 1e6;
}

int bench_tok_file(const tkx_tokenizer *tokenizer, const char *model, const char *path,
                   int reps)
{
    tkx__mapped file;
    tkx__ids ids = {0};
    tkx_error *err = NULL;
    volatile unsigned char sum = 0;
    double first;
    int failed;

    if (tkx__mapped_open(&file, path, &err) != TKX_OK) {
        fprintf(stderr, "tkx-bench: %s\n", tkx_error_message(err));
        tkx_error_free(err);
        return 1;
    }
    for (size_t i = 0; i < file.size; i += 4096) /* page faults are not encoding */
        sum = (unsigned char)(sum + file.data[i]);
    first = pass(tokenizer, &file, &ids);
    failed = first < 0;
    if (!failed) {
        printf("{\"engine\":\"tkx %s\",\"model\":\"%s\",\"lora\":\"\",\"threads\":1,"
               "\"test\":\"tok:%s\",\"unit\":\"MB/s\",\"first\":%.3f,\"samples\":[",
               TKX_VERSION_STRING, base_name(model), base_name(path), first);
        for (int i = 0; i < reps; i++)
            printf("%s%.3f", i ? "," : "", pass(tokenizer, &file, &ids));
        printf("],\"bytes\":%zu,\"tokens\":%zu,\"hash\":\"%016llx\"}\n", file.size, ids.n,
               (unsigned long long)fnv(&ids));
        fflush(stdout);
    }
    tkx__ids_clear(&ids);
    tkx__mapped_close(&file);
    return failed;
}

int bench_tok(int argc, char **argv)
{
    const char *model = NULL;
    tkx_tokenizer *tokenizer = NULL;
    tkx_error *err = NULL;
    int reps = 5, status = 0;
    double from;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-r") == 0 && i + 1 < argc) {
            reps = (int)strtol(argv[++i], NULL, 10);
        } else if (!model) {
            model = argv[i];
            from = now_s();
            if (tkx_tokenizer_open(model, &tokenizer, &err) != TKX_OK) {
                fprintf(stderr, "tkx-bench: %s\n", tkx_error_message(err));
                tkx_error_free(err);
                return 1;
            }
            fprintf(stderr, "loaded in %.1f ms\n", (now_s() - from) * 1e3);
        } else {
            status |= bench_tok_file(tokenizer, model, argv[i], reps);
        }
    }
    tkx_tokenizer_unref(tokenizer);
    if (model)
        return status;
    fprintf(stderr, "usage: tkx-bench tok [-r REPS] MODEL FILE...\n");
    return 2;
}
