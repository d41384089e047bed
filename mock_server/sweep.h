/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.h - files that no record names: left by a crash between writing and recording. */
#ifndef MOCK_SWEEP_H
#define MOCK_SWEEP_H

#include "mock_server/server.h"

/* Removes them.  Before any thread runs.  Failures are left for the next start. */
void sweep_files(mock_server *srv);
/* Checkpoints whose time is over, with their files.  Under the lock. */
void sweep_expired(mock_server *srv);

#endif
