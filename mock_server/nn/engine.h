/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/engine.h - the compute side of the mock server: base models and their owner.
 *
 * An engine holds a small pool of threads and the base models that were registered.  LoRA
 * models are made in nn/train.h, sampled in nn/sample.h, written in nn/checkpoint.h.
 *
 * What is computed depends on the input alone: the same bits for any number of threads.
 *
 * Errors of every function in nn/: category USER where the caller's request is wrong
 * (token out of range, shapes, limits), SERVER where weights or the machine are.
 */
#ifndef MOCK_NN_ENGINE_H
#define MOCK_NN_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

typedef struct nn_engine nn_engine;
typedef struct nn_base nn_base;

typedef struct nn_engine_options {
    int n_threads; /* 0: as many as there are cores */
    size_t
        max_context; /* tokens of one datum or prompt + completion; 0: the model's own */
    size_t max_activation_bytes; /* per thread, beyond which layers are recomputed; 0: 512
                                    MiB */
} nn_engine_options;

/* Ownership: *out is the caller's; it must outlive everything made from it. */
tkx_status nn_engine_new(const nn_engine_options *options, nn_engine **out,
                         tkx_error **err);
void nn_engine_free(nn_engine *engine);

/*
 * Register a base model: a Hugging Face directory or a GGUF file, or, with path NULL, the
 * built-in byte-level model.  Weights are read here.  Thread: before the server starts.
 */
#define NN_BUILTIN_NAME "tkx/bytes"
tkx_status nn_engine_add_base(nn_engine *engine, const char *name, const char *path,
                              tkx_error **err);

size_t nn_engine_n_bases(const nn_engine *engine);
const nn_base *nn_engine_base_at(const nn_engine *engine, size_t i);
/* NULL when no base of that name was registered.  Thread: any. */
const nn_base *nn_engine_find_base(const nn_engine *engine, const char *name);

typedef struct nn_base_info {
    const char *name;         /* as registered */
    const char *path;         /* NULL: built in */
    const char *architecture; /* "llama", "qwen2", "qwen3", "qwen3moe" */
    const char
        *tokenizer_id; /* "bytes" for the built-in model, else the registered name */
    size_t vocab_size;
    size_t max_context; /* tokens of one sequence, prompt and completion together */
    size_t n_layers;
    size_t hidden_size;
    size_t n_experts;       /* 0: dense */
    uint64_t n_params;      /* of the base alone */
    bool is_tied;           /* head and embedding are one matrix */
    bool has_tokenizer;     /* stop strings can be used */
    const int64_t *end_ids; /* implicit stop tokens, [n_end_ids] */
    size_t n_end_ids;
} nn_base_info;

/* Strings and arrays are borrowed from the base.  Thread: any. */
nn_base_info nn_base_get_info(const nn_base *base);

#endif
