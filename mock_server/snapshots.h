/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshots.h - frozen weights for sampling, kept by the file they come from.
 *
 * A bounded cache with a lock of its own.  Thread: any.
 */
#ifndef MOCK_SNAPSHOTS_H
#define MOCK_SNAPSHOTS_H

#include "mock_server/nn/sample.h"
#include "mock_server/server.h"

tkx_status snapshots_new(mock_server *srv, snapshot_cache **out, tkx_error **err);
void snapshots_free(snapshot_cache *cache);

/* file: under the state folder, NULL for the bare base.  Ownership: *out is counted. */
tkx_status snapshots_get(snapshot_cache *cache, const char *base_model, const char *file,
                         nn_snapshot **out, tkx_error **err);
/* What was just saved to file. */
void snapshots_put(snapshot_cache *cache, const char *file, nn_snapshot *snapshot);

#endif
