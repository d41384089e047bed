// SPDX-License-Identifier: Apache-2.0
/*
 * hw.c - what tkx/hw.h tells: topology through hwloc, names from the system, kernels from
 * their table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <dirent.h>
#include <hwloc.h>

#include <tkx/hw.h>

#include "base/error.h"
#include "infer/hw_bandwidth.h"
#include "infer/hw_limits.h"
#include "infer/kernels/kernels.h"

#define MEASURE_BYTES ((size_t)64 << 20)
#define MEASURE_PASSES 8

/* ---- topology ---- */

static size_t count(hwloc_topology_t t, hwloc_obj_type_t type)
{
    int n = hwloc_get_nbobjs_by_type(t, type);

    return n > 0 ? (size_t)n : 0;
}

static uint64_t cache_size(hwloc_topology_t t, hwloc_obj_type_t type)
{
    hwloc_obj_t obj = hwloc_get_obj_by_type(t, type, 0);

    return obj ? obj->attr->cache.size : 0;
}

static void read_topology(tkx_hw_info *info)
{
    hwloc_topology_t t;

    if (hwloc_topology_init(&t) != 0)
        return;
    if (hwloc_topology_load(t) == 0) {
        info->n_packages = count(t, HWLOC_OBJ_PACKAGE);
        info->n_cores = count(t, HWLOC_OBJ_CORE);
        info->n_cpus = count(t, HWLOC_OBJ_PU);
        info->cache_bytes[0] = cache_size(t, HWLOC_OBJ_L1CACHE);
        info->cache_bytes[1] = cache_size(t, HWLOC_OBJ_L2CACHE);
        info->cache_bytes[2] = cache_size(t, HWLOC_OBJ_L3CACHE);
    }
    hwloc_topology_destroy(t);
}

/* ---- the CPU ---- */

static void read_cpu_name(tkx_hw_info *info)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[512];

    while (f && info->cpu[0] == '\0' && fgets(line, sizeof line, f)) {
        const char *value = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || !value)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(info->cpu, sizeof info->cpu, "%s", value + 2);
    }
    if (f)
        fclose(f);
}

#if defined(__x86_64__) || defined(__aarch64__)
static void add_feature(tkx_hw_info *info, int has, const char *name)
{
    size_t n = strlen(info->features);

    if (has)
        snprintf(info->features + n, sizeof info->features - n, "%s%s", n ? " " : "",
                 name);
}
#endif

#if defined(__x86_64__)
/* clang 14 does not know the name. */
static int has_f16c(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

static void read_features(tkx_hw_info *info)
{
#if defined(__x86_64__)
    add_feature(info, __builtin_cpu_supports("sse4.2"), "sse4.2");
    add_feature(info, __builtin_cpu_supports("avx"), "avx");
    add_feature(info, __builtin_cpu_supports("avx2"), "avx2");
    add_feature(info, __builtin_cpu_supports("fma"), "fma");
    add_feature(info, has_f16c(), "f16c");
    add_feature(info, __builtin_cpu_supports("avx512f"), "avx512f");
    add_feature(info, __builtin_cpu_supports("avx512bw"), "avx512bw");
    add_feature(info, __builtin_cpu_supports("avx512vl"), "avx512vl");
    add_feature(info, __builtin_cpu_supports("avx512vnni"), "avx512vnni");
#elif defined(__aarch64__)
    add_feature(info, 1, "neon");
#else
    (void)info;
#endif
}

static size_t count_gpus(void)
{
    DIR *dir = opendir("/proc/driver/nvidia/gpus");
    size_t n = 0;

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
        n += e->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

/* ---- kernels ---- */

static void read_kernels(tkx_hw_info *info)
{
    static const struct {
        const char *name;
        int is_built;
        int is_verified;
    } sets[] = {
#if defined(__x86_64__)
        {"avx512vnni", 1, 0},
        {"avx512", 1, 0},
        {"avx2", 1, 1},
        {"neon", 0, 1},
#elif defined(__aarch64__)
        {"avx512vnni", 0, 0},
        {"avx512", 0, 0},
        {"avx2", 0, 1},
        {"neon", 1, 1},
#else
        {"avx512vnni", 0, 0},
        {"avx512", 0, 0},
        {"avx2", 0, 1},
        {"neon", 0, 1},
#endif
        {"scalar", 1, 1},
    };
    const tkx__kernels *k = NULL;
    const char *used = "";

    if (tkx__kernels_select(NULL, &k, NULL) == TKX_OK)
        used = tkx__kernels_name(k);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        tkx_hw_kernels *out = &info->kernels[info->n_kernels++];

        out->name = sets[i].name;
        if (!sets[i].is_built)
            out->state = TKX_HW_KERNELS_NOT_BUILT;
        else if (tkx__kernels_select(sets[i].name, &k, NULL) != TKX_OK)
            out->state = TKX_HW_KERNELS_NO_CPU;
        else if (strcmp(sets[i].name, used) == 0)
            out->state = TKX_HW_KERNELS_USED;
        else
            out->state = sets[i].is_verified ? TKX_HW_KERNELS_AVAILABLE
                                             : TKX_HW_KERNELS_UNVERIFIED;
    }
}

tkx_status tkx_hw_probe(unsigned flags, tkx_hw_info *out, tkx_error **err)
{
    tkx_hw_info info = TKX_HW_INFO_INIT;
    size_t size = out->struct_size;

    if (size == 0 || size > sizeof info)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "hw probe: struct_size %zu; use TKX_HW_INFO_INIT", size);
    read_topology(&info);
    read_cpu_name(&info);
    read_features(&info);
    read_kernels(&info);
    info.n_usable_cpus = tkx__hw_usable_cpus();
    info.memory_bytes = tkx__hw_memory_bytes();
    info.memory_limit_bytes = tkx__hw_memory_limit();
    info.memory_available_bytes = tkx__hw_memory_available();
    info.n_gpus = count_gpus();
    if (flags & TKX_HW_MEASURE)
        info.read_bytes_per_s =
            tkx__hw_read_bandwidth(info.n_usable_cpus, MEASURE_BYTES, MEASURE_PASSES);
    memcpy(out, &info, size);
    out->struct_size = size;
    return TKX_OK;
}
