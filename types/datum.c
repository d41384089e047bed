/* SPDX-License-Identifier: Apache-2.0 */
/* datum.c - the size of a datum and its JSON. */
#include "types/datum.h"

#include "types/model_input.h"
#include "types/tensor.h"

size_t tkx__datum_bytes(const tkx_datum *datum)
{
    size_t total = tkx__model_input_bytes(&datum->model_input, sizeof(int32_t));

    for (size_t i = 0; i < datum->n_loss_fn_inputs; i++)
        total += tkx__tensor_bytes(&datum->loss_fn_inputs[i].tensor);
    return total;
}

void tkx__datum_write_json(tkx__json_writer *w, const tkx_datum *datum)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "loss_fn_inputs");
    tkx__json_begin_object(w);
    for (size_t i = 0; i < datum->n_loss_fn_inputs; i++) {
        tkx__json_put_key(w, datum->loss_fn_inputs[i].name);
        tkx__tensor_write_json(w, &datum->loss_fn_inputs[i].tensor);
    }
    tkx__json_end_object(w);
    tkx__json_put_key(w, "model_input");
    tkx__model_input_write_json(w, &datum->model_input);
    tkx__json_end_object(w);
}
