/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep.h - what is over: files that no record names (left by a crash between writing and
 * recording), checkpoints past their time, sessions that nobody keeps alive.
 */
#ifndef MOCK_SWEEP_H
#define MOCK_SWEEP_H

#include "mock_server/server.h"

/* Removes them.  Before any thread runs.  Failures are left for the next start. */
void sweep_files(mock_server *srv);
/* Checkpoints whose time is over, with their files.  Under the lock. */
void sweep_expired(mock_server *srv);

/* At the start: the time for which the server was away counts for no session. */
void sweep_greet_sessions(mock_server *srv);
/* End the sessions whose last heartbeat lies too far back.  Under the lock. */
void sweep_sessions(mock_server *srv);

#endif
