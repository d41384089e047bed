/* SPDX-License-Identifier: Apache-2.0 */
/* client/training_create.h - what the ways of making a training client share. */
#ifndef TKX_CLIENT_TRAINING_CREATE_H
#define TKX_CLIENT_TRAINING_CREATE_H

#include "base/arena.h"
#include "client/training.h"

/* A client in the making. */
typedef struct tkx__creation {
    tkx__task task;
    tkx__arena arena; /* copies of the caller's texts */
    const char *sdk_method;
    const char *route;
    tkx__seq_body body;
    tkx_create_model_request request;
    tkx_load_weights_request load; /* from a checkpoint */
    tkx_training *training;        /* made the older way, not loaded yet */
    /* Go on with the client instead of handing it out; NULL: hand it out. */
    void (*then)(struct tkx__creation *creation, tkx_training *training);
    uint64_t first;
    char *model_id;
    tkx__ledger *ledger; /* NULL: nothing is written down */
    tkx__store_model
        begun;            /* with a ledger: the run's beginning; op NULL: it has begun */
    int64_t model_seq_id; /* asked for again under this one; -1: a new one */
    bool has_asked;       /* the beginning of the run is on record */
    const char *remake;   /* a create_model request of before, in arena; or NULL */
    /* The ends; NULL: those of the task. */
    void (*on_made)(struct tkx__creation *creation, tkx_training *training);
    void (*on_failed)(struct tkx__creation *creation, tkx_error *error);
} tkx__creation;

void tkx__creation_init(tkx__creation *creation, const char *sdk_method);
/* Go, with a journal (may be NULL); begun is set.  failed: memory was short. */
tkx_status tkx__creation_launch(tkx__creation *creation, tkx_journal *journal,
                                bool failed, tkx_future **out, tkx_error **err);
/* Which number the model has in the session; noted for the record. */
tkx_status tkx__creation_ask(tkx__creation *creation, int64_t *model_seq_id,
                             tkx_error **err);
void tkx__creation_hand_out(tkx__creation *creation, tkx_training *training);
void tkx__creation_fail(tkx__creation *creation, tkx_error *error);

const char *tkx__creation_keep(tkx__creation *creation, const char *text, bool *failed);
tkx_pair_list tkx__creation_keep_pairs(tkx__creation *creation, const tkx_pair *pairs,
                                       size_t n, bool *failed);
tkx_json_member_list tkx__creation_keep_members(tkx__creation *creation,
                                                const tkx_json_member *members, size_t n,
                                                bool *failed);
void tkx__creation_clear(tkx__task *task);
/* Send body (taken) to route, as the one part of an operation that ends in fn.  spec has
   what is special about it; turns NULL: out of order. */
tkx_status tkx__creation_send(tkx__creation *creation, const char *route,
                              tkx__operation_spec *spec, tkx__buf *body,
                              tkx__operation_fn *fn, tkx__turns *turns, tkx_error **err);
/* The model exists: ask about it and hand the client out. */
void tkx__creation_finish(tkx__creation *creation, const char *model_id);
/* Send create_model with creation->request, or what it was before. */
tkx_status tkx__create_model(tkx__creation *creation, tkx_error **err);
/* Send creation->load, in whichever way the service takes it. */
tkx_status tkx__create_by_load(tkx__creation *creation, tkx_error **err);

tkx_status tkx__get_info(tkx__task *task, const char *model_id, const char *sdk_method,
                         tkx__answer_fn *fn, tkx_error **err);

#endif
