/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/local.h - sampling on this machine, with the service's own contract.
 *
 * A tkx_local is a model (a Hugging Face folder or a GGUF file) and the threads that
 * compute it; adapters as the service's archives have them are loaded beside it, by any
 * number, while it runs.  Requests and responses are those of the service.
 */
#ifndef TKX_LOCAL_H
#define TKX_LOCAL_H

#include <tkx/context.h>
#include <tkx/future.h>
#include <tkx/types/sample.h>
#include <tkx/types/sample_response.h>

TKX_BEGIN_DECLS

typedef struct tkx_local tkx_local;
typedef struct tkx_local_adapter tkx_local_adapter;

typedef enum tkx_local_compute {
    TKX_LOCAL_COMPUTE_FAST = 0, /* KV cache in float16, 8-bit activations on quantised
                                   weights */
    TKX_LOCAL_COMPUTE_F32       /* activations and KV cache in float32 */
} tkx_local_compute;

/* What a token's logprob is taken from; at temperature 0 all are raw. */
typedef enum tkx_logprob_mode {
    TKX_LOGPROB_MODE_RAW = 0,  /* the model's logits */
    TKX_LOGPROB_MODE_TEMPERED, /* logits / temperature */
    TKX_LOGPROB_MODE_FILTERED  /* what top-k and top-p left */
} tkx_logprob_mode;

typedef enum tkx_local_stage {
    TKX_LOCAL_STAGE_HEADER = 0, /* names, shapes and types are read and checked */
    TKX_LOCAL_STAGE_MEMORY,     /* cache and scratch are set up */
    TKX_LOCAL_STAGE_READY,
    TKX_LOCAL_STAGE_QUANTISE /* before MEMORY, when asked for: bytes of the copies */
} tkx_local_stage;

/* Thread: the one that opens.  Units: bytes of the weights known so far, and of all. */
typedef void tkx_local_progress_fn(tkx_local_stage stage, uint64_t done_bytes,
                                   uint64_t total_bytes, void *user_data);

/* Start from TKX_LOCAL_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_local_options {
    size_t struct_size;
    tkx_local_compute compute;
    int n_threads;             /* 0: as many as the process may run on */
    uint64_t max_memory_bytes; /* weights, KV, scratch; 0: what machine and cgroup
                                  allow, less 5 % (1 GiB to a tenth) */
    size_t max_positions;      /* of all open sequences together; 0: chosen to fit */
    size_t max_requests;       /* open at once, beyond that BUSY; 0: 1,024 */
    const char *kernels;       /* instruction set by name; NULL: the best of this CPU */
    tkx_local_progress_fn *on_progress; /* NULL: none */
    void *user_data;
    const char *weight_type; /* quantise F32, F16 and BF16 matrices while loading: "q8_0"
                                or "q4_0"; NULL: all as stored */
} tkx_local_options;

#define TKX_LOCAL_OPTIONS_INIT                                                           \
    {                                                                                    \
        .struct_size = sizeof(tkx_local_options)                                         \
    }

/**
 * Open a model.  Whether it fits is decided from the file's header, before anything large
 * is touched.
 *
 * Thread:    any.  It computes on threads of its own.
 * Ownership: @p options is borrowed (NULL: defaults); @p out is the caller's,
 *            tkx_local_free().
 * Errors:    NOT_FOUND, IO; PARSE with everything that is wrong with the files;
 *            UNSUPPORTED for an architecture or option that is not computed here; LIMIT
 *            when it does not fit into memory (the message has the figures).
 */
TKX_API tkx_status tkx_local_open(const char *path, const tkx_local_options *options,
                                  tkx_local **out, tkx_error **err);

/** End what is open with CLOSED and free.  Adapters may be unloaded before or after.
    Thread: any but from inside a callback.  Accepts NULL. */
TKX_API void tkx_local_free(tkx_local *local);

/**
 * Load an adapter: a folder, a tar or a gzipped tar.
 *
 * Thread:    any; requests go on meanwhile.
 * Ownership: @p out is the caller's; tkx_local_adapter_unload().
 * Errors:    INVALID_ARGUMENT listing every tensor that is unused, missing or of a wrong
 *            shape and every option that is not computed; PARSE, IO, NOT_FOUND.
 */
TKX_API tkx_status tkx_local_adapter_load(tkx_local *local, const char *path,
                                          tkx_local_adapter **out, tkx_error **err);
