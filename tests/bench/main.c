/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - tkx-bench NAME [options]: measures real work, beside a limit or a peer. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

int main(int argc, char **argv)
{
    for (const bench_entry *b = benches; argc > 1 && b->name; b++)
        if (strcmp(b->name, argv[1]) == 0)
            return b->run(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--help") != 0)
        fprintf(stderr, "tkx-bench: unknown benchmark '%s'\n", argv[1]);
    fprintf(stderr, "usage: tkx-bench NAME [options]\n");
    for (const bench_entry *b = benches; b->name; b++)
        fprintf(stderr, "  %-10s %s\n", b->name, b->help);
    return 2;
}
