/* SPDX-License-Identifier: Apache-2.0 */
/* local.c - opening a model and its adapters; sampling is in local_sample.c. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/local_in.h"
#include "infer/requantise.h"

static void report(const tkx_local_options *o, tkx_local_stage stage, uint64_t done,
                   uint64_t total)
{
    if (o->on_progress)
        o->on_progress(stage, done, total, o->user_data);
}

typedef struct quantising {
    const tkx_local_options *options;
    uint64_t total_bytes;
} quantising;

static void on_quantised(void *ctx, size_t done_bytes)
{
    const quantising *q = ctx;

    report(q->options, TKX_LOCAL_STAGE_QUANTISE, done_bytes, q->total_bytes);
}

static tkx_status quantise(tkx_local *local, const tkx_local_options *o, tkx__dtype dtype,
                           tkx_error **err)
{
    quantising q = {.options = o};
    const tkx__kernels *kernels;
    tkx__threads *pool;
    size_t copied = 0;
    tkx_status st = tkx__kernels_select(o->kernels, &kernels, err);

    if (st == TKX_OK)
        st = tkx__threads_new((size_t)o->n_threads, &pool, err);
    if (st != TKX_OK)
        return st;
    (void)tkx__requantise_bytes(local->weights, dtype, &copied);
    q.total_bytes = copied;
    st = tkx__requantise(local->weights, dtype,
                         o->compute == TKX_LOCAL_COMPUTE_FAST ? kernels : NULL, pool,
                         on_quantised, &q, err);
    tkx__threads_free(pool);
    return st;
}

static tkx_status open_model(tkx_local *local, const char *path,
                             const tkx_local_options *o, tkx_error **err)
{
    tkx__schedule_options schedule = {.compute = o->compute == TKX_LOCAL_COMPUTE_F32
                                                     ? TKX__COMPUTE_F32
                                                     : TKX__COMPUTE_FAST,
                                      .n_threads = (size_t)o->n_threads,
                                      .max_jobs = o->max_requests,
                                      .kernels = o->kernels};
    tkx__dtype dtype = TKX__DTYPE_F32;
    uint64_t weight_bytes;
    tkx_status st =
        o->weight_type ? tkx__requantise_find(o->weight_type, &dtype, err) : TKX_OK;

    if (st == TKX_OK)
        st = tkx__weights_open(path, &local->weights, err);
    if (st != TKX_OK)
        return st;
    weight_bytes = o->weight_type ? tkx__requantise_bytes(local->weights, dtype, NULL)
                                  : local->weights->size_bytes;
    report(o, TKX_LOCAL_STAGE_HEADER, 0, local->weights->size_bytes);
    st = tkx__local_fit(local->weights, weight_bytes, o, &local->fit, err);
    if (st == TKX_OK && o->weight_type)
        st = quantise(local, o, dtype, err);
    if (st != TKX_OK)
        return st;
    schedule.kv_blocks = local->fit.kv_blocks;
    st = tkx__schedule_new(local->weights, &schedule, &local->schedule, err);
    if (st != TKX_OK)
        return st;
    report(o, TKX_LOCAL_STAGE_MEMORY, 0, local->weights->size_bytes);
    report(o, TKX_LOCAL_STAGE_READY, local->weights->size_bytes,
           local->weights->size_bytes);
    return TKX_OK;
}

tkx_status tkx_local_open(const char *path, const tkx_local_options *options,
                          tkx_local **out, tkx_error **err)
{
    tkx_local_options o = TKX_LOCAL_OPTIONS_INIT;
    tkx_local *local;
    tkx_status st = tkx__options_overlay(&o, sizeof o, options, "tkx_local_options", err);

    if (st != TKX_OK)
        return st;
    if (!path || o.n_threads < 0 || o.n_threads > 64 ||
        (o.compute != TKX_LOCAL_COMPUTE_FAST && o.compute != TKX_LOCAL_COMPUTE_F32))
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "open a model: no path, an unknown compute mode, or not 0 to 64 threads");
    local = tkx__calloc(1, sizeof *local);
    if (!local)
        return tkx__fail_memory(err);
    pthread_mutex_init(&local->lock, NULL);
    local->compute = o.compute;
    st = open_model(local, path, &o, err);
    if (st == TKX_OK) {
        *out = local;
        return TKX_OK;
    }
    tkx_local_free(local);
    return st;
}

void tkx_local_free(tkx_local *local)
{
    if (!local)
        return;
    tkx__schedule_free(local->schedule);
    tkx__weights_free(local->weights);
    tkx_tokenizer_unref(local->tokenizer);
    pthread_mutex_destroy(&local->lock);
    tkx__free(local);
}

static tkx_status arrange(const tkx_local *local, tkx__adapter *adapter, tkx_error **err)
{
    const tkx__kernels *kernels;
    tkx_status st =
        tkx__kernels_select(tkx__schedule_kernels(local->schedule), &kernels, err);

    return st == TKX_OK ? tkx__adapter_arrange(adapter, kernels, err) : st;
}

/* Letters and digits alone, in lower case: names are spelled in many ways. */
static void reduce(char *text)
{
    char *to = text;

    for (; *text; text++)
        if (isalnum((unsigned char)*text))
            *to++ = (char)tolower((unsigned char)*text);
    *to = '\0';
}

