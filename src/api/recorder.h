/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/recorder.h - somebody who writes operations down before they are sent.
 *
 * An operation with a recorder submits nothing before record() has ended well, so that
 * after a crash the record names everything that the service may have got.  What follows
 * (promises, ends) is only told: a record that lacks it is still true, since a request
 * may be sent again under its number.  Loop thread only.
 */
#ifndef TKX_API_RECORDER_H
#define TKX_API_RECORDER_H

#include <tkx/error.h>

#include "net/io.h"

typedef enum tkx__encoding {
    TKX__ENCODING_JSON = 0,
    TKX__ENCODING_PROTOBUF
} tkx__encoding;

/* A request body and what goes with it. */
typedef struct tkx__encoded {
    tkx__body body;
    const char *route;            /* static */
    const char *content_type;     /* static; NULL: JSON */
    const char *content_encoding; /* static; NULL: none */
    void (*release)(void *ctx);   /* NULL: nothing to free */
    void *ctx;
} tkx__encoded;

/* Fill out; maybe on a worker.  seq_id is -1 for an operation without a turn. */
typedef tkx_status tkx__encode_fn(void *arg, size_t i, int64_t seq_id,
                                  tkx__encoding encoding, tkx__encoded *out,
                                  tkx_error **err);

/* Parts [from, from + count) of one call. */
typedef struct tkx__record {
    int64_t call;   /* as told by fn before; 0: a new one, and these are all its parts */
    const char *op; /* static */
    size_t from, count;
    int64_t first_seq; /* of part 0; -1: no turn */
    tkx__encoding encoding;
    tkx__encode_fn *encode; /* runs on a worker, for each part in order */
    void *encode_arg;       /* stays until fn has run */
} tkx__record;

/* call: by what name the recorder knows it from now on; never 0.  error: the
   receiver's. */
typedef void tkx__recorded_fn(void *arg, int64_t call, tkx_error *error);

typedef enum tkx__part_end {
    TKX__PART_APPLIED = 0, /* the service carried it out */
    TKX__PART_FAILED,      /* the service took it and failed it */
    TKX__PART_REFUSED      /* the service never took it: its number is free */
} tkx__part_end;

typedef struct tkx__recorder tkx__recorder;

typedef struct tkx__recorder_ops {
    /* fn runs once, later, never inside this.  False: it will not, err says why. */
    bool (*record)(tkx__recorder *recorder, const tkx__record *record,
                   tkx__recorded_fn *fn, void *arg, tkx_error **err);
    void (*promised)(tkx__recorder *recorder, int64_t call, size_t part,
                     const char *request_id);
    /* path: where a save went, NULL: no save.  error: why it failed. */
    void (*ended)(tkx__recorder *recorder, int64_t call, size_t part, tkx__part_end end,
                  const char *path, const tkx_error *error);
    /* The caller has the outcome of the whole call. */
    void (*delivered)(tkx__recorder *recorder, int64_t call);
} tkx__recorder_ops;

/* Embedded first in the recorder's struct; it outlives the operation. */
struct tkx__recorder {
    const tkx__recorder_ops *ops;
};

#endif
