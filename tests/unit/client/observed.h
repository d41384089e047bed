/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observed.h - a client on a scripted server that is looked at: the work it does, and the
 * file it writes.
 */
#ifndef TESTS_UNIT_CLIENT_OBSERVED_H
#define TESTS_UNIT_CLIENT_OBSERVED_H

#include <tkx/metrics.h>
#include <tkx/trace.h>

#include "scripted.h"

extern scripted s;
extern char path[64]; /* an empty file */
extern tkx_metrics_options metrics_options;
extern tkx_trace_options trace_options;
extern bool has_metrics;

/* Fixtures: default options, the file. */
void set_up(void);
void tear_down(void);

/* A step of three chunks, a sample, a submit that is tried four times. */
void work(void);
tkx_future *sample(tkx_sampling *sampling);
void finish(tkx_future *future, tkx_status status); /* expects, lets go */
char *read_file(size_t *size);                      /* of path; free() */

#endif
