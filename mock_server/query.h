/* SPDX-License-Identifier: Apache-2.0 */
/* query.h - what REST handlers share: pages, scopes, JSON kept as text. */
#ifndef MOCK_QUERY_H
#define MOCK_QUERY_H

#include "mock_server/server.h"

typedef struct query_page {
    int64_t limit;
    int64_t offset;
} query_page;

/* limit and offset; 422 is filled in and false comes back when they are no numbers. */
bool query_read_page(call *c, int64_t default_limit, query_page *out);
/* For `owner LIKE ?`: the caller, or all with access_scope=accessible. */
const char *query_owner(const call *c);
/* A value as JSON text in the call's arena; NULL for NULL. */
const char *query_text(call *c, const jv *value);
/* Whether every pair of the wanted metadata (NULL: none) stands in that of a row, which
   is JSON or NULL. */
bool query_metadata_fits(call *c, const jv *wanted, const char *text);
/* "cursor":{...} */
void query_write_cursor(call *c, const query_page *page, int64_t total);
/* A time column, or null. */
void query_write_time(tkx__buf *out, db_rows *rows, int column);

#endif
