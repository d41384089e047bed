/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes_billing.c - usage per hour, storage, and the audit log.
 *
 * Prices are this server's own: USD per million tokens, and per gigabyte and month of 720
 * hours.  They exist so that a client's sums have something to add up.
 */
#include <stdio.h>
#include <string.h>

#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/query.h"
#include "mock_server/util.h"

static const int64_t hour_ms = 3600000;
static const double storage_rate = 0.10;
static const double gigabyte = 1e9;

static double token_rate(const char *kind)
{
    if (strcmp(kind, "training") == 0)
        return 0.40;
    if (strcmp(kind, "sampling_prefill") == 0)
        return 0.05;
    return strcmp(kind, "sampling_sample") == 0 ? 0.20 : -1;
}

static void write_bucket(tkx__buf *out, int64_t hour)
{
    char from[MOCK_TIME_SIZE], to[MOCK_TIME_SIZE];
    mock_time_text(hour, from);
    mock_time_text(hour + hour_ms, to);
    jw_fmt(out, "{\"bucket_start\":%s,\"bucket_end\":%s", from, to);
}

static void write_event_info(tkx__buf *out, const char *kind, bool is_cached,
                             int64_t amount)
{
    if (strcmp(kind, "checkpoint") == 0)
        jw_fmt(out, ",\"event_info\":{\"type\":%s,\"count\":%d}}", kind, amount);
    else if (strcmp(kind, "sampling_prefill") == 0)
        jw_fmt(out, ",\"event_info\":{\"type\":%s,\"cached\":%b,\"token_count\":%d}}",
               kind, (int)is_cached, amount);
    else
        jw_fmt(out, ",\"event_info\":{\"type\":%s,\"token_count\":%d}}", kind, amount);
}

/* hour, session, owner, project, base model, kind, cached, amount */
static void write_event(call *c, db_rows *rows)
{
    tkx__buf *out = &c->out;
    const char *kind = db_text(rows, 5), *owner = db_text(rows, 2);
    double rate = token_rate(kind);
    int64_t amount = db_int(rows, 7);
    write_bucket(out, db_int(rows, 0));
    jw_fmt(out,
           ",\"base_model\":%s,\"user_id\":%s,\"user_name\":%s,\"session_id\":%s,"
           "\"project_id\":%s",
           db_text(rows, 4), owner, owner, db_text(rows, 1), db_text(rows, 3));
    if (c->srv->opt.dialect == DIALECT_HOSTED && rate >= 0)
        jw_fmt(out,
               ",\"estimated_cost_usd\":%f,\"effective_rate_usd_per_million_tokens\":%f",
               rate * (double)amount / 1e6, rate);
    write_event_info(out, kind, db_int(rows, 6) != 0, amount);
}

/* What lay in storage during one hour, per session. */
static bool write_storage(call *c, int64_t hour, int64_t now, bool is_first)
{
    tkx__buf *out = &c->out;
    bool is_hosted = c->srv->opt.dialect == DIALECT_HOSTED;
    int64_t end = hour + hour_ms < now ? hour + hour_ms : now;
    db_rows *rows =
        db_query(c->srv->db,
                 "SELECT m.session_id, k.owner, k.project_id, k.base_model,"
                 " SUM(k.size_bytes * 1.0 * MAX(0, MIN(COALESCE(k.expires_at, ?), ?)"
                 "  - MAX(k.created_at, ?))) FROM checkpoints k"
                 " JOIN models m ON m.model_id=k.run WHERE k.created_at<?"
                 " AND (k.expires_at IS NULL OR k.expires_at>?)"
                 " GROUP BY m.session_id, k.base_model",
                 "iiiii", end, end, hour, end, hour);
    for (; db_next(rows); is_first = false) {
        double hours = db_float(rows, 4) / gigabyte / (double)hour_ms;
        if (!is_first)
            tkx__buf_putc(out, ',');
        write_bucket(out, hour);
        jw_fmt(out,
               ",\"base_model\":%s,\"user_id\":%s,\"session_id\":%s,\"project_id\":%s",
               db_text(rows, 3), db_text(rows, 1), db_text(rows, 0), db_text(rows, 2));
        if (is_hosted)
            jw_fmt(out,
                   ",\"estimated_cost_usd\":%f,"
                   "\"effective_rate_usd_per_gigabyte_month\":%f",
                   hours / 720 * storage_rate, storage_rate);
        jw_fmt(out, ",\"event_info\":{\"type\":\"storage\",%r\"gigabyte_hours\":%f}}",
               is_hosted ? "\"free\":false," : "", hours);
    }
    return is_first;
}

static void write_sessions(call *c, int64_t from, int64_t to)
{
    db_rows *rows =
        db_query(c->srv->db,
                 "SELECT session_id, user_metadata FROM sessions WHERE session_id"
                 " IN (SELECT session_id FROM usage WHERE hour>=? AND hour<?)",
                 "ii", from, to);
    bool is_first = true;
    tkx__buf_puts(&c->out, "],\"sessions\":{");
    for (; db_next(rows); is_first = false)
        jw_fmt(&c->out, "%r%s:{\"user_metadata\":%r}", is_first ? "" : ",",
               db_text(rows, 0), db_text(rows, 1));
    tkx__buf_putc(&c->out, '}');
}

