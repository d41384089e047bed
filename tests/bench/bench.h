/* SPDX-License-Identifier: Apache-2.0 */
/* bench.h - the table of benchmarks; each is one file beside this one. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

/* argv[0] is the benchmark's name, options follow; returns the exit status. */
typedef int bench_fn(int argc, char **argv);

typedef struct bench_entry {
    const char *name; /* NULL ends the table */
    bench_fn *run;
    const char *help; /* one line */
} bench_entry;

extern const bench_entry benches[];

bench_fn bench_tok; /* tok.c */

#endif
