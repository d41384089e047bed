/* SPDX-License-Identifier: Apache-2.0 */
/* nn/model.h - inside an engine and a LoRA model, for the files of nn/ and their
   tests. */
#ifndef MOCK_NN_MODEL_H
#define MOCK_NN_MODEL_H

#include "mock_server/nn/adapter.h"
#include "mock_server/nn/pool.h"
#include "mock_server/nn/work.h"

struct nn_engine {
    nn_engine_options options;
    nn_pool *pool;
    nn_work_list *works;
    nn_base **bases;
    size_t n_bases;
};

struct nn_model {
    nn_engine *engine;
    nn_adapter adapter;
    float *gradient; /* [n_values], accumulated since the last step */
    float *m;        /* [n_values], first moments (dimuon: momentum) */
    float *v;        /* [n_values], second moments; NULL for dimuon */
    int64_t step;
};

#endif
