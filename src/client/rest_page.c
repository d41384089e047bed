/* SPDX-License-Identifier: Apache-2.0 */
/* rest_page.c - lists by page, and single things by their id. */
#include "client/rest_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"

/* The number as text, or NULL for "not said". */
static const char *number(int64_t value, char text[24])
{
    if (value < 0)
        return NULL;
    snprintf(text, 24, "%" PRId64, value);
    return text;
}

tkx_status tkx__rest_list(tkx_rest *rest, const tkx__rest_route *route,
                          const tkx_page *page, tkx_future **out, tkx_error **err)
{
    tkx_page ours = TKX_PAGE_INIT;
    char limit[24], offset[24];
    tkx_status st = tkx__options_overlay(&ours, sizeof ours, page, "tkx_page", err);

    if (st != TKX_OK)
        return st;
    const tkx_pair query[] = {
        {"limit", number(ours.limit, limit)},
        {"offset", number(ours.offset, offset)},
        {"access_scope", ours.access_scope},
        {"project_id", ours.project_id},
    };
    const tkx__rest_request request = {
        .route = route, .query = query, .n_query = sizeof query / sizeof *query};
    return tkx__rest_send(rest, &request, out, err);
}

tkx_status tkx__rest_get(tkx_rest *rest, const tkx__rest_route *route, const char *id,
                         const char *access_scope, tkx_future **out, tkx_error **err)
{
    const tkx_pair query[] = {{"access_scope", access_scope}};
    const tkx__rest_request request = {
        .route = route,
        .args = {tkx__rest_view(id, id ? strlen(id) : 0)},
        .query = query,
        .n_query = 1,
    };

    return tkx__rest_send(rest, &request, out, err);
}
