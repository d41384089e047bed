/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - tkx-bench client is a program of its own, beside this one.
 *
 * The other benchmarks bring OpenBLAS, whose threads and buffers would be in the figures
 * of a client that has neither.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

int bench_client(int argc, char **argv)
{
    char path[4096];
    const size_t room = sizeof path - sizeof "tkx-bench-client";
    ssize_t n = readlink("/proc/self/exe", path, room);
    char *name;

    (void)argc;
    path[n > 0 ? n : 0] = '\0';
    name = strrchr(path, '/');
    strcpy(name ? name + 1 : path, "tkx-bench-client");
    execv(path, argv);
    fprintf(stderr, "tkx-bench: cannot run %s: %s\n", path, strerror(errno));
    return 1;
}