/* "Qwen/Qwen3-8B" is "qwen3-8b-Q4_0.gguf" as well as ".../models--Qwen--Qwen3-8B/...". */
static tkx_status compare_base(const char *path, const char *base, char **warning,
                               tkx_error **err)
{
    const char *slash = strrchr(base, '/');
    char *real = realpath(path, NULL);
    char *here = tkx__strdup(real ? real : path);
    char *name = tkx__strdup(slash ? slash + 1 : base);
    tkx__buf text;

    free(real);
    tkx__buf_init(&text, 1 << 14);
    if (here && name) {
        reduce(here);
        reduce(name);
        if (*name && !strstr(here, name))
            tkx__buf_printf(&text,
                            "the adapter was trained on %.400s, and nothing in the name "
                            "of %.4096s says that it is that model",
                            base, path);
    }
    if (text.size)
        *warning = tkx__buf_take(&text, NULL);
    if (!here || !name || text.status != TKX_OK)
        (void)tkx__fail_memory(err);
    tkx__free(here);
    tkx__free(name);
    tkx__buf_clear(&text);
    return here && name && text.status == TKX_OK ? TKX_OK : TKX_ERR_NO_MEMORY;
}

tkx_status tkx_local_adapter_load(tkx_local *local, const char *path,
                                  tkx_local_adapter **out, tkx_error **err)
{
    tkx_local_adapter *adapter = tkx__calloc(1, sizeof *adapter);
    const char *base;
    tkx_status st;

    if (!adapter)
        return tkx__fail_memory(err);
    adapter->local = local;
    st = tkx__local_adapter_fit(&local->fit, path, tkx__local_adapter_bytes(path), err);
    if (st == TKX_OK)
        st = tkx__adapter_open(path, local->weights, &adapter->adapter, err);
    if (st == TKX_OK) /* an archive may have been packed */
        st = tkx__local_adapter_fit(
            &local->fit, path, tkx__adapter_get_info(adapter->adapter).size_bytes, err);
    if (st == TKX_OK && local->compute == TKX_LOCAL_COMPUTE_FAST)
        st = arrange(local, adapter->adapter, err);
    base = st == TKX_OK ? tkx__adapter_get_info(adapter->adapter).base_model : NULL;
    if (base)
        st = compare_base(local->weights->path, base, &adapter->warning, err);
    if (st == TKX_OK) {
        *out = adapter;
        return TKX_OK;
    }
    tkx__adapter_unref(adapter->adapter);
    tkx__free(adapter->warning);
    tkx__free(adapter);
    return st;
}

void tkx_local_adapter_unload(tkx_local_adapter *adapter)
{
    if (!adapter)
        return;
    tkx__adapter_unref(adapter->adapter);
    tkx__free(adapter->warning);
    tkx__free(adapter);
}

static const char *mode_name(tkx_logprob_mode mode)
{
    return mode == TKX_LOGPROB_MODE_TEMPERED   ? "tempered"
           : mode == TKX_LOGPROB_MODE_FILTERED ? "filtered"
                                               : "raw";
}

tkx_sample_label tkx_local_label(const tkx_local *local, const tkx_local_adapter *adapter,
                                 tkx_logprob_mode mode)
{
    return (tkx_sample_label){
        .backend = "local",
        .model = local->weights->path,
        .architecture = tkx__arch_name(local->weights->config.arch),
        .weight_type = local->weights->type,
        .compute = local->compute == TKX_LOCAL_COMPUTE_F32 ? "f32" : "fast",
        .kernels = tkx__schedule_kernels(local->schedule),
        .logprob_mode = mode_name(mode),
        .reason = "requested",
        .adapter_base =
            adapter ? tkx__adapter_get_info(adapter->adapter).base_model : NULL,
        .warning = adapter ? adapter->warning : NULL};
}

size_t tkx_local_max_positions(const tkx_local *local)
{
    return tkx__schedule_max_positions(local->schedule);
}

size_t tkx_local_n_threads(const tkx_local *local)
{
    return tkx__schedule_n_threads(local->schedule);
}

void tkx_local_pause(tkx_local *local, int is_paused)
{
    tkx__schedule_pause(local->schedule, is_paused != 0);
}
