/* SPDX-License-Identifier: Apache-2.0 */
/* train_result.h - ForwardBackwardOutput in both forms. */
#ifndef MOCK_TRAIN_RESULT_H
#define MOCK_TRAIN_RESULT_H

#include "base/buf.h"
#include "mock_server/nn/train.h"
#include "mock_server/options.h"

/* Appended; check the buffers' status. */
void train_result_json(const nn_loss_result *result, mock_dialect dialect, tkx__buf *out);
void train_result_proto(const nn_loss_result *result, mock_dialect dialect,
                        tkx__buf *out);

#endif
