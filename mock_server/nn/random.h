/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/random.h - SplitMix64: one 64-bit state, one addition and a mix per draw.
 *
 * Small enough to be computed by hand elsewhere; the sampling contract names it.
 */
#ifndef MOCK_NN_RANDOM_H
#define MOCK_NN_RANDOM_H

#include <math.h>
#include <stdint.h>

typedef struct nn_random {
    uint64_t state;
} nn_random;

static inline uint64_t nn_random_next(nn_random *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Uniform in [0, 1), 53 bits. */
static inline double nn_random_unit(nn_random *random)
{
    return (double)(nn_random_next(random) >> 11) * 0x1p-53;
}

/* Standard normal (Box-Muller; two draws). */
static inline double nn_random_normal(nn_random *random)
{
    double u = 1 - nn_random_unit(random), v = nn_random_unit(random);

    return sqrt(-2 * log(u)) * cos(6.283185307179586476925286766559 * v);
}

#endif
