/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decimal_read.c - w * 10^q to the nearest double by one or two 64-bit multiplications.
 *
 * The method is Eisel and Lemire's: normalise w, multiply with the 128-bit leading part
 * of 5^q, round the top 54 bits half to even.  A 128-bit power is enough for every 64-bit
 * w, so there is no slow path here; texts of more than 19 digits are the caller's matter.
 */
#include <string.h>

#include "json/decimal.h"
#include "json/pow10.h"

enum { MANTISSA_BITS = 52, MIN_EXPONENT = -1023, INFINITE_POWER = 0x7FF };

static tkx__u128 multiply(uint64_t w, int q)
{
    tkx__pow10 power = tkx__pow10_table[q - TKX__POW10_MIN];
    tkx__u128 product;

    if (q < 0 && q >= -27 && ++power.lo == 0) /* wants these rounded up */
        power.hi++;
    product = (tkx__u128)w * power.hi;
    if (((uint64_t)(product >> 64) & 0x1FF) == 0x1FF)
        product += (uint64_t)(((tkx__u128)w * power.lo) >> 64);
    return product;
}

static double assemble(uint64_t mantissa, int power2)
{
    uint64_t bits = (mantissa & ~(UINT64_C(1) << MANTISSA_BITS)) | (uint64_t)power2
                                                                       << MANTISSA_BITS;
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static double subnormal(uint64_t mantissa, int power2)
{
    if (1 - power2 >= 64)
        return 0.0;
    mantissa >>= 1 - power2;
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    return assemble(mantissa, mantissa < (UINT64_C(1) << MANTISSA_BITS) ? 0 : 1);
}

/* floor(log2(10^q)) for q in -342..308; the bias keeps the shifted number positive. */
static int log2_of_pow10(int q)
{
    return (((152170 + 65536) * q + (2048 << 16)) >> 16) - 2048;
}

double tkx__decimal_to_f64(uint64_t w, int64_t q64)
{
    tkx__u128 product;
    uint64_t high;
    uint64_t mantissa;
    int q;
    int lz;
    int upper;
    int shift;
    int power2;

    if (w == 0 || q64 < TKX__POW10_MIN)
        return 0.0;
    if (q64 > 308)
        return assemble(0, INFINITE_POWER);
    q = (int)q64;
    lz = __builtin_clzll(w);
    product = multiply(w << lz, q);
    high = (uint64_t)(product >> 64);
    upper = (int)(high >> 63);
    shift = upper + 64 - MANTISSA_BITS - 3;
    mantissa = high >> shift;
    power2 = log2_of_pow10(q) + 63 + upper - lz - MIN_EXPONENT;
    if (power2 <= 0)
        return subnormal(mantissa, power2);
    /* Exactly half way is only possible for small powers: round to even, not up. */
    if ((uint64_t)product <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 &&
        mantissa << shift == high)
        mantissa &= ~UINT64_C(1);
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >= UINT64_C(2) << MANTISSA_BITS) {
        mantissa = UINT64_C(1) << MANTISSA_BITS;
        power2++;
    }
    if (power2 >= INFINITE_POWER)
        return assemble(0, INFINITE_POWER);
    return assemble(mantissa, power2);
}
