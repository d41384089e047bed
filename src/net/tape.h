/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/tape.h - an io that writes down what passes through it, or answers from such a
 * file.
 *
 * Both are layers over another io, which keeps its clock, timers, posts and workers; only
 * send() and cancel() are their own.
 */
#ifndef TKX_NET_TAPE_H
#define TKX_NET_TAPE_H

#include "base/log.h"
#include "net/io.h"

typedef struct tkx__tape tkx__tape;

typedef struct tkx__tape_config {
    tkx__io io;
    const tkx__log *log; /* outlives the tape */
    const char
        *base_url;      /* left out of URLs, so that another service may be named later */
    const char *secret; /* never written; NULL: only what requests carry */
    const char *path;
} tkx__tape_config;

/* Errors: IO, NOT_FOUND, PARSE (not a recording; the line is named), NO_MEMORY. */
tkx_status tkx__tape_record(const tkx__tape_config *config, tkx__tape **out,
                            tkx_error **err);
tkx_status tkx__tape_replay(const tkx__tape_config *config, tkx__tape **out,
                            tkx_error **err);
const tkx__io *tkx__tape_io(const tkx__tape *tape);
/* When nothing uses the io any more.  Accepts NULL. */
void tkx__tape_free(tkx__tape *tape);

typedef struct tkx__tape_counts {
    uint64_t n_recorded, n_replayed, n_mismatched;
} tkx__tape_counts;
/* Any thread. */
tkx__tape_counts tkx__tape_get_counts(const tkx__tape *tape);

#endif
