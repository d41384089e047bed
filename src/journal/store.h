/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal/store.h - what was asked of a training service, in an SQLite file.
 *
 *     models  each model of the run, the newest is the current one: how it was asked for,
 *             where it began
 *     calls   what was called on it, in order; number is the place in the run
 *     parts   the requests of a call: number on the wire, hash, body, promise, end
 *     notes   the user's own names and values
 *
 * A run goes on across models: when one is lost, a new one is planned from a saved state,
 * and the calls that followed are copied to it, still open.
 *
 * Thread: any; one lock around each call.  A transaction holds it from begin to its end.
 */
#ifndef TKX_JOURNAL_STORE_H
#define TKX_JOURNAL_STORE_H

#include <stdbool.h>

#include <tkx/types/common.h>

#include "base/arena.h"
#include "journal/body.h"

typedef struct tkx__store tkx__store;

typedef struct tkx__store_options {
    bool is_full_sync;    /* sync the disk at every commit */
    size_t n_kept_states; /* bodies older than the n-th newest saved state go; 0: none */
} tkx__store_options;

/*
 * Open, or make, and lock against other processes (and other opens in this one).
 * Errors: BUSY (in use), PARSE (damaged, or not a journal), UNSUPPORTED (of a newer
 * tkx), IO.
 */
tkx_status tkx__store_open(const char *path, const tkx__store_options *options,
                           tkx__store **out, tkx_error **err);
void tkx__store_close(tkx__store *store); /* accepts NULL */
const char *tkx__store_path(const tkx__store *store);

/* Commits are what is durable.  A failed commit has rolled back. */
tkx_status tkx__store_begin(tkx__store *store, tkx_error **err);
tkx_status tkx__store_commit(tkx__store *store, tkx_error **err);
void tkx__store_rollback(tkx__store *store);
/* A step inside a transaction that may fail alone. */
tkx_status tkx__store_mark(tkx__store *store, tkx_error **err);
void tkx__store_release(tkx__store *store, bool is_kept);

/* --- models ---------------------------------------------------------------------- */

typedef struct tkx__store_model {
    int64_t n;              /* 0: there is none */
    const char *op;         /* "create_model" or "load_weights" */
    const char *session_id; /* NULL: not asked for yet */
    int64_t model_seq_id;
    const char *from_path; /* load_weights: the saved state */
    bool with_optimizer;
    const char *base_model; /* load_weights: instead of the recorded one; or NULL */
    const char *model_id;   /* NULL: not known to exist */
    int64_t first_seq;      /* of its first call */
    int64_t n_resumed;
} tkx__store_model;

/* The current one; texts in arena. */
tkx_status tkx__store_get_model(tkx__store *store, tkx__arena *arena,
                                tkx__store_model *out, tkx_error **err);
/* A first model, before it is asked for.  op, from_path, with_optimizer and base_model
   are used.  INVALID_STATE when there is one. */
tkx_status tkx__store_add_model(tkx__store *store, const tkx__store_model *model,
                                tkx_error **err);
/* The user's own words about the model, for those made again by load_weights. */
tkx_status tkx__store_put_metadata(tkx__store *store, const char *name, const char *value,
                                   tkx_error **err);
tkx_status tkx__store_get_metadata(tkx__store *store, tkx__arena *arena,
                                   tkx_pair_list *out, tkx_error **err);
/* The current model is about to be asked for, with this body (NULL: none kept). */
tkx_status tkx__store_ask_model(tkx__store *store, const char *session_id,
                                int64_t model_seq_id, const void *frame,
                                size_t frame_size, size_t size, const char *sha256,
                                tkx_error **err);
tkx_status tkx__store_model_promised(tkx__store *store, const char *request_id,
                                     tkx_error **err);
/* It exists; calls planned for it get their numbers. */
tkx_status tkx__store_made_model(tkx__store *store, const char *model_id,
                                 int64_t first_seq, tkx_error **err);
/* It was refused: forget it if it is the first one and nothing was called. */
tkx_status tkx__store_refused_model(tkx__store *store, tkx_error **err);
tkx_status tkx__store_model_body(tkx__store *store, tkx__buf *body, tkx_error **err);
/* A resume begins: one more. */
tkx_status tkx__store_count_resume(tkx__store *store, tkx_error **err);

/* --- calls ----------------------------------------------------------------------- */

