/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_forward_backward_output.c - the training result in both forms, and joined. */
#include "fuzz/fuzz.h"
#include "types/forward_backward_output.h"

static volatile double sink;

static void walk_tensor(const tkx_tensor *t)
{
    for (size_t i = 0; i < t->n_values; i++)
        sink += t->dtype == TKX_DTYPE_INT64 ? (double)t->values.i64[i]
                                            : (double)t->values.f32[i];
    for (size_t i = 0; i < t->n_dims; i++)
        sink += (double)t->shape[i];
}

static void walk(const tkx_forward_backward_output *o)
{
    for (size_t i = 0; i < o->n_outputs; i++)
        for (size_t k = 0; k < o->loss_fn_outputs[i].n_fields; k++)
            walk_tensor(&o->loss_fn_outputs[i].fields[k].tensor);
    for (size_t i = 0; i < o->n_metrics; i++)
        sink += o->metrics[i].value + (double)o->metrics[i].name[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    tkx_forward_backward_output *parts[2] = {NULL, NULL};
    tkx_forward_backward_output *whole = NULL;
    tkx_error *err = NULL;

    if (tkx__forward_backward_output_decode_proto(bytes, size, &parts[0], &err) ==
            TKX_OK &&
        tkx__forward_backward_output_decode_proto(bytes, size, &parts[1], &err) ==
            TKX_OK &&
        tkx__forward_backward_output_join(parts, 2, &whole, &err) == TKX_OK)
        walk(whole);
    tkx_forward_backward_output_free(parts[0]);
    tkx_forward_backward_output_free(parts[1]);
    tkx_forward_backward_output_free(whole);
    tkx_error_free(err);
    err = NULL;
    if (tkx__forward_backward_output_decode_json(bytes, size, &whole, &err) == TKX_OK)
        walk(whole);
    tkx_forward_backward_output_free(whole);
    tkx_error_free(err);
    return 0;
}
