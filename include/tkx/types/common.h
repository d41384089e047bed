/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/common.h - small values that many wire types are made of.
 *
 * Conventions of all headers in this folder:
 * - Request structs are filled by the caller; everything they point to is borrowed.
 *   Structs with struct_size are made with their _INIT macro.
 * - Result structs (tkx_x *, from a take or get function) own all they point to and never
 *   change: any thread may read them, or end them by tkx_x_free(), which accepts NULL.
 * - A missing value is NULL (text), -1 (sizes, counts, int flags), NaN (floats) or
 *   TKX_TIME_NONE, unless a comment says otherwise.
 */
#ifndef TKX_TYPES_COMMON_H
#define TKX_TYPES_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/status.h>

TKX_BEGIN_DECLS

/* Microseconds since 1970, UTC. */
typedef int64_t tkx_time_us;
#define TKX_TIME_NONE INT64_MIN

typedef struct tkx_string_list {
    const char *const *items; /* UTF-8 */
    size_t count;
} tkx_string_list;

/* In results a value that is no text stands as its JSON. */
typedef struct tkx_pair {
    const char *key;
    const char *value;
} tkx_pair;

typedef struct tkx_pair_list {
    const tkx_pair *items;
    size_t count;
} tkx_pair_list;

/* A member of an object with its value as JSON text, passed through unread. */
typedef struct tkx_json_member {
    const char *name;
    const char *json;
} tkx_json_member;

typedef struct tkx_json_member_list {
    const tkx_json_member *items;
    size_t count;
} tkx_json_member_list;

/* Any integer from -2^63 to 2^64-1, or none: {0} is "not given". */
typedef struct tkx_seed {
    bool is_set;
    bool is_negative;
    uint64_t bits; /* two's complement when negative */
} tkx_seed;

static inline tkx_seed tkx_seed_i64(int64_t value)
{
    tkx_seed seed = {true, value < 0, (uint64_t)value};

    return seed;
}

static inline tkx_seed tkx_seed_u64(uint64_t value)
{
    tkx_seed seed = {true, false, value};

    return seed;
}

TKX_END_DECLS
#endif