typedef enum tkx__store_state {
    TKX__STORE_OPEN = 0, /* written down; the service may have it */
    TKX__STORE_PROMISED,
    TKX__STORE_APPLIED,
    TKX__STORE_FAILED,
    TKX__STORE_REFUSED
} tkx__store_state;

typedef struct tkx__store_part {
    int64_t call;
    int64_t part;
    int64_t number; /* of the call in the run */
    int64_t n_parts;
    const char *op;
    int64_t seq_id;
    const char *route;
    const char *content_type;     /* NULL: JSON */
    const char *content_encoding; /* NULL: none */
    const char *request_id;       /* NULL: no promise */
    bool is_foreign;              /* its body was made for another model */
    bool is_delivered;
    tkx__store_state state;
    const char *error; /* of a failure; NULL: none */
    const char *path;  /* of a save */
} tkx__store_part;

/* One body of a call, packed. */
typedef struct tkx__store_request {
    const char *route;
    const char *content_type;
    const char *content_encoding;
    int64_t seq_id;
    const void *frame;
    size_t frame_size;
    size_t size;
    const char *sha256;
} tkx__store_request;

/* A new call of the current model.  Whatever was to have first_seq or a later number was
   refused: numbers are used again only then. */
tkx_status tkx__store_add_call(tkx__store *store, const char *op, size_t n_parts,
                               int64_t first_seq, int64_t *call, tkx_error **err);
/* A part, or the part anew with another body. */
tkx_status tkx__store_put_part(tkx__store *store, int64_t call, size_t part,
                               const tkx__store_request *request, tkx_error **err);
tkx_status tkx__store_promised(tkx__store *store, int64_t call, size_t part,
                               const char *request_id, tkx_error **err);
/* With the end of a save_weights come the bodies that nobody needs any more. */
tkx_status tkx__store_ended(tkx__store *store, int64_t call, size_t part,
                            tkx__store_state state, const char *path, const char *error,
                            tkx_error **err);
tkx_status tkx__store_delivered(tkx__store *store, int64_t call, tkx_error **err);

/* Parts of the current model that are open or promised, or whose call was not delivered,
   by number on the wire.  In arena. */
tkx_status tkx__store_list(tkx__store *store, tkx__arena *arena, tkx__store_part **parts,
                           size_t *n, tkx_error **err);
tkx_status tkx__store_body(tkx__store *store, int64_t call, int64_t part, tkx__buf *body,
                           tkx_error **err);
/* The number on the wire that the next call of the current model gets. */
tkx_status tkx__store_next_seq(tkx__store *store, int64_t *out, tkx_error **err);

/* --- going on with another model ------------------------------------------------- */

typedef struct tkx__store_plan {
    const char *from_path; /* NULL: from its beginning */
    int64_t number;        /* of its save in the run; 0: from its beginning */
    int64_t n_replayed;    /* calls copied */
} tkx__store_plan;

/*
 * The current model is lost.  Plan a new one from the newest confirmed state (saved
 * before the call `before` of the run; 0: any; -1: older than that of the current model)
 * whose following bodies are all here, else from the beginning.  is_rewind: what followed
 * the state is dropped, not copied.  Errors: NOT_FOUND when there is no such place.
 */
tkx_status tkx__store_plan_model(tkx__store *store, int64_t before, bool is_rewind,
                                 tkx__arena *arena, tkx__store_plan *plan,
                                 tkx_error **err);

/* What the run has come to. */
typedef struct tkx__store_totals {
    int64_t n_calls; /* carried out or still open */
    int64_t n_passes;
    int64_t n_pending_passes; /* forward_backward since the last step */
    int64_t n_steps;
    int64_t n_open;
    int64_t n_failed;
    const char *state_path;   /* of the newest confirmed save_weights; NULL: none */
    const char *sampler_path; /* the same for named sampler weights */
} tkx__store_totals;

tkx_status tkx__store_totals_get(tkx__store *store, tkx__arena *arena,
                                 tkx__store_totals *out, tkx_error **err);

/* --- notes ----------------------------------------------------------------------- */

tkx_status tkx__store_set_note(tkx__store *store, const char *name, const char *value,
                               tkx_error **err);
/* *value NULL: there is none; else the caller's (tkx__free). */
tkx_status tkx__store_get_note(tkx__store *store, const char *name, char **value,
                               tkx_error **err);

#endif
