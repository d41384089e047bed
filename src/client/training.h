/* SPDX-License-Identifier: Apache-2.0 */
/* client/training.h - the inside of a training client, for training*.c. */
#ifndef TKX_CLIENT_TRAINING_H
#define TKX_CLIENT_TRAINING_H

#include <tkx/training.h>

#include "api/seq_body.h"
#include "client/ledger.h"
#include "client/task.h"

struct tkx_training {
    atomic_uint n_refs;
    tkx__post_node disposal;
    tkx_service *service; /* counted */
    tkx__turns turns;
    char *model_id;
    tkx_model_info *info; /* NULL: the service did not say */
    tkx__ledger *ledger;  /* NULL: nothing is written down */
};

/* NULL: out of memory.  info is taken; the ledger (may be NULL) gets one more owner. */
tkx_training *tkx__training_new(tkx_service *service, const char *model_id,
                                tkx_model_info *info, tkx__ledger *ledger);
/* The recorder of its operations, or NULL. */
tkx__recorder *tkx__training_recorder(const tkx_training *training);
tkx_training *tkx__training_ref(tkx_training *training);

/* Take what the datums cost of the budget, for each kind of pass; see spending.h. */
tkx_status tkx__training_reserve(const tkx_training *training, const tkx_future *future,
                                 const tkx_datum *data, size_t n_data, bool is_forward,
                                 bool is_backward, tkx_error **err);

extern const tkx__result_type tkx__result_training;

/* An unnamed save_weights_for_sampler, as a journal calls it: it lives and dies with its
   session. */
#define TKX__OP_PUBLISH "save_weights_and_get_sampling_client"

/* One operation with a number of its own and a small JSON body. */
typedef struct tkx__step {
    tkx__task task;
    tkx_training *training;
    const char *route; /* static */
    tkx__seq_body body;
    tkx__operation_spec spec;
    uint64_t first;
    /* Result to the future's object; takes result.  NULL: as it is. */
    void *(*finish)(struct tkx__step *step, void *result, tkx_error **err);
} tkx__step;

typedef struct tkx__step_spec {
    const char *what, *route, *request_type, *sdk_method; /* static */
    bool is_save;
    const tkx__task_kind *kind; /* made by TKX__STEP_KIND */
    void *(*decode)(const tkx__payload *payload, void *arg, tkx_error **err);
    void (*free_result)(void *result);
    void *(*finish)(tkx__step *step, void *result, tkx_error **err);
    const char *(*path_of)(const void *result); /* of a save; NULL: none */
    const char *record_as;                      /* NULL: what */
} tkx__step_spec;

/* A kind of step with a result of its own. */
#define TKX__STEP_KIND(type)                                                             \
    {                                                                                    \
        .result = (type), .runs_cancelled = true, .start = tkx__step_start,              \
        .clear = tkx__step_clear                                                         \
    }
tkx_status tkx__step_start(tkx__task *task, tkx_error **err);
void tkx__step_clear(tkx__task *task);

/* Draw a number, go.  encoded is taken; timeout_ms 0: the context's. */
tkx_status tkx__step_run(tkx_training *training, const tkx__step_spec *spec,
                         tkx__buf *encoded, int64_t timeout_ms, tkx_future **out,
                         tkx_error **err);

/* Draw n numbers and post a task of this client, in one step. */
tkx_status tkx__training_launch(tkx_training *training, uint64_t n, uint64_t *first,
                                tkx__task *task, tkx_future **out, tkx_error **err);

#endif
