/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_run.h - what the tests share in which the nth allocation fails: a scripted
 * service, a step with all that may go with it, and things that watch.
 */
#ifndef TESTS_UNIT_CLIENT_MEMORY_RUN_H
#define TESTS_UNIT_CLIENT_MEMORY_RUN_H

#include <tkx/context.h>
#include <tkx/journal.h>

#include "scripted.h"

extern scripted s;

/* Fail each allocation of run() in turn and expect that no block is left; a slice of n
   slices of the numbers, so that tests may run side by side.  look() follows each run, in
   a world that has memory; NULL: nothing does. */
void memory_sweep(int slice, int n_slices, void (*run)(void), void (*look)(void));

/* Zero s, cut calls into chunks of one datum, start.  False: not even that. */
bool memory_begin(void (*tune)(tkx_context_options *options));
/* Whatever becomes of it, within its limits; true: a result. */
bool memory_ends_well(tkx_future *future);
/* NULL: it could not be made.  journal may be NULL. */
tkx_training *memory_create(tkx_journal *journal);
/* Passes, a custom loss, a step, saves, a question: all in flight at once. */
void memory_step(tkx_training *training);

/* A folder for what may look at a context or stand between it and the network, and the
   options that ask for all of it. */
extern char watched_paths[4][96]; /* trace, metrics, record, prices */
void watched_open(void);
void watched_close(void);
void watched_tune(tkx_context_options *options);

#endif
