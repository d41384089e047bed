/* SPDX-License-Identifier: Apache-2.0 */
/* op_kind.c - the operations that a journal can hold, as they travel. */
#include <string.h>

#include "client/attach.h"
#include "client/forward_body.h"
#include "client/record.h"
#include "client/training.h"
#include "types/optimizer.h"
#include "types/weights.h"

TKX__RECORD_CODEC(optim_step_result);
TKX__RECORD_CODEC(save_weights_result);
TKX__RECORD_CODEC(load_weights_result);

static const char *path_of(const void *result)
{
    return ((const tkx_save_weights_result *)result)->path;
}

#define SAVE(op, type, method)                                                           \
    {                                                                                    \
        op, type, "TrainingClient." method, TKX__OP_SAVE, decode_save_weights_result,    \
            free_save_weights_result, path_of                                            \
    }

static const tkx__op_kind kinds[] = {
    {"forward_backward", "ForwardBackward", "TrainingClient.forward_backward",
     TKX__OP_PASS, tkx__forward_decode, tkx__forward_free_output, NULL},
    {"forward", "Forward", "TrainingClient.forward", TKX__OP_PASS, tkx__forward_decode,
     tkx__forward_free_output, NULL},
    {"optim_step", "OptimStep", "TrainingClient.optim_step", TKX__OP_STEP,
     decode_optim_step_result, free_optim_step_result, NULL},
    {"load_weights", "LoadWeights", "TrainingClient.load_state", TKX__OP_LOAD,
     decode_load_weights_result, free_load_weights_result, NULL},
    SAVE("save_weights", "SaveWeights", "save_state"),
    SAVE("save_weights_for_sampler", "SaveWeightsForSampler", "save_weights_for_sampler"),
    SAVE("save_weights_external", "SaveWeightsExternal", "save_weights_external"),
    SAVE(TKX__OP_PUBLISH, "SaveWeightsForSampler",
         "save_weights_and_get_sampling_client"),
};

const tkx__op_kind *tkx__op_kind_find(const char *op)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (op && strcmp(kinds[i].op, op) == 0)
            return &kinds[i];
    return NULL;
}