/** Let go of it; requests that use it go on.  Thread: any.  Accepts NULL. */
TKX_API void tkx_local_adapter_unload(tkx_local_adapter *adapter);

/* Which side answered, and how its numbers are meant.  Strings are borrowed from the
   model and the adapter. */
typedef struct tkx_sample_label {
    const char *backend;      /* "local"; of a tkx_sampler also "remote" */
    const char *model;        /* its path; of the service: path or name */
    const char *architecture; /* "llama" and so on */
    const char *weight_type;  /* "BF16", "Q4_0": the most common type of the weights */
    const char *compute;      /* "fast" or "f32" */
    const char *kernels;      /* instruction set */
    const char *logprob_mode; /* "raw", "tempered", "filtered" */
    const char *reason;       /* why this backend: "requested" */
    const char *adapter_base; /* base model that the adapter names; NULL: not said, or no
                                 adapter */
    const char *warning;      /* that name is not found in the model's path: this may be
                                 another model of the same shape; NULL: none */
} tkx_sample_label;

/** Who answers a request with that @p mode; at temperature 0 it is raw in any case.
    Thread: any.  @p adapter may be NULL. */
TKX_API tkx_sample_label tkx_local_label(const tkx_local *local,
                                         const tkx_local_adapter *adapter,
                                         tkx_logprob_mode mode);

/** Positions that one sequence may have.  Thread: any. */
TKX_API size_t tkx_local_max_positions(const tkx_local *local);
/** Threads that compute.  Thread: any. */
TKX_API size_t tkx_local_n_threads(const tkx_local *local);

/* A sample got a token.  Thread: a compute thread; must be short, no call into tkx.  Not
   called after its future has completed. */
typedef void tkx_local_token_fn(int64_t sample, int32_t token, float logprob,
                                void *user_data);

/* What the service does not have.  Start from TKX_LOCAL_SAMPLE_OPTIONS_INIT; zero is
   off. */
typedef struct tkx_local_sample_options {
    size_t struct_size;
    const tkx_local_adapter *adapter; /* NULL: the base model */
    tkx_logprob_mode logprob_mode;
    tkx_local_token_fn *on_token; /* NULL: none */
    void *user_data;
    /* Local only: */
    float min_p;
    float repetition_penalty;
    float frequency_penalty;
    float presence_penalty;
    const int64_t *bias_tokens; /* [n_biases], added to the logits */
    const float *biases;
    size_t n_biases;
} tkx_local_sample_options;

#define TKX_LOCAL_SAMPLE_OPTIONS_INIT                                                    \
    {                                                                                    \
        .struct_size = sizeof(tkx_local_sample_options)                                  \
    }

/**
 * Sample and wait.  max_tokens 0 scores the prompt alone.
 *
 * Thread:    any but a loop thread; may be called from many at once, which share steps.
 * Ownership: @p request and @p options are borrowed for the call (options may be NULL);
 *            @p out is the caller's, tkx_sample_response_free().
 * Shapes:    as tkx_future_take_sample(); the first prompt logprob is NaN.  Targets are
 *            answered in the layout they were asked in, draws for the prompt come from a
 *            stream of their own.
 * Errors:    INVALID_ARGUMENT; LIMIT when the context is too small; BUSY; CLOSED;
 *            UNSUPPORTED for a prompt that is not text, stop strings without a usable
 *            tokenizer, and what only the service offers.
 */
TKX_API tkx_status tkx_local_sample(tkx_local *local, const tkx_sample_request *request,
                                    const tkx_local_sample_options *options,
                                    tkx_sample_response **out, tkx_error **err);

/**
 * The same as a future of @p context: tkx_future_take_local_sample().  Cancelling it ends
 * the computation.
 *
 * Thread:    any.
 * Ownership: @p local must outlive the future's completion; @p out is the caller's.
 */
TKX_API tkx_status tkx_local_sample_start(tkx_local *local, tkx_context *context,
                                          const tkx_sample_request *request,
                                          const tkx_local_sample_options *options,
                                          tkx_future **out, tkx_error **err);

/** Ownership: @p out is the caller's, tkx_sample_response_free().  Thread: any. */
TKX_API tkx_status tkx_future_take_local_sample(tkx_future *future,
                                                tkx_sample_response **out,
                                                tkx_error **err);

/** Stop computing between two steps, or go on.  Thread: any. */
TKX_API void tkx_local_pause(tkx_local *local, int is_paused);

TKX_END_DECLS
#endif
