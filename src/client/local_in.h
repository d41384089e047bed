/* SPDX-License-Identifier: Apache-2.0 */
/* client/local_in.h - the inside of a local model, for local*.c alone. */
#ifndef TKX_CLIENT_LOCAL_IN_H
#define TKX_CLIENT_LOCAL_IN_H

#include <pthread.h>

#include <tkx/local.h>
#include <tkx/tokenizer.h>

#include "infer/schedule.h"
#include "model/weights.h"

typedef struct local_fit {
    size_t kv_blocks;
    uint64_t weight_bytes;
    uint64_t needed_bytes;
    uint64_t available_bytes; /* UINT64_MAX: no limit known */
} local_fit;

struct tkx_local {
    tkx__weights *weights;
    tkx__schedule *schedule;
    tkx_local_compute compute;
    local_fit fit;
    pthread_mutex_t lock;     /* the tokenizer is opened when first needed */
    tkx_tokenizer *tokenizer; /* NULL: not yet */
};

struct tkx_local_adapter {
    const tkx_local *local; /* only compared: may be gone */
    tkx__adapter *adapter;
    char *warning; /* NULL: none */
};

/* Open the tokenizer now, so that a later request with stop strings need not.  Failure is
   that request's to tell. */
void tkx__local_prepare_text(tkx_local *local);

/* ---- local_fit.c ---- */

/*
 * How large a cache fits beside the weights, which take weight_bytes in memory.  LIMIT,
 * with the figures, when not even a small one does.
 */
tkx_status tkx__local_fit(const tkx__weights *weights, uint64_t weight_bytes,
                          const tkx_local_options *options, local_fit *out,
                          tkx_error **err);

/* LIMIT when so many bytes more are too many. */
tkx_status tkx__local_adapter_fit(const local_fit *fit, const char *path, uint64_t bytes,
                                  tkx_error **err);
/* Bytes of an adapter's folder or archive, as it lies there. */
uint64_t tkx__local_adapter_bytes(const char *path);

#endif
