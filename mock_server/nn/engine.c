/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - the registry of base models and what all computing shares.
 */
#include "mock_server/nn/engine.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/base.h"
#include "mock_server/nn/fail.h"
#include "mock_server/nn/gemm.h"
#include "mock_server/nn/load.h"
#include "mock_server/nn/model.h"

enum {
    DEFAULT_CONTEXT = 8192, /* where neither the options nor the model say less */
    MAX_THREADS = 256
};

static const size_t default_activation_bytes = (size_t)512 << 20;

static int n_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

tkx_status nn_engine_new(const nn_engine_options *options, nn_engine **out,
                         tkx_error **err)
{
    nn_engine *engine = tkx__calloc(1, sizeof *engine);
    tkx_status st;

    if (!engine)
        return tkx__fail_memory(err);
    if (options)
        engine->options = *options;
    if (engine->options.n_threads <= 0)
        engine->options.n_threads = n_cores();
    if (engine->options.n_threads > MAX_THREADS)
        engine->options.n_threads = MAX_THREADS;
    if (engine->options.max_context == 0)
        engine->options.max_context = DEFAULT_CONTEXT;
    if (engine->options.max_activation_bytes == 0)
        engine->options.max_activation_bytes = default_activation_bytes;
    nn_gemm_init();
    engine->works = nn_work_list_new();
    st = engine->works ? nn_pool_new(engine->options.n_threads, &engine->pool, err)
                       : tkx__fail_memory(err);
    if (st != TKX_OK) {
        nn_engine_free(engine);
        return st;
    }
    *out = engine;
    return TKX_OK;
}

void nn_engine_free(nn_engine *engine)
{
    if (!engine)
        return;
    nn_pool_free(engine->pool);
    nn_work_list_free(engine->works);
    for (size_t i = 0; i < engine->n_bases; i++)
        nn_base_free(engine->bases[i]);
    tkx__free(engine->bases);
    tkx__free(engine);
}

tkx_status nn_engine_add_base(nn_engine *engine, const char *name, const char *path,
                              tkx_error **err)
{
    nn_base **grown;
    nn_base *base = NULL;
    tkx_status st;

    if (nn_engine_find_base(engine, name))
        return nn_fail_server(err, TKX_ERR_INVALID_ARGUMENT,
                              "base model '%s' is registered already", name);
    grown = tkx__realloc(engine->bases, engine->n_bases + 1, sizeof(nn_base *));
    if (!grown)
        return tkx__fail_memory(err);
    engine->bases = grown;
    st = path ? nn_base_load(name, path, engine->options.max_context, &base, err)
              : nn_base_builtin(name, engine->options.max_context, &base, err);
    if (st == TKX_OK)
        engine->bases[engine->n_bases++] = base;
    return st;
}

size_t nn_engine_n_bases(const nn_engine *engine)
{
    return engine->n_bases;
}

const nn_base *nn_engine_base_at(const nn_engine *engine, size_t i)
{
    return i < engine->n_bases ? engine->bases[i] : NULL;
}

const nn_base *nn_engine_find_base(const nn_engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->n_bases; i++)
        if (strcmp(engine->bases[i]->name, name) == 0)
            return engine->bases[i];
    return NULL;
}

nn_base_info nn_base_get_info(const nn_base *base)
{
    const nn_config *c = &base->config;

    return (nn_base_info){
        .name = base->name,
        .path = base->path,
        .architecture = c->architecture,
        .tokenizer_id = base->is_bytes ? "bytes" : base->name,
        .vocab_size = c->vocab_size,
        .max_context = c->max_context,
        .n_layers = c->n_layers,
        .hidden_size = c->hidden,
        .n_experts = c->n_experts,
        .n_params = base->n_params,
        .is_tied = c->is_tied,
        .has_tokenizer = base->is_bytes || base->tokenizer,
        .end_ids = base->end_ids,
        .n_end_ids = base->n_end_ids,
    };
}
