/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/datum.h - one training example: an input and the numbers a loss needs for it.
 *
 * Position i of the input predicts entry i of every loss input.
 */
#ifndef TKX_TYPES_DATUM_H
#define TKX_TYPES_DATUM_H

#include <tkx/types/model_input.h>
#include <tkx/types/tensor.h>

TKX_BEGIN_DECLS

/* Where a run of tokens came from: the prompt or the sample of an earlier sequence. */
typedef struct tkx_span {
    bool is_sampled; /* false: its prompt */
    const char *sequence_id;
    int64_t offset;
    int64_t length;
} tkx_span;

typedef struct tkx_datum {
    tkx_model_input model_input;
    const tkx_named_tensor *loss_fn_inputs;
    size_t n_loss_fn_inputs;
    /* Provenance: both lists or none; lengths add up to the input and the targets. */
    const tkx_span *model_input_spans;
    size_t n_model_input_spans;
    const tkx_span *loss_fn_input_spans;
    size_t n_loss_fn_input_spans;
} tkx_datum;

TKX_END_DECLS
#endif
