/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/record.h - all exchanges with the service in a file, and a run from that file
 * without a network.
 *
 * The file holds one JSON object a line: a request and what came back, numbered in the
 * order of sending.  It holds prompts and results, but no secrets: keys, tokens, cookies
 * and the signatures in links are left out or replaced.
 *
 * A replay answers each request with the next recorded answer to the same method, path
 * and body.  Background traffic (heartbeats, refreshed configuration, telemetry,
 * acknowledgements) depends on time, so it is matched by path alone.  A request that was
 * not recorded fails with TKX_ERR_PROTOCOL, which says what was expected.
 */
#ifndef TKX_RECORD_H
#define TKX_RECORD_H

#include <tkx/context.h>

TKX_BEGIN_DECLS

/* Given in tkx_context_options.  Start from TKX_RECORD_OPTIONS_INIT; one of the two.
   Everything is copied. */
typedef struct tkx_record_options {
    size_t struct_size;
    const char *record_path; /* written anew, readable by its owner only */
    const char *replay_path; /* a recorded file; no request leaves this process, and no
                                key is needed */
} tkx_record_options;

#define TKX_RECORD_OPTIONS_INIT                                                          \
    {                                                                                    \
        .struct_size = sizeof(tkx_record_options)                                        \
    }

/* How far a replay has come.  Start from TKX_REPLAY_INFO_INIT. */
typedef struct tkx_replay_info {
    size_t struct_size;
    uint64_t n_recorded;   /* exchanges in the file, background traffic left out */
    uint64_t n_replayed;   /* of those */
    uint64_t n_mismatched; /* requests that were not recorded */
} tkx_replay_info;

#define TKX_REPLAY_INFO_INIT                                                             \
    {                                                                                    \
        .struct_size = sizeof(tkx_replay_info)                                           \
    }

/**
 * Has everything been asked for that was recorded?
 *
 * Thread:    any.
 * Errors:    INVALID_STATE (the context replays nothing), INVALID_ARGUMENT (a struct
 *            without its size).
 */
TKX_API tkx_status tkx_replay_look(const tkx_context *context, tkx_replay_info *info,
                                   tkx_error **err);

TKX_END_DECLS
#endif
