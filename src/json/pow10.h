/* SPDX-License-Identifier: Apache-2.0 */
/* json/pow10.h - the table of powers that number reading and printing share. */
#ifndef TKX_JSON_POW10_H
#define TKX_JSON_POW10_H

#include <stdint.h>

#define TKX__POW10_MIN (-342)
#define TKX__POW10_MAX 324

typedef struct tkx__pow10 {
    uint64_t hi;
    uint64_t lo;
} tkx__pow10;

extern const tkx__pow10 tkx__pow10_table[TKX__POW10_MAX - TKX__POW10_MIN + 1];

__extension__ typedef unsigned __int128 tkx__u128; /* an extension of gcc and clang */

#endif
