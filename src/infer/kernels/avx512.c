// SPDX-License-Identifier: Apache-2.0
/*
 * avx512.c - AVX-512 F, BW, DQ and VL, without the VNNI instructions; see avx512_micro.h.
 *
 * Compiled, never run: it is chosen by name only, until somebody has run the tests on
 * such a CPU and says so in is_verified.
 */
#define TKX__HAS_VNNI 0
#include "infer/kernels/avx512_micro.h"

static bool wide_is_supported(void)
{
    return tkx__avx2_is_supported() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

const tkx__kernels tkx__kernels_avx512 = {
    .name = "avx512",
    .is_verified = false,
    .is_supported = wide_is_supported,
    TKX__WIDE_TABLE,
};
