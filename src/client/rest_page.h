/* SPDX-License-Identifier: Apache-2.0 */
/* client/rest_page.h - the two commonest shapes of a REST call. */
#ifndef TKX_CLIENT_REST_PAGE_H
#define TKX_CLIENT_REST_PAGE_H

#include "client/rest.h"

/* A page of a list. */
tkx_status tkx__rest_list(tkx_rest *rest, const tkx__rest_route *route,
                          const tkx_page *page, tkx_future **out, tkx_error **err);
/* The query of a page, defaults and all; it points into numbers. */
void tkx__rest_page_query(const tkx__rest_route *route, const tkx_page *page,
                          char numbers[2][24], tkx_pair query[4]);
/* One thing by its id; access_scope NULL: owned. */
tkx_status tkx__rest_get(tkx_rest *rest, const tkx__rest_route *route, const char *id,
                         const char *access_scope, tkx_future **out, tkx_error **err);

#endif
