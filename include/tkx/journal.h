/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/journal.h - a write-ahead record of a training run, and how to go on after a crash.
 *
 * A training client made with a journal writes every operation down before it submits it,
 * its promise when the service has given one, and its end.  When the process dies, the
 * next one calls tkx_training_resume(): it learns what the service got, waits for what is
 * still open, sends again what may have been lost (under the same number, so that nothing
 * is done twice), and hands out a client that goes on where the run stood.  When the
 * service has lost the model, a new one is made from the last saved state and what
 * followed is carried out again on it.
 *
 * The file is an SQLite database (docs/design/journal.md has its tables): `sqlite3 FILE
 * 'SELECT * FROM operations'` shows the run.
 */
#ifndef TKX_JOURNAL_H
#define TKX_JOURNAL_H

#include <tkx/training.h>

TKX_BEGIN_DECLS

/* What a commit survives.  Both survive the death of the process at any point. */
typedef enum tkx_journal_sync {
    TKX_JOURNAL_SYNC_FULL = 0, /* also a power failure: the disk is synced each time */
    TKX_JOURNAL_SYNC_NORMAL    /* after a power failure the last records may be missing */
} tkx_journal_sync;

/* Start from TKX_JOURNAL_OPTIONS_INIT. */
typedef struct tkx_journal_options {
    size_t struct_size;
    tkx_journal_sync sync;
    /* Request bodies older than the n-th newest saved state are dropped; 0: all are kept.
       With more than one an older state can serve when the newest cannot be loaded. */
    size_t n_kept_states;
} tkx_journal_options;

#define TKX_JOURNAL_OPTIONS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_journal_options), .n_kept_states = 1                   \
    }

/**
 * Open the journal of one run, or begin one.  FILE-lock beside it keeps others out.
 *
 * Thread:    any; reads and checks the whole file.
 * Ownership: @p path and @p options (NULL: defaults) are borrowed; @p out is the
 *            caller's, tkx_journal_close().
 * Errors:    BUSY (another process, or another open of this one, uses it), PARSE
 *            (damaged, or no journal), UNSUPPORTED (written by a newer tkx), IO,
 *            NO_MEMORY.
 */
TKX_API tkx_status tkx_journal_open(const char *path, const tkx_journal_options *options,
                                    tkx_journal **out, tkx_error **err);

/** Let go of it; it is closed when the last client that writes to it is gone.  Thread:
    any.  Accepts NULL. */
TKX_API void tkx_journal_close(tkx_journal *journal);

/** 1 when it holds a run: tkx_training_resume() is the way on.  0: give it to
    tkx_service_create_lora() or tkx_service_create_from_checkpoint().  Thread: any. */
TKX_API int tkx_journal_has_run(const tkx_journal *journal);

/**
 * Keep a text of the user's own with the run, such as a hash of its settings.  Durable
 * when it returns.
 *
 * Thread:    any; waits for the disk.
 * Ownership: both are borrowed for the call.
 */
TKX_API tkx_status tkx_journal_set_note(tkx_journal *journal, const char *name,
                                        const char *value, tkx_error **err);

/**
 * Read such a text into out[capacity], with a NUL behind it.
 *
 * Thread:    any.
 * Errors:    NOT_FOUND (none of that name), LIMIT (it does not fit), PARSE, IO.
 */
TKX_API tkx_status tkx_journal_get_note(tkx_journal *journal, const char *name, char *out,
                                        size_t capacity, tkx_error **err);

/* --- going on -------------------------------------------------------------------- */

/* When a new model has to be made. */
typedef enum tkx_resume_mode {
    TKX_RESUME_REPLAY = 0, /* carry out again what followed the saved state */
    TKX_RESUME_REWIND,     /* drop what followed: the caller does it again */
    TKX_RESUME_RESTART     /* as rewind, and even if the model is still there */
} tkx_resume_mode;

/* Start from TKX_RESUME_OPTIONS_INIT. */
typedef struct tkx_resume_options {
    size_t struct_size;
    tkx_resume_mode mode;
    int64_t timeout_ms; /* of the call; 0: the context's call_timeout_ms.  What has begun
                           goes on, and the next resume waits for it. */
} tkx_resume_options;

#define TKX_RESUME_OPTIONS_INIT                                                          \
    {                                                                                    \
        .struct_size = sizeof(tkx_resume_options)                                        \
    }

/* A call whose outcome the dead process had not got.  Of the results the one that fits op
   is set, unless the service had it and has dropped it since. */
typedef struct tkx_resumed_call {
    size_t number;                                       /* in the run, from 1 */
    const char *op;                                      /* such as "forward_backward" */
    const tkx_forward_backward_output *forward_backward; /* also of forward */
    const tkx_optim_step_result *optim_step;
    const char *path;       /* of a save */
    const tkx_error *error; /* the service failed it, or refused it; NULL: carried out */
} tkx_resumed_call;

/* What a resume found and did.  Everything belongs to the report. */
typedef struct tkx_resume_report {
    int has_new_session; /* the recorded one was gone */
    int has_new_model;   /* the recorded one was gone, or RESTART */
    const char *session_id;
    const char *model_id;
    const char *old_model_id; /* with has_new_model; NULL when it was never made */
    const char *from_path; /* with has_new_model: the state; NULL: from the beginning */
    size_t n_confirmed;    /* calls whose end was on record */
    size_t n_settled;      /* calls that were open, and whose end is known now */
    size_t n_resent;       /* requests sent again under their numbers */
    size_t n_replayed;     /* calls carried out again on the new model */

    /* The model as the client now has it. */
    size_t n_calls;                /* since the run began */
    size_t n_forward_backward;     /* carried out */
    size_t n_optim_steps;          /* carried out */
    size_t n_pending_passes;       /* forward_backward that no step has used yet */
    size_t n_failed;               /* calls that the service failed */
    const char *state_path;        /* last save_state; NULL: none */
    const char *sampler_path;      /* last named save_weights_for_sampler; NULL: none */
    const tkx_resumed_call *calls; /* [n_resumed_calls], in order */
    size_t n_resumed_calls;
} tkx_resume_report;

/**
 * Go on with the run in a journal.  The future's result: tkx_future_take_resumed().
 *
 * The service must not have started: it takes up the recorded session.  When the future
 * fails with a CONNECTION or a TIMEOUT nothing is lost; resume again later.  One client
 * at a time writes to a journal: free the old one first.
 *
 * Thread:    any; reads a row of the journal.
 * Ownership: @p service and @p journal are held as long as needed; @p options is borrowed
 *            (NULL: defaults); @p out is the caller's.
 * Errors:    of the call: NOT_FOUND (the journal is empty), INVALID_STATE (the service
 *            has another session), BUSY (a client writes to the journal), NO_MEMORY,
 *            CLOSED; of the future: NOT_FOUND when the model is lost and there is nothing
 *            to go on from, and whatever the service answers.
 */
TKX_API tkx_status tkx_training_resume(tkx_service *service, tkx_journal *journal,
                                       const tkx_resume_options *options,
                                       tkx_future **out, tkx_error **err);

/**
 * Move the client and the report out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p training and @p report (may be NULL) are the caller's:
 *            tkx_training_free(), tkx_resume_report_free().  Works once.
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_resumed(tkx_future *future, tkx_training **training,
                                           tkx_resume_report **report, tkx_error **err);

/** Thread: any.  Accepts NULL. */
TKX_API void tkx_resume_report_free(tkx_resume_report *report);

TKX_END_DECLS
#endif
