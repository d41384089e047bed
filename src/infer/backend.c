/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c - the list of backends, best first. */
#include "infer/backend.h"

#include <string.h>

#include "base/error.h"

static const tkx__backend *const backends[] = {&tkx__backend_cpu};

#define N_BACKENDS (sizeof backends / sizeof backends[0])

tkx_status tkx__backend_find(const char *name, const tkx__backend **out, tkx_error **err)
{
    for (size_t i = 0; i < N_BACKENDS; i++) {
        const char *why_not;

        if (name && strcmp(name, backends[i]->name) != 0)
            continue;
        why_not = backends[i]->why_not();
        if (!why_not) {
            *out = backends[i];
            return TKX_OK;
        }
        if (name)
            return tkx__fail(err, TKX_ERR_UNSUPPORTED, "the backend %s: %s", name,
                             why_not);
    }
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "no backend is called %.40s",
                     name ? name : "(any)");
}
