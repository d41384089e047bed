/* SPDX-License-Identifier: Apache-2.0 */
/* lora.c - lora_config: its defaults, and what is offered. */
#include "mock_server/lora.h"

#include "mock_server/util.h"

bool lora_read(call *c, const jv *config, nn_lora_options *out)
{
    const jv *attn = jv_get(config, "train_attn"), *mlp = jv_get(config, "train_mlp");
    const jv *unembed = jv_get(config, "train_unembed"), *seed = jv_get(config, "seed");
    int64_t rank = 32;
    *out = (nn_lora_options)NN_LORA_OPTIONS_INIT;
    mock_random(&out->seed, sizeof out->seed);
    if (!config && c->srv->opt.dialect == DIALECT_SKYRL)
        return !call_invalid(c, "lora_config", "Field required");
    if (config && !jv_i64(jv_get(config, "rank"), &rank))
        return !call_invalid(c, "lora_config", "rank is an integer");
    if (rank < 1 || rank > 1024)
        return !call_error(c, 400, "lora_config.rank %lld: 1 to 1024 is offered",
                           (long long)rank);
    if (seed && !jv_bits64(seed, &out->seed))
        return !call_invalid(c, "lora_config", "seed is an integer");
    out->rank = (size_t)rank;
    out->train_attn = !attn || attn->is_true;
    out->train_mlp = !mlp || mlp->is_true;
    out->train_unembed = !unembed || unembed->is_true;
    if (!out->train_attn && !out->train_mlp && !out->train_unembed)
        return !call_error(c, 400, "lora_config: nothing is trained");
    return true;
}
