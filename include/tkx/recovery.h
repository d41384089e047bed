/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/recovery.h - watch a training run, and make a new client from its last saved state
 * when the service says that it is corrupted.
 *
 * Opt in.  The watch asks for the run every 30 s.  For a corrupted one it restores the
 * newest training checkpoint (or a given one) with the optimizer's state, one attempt at
 * a time, and hands the new client over; then it watches that one.  Steps behind the
 * checkpoint are the caller's to do again; a journal (tkx/journal.h) does them itself.
 */
#ifndef TKX_RECOVERY_H
#define TKX_RECOVERY_H

#include <tkx/training.h>
#include <tkx/types/checkpoint.h>

TKX_BEGIN_DECLS

typedef struct tkx_recovery tkx_recovery;

/* Thread: loop thread, no lock held; may call any tkx function, must not block. */
typedef struct tkx_recovery_events {
    /* The service calls the run corrupted.  @p run is borrowed for the call. */
    void (*on_corrupted)(const tkx_training_run *run, void *user_data);
    /* A new client; it is the receiver's.  The old one is of no use any more. */
    void (*on_recovered)(tkx_training *training, const char *from_path, void *user_data);
    /* An attempt failed; after the last one the watch ends.  @p error is borrowed. */
    void (*on_failed)(const tkx_error *error, unsigned attempt, int is_last,
                      void *user_data);
} tkx_recovery_events;

/* Start from TKX_RECOVERY_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_recovery_options {
    size_t struct_size;
    int64_t poll_ms;            /* between two questions about the run */
    unsigned n_attempts;        /* to restore */
    int64_t backoff_ms;         /* after the first failed attempt, doubled after each */
    int64_t max_backoff_ms;     /* at most */
    const char *checkpoint;     /* tinker://RUN/weights/NAME; NULL: the run's newest */
    int without_optimizer;      /* 1: Adam's moments start fresh */
    tkx_recovery_events events; /* on_recovered is required */
    void *user_data;
} tkx_recovery_options;

#define TKX_RECOVERY_OPTIONS_INIT                                                        \
    {                                                                                    \
        .struct_size = sizeof(tkx_recovery_options), .poll_ms = 30000, .n_attempts = 3,  \
        .backoff_ms = 5000, .max_backoff_ms = 60000                                      \
    }

/**
 * Begin to watch the run of a training client.
 *
 * Thread:    any.
 * Ownership: @p training is borrowed for the call; @p options is borrowed; @p out is the
 *            caller's, tkx_recovery_stop() before the context is freed.  The watch
 *            keeps the session alive.
 * Errors:    INVALID_ARGUMENT (no on_recovered, a time or a count below 1), NO_MEMORY,
 *            CLOSED.
 */
TKX_API tkx_status tkx_recovery_start(tkx_training *training,
                                      const tkx_recovery_options *options,
                                      tkx_recovery **out, tkx_error **err);

/**
 * End the watch and let go of it.  When this returns, no function of the options runs or
 * will run (called from inside one, that one is the last).  Thread: any.  Accepts NULL.
 */
TKX_API void tkx_recovery_stop(tkx_recovery *recovery);

TKX_END_DECLS
#endif
