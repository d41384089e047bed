/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - the benches that are programs of their own, beside this one.
 *
 * OpenBLAS, which the trainer's brings, takes time to be loaded and has threads and
 * buffers of its own: they would be in the figures of the client and of an engine's
 * first token.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static int run_beside(const char *program, char **argv)
{
    char path[4096];
    const size_t room = sizeof path - 64; /* a program's name */
    ssize_t n = readlink("/proc/self/exe", path, room);
    char *name;

    path[n > 0 ? n : 0] = '\0';
    name = strrchr(path, '/');
    strcpy(name ? name + 1 : path, program);
    execv(path, argv);
    fprintf(stderr, "tkx-bench: cannot run %s: %s\n", path, strerror(errno));
    return 1;
}

int bench_client(int argc, char **argv)
{
    (void)argc;
    return run_beside("tkx-bench-client", argv);
}

int bench_trainer(int argc, char **argv)
{
    (void)argc;
    return run_beside("tkx-bench-trainer", argv);
}
