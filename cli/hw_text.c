/* SPDX-License-Identifier: Apache-2.0 */
/* hw_text.c - a machine as text and as JSON. */
#include "hw_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
    [TKX_HW_KERNELS_USED] = "used",
    [TKX_HW_KERNELS_AVAILABLE] = "available",
    [TKX_HW_KERNELS_UNVERIFIED] = "unverified",
    [TKX_HW_KERNELS_NO_CPU] = "cpu lacks it",
    [TKX_HW_KERNELS_NOT_BUILT] = "not in this build",
};

static double gib(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024 * 1024);
}

void hw_print(const tkx_hw_info *info)
{
    printf("cpu        %s\n", *info->cpu ? info->cpu : "unknown");
    printf("features   %s\n", *info->features ? info->features : "none known");
    printf("cores      %zu in %zu package%s, %zu threads, %zu usable here\n",
           info->n_cores, info->n_packages, info->n_packages == 1 ? "" : "s",
           info->n_cpus, info->n_usable_cpus);
    printf("caches     %.0f KiB, %.0f KiB, %.0f KiB\n",
           (double)info->cache_bytes[0] / 1024, (double)info->cache_bytes[1] / 1024,
           (double)info->cache_bytes[2] / 1024);
    printf("memory     %.1f GiB, limit %.1f GiB, available %.1f GiB\n",
           gib(info->memory_bytes), gib(info->memory_limit_bytes),
           gib(info->memory_available_bytes));
    if (info->read_bytes_per_s > 0)
        printf("bandwidth  %.1f GB/s read\n", info->read_bytes_per_s / 1e9);
    printf("gpu        %zu seen%s\n", info->n_gpus,
           info->n_gpus ? "; the local engine computes on the CPU" : "");
    for (size_t i = 0; i < info->n_kernels; i++)
        printf("%-10s %-12s %s\n", i == 0 ? "kernels" : "", info->kernels[i].name,
               state_names[info->kernels[i].state]);
}

cJSON *hw_to_json(const tkx_hw_info *info)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *caches = cJSON_AddArrayToObject(object, "cache_bytes");
    cJSON *kernels = cJSON_AddObjectToObject(object, "kernels");
    cJSON *warnings = cJSON_AddArrayToObject(object, "warnings");
    char text[256];

    cJSON_AddStringToObject(object, "cpu", info->cpu);
    cJSON_AddStringToObject(object, "features", info->features);
    cJSON_AddNumberToObject(object, "n_packages", (double)info->n_packages);
    cJSON_AddNumberToObject(object, "n_cores", (double)info->n_cores);
    cJSON_AddNumberToObject(object, "n_cpus", (double)info->n_cpus);
    cJSON_AddNumberToObject(object, "n_usable_cpus", (double)info->n_usable_cpus);
    for (int i = 0; i < 3; i++)
        cJSON_AddItemToArray(caches, cJSON_CreateNumber((double)info->cache_bytes[i]));
    cJSON_AddNumberToObject(object, "memory_bytes", (double)info->memory_bytes);
    cJSON_AddNumberToObject(object, "memory_limit_bytes",
                            (double)info->memory_limit_bytes);
    cJSON_AddNumberToObject(object, "memory_available_bytes",
                            (double)info->memory_available_bytes);
    cJSON_AddNumberToObject(object, "read_bytes_per_s", info->read_bytes_per_s);
    cJSON_AddNumberToObject(object, "n_gpus", (double)info->n_gpus);
    for (size_t i = 0; i < info->n_kernels; i++)
        cJSON_AddStringToObject(kernels, info->kernels[i].name,
                                state_names[info->kernels[i].state]);
    for (size_t i = 0; i <= info->n_kernels; i++) {
        if (hw_warning(info, i, text, sizeof text))
            cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
    }
    return object;
}

/* Is the word among those of a list by blanks? */
static int has_word(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n) {
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return 1;
    }
    return 0;
}

/* What a CPU says that could run a set. */
static const char *feature_of(const char *kernels)
{
    return strcmp(kernels, "avx512") == 0 ? "avx512bw" : kernels;
}

/* The environment names a set that is not to be had. */
static int no_kernels_warning(const tkx_hw_info *info, char *text, size_t size)
{
    const char *named = getenv("TKX_KERNELS");

    for (size_t i = 0; i < info->n_kernels; i++)
        if (info->kernels[i].state == TKX_HW_KERNELS_USED)
            return 0;
    snprintf(text, size,
             "warning: TKX_KERNELS=%.40s names no kernels that run here: no local model "
             "will load; unset it",
             named ? named : "");
    return 1;
}

int hw_warning(const tkx_hw_info *info, size_t i, char *text, size_t size)
{
    const tkx_hw_kernels *k;

    if (i == info->n_kernels)
        return no_kernels_warning(info, text, size);
    k = &info->kernels[i];
    if (k->state == TKX_HW_KERNELS_UNVERIFIED)
        snprintf(text, size,
                 "note: kernels %s are unverified and off; TKX_KERNELS=%s tries them",
                 k->name, k->name);
    else if (k->state == TKX_HW_KERNELS_NOT_BUILT &&
             has_word(info->features, feature_of(k->name)))
        snprintf(text, size,
                 "warning: this CPU has %s, this build has no kernels for it: local "
                 "models will be slower than they need be; build with a compiler that "
                 "knows it",
                 k->name);
    else if (k->state == TKX_HW_KERNELS_USED && strcmp(k->name, "scalar") == 0)
        snprintf(text, size,
                 "warning: only the plain kernels run here: local models will be slow");
    else
        return 0;
    return 1;
}

int hw_print_warnings(const tkx_hw_info *info)
{
    char text[256];
    int n = 0;

    for (size_t i = 0; i <= info->n_kernels; i++) {
        if (hw_warning(info, i, text, sizeof text)) {
            puts(text);
            n++;
        }
    }
    return n;
}
