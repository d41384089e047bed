/* SPDX-License-Identifier: Apache-2.0 */
/* query.c - see the header. */
#include "mock_server/query.h"

#include <string.h>

#include "base/str.h"
#include "mock_server/jw.h"
#include "mock_server/util.h"

static bool read_number(call *c, const char *name, int64_t min, int64_t *out)
{
    const char *text = call_query(c, name);
    if (!text)
        return true;
    if (tkx__parse_i64(text, out) && *out >= min)
        return true;
    call_invalid(c, name, "Input should be a number from %lld", (long long)min);
    return false;
}

bool query_read_page(call *c, int64_t default_limit, query_page *out)
{
    *out = (query_page){.limit = default_limit};
    return read_number(c, "limit", 0, &out->limit) &&
           read_number(c, "offset", 0, &out->offset);
}

const char *query_owner(const call *c)
{
    const char *scope = call_query(c, "access_scope");
    return scope && strcmp(scope, "accessible") == 0 ? "%" : c->owner;
}

const char *query_text(call *c, const jv *value)
{
    tkx__buf text;
    const char *kept;
    if (!value)
        return NULL;
    tkx__buf_init(&text, 1 << 24);
    jw_value(&text, value);
    kept = call_keep(c, tkx__buf_text(&text));
    tkx__buf_clear(&text);
    return kept;
}

void query_write_cursor(call *c, const query_page *page, int64_t total)
{
    jw_fmt(&c->out, "\"cursor\":{\"offset\":%d,\"limit\":%d,\"total_count\":%d}",
           page->offset, page->limit, total);
}

void query_write_time(tkx__buf *out, db_rows *rows, int column)
{
    char text[MOCK_TIME_SIZE];
    if (db_is_null(rows, column)) {
        tkx__buf_puts(out, "null");
        return;
    }
    mock_time_text(db_int(rows, column), text);
    jw_str(out, text);
}

bool query_metadata_fits(call *c, const jv *wanted, const char *text)
{
    const jv *have = NULL;
    if (!wanted || !wanted->n)
        return true;
    if (!text ||
        jv_parse(&c->arena, call_keep(c, text), strlen(text), &have, NULL) != TKX_OK)
        return false;
    for (const jv *m = wanted->first; m; m = m->next) {
        const char *value = jv_get_str(have, m->key);
        if (!value || m->kind != JV_STRING || strcmp(value, m->text) != 0)
            return false;
    }
    return true;
}
