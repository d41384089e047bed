/* SPDX-License-Identifier: Apache-2.0 */
/* forward_backward_output.c - the training result in JSON, and looking fields up. */
#include "types/forward_backward_output.h"

#include <string.h>

#include "base/error.h"
#include "types/list.h"
#include "types/metrics.h"
#include "types/owned.h"
#include "types/tensor.h"

void tkx_forward_backward_output_free(tkx_forward_backward_output *output)
{
    tkx__owned_free(output);
}

const tkx_tensor *
tkx_forward_backward_output_field(const tkx_forward_backward_output *output, size_t datum,
                                  const char *name)
{
    const tkx_loss_fn_output *o;

    if (!output || datum >= output->n_outputs)
        return NULL;
    o = &output->loss_fn_outputs[datum];
    for (size_t i = 0; i < o->n_fields; i++)
        if (strcmp(o->fields[i].name, name) == 0)
            return &o->fields[i].tensor;
    return NULL;
}

static void read_fields(tkx__json_reader *r, tkx_loss_fn_output *output)
{
    tkx__list l = {0};
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        tkx_named_tensor *field = tkx__list_add(r, &l, sizeof *field);

        if (!field)
            return;
        field->name = tkx__arena_strndup(r->arena, key.data, key.size);
        if (!field->name)
            tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for a name");
        tkx__tensor_read_json(r, &field->tensor);
    }
    tkx__list_store(&output->fields, &l);
}

static void read_outputs(tkx__json_reader *r, tkx_forward_backward_output *out)
{
    tkx__list l = {0};

    tkx__json_read_array(r);
    while (tkx__json_read_element(r)) {
        tkx_loss_fn_output *output = tkx__list_add(r, &l, sizeof *output);

        if (output)
            read_fields(r, output);
    }
    tkx__list_store(&out->loss_fn_outputs, &l);
}

static void read_output(tkx__json_reader *r, tkx_forward_backward_output *out)
{
    tkx__json_text key;
    bool has_outputs = false;

    out->loss_fn_output_type = "";
    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        if (tkx__json_take_null(r)) {
            continue;
        } else if (tkx__json_text_is(&key, "loss_fn_output_type")) {
            tkx__json_read_string(r, &out->loss_fn_output_type);
        } else if (tkx__json_text_is(&key, "loss_fn_outputs")) {
            read_outputs(r, out);
            has_outputs = true;
        } else if (tkx__json_text_is(&key, "metrics")) {
            tkx__metrics_read_json(r, &out->metrics, &out->n_metrics);
        } else {
            tkx__json_skip(r);
        }
    }
    if (!has_outputs)
        tkx__json_fail(r, TKX_ERR_PARSE, "loss_fn_outputs are missing");
}

tkx_status tkx__forward_backward_output_decode_json(const void *bytes, size_t size,
                                                    tkx_forward_backward_output **out,
                                                    tkx_error **err)
{
    tkx__arena *arena;
    tkx__json_reader r;
    tkx_forward_backward_output *output;
    tkx_status st;

    *out = NULL;
    output = tkx__owned_new(sizeof *output, size < 512 ? 512 : size,
                            size < SIZE_MAX / 64 ? size * 64 + (1 << 16) : size, &arena);
    if (!output)
        return tkx__fail_memory(err);
    tkx__json_reader_init(&r, bytes, size, arena, TKX__JSON_LENIENT);
    read_output(&r, output);
    st = tkx__json_finish(&r, "forward_backward answer", err);
    if (st != TKX_OK) {
        tkx__owned_free(output);
        return st;
    }
    *out = output;
    return TKX_OK;
}
