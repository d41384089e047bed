/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/hash.h - hashing of short byte strings and of pairs of ids.
 */
#ifndef TKX_MODEL_TOKENIZER_HASH_H
#define TKX_MODEL_TOKENIZER_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t tkx__hash_mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
    return h;
}

/* Of two words that hold up to 16 bytes, zero behind them, and their length. */
static inline uint64_t tkx__hash_words(uint64_t lo, uint64_t hi, size_t n)
{
    uint64_t h = lo * 0x9E3779B97F4A7C15u;

    h ^= h >> 29;
    h += (hi ^ n) * 0xC2B2AE3D27D4EB4Fu;
    h ^= h >> 32;
    return h * 0xD6E8FEB86659FD93u;
}

static inline uint64_t tkx__hash_bytes(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = n * 0x9E3779B97F4A7C15u;
    uint64_t word;

    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = (h ^ tkx__hash_mix(word)) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    word = 0;
    memcpy(&word, p, n);
    return tkx__hash_mix((h ^ word) * 0xC2B2AE3D27D4EB4Fu);
}

#endif
