/* SPDX-License-Identifier: Apache-2.0 */
/* hw_text.c - a machine as text and as JSON. */
#include "hw_text.h"

#include <stdio.h>
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
    return object;
}

int hw_print_warnings(const tkx_hw_info *info)
{
    int n = 0;

    for (size_t i = 0; i < info->n_kernels; i++) {
        const tkx_hw_kernels *k = &info->kernels[i];

        if (k->state == TKX_HW_KERNELS_UNVERIFIED) {
            printf("note: kernels %s are unverified and off; TKX_KERNELS=%s tries them\n",
                   k->name, k->name);
            n++;
        } else if (k->state == TKX_HW_KERNELS_USED && strcmp(k->name, "scalar") == 0) {
            printf("warning: only the plain kernels run here: local models will be "
                   "slow\n");
            n++;
        }
    }
    return n;
}
