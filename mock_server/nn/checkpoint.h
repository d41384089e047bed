/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/checkpoint.h - training states and adapters as bytes.
 *
 * Both are safetensors.  A state holds the adapter under its PEFT names, with prefixes
 * "optimizer.m." and "optimizer.v." the moments, with "gradient." what is accumulated,
 * and in its metadata what is needed to make the model again.  An adapter is what a
 * checkpoint archive holds as adapter_model.safetensors.
 */
#ifndef MOCK_NN_CHECKPOINT_H
#define MOCK_NN_CHECKPOINT_H

#include "mock_server/nn/sample.h"
#include "mock_server/nn/train.h"

typedef struct nn_bytes {
    char *data; /* NUL-terminated beyond size; tkx__free() */
    size_t size;
} nn_bytes;

/* What a state holds besides the adapter. */
enum {
    NN_STATE_OPTIMIZER = 1, /* moments and step counter */
    NN_STATE_GRADIENTS = 2  /* accumulated since the last step, for an exact restart */
};

/* Ownership: out->data is the caller's; tkx__free(). */
tkx_status nn_model_save_state(const nn_model *model, unsigned parts, nn_bytes *out,
                               tkx_error **err);

/*
 * Replace the model's weights and those parts that are asked for; the other parts start
 * afresh (moments and step zero, gradients zero).
 * Errors: USER when rank, base or trained matrices differ, or an asked part is absent;
 *         everything that differs is listed, the model is unchanged.
 */
tkx_status nn_model_load_state(nn_model *model, const void *bytes, size_t size,
                               unsigned parts, tkx_error **err);

typedef struct nn_state_info {
    char base_model[256];
    nn_lora_options lora;
    int64_t step;
    unsigned parts;
} nn_state_info;

/* From the metadata alone; an adapter's bytes have no such metadata and are refused. */
tkx_status nn_state_read_info(const void *bytes, size_t size, nn_state_info *info,
                              tkx_error **err);

/* A snapshot from a state's or an adapter's bytes, for sampling after a restart. */
tkx_status nn_snapshot_from_state(nn_engine *engine, const nn_base *base,
                                  const void *bytes, size_t size, nn_snapshot **out,
                                  tkx_error **err);

/*
 * The members of an archive: adapter_model.safetensors and adapter_config.json.
 * (The third, checkpoint_complete, is empty.)  Errors: INVALID_STATE for a bare base.
 */
tkx_status nn_snapshot_adapter_bytes(const nn_snapshot *snapshot, nn_bytes *out,
                                     tkx_error **err);
tkx_status nn_snapshot_config_json(const nn_snapshot *snapshot, nn_bytes *out,
                                   tkx_error **err);

#endif
