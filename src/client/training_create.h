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
} tkx__creation;

const char *tkx__creation_keep(tkx__creation *creation, const char *text, bool *failed);
tkx_pair_list tkx__creation_keep_pairs(tkx__creation *creation, const tkx_pair *pairs,
                                       size_t n, bool *failed);
tkx_json_member_list tkx__creation_keep_members(tkx__creation *creation,
                                                const tkx_json_member *members, size_t n,
                                                bool *failed);
void tkx__creation_clear(tkx__task *task);
tkx_status tkx__creation_encode(void *arg, size_t i, int64_t seq_id,
                                tkx__encoding encoding, tkx__encoded *out,
                                tkx_error **err);
/* The model exists: ask about it and hand the client out. */
void tkx__creation_finish(tkx__creation *creation, const char *model_id);
/* Send create_model with creation->request. */
tkx_status tkx__create_model(tkx__creation *creation, tkx_error **err);

tkx_status tkx__get_info(tkx__task *task, const char *model_id, const char *sdk_method,
                         tkx__answer_fn *fn, tkx_error **err);

#endif
