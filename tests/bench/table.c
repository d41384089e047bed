/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <stddef.h>

bench_fn bench_engine;

const bench_entry benches[] = {
    {"engine", bench_engine, "the local engine: prefill, decode, first token, limits"},
    {NULL, NULL, NULL},
};
