// SPDX-License-Identifier: Apache-2.0
/*
 * hw_limits.c - CPUs and memory that this process may use.
 *
 * cgroup version 2: memory.max and cpu.max of the own group and of every one above it,
 * the smallest counts.  Version 1: the memory controller's limit in its usual place.
 * Files that are absent or say "max" limit nothing.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "infer/hw_limits.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define LEAST_MARGIN ((uint64_t)1 << 30)

/* The first line of a file, without its end; false when there is none. */
static int read_line(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    int ok = f && fgets(line, (int)size, f) != NULL;

    if (f)
        fclose(f);
    if (ok)
        line[strcspn(line, "\n")] = '\0';
    return ok;
}

/* A number at the start of text; 0 for "max" and the like. */
static uint64_t number(const char *text)
{
    return *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b) /* 0 is no limit */
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The path of the own group below the root, "" at the root; version 2. */
static void own_group(char *path, size_t size)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[1024];

    path[0] = '\0';
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(path, size, "%s", strcmp(line + 3, "/") == 0 ? "" : line + 3);
    }
    if (f)
        fclose(f);
}

typedef uint64_t group_fn(const char *line);

/* The smallest value of `file` from the own group up to the root. */
static uint64_t smallest(const char *file, group_fn *value)
{
    char group[1024];
    char path[1200];
    char line[128];
    uint64_t best = 0;

    own_group(group, sizeof group);
    for (;;) {
        char *slash;

        snprintf(path, sizeof path, CGROUP_ROOT "%s/%s", group, file);
        if (read_line(path, line, sizeof line))
            best = smaller(best, value(line));
        slash = strrchr(group, '/');
        if (!slash)
            return best;
        *slash = '\0';
    }
}

/* "quota period" in microseconds: CPUs, rounded up. */
static uint64_t cpus_of_quota(const char *line)
{
    uint64_t quota = number(line);
    const char *space = strchr(line, ' ');
    uint64_t period = space ? number(space + 1) : 0;

    return quota && period ? (quota + period - 1) / period : 0;
}

size_t tkx__hw_usable_cpus(void)
{
    uint64_t quota = smallest("cpu.max", cpus_of_quota);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    size_t cpus = n > 0 ? (size_t)n : 1;
#if defined(__linux__)
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cpus = (size_t)CPU_COUNT(&set);
#endif
    return quota != 0 && quota < cpus ? (size_t)quota : cpus;
}

uint64_t tkx__hw_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

uint64_t tkx__hw_memory_limit(void)
{
    char line[128];
    uint64_t limit = smallest("memory.max", number);

    if (limit == 0 &&
        read_line(CGROUP_ROOT "/memory/memory.limit_in_bytes", line, sizeof line))
        limit = number(line);
    return smaller(tkx__hw_memory_bytes(), limit);
}

static uint64_t meminfo(const char *name)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t kib = 0;

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtoull(line + strlen(name), NULL, 10);
    if (f)
        fclose(f);
    return kib * 1024;
}

uint64_t tkx__hw_memory_room(uint64_t limit)
{
    uint64_t margin = limit / 20 > LEAST_MARGIN ? limit / 20 : LEAST_MARGIN;

    return limit - (margin < limit / 10 ? margin : limit / 10);
}

uint64_t tkx__hw_memory_available(void)
{
    char group[1024];
    char path[1200];
    char line[128];
    uint64_t available = meminfo("MemAvailable:");
    uint64_t limit = tkx__hw_memory_limit();

    own_group(group, sizeof group);
    snprintf(path, sizeof path, CGROUP_ROOT "%s/memory.current", group);
    if (limit && read_line(path, line, sizeof line)) {
        uint64_t used = number(line);

        available = smaller(available, limit > used ? limit - used : 1);
    }
    return smaller(available, limit);
}
