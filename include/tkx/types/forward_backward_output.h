/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/forward_backward_output.h - what forward and forward_backward return.
 */
#ifndef TKX_TYPES_FORWARD_BACKWARD_OUTPUT_H
#define TKX_TYPES_FORWARD_BACKWARD_OUTPUT_H

#include <tkx/types/metric.h>
#include <tkx/types/tensor.h>

TKX_BEGIN_DECLS

/* The outputs of one datum, such as "logprobs"; none when the server left them out. */
typedef struct tkx_loss_fn_output {
    const tkx_named_tensor *fields;
    size_t n_fields;
} tkx_loss_fn_output;

typedef struct tkx_forward_backward_output {
    const char *loss_fn_output_type;
    const tkx_loss_fn_output *loss_fn_outputs; /* [n_outputs], as the datums stand */
    size_t n_outputs;
    const tkx_metric *metrics;
    size_t n_metrics;
} tkx_forward_backward_output;

/** The named output of one datum, or NULL.  Ownership: borrowed from @p output. */
TKX_API const tkx_tensor *
tkx_forward_backward_output_field(const tkx_forward_backward_output *output, size_t datum,
                                  const char *name);

TKX_API void tkx_forward_backward_output_free(tkx_forward_backward_output *output);

TKX_END_DECLS
#endif
