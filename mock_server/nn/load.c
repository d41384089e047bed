/* SPDX-License-Identifier: Apache-2.0 */
#include "mock_server/nn/load.h"

#include "mock_server/nn/fail.h"

tkx_status nn_base_load(const char *name, const char *path, size_t max_context,
                        nn_base **out, tkx_error **err)
{
    (void)max_context;
    (void)out;
    return nn_fail_server(
        err, TKX_ERR_UNSUPPORTED,
        "base model '%s' from %s: reading model files is not built in yet", name, path);
}
