/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resume_run.h - one small run with a journal, to be cut off anywhere and compared with
 * one that nobody touched.  Failures end the test.
 */
#ifndef TESTS_E2E_RESUME_RUN_H
#define TESTS_E2E_RESUME_RUN_H

#include <tkx/journal.h>

#include "support/mock_process.h"

#define N_CALLS 14 /* passes and steps, and one saved state behind an unused pass */

extern mock_process server;
extern char journal_path[128];
extern tkx_journal *journal;
extern tkx_context *context;
extern tkx_service *service;
extern tkx_training *training;
extern tkx_resume_report *report; /* of the last resume */

void run_setup(void);
void run_teardown(void);

void run_open_client(void);
/* Without patience nobody is told anything: what a dead process leaves. */
void run_close_client(int64_t patience_ms);
void run_open_journal(size_t n_kept_states);
void run_create(int64_t seed);
tkx_future *run_begin_resume(tkx_resume_mode mode);
void run_resume(tkx_resume_mode mode); /* with a new client */
void run_await(tkx_future *future);

/* Call k of the run; calls [from, to), each waited for. */
tkx_future *run_call(size_t k);
void run_go(size_t from, size_t to);
/* The run up to a call, the last ones not waited for, then the end. */
void run_and_die(size_t n_waited, size_t n_open, size_t n_kept_states);
/* Finish the run in hand and compare its weights with those of one that was not cut. */
void run_finish_and_compare(size_t from);

/* Operations in the server's journal, creations included. */
int run_count_applied(void);
/* Change the server's records while it is down. */
void run_server_sql(const char *text);

#endif
