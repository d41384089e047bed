/* SPDX-License-Identifier: Apache-2.0 */
/* custom_loss.h - an uploaded loss at work in one pass. */
#ifndef MOCK_CUSTOM_LOSS_H
#define MOCK_CUSTOM_LOSS_H

#include "mock_server/server.h"
#include "mock_server/train_request.h"

typedef struct custom_loss custom_loss;

/*
 * When the request names a custom loss: find it among those of the session, check the
 * datums against its inputs, and give the request's loss its function.  *out is NULL for
 * any other loss.  Takes the server's lock.
 *
 * Ownership: *out lives in arena; custom_loss_close().
 * Errors:    INVALID_ARGUMENT for an unknown loss_id and for inputs that do not fit.
 */
tkx_status custom_loss_open(mock_server *srv, const char *session_id, tkx__arena *arena,
                            train_request *request, custom_loss **out, tkx_error **err);
/* Append its metrics; they live as long as the arena.  Accepts NULL. */
void custom_loss_report(const custom_loss *loss, nn_loss_result *result);
void custom_loss_close(custom_loss *loss); /* accepts NULL */

#endif
