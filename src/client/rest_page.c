/* SPDX-License-Identifier: Apache-2.0 */
/* rest_page.c - lists by page, and single things by their id. */
#include "client/rest_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"

#define OWNED "owned"

void tkx__rest_page_query(const tkx__rest_route *route, const tkx_page *page,
                          char numbers[2][24], tkx_pair query[4])
{
    const char *scope = page->access_scope ? page->access_scope : OWNED;
    bool has_project = page->project_id && *page->project_id;

    snprintf(numbers[0], 24, "%" PRId64,
             page->limit < 0 ? route->page_size : page->limit);
    snprintf(numbers[1], 24, "%" PRId64, page->offset < 0 ? 0 : page->offset);
    query[0] = (tkx_pair){"limit", numbers[0]};
    query[1] = (tkx_pair){"offset", numbers[1]};
    query[2] = (tkx_pair){"access_scope", route->has_scope ? scope : NULL};
    query[3] = (tkx_pair){"project_id", has_project ? page->project_id : NULL};
}

tkx_status tkx__rest_list(tkx_rest *rest, const tkx__rest_route *route,
                          const tkx_page *page, tkx_future **out, tkx_error **err)
{
    tkx_page ours = TKX_PAGE_INIT;
    char numbers[2][24];
    tkx_pair query[4];
    tkx_status st = tkx__options_overlay(&ours, sizeof ours, page, "tkx_page", err);

    if (st != TKX_OK)
        return st;
    tkx__rest_page_query(route, &ours, numbers, query);
    const tkx__rest_request request = {.route = route, .query = query, .n_query = 4};
    return tkx__rest_send(rest, &request, out, err);
}

tkx_status tkx__rest_get(tkx_rest *rest, const tkx__rest_route *route, const char *id,
                         const char *access_scope, tkx_future **out, tkx_error **err)
{
    const char *scope = access_scope ? access_scope : OWNED;
    const tkx_pair query[] = {{"access_scope", route->has_scope ? scope : NULL}};
    const tkx__rest_request request = {
        .route = route,
        .args = {tkx__rest_view(id, id ? strlen(id) : 0)},
        .query = query,
        .n_query = 1,
    };

    return tkx__rest_send(rest, &request, out, err);
}
