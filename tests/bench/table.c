/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - what tkx-bench can measure; a bench is one file and one row. */
#include "bench.h"

#include <stddef.h>

bench_fn bench_client;
bench_fn bench_codec;
bench_fn bench_encode;
bench_fn bench_engine;
bench_fn bench_trainer;

const bench_entry benches[] = {
    {"client", bench_client, "the client against a server that answers at once"},
    {"engine", bench_engine, "the local engine: prefill, decode, first token, limits"},
    {"trainer", bench_trainer, "the mock server's trainer: forward_backward, peak"},
    {"encode", bench_encode, "a training body as JSON: MB/s beside memcpy"},
    {"codec", bench_codec, "JSON and protobuf both ways: MB/s, allocations, zstd"},
    {"tok", bench_tok, "encoding speed of a tokenizer: tok MODEL FILE..."},
    {NULL, NULL, NULL},
};
