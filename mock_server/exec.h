/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.h - doing an operation: compute, write files, then record all of it at once.
 *
 * run() computes and writes files under new names; record() stands inside the transaction
 * that also keeps the promise and the journal.  So after a crash either all of an
 * operation has happened or nothing, and then it is done again.
 */
#ifndef MOCK_EXEC_H
#define MOCK_EXEC_H

#include "mock_server/future.h"
#include "mock_server/server.h"

/* Thread: a train worker, which owns the lane meanwhile. */
void exec_op(mock_server *srv, lane *l, op *o);
/* Thread: the sample worker.  All want the same weights. */
void exec_samples(mock_server *srv, op **ops, size_t n);

enum { EXEC_MAX_FILE = 256 };

/* A model's row of the records. */
typedef struct model_row {
    char session_id[256];
    char owner[64];
    char project_id[256];
    char base_model[256];
    char optimizer[512]; /* its JSON object */
    char file[EXEC_MAX_FILE];
    int64_t file_seq;
    bool is_ready;
    bool is_unloaded;
    nn_lora_options lora;
} model_row;

/* Under the lock; false when there is none. */
bool model_row_read(mock_server *srv, const char *model_id, model_row *out);

typedef struct exec {
    mock_server *srv;
    lane *lane;
    op *op;
    model_row row;
    tkx__arena arena;
    outcome out;
    int64_t n_tokens;
    bool writes_state;              /* the model's file is to be written anew */
    char state_file[EXEC_MAX_FILE]; /* written by this operation; "" when not */
    char file[EXEC_MAX_FILE];       /* of a checkpoint written by it */
    size_t file_size;
    char path[512];      /* tinker path of that checkpoint */
    const void *request; /* what run() read of the body, for record() */
} exec;

typedef struct exec_kind {
    tkx_status (*run)(exec *x, tkx_error **err);
    tkx_status (*record)(exec *x, tkx_error **err); /* NULL: nothing beside the promise */
    bool needs_model;
} exec_kind;

/* exec_train.c, exec_weights.c */
tkx_status exec_run_create(exec *x, tkx_error **err);
tkx_status exec_record_create(exec *x, tkx_error **err);
tkx_status exec_run_pass(exec *x, tkx_error **err);
tkx_status exec_record_pass(exec *x, tkx_error **err);
tkx_status exec_run_step(exec *x, tkx_error **err);
tkx_status exec_run_save(exec *x, tkx_error **err);
tkx_status exec_record_save(exec *x, tkx_error **err);
tkx_status exec_run_load(exec *x, tkx_error **err);
tkx_status exec_record_load(exec *x, tkx_error **err);
tkx_status exec_run_unload(exec *x, tkx_error **err);
tkx_status exec_record_unload(exec *x, tkx_error **err);

/* A pass or a step as it was asked for. */
typedef struct kept_request {
    op_kind kind;
    bool is_proto;
    const char *body;
    size_t size;
} kept_request;

/* One forward_backward or optim_step applied to a model again (for model.c). */
tkx_status exec_replay(exec *x, nn_model *model, const kept_request *kept,
                       tkx_error **err);

/* The lane's model in memory, as the records say (model.c). */
tkx_status model_ensure(exec *x, tkx_error **err);
/* Room for a model of that size, by dropping idle ones; LIMIT when there is none. */
tkx_status model_make_room(mock_server *srv, uint64_t size_bytes, const lane *self,
                           tkx_error **err);
void model_drop(lane *l);
/* Write a model's state under DIR/folder; file gets the name relative to DIR. */
tkx_status model_write(mock_server *srv, const nn_model *model, unsigned parts,
                       const char *folder, char file[EXEC_MAX_FILE], size_t *size,
                       tkx_error **err);

/* Tokens and gigabyte hours of an hour, per session (usage.c).  Under the lock. */
tkx_status usage_add(mock_server *srv, const char *session_id, const char *owner,
                     const char *project_id, const char *base_model, const char *kind,
                     bool is_cached, int64_t amount, tkx_error **err);
tkx_status audit_add(mock_server *srv, const char *owner, const char *event,
                     const char *details, const char *model_id, const char *tinker_path,
                     tkx_error **err);

#endif
