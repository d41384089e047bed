/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_train_request.c - passes as the mock server reads them, protobuf and JSON; every
 * array of what was accepted is walked. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "mock_server/train_request.h"

static volatile double sink;

static void walk_input(const nn_input *input)
{
    for (size_t i = 0; input->data && i < input->n; i++)
        sink += (double)input->data[i];
}

static void walk(const train_request *r)
{
    sink += (double)(strlen(r->model_id) + strlen(r->loss.name));
    for (size_t i = 0; i < r->n_datums; i++) {
        const nn_datum *d = &r->datums[i];

        for (size_t k = 0; k < d->n_tokens; k++)
            sink += (double)d->tokens[k];
        for (size_t k = 0; k < d->n_targets; k++)
            sink += (double)d->targets[k];
        walk_input(&d->weights);
        walk_input(&d->logprobs);
        walk_input(&d->advantages);
        walk_input(&d->clip_low);
        walk_input(&d->clip_high);
        walk_input(&d->sequence_ratio_mask);
    }
    for (size_t i = 0; i < r->loss.n_params; i++)
        sink += r->loss.params[i].value + (double)r->loss.params[i].key[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    for (int is_proto = 0; is_proto < 2; is_proto++) {
        train_request request;
        tkx_error *err = NULL;
        tkx__arena arena;

        tkx__arena_init(&arena, 4096, (size_t)64 << 20);
        if (train_request_read(&arena, (const char *)bytes, size, is_proto != 0, &request,
                               &err) == TKX_OK)
            walk(&request);
        tkx_error_free(err);
        tkx__arena_clear(&arena);
    }
    return 0;
}
