/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/attach.h - bring a model and a journal to the same state.
 *
 * Every recorded request that has no end on record is followed to its end: by its
 * promise, or by sending it again under its number.  Loop thread only.
 */
#ifndef TKX_CLIENT_ATTACH_H
#define TKX_CLIENT_ATTACH_H

#include "api/poll.h"
#include "client/ledger.h"

typedef enum tkx__op_class {
    TKX__OP_PASS, /* body and result can be protobuf */
    TKX__OP_STEP,
    TKX__OP_LOAD,
    TKX__OP_SAVE
} tkx__op_class;

/* What the operations of a journal are on the wire. */
typedef struct tkx__op_kind {
    const char *op, *request_type, *sdk_method; /* static */
    tkx__op_class kind;
    void *(*decode)(const tkx__payload *payload, void *arg, tkx_error **err);
    void (*free_result)(void *result);
    const char *(*path_of)(const void *result); /* NULL: no save */
} tkx__op_kind;

/* NULL: unknown. */
const tkx__op_kind *tkx__op_kind_find(const char *op);

/* One request of the list, and what came of it. */
typedef struct tkx__attached {
    const tkx__store_part *row;
    const tkx__op_kind *kind;
    void *result;     /* NULL: failed, or the service has it no more */
    tkx_error *error; /* the service failed or refused it */
} tkx__attached;

typedef enum tkx__attach_end {
    TKX__ATTACHED = 0, /* every request has an end */
    TKX__ATTACH_LOST,  /* this model cannot be what the journal says any more */
    TKX__ATTACH_FAILED /* with an error: try again later */
} tkx__attach_end;

typedef struct tkx__attach tkx__attach;

/* Told once.  parts[n] belong to the attach, which the receiver frees. */
typedef void tkx__attach_fn(void *arg, tkx__attach_end end, tkx_error *error);

typedef struct tkx__attach_spec {
    struct tkx__task *task; /* whose future shows what goes on */
    tkx__ledger *ledger;
    const char *model_id;        /* copied */
    const tkx__store_part *rows; /* by number on the wire; they stay until the end */
    size_t n_rows;
    tkx__attach_fn *fn; /* never inside the start */
    void *arg;
} tkx__attach_spec;

/* NULL: NO_MEMORY, CLOSED, or UNSUPPORTED for an operation that is not known here. */
tkx__attach *tkx__attach_start(const tkx__attach_spec *spec, tkx_error **err);
tkx__attached *tkx__attach_parts(tkx__attach *attach);
size_t tkx__attach_n_sent(const tkx__attach *attach);
void tkx__attach_free(tkx__attach *attach); /* after fn; accepts NULL */

#endif
