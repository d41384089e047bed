/* SPDX-License-Identifier: Apache-2.0 */
/* routes_mock.c - what a test asks the server itself. */
#include "mock_server/fault.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/server.h"

bool handle_journal(call *c)
{
    db_rows *rows = db_query(
        c->srv->db, "SELECT n, op, model_id, seq_id, sha256 FROM journal ORDER BY n", "");
    bool is_first = true;
    tkx__buf_puts(&c->out, "{\"applied\":[");
    for (; db_next(rows); is_first = false) {
        jw_fmt(&c->out,
               "%r{\"n\":%d,\"op\":%s,\"model_id\":%s,\"seq_id\":", is_first ? "" : ",",
               db_int(rows, 0), db_text(rows, 1), db_text(rows, 2));
        if (db_is_null(rows, 3))
            tkx__buf_puts(&c->out, "null");
        else
            jw_fmt(&c->out, "%d", db_int(rows, 3));
        jw_fmt(&c->out, ",\"sha256\":%s}", db_text(rows, 4));
    }
    tkx__buf_puts(&c->out, "]}");
    return call_ok(c);
}

bool handle_scenario(call *c)
{
    fault_set *set = NULL;
    tkx_error *err = NULL;
    if (fault_set_parse(c->body, c->body_size, &set, &err) != TKX_OK)
        return call_fail(c, &err);
    fault_set_unref(c->srv->faults);
    c->srv->faults = set;
    tkx__buf_puts(&c->out, "{\"status\":\"ok\"}");
    return call_ok(c);
}
