/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - names of the statuses, and the version string. */
#include <tkx/status.h>
#include <tkx/version.h>

#include <stddef.h>

static const char *const names[TKX_N_STATUSES] = {
#define NAME(status) [status] = #status
    NAME(TKX_OK),
    NAME(TKX_ERR_INVALID_ARGUMENT),
    NAME(TKX_ERR_INVALID_STATE),
    NAME(TKX_ERR_NO_MEMORY),
    NAME(TKX_ERR_IO),
    NAME(TKX_ERR_NOT_FOUND),
    NAME(TKX_ERR_PARSE),
    NAME(TKX_ERR_UNSUPPORTED),
    NAME(TKX_ERR_LIMIT),
    NAME(TKX_ERR_BUSY),
    NAME(TKX_ERR_AUTH),
    NAME(TKX_ERR_BILLING),
    NAME(TKX_ERR_PERMISSION),
    NAME(TKX_ERR_CONNECTION),
    NAME(TKX_ERR_TIMEOUT),
    NAME(TKX_ERR_HTTP),
    NAME(TKX_ERR_PROTOCOL),
    NAME(TKX_ERR_REQUEST_FAILED),
    NAME(TKX_ERR_PROMISE_GONE),
    NAME(TKX_ERR_SESSION_DEAD),
    NAME(TKX_ERR_CLIENT_BROKEN),
    NAME(TKX_ERR_CANCELLED),
    NAME(TKX_ERR_CLOSED),
    NAME(TKX_ERR_WOULD_BLOCK),
    NAME(TKX_ERR_BREAKER_OPEN),
    NAME(TKX_ERR_BUDGET),
#undef NAME
};

const char *tkx_status_name(tkx_status status)
{
    if ((unsigned)status >= TKX_N_STATUSES || !names[status])
        return "TKX_ERR_UNKNOWN";
    return names[status];
}

const char *tkx_version(void)
{
    return TKX_VERSION_STRING;
}
