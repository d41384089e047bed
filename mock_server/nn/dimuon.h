/* SPDX-License-Identifier: Apache-2.0 */
/* nn/dimuon.h - the second optimiser family. */
#ifndef MOCK_NN_DIMUON_H
#define MOCK_NN_DIMUON_H

#include "mock_server/nn/model.h"

/* Momentum and weights by the gradient times clip; nothing changes when it fails. */
tkx_status nn_dimuon_step(nn_model *model, double lr, double beta1, double clip,
                          tkx_error **err);

#endif
