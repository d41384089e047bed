/* SPDX-License-Identifier: Apache-2.0 */
/* engine_report.c - lines of results, and how they compare with the machine's limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>
#include <unistd.h>

#include <tkx/version.h>

#include "engine.h"
#include "roof.h"

/* CPU seconds that all processes of the machine have used; 0 where nothing says so. */
static double machine_seconds(void)
{
    FILE *f = fopen("/proc/stat", "r");
    double v[8] = {0};
    char line[256] = "";

    if (!f)
        return 0;
    if (fgets(line, sizeof line, f) && strncmp(line, "cpu ", 4) == 0) {
        char *at = line + 4;

        for (int i = 0; i < 8; i++)
            v[i] = strtod(at, &at);
    }
    fclose(f);
    return (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / (double)sysconf(_SC_CLK_TCK);
}

static double own_seconds(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static double peak_mb(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_maxrss / 1024;
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "";
}

static void print_list(const char *name, const double *v, size_t n, const char *fmt)
{
    printf("\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        if (i)
            putchar(',');
        printf(fmt, v[i]);
    }
    putchar(']');
}

void engine_report(const engine *e, const char *test, const char *unit,
                   const engine_samples *s, const char *extra)
{
    printf("{\"engine\":\"tkx %s\",\"model\":\"%s\",\"lora\":\"%s\",\"threads\":%zu,"
           "\"test\":\"%s\",\"unit\":\"%s\",",
           TKX_VERSION_STRING, base_name(e->path), base_name(e->adapter_path),
           e->n_threads, test, unit);
    print_list("samples", s->rate, s->n, "%.5g");
    printf(",\"rss_mb\":%.0f,", peak_mb());
    print_list("others", s->others, s->n, "%.2f");
    putchar(',');
    print_list("cpu_s", s->cpu, s->n, "%.4g");
    printf("%s}\n", extra);
    fflush(stdout);
}

engine_moment engine_start(void)
{
    return (engine_moment){
        .at = bench_now(), .machine = machine_seconds(), .own = own_seconds()};
}

/* A sample of some value; wall is the time since then. */
static void take(engine_samples *s, double value, double wall, const engine_moment *from)
{
    double own = own_seconds() - from->own;
    double others = (machine_seconds() - from->machine - own) / wall;

    s->rate[s->n] = value;
    s->cpu[s->n] = own;
    s->others[s->n++] = others > 0 ? others : 0;
}

void engine_take(engine_samples *s, double units, const engine_moment *from)
{
    double wall = bench_now() - from->at;

    take(s, units / wall, wall, from);
}

void engine_take_seconds(engine_samples *s, const engine_moment *from)
{
    double wall = bench_now() - from->at;

    take(s, wall, wall, from);
}

void engine_keep_rate(engine *e, const char *test, const engine_samples *s,
                      double per_unit, bool is_prefill)
{
    engine_rate r = {.test = test, .is_prefill = is_prefill};

    for (size_t i = 0; i < s->n; i++)
        r.best = s->rate[i] > r.best ? s->rate[i] : r.best;
    r.best /= per_unit;
    if (e->n_rates < ENGINE_MAX_RATES)
        e->rates[e->n_rates++] = r;
}

/* ---- shares of the machine's limits ---- */

/* Bytes of the matrices that every token meets: all but the rows of an untied embedding.
 */
static double active_bytes(const tkx__weights *w)
{
    double bytes = (double)w->head.n_rows * (double)w->head.row_bytes;

    for (size_t l = 0; l < w->config.n_layers; l++)
        for (int m = 0; m < TKX__N_LAYER_MATRICES; m++) {
            const tkx__stored *s = &w->layers[l].matrices[m];

            if (s->data)
                bytes += (double)s->n_rows * (double)s->row_bytes;
        }
    return bytes;
}

/* Operations per token of a prompt: the output matrix is for the last one only. */
static double prompt_flops(const tkx__weights *w)
{
    double n = 0;

    for (size_t l = 0; l < w->config.n_layers; l++)
        for (int m = 0; m < TKX__N_LAYER_MATRICES; m++) {
            const tkx__stored *s = &w->layers[l].matrices[m];

            if (s->data)
                n += 2.0 * (double)s->n_rows * (double)s->n_cols;
        }
    return n;
}

/* A line without "test", which a reader of results passes over. */
void engine_report_roofs(engine *e)
{
    bool is_dense = e->weights && e->weights->config.n_experts == 0;
    double read;
    double fma;

    if (!is_dense || e->n_rates == 0)
        return;
    read = roof_read(e->n_threads);
    fma = roof_fma(e->n_threads);
    printf("{\"roofs\":{\"threads\":%zu,\"read_gb_s\":%.1f,\"fma_gflop_s\":%.1f}",
           e->n_threads, read / 1e9, fma / 1e9);
    for (size_t i = 0; i < e->n_rates; i++) {
        const engine_rate *r = &e->rates[i];

        if (r->is_prefill)
            printf(",\"%s\":{\"gflop_s\":%.1f,\"share_of_fma\":%.2f}", r->test,
                   r->best * prompt_flops(e->weights) / 1e9,
                   r->best * prompt_flops(e->weights) / fma);
        else
            printf(",\"%s\":{\"gb_s\":%.1f,\"share_of_read\":%.2f}", r->test,
                   r->best * active_bytes(e->weights) / 1e9,
                   r->best * active_bytes(e->weights) / read);
    }
    printf("}\n");
}
