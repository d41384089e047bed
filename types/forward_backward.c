/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_backward.c - the training request in JSON, for servers without protobuf.
 */
#include "types/forward_backward.h"

#include "types/datum.h"
#include "json/writer.h"

static void write_settings(tkx__json_writer *w, const tkx_loss *loss)
{
    tkx__json_put_key(w, "loss_fn_config");
    tkx__json_begin_object(w);
    for (size_t i = 0; i < loss->n_settings; i++) {
        const tkx_loss_setting *s = &loss->settings[i];

        if (s->text)
            tkx__json_member_string(w, s->key, s->text);
        else
            tkx__json_member_f64(w, s->key, s->number);
    }
    tkx__json_end_object(w);
}

tkx_status tkx__forward_backward_encode_json(const tkx_forward_backward_request *request,
                                             bool is_forward_route, tkx__buf *buf,
                                             tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_put_key(&w, is_forward_route ? "forward_input" : "forward_backward_input");
    tkx__json_begin_object(&w);
    tkx__json_put_key(&w, "data");
    tkx__json_begin_array(&w);
    for (size_t i = 0; i < request->n_data; i++)
        tkx__datum_write_json(&w, &request->data[i]);
    tkx__json_end_array(&w);
    tkx__json_member_string(&w, "loss_fn", request->loss.name);
    if (request->loss.n_settings)
        write_settings(&w, &request->loss);
    tkx__json_end_object(&w);
    tkx__json_member_string(&w, "model_id", request->model_id);
    tkx__json_member_i64(&w, "seq_id", request->seq_id);
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "forward_backward request", err);
}
