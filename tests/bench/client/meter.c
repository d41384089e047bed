/* SPDX-License-Identifier: Apache-2.0 */
/* meter.c - wall clock, CPU of all threads, memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/client.h"

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

long status_kb(const char *key)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = atol(line + strlen(key));
    if (file)
        fclose(file);
    return kb;
}

void meter_start(meter *m)
{
    FILE *refs = fopen("/proc/self/clear_refs", "w");

    if (refs) {
        fputs("5", refs);
        fclose(refs);
    }
    m->rss_before_kb = status_kb("VmRSS:");
    m->wall_ns = now_ns();
    m->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void meter_stop(meter *m)
{
    m->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - m->cpu_ns;
    m->wall_ns = now_ns() - m->wall_ns;
    m->rss_peak_kb = status_kb("VmHWM:");
}

void meter_print(const meter *m, const char *bench, double n_ops)
{
    double wall_s = (double)m->wall_ns * 1e-9;
    double cpu_s = (double)m->cpu_ns * 1e-9;

    printf(
        "{\"client\":\"tkx\",\"bench\":\"%s\",\"n\":%.0f,\"wall_s\":%.6f,\"cpu_s\":%.6f,"
        "\"cpu_us_per_op\":%.2f,\"ops_per_s\":%.1f,\"rss_before_kb\":%ld,\"rss_peak_kb\":"
        "%ld",
        bench, n_ops, wall_s, cpu_s, cpu_s * 1e6 / n_ops, n_ops / wall_s,
        m->rss_before_kb, m->rss_peak_kb);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double percentile(double *ms, size_t n, int percent)
{
    size_t at = n * (size_t)percent / 100;

    if (n == 0)
        return 0;
    qsort(ms, n, sizeof *ms, by_value);
    return ms[at < n ? at : n - 1];
}

void print_percentiles(double *ms, size_t n)
{
    printf("\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f", percentile(ms, n, 50),
           percentile(ms, n, 99), percentile(ms, n, 100));
}