static bool read_window(call *c, int64_t *from, int64_t *to)
{
    if (!mock_parse_time(call_query(c, "starting_on"), from) ||
        !mock_parse_time(call_query(c, "ending_before"), to))
        return !call_invalid(c, "starting_on", "starting_on and ending_before are times");
    if (*from % hour_ms || *to % hour_ms)
        return !call_error(c, 400, "the window begins and ends on whole UTC hours");
    if (*to <= *from || *to - *from > 14 * 24 * hour_ms)
        return !call_error(c, 400, "the window is at most 14 days long");
    if (*from > mock_now_ms())
        return !call_error(c, 400, "the window lies in the future");
    return true;
}

bool handle_usage_events(call *c)
{
    int64_t from = 0, to = 0, now = mock_now_ms(), first;
    bool is_first = true;
    db_rows *rows;
    char time[MOCK_TIME_SIZE];
    if (!read_window(c, &from, &to))
        return true;
    tkx__buf_puts(&c->out, "{\"data\":[");
    first = db_scalar(c->srv->db, now, "SELECT MIN(created_at) FROM sessions", "");
    for (int64_t hour = from; hour < to && hour <= now; hour += hour_ms) {
        if (hour + hour_ms <= first)
            continue;
        rows = db_query(c->srv->db,
                        "SELECT hour, session_id, owner, project_id, base_model, kind,"
                        " is_cached, amount FROM usage WHERE hour=?"
                        " ORDER BY kind='checkpoint', amount DESC",
                        "i", hour);
        for (; db_next(rows); is_first = false) {
            if (!is_first)
                tkx__buf_putc(&c->out, ',');
            write_event(c, rows);
        }
        is_first = write_storage(c, hour, now, is_first);
    }
    write_sessions(c, from, to);
    if (c->srv->opt.dialect == DIALECT_HOSTED) {
        mock_time_text(now, time);
        jw_fmt(&c->out, ",\"cost_data_through\":%s", time);
    }
    tkx__buf_putc(&c->out, '}');
    return call_ok(c);
}

bool handle_storage_now(call *c)
{
    const char *project = call_query(c, "project_id");
    bool is_first = true;
    db_rows *rows = db_query(c->srv->db,
                             "SELECT project_id, owner, COUNT(*), SUM(size_bytes)"
                             " FROM checkpoints WHERE (? IS NULL OR project_id=?)"
                             " AND (expires_at IS NULL OR expires_at>?)"
                             " GROUP BY project_id, owner ORDER BY 4 DESC",
                             "ssi", project, project, mock_now_ms());
    jw_fmt(&c->out, "{\"effective_rate_usd_per_gigabyte_month\":%f,\"data\":[",
           storage_rate);
    for (; db_next(rows); is_first = false) {
        const char *owner = db_text(rows, 1);
        double size = (double)db_int(rows, 3) / gigabyte;
        char email[64];
        snprintf(email, sizeof email, "%.8s@mock.invalid", owner + strlen("tml:user:"));
        jw_fmt(
            &c->out,
            "%r{\"project_id\":%s,\"org_user_urn\":%s,\"user_email\":%s,\"user_name\":%s,"
            "\"checkpoint_count\":%d,\"size_bytes\":%d,\"size_gigabytes\":%f,"
            "\"estimated_monthly_cost_usd\":%f}",
            is_first ? "" : ",", db_text(rows, 0), owner, email, owner, db_int(rows, 2),
            db_int(rows, 3), size, size * storage_rate);
    }
    tkx__buf_puts(&c->out, "]}");
    return call_ok(c);
}

bool handle_audit(call *c)
{
    static const char *const types[] = {"all", "checkpoints", "projects", "teams",
                                        "organizations"};
    const char *type = call_query(c, "event_type");
    bool is_known = false, is_first = true;
    char prefix[32];
    const char *date = call_query(c, "day");
    int64_t day = mock_now_ms();
    db_rows *rows;
    type = type ? type : "all";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        is_known = is_known || strcmp(type, types[i]) == 0;
    if (!is_known)
        return call_invalid(c, "event_type",
                            "all, checkpoints, projects, teams or "
                            "organizations");
    if (date && !mock_parse_time(date, &day))
        return call_invalid(c, "day", "YYYY-MM-DD");
    day = day / (24 * hour_ms) * (24 * hour_ms);
    snprintf(prefix, sizeof prefix, "%.*s%%",
             strcmp(type, "all") == 0 ? 0 : (int)strlen(type) - 1, type);
    rows = db_query(c->srv->db,
                    "SELECT at, event, details, model_id, tinker_path FROM audit"
                    " WHERE at>=? AND at<? AND event LIKE ? ORDER BY n",
                    "iis", day, day + 24 * hour_ms, prefix);
    tkx__buf_puts(&c->out, "{\"entries\":[");
    for (; db_next(rows); is_first = false) {
        tkx__buf_puts(&c->out, is_first ? "{\"timestamp\":" : ",{\"timestamp\":");
        query_write_time(&c->out, rows, 0);
        jw_fmt(&c->out,
               ",\"event\":%s,\"event_details\":%r,\"model_id\":%s,\"tinker_path\":%s}",
               db_text(rows, 1), db_text(rows, 2), db_text(rows, 3), db_text(rows, 4));
    }
    tkx__buf_puts(&c->out, "]}");
    return call_ok(c);
}
