/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_unload.c - tell an older server to drop a model from its memory.
 *
 * Newer services do without the route: 404 means that there is nothing to be told.
 */
#include "client/training.h"
#include "client/unordered.h"
#include "types/model.h"

#define MAX_BODY ((size_t)64 << 10)

tkx_status tkx_training_unload(tkx_training *training, int64_t timeout_ms,
                               tkx_future **out, tkx_error **err)
{
    static const tkx__unordered_spec spec = {
        .what = "unload_model",
        .route = "unload_model",
        .request_type = "UnloadModel",
        .sdk_method = "TrainingClient.unload_model",
        .result = &tkx__result_nothing,
        .is_optional = true,
    };
    tkx__buf buf;

    tkx__buf_init(&buf, MAX_BODY);
    tkx_status st =
        tkx__model_id_encode_json(training->model_id, "unload_model", &buf, err);
    if (st == TKX_OK)
        return tkx__unordered_run(training->service, &spec, &buf, NULL, timeout_ms, out,
                                  err);
    tkx__buf_clear(&buf);
    return st;
}
