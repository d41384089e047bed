/* SPDX-License-Identifier: Apache-2.0 */
/* store_read.c - what the next start wants to know. */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "journal/store_in.h"

#define CURRENT "(SELECT MAX(n) FROM models)"

/* A copy of a text column; NULL stays NULL. */
static const char *keep(tkx__arena *arena, const tkx__rows *rows, int column,
                        bool *failed)
{
    const char *text = tkx__rows_text(rows, column);
    char *copy = text ? tkx__arena_strndup(arena, text, strlen(text)) : NULL;

    *failed |= text && !copy;
    return copy;
}

static tkx_status get_model(tkx__store *store, tkx__arena *arena, tkx__store_model *out,
                            tkx_error **err)
{
    tkx__rows rows;
    bool failed = false;

    *out = (tkx__store_model){.first_seq = 1};
    tkx_status st = tkx__sql_query(
        &store->sql, &rows, err,
        "SELECT n, op, session_id, model_seq_id, from_path, with_optimizer, model_id,"
        " first_seq, n_resumed, base_model FROM models WHERE n=" CURRENT,
        "");
    if (st != TKX_OK)
        return st;
    if (!tkx__rows_next(&rows, err))
        return rows.status;
    *out = (tkx__store_model){
        .n = tkx__rows_int(&rows, 0),
        .op = keep(arena, &rows, 1, &failed),
        .session_id = keep(arena, &rows, 2, &failed),
        .model_seq_id = tkx__rows_int(&rows, 3),
        .from_path = keep(arena, &rows, 4, &failed),
        .with_optimizer = tkx__rows_int(&rows, 5) != 0,
        .model_id = keep(arena, &rows, 6, &failed),
        .first_seq = tkx__rows_int(&rows, 7),
        .n_resumed = tkx__rows_int(&rows, 8),
        .base_model = keep(arena, &rows, 9, &failed),
    };
    tkx__rows_end(&rows);
    return failed ? tkx__fail_memory(err) : TKX_OK;
}

tkx_status tkx__store_get_model(tkx__store *store, tkx__arena *arena,
                                tkx__store_model *out, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store, get_model(store, arena, out, err));
}

static tkx_status get_metadata(tkx__store *store, tkx__arena *arena, tkx_pair_list *out,
                               tkx_error **err)
{
    tkx__rows rows;
    int64_t n = 0;
    size_t i = 0;
    bool failed = false;

    *out = (tkx_pair_list){NULL, 0};
    tkx_status st =
        tkx__sql_int(&store->sql, 0, &n, err, "SELECT COUNT(*) FROM metadata", "");
    if (st != TKX_OK || n <= 0)
        return st;
    tkx_pair *pairs = tkx__arena_zalloc(arena, (size_t)n, sizeof *pairs);
    if (!pairs)
        return tkx__fail_memory(err);
    st = tkx__sql_query(&store->sql, &rows, err, "SELECT name, value FROM metadata", "");
    if (st != TKX_OK)
        return st;
    for (; i < (size_t)n && tkx__rows_next(&rows, err); i++) {
        pairs[i].key = keep(arena, &rows, 0, &failed);
        pairs[i].value = keep(arena, &rows, 1, &failed);
    }
    tkx__rows_end(&rows);
    *out = (tkx_pair_list){pairs, i};
    if (rows.status != TKX_OK)
        return rows.status;
    return failed ? tkx__fail_memory(err) : TKX_OK;
}

tkx_status tkx__store_get_metadata(tkx__store *store, tkx__arena *arena,
                                   tkx_pair_list *out, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store, get_metadata(store, arena, out, err));
}

/* --- bodies ---------------------------------------------------------------------- */

/* Of a row (body, size, sha256); ends it. */
static tkx_status unpack_row(tkx__store *store, tkx__rows *rows, tkx__buf *body,
                             tkx_error **err)
{
    size_t frame_size;
    tkx_status st;

    if (!tkx__rows_next(rows, err))
        return rows->status != TKX_OK
                   ? rows->status
                   : tkx__fail(err, TKX_ERR_NOT_FOUND, "journal %s: no such request",
                               store->sql.path);
    const void *frame = tkx__rows_blob(rows, 0, &frame_size);
    int64_t size = tkx__rows_int(rows, 1);
    if (!frame)
        st = tkx__fail(err, TKX_ERR_NOT_FOUND,
                       "journal %s: the body of a request is not kept any more",
                       store->sql.path);
    else if (size < 0 || (uint64_t)size > ((uint64_t)2 << 30))
        st = tkx__fail(err, TKX_ERR_PARSE, "journal %s: a body of %lld bytes",
                       store->sql.path, (long long)size);
    else
        st = tkx__body_unpack(frame, frame_size, (size_t)size, tkx__rows_text(rows, 2),
                              body, err);
    tkx__rows_end(rows);
    return st;
}

tkx_status tkx__store_body(tkx__store *store, int64_t call, int64_t part, tkx__buf *body,
                           tkx_error **err)
{
    tkx__rows rows;

    tkx__store_enter(store);
    tkx_status st = tkx__sql_query(
        &store->sql, &rows, err,
        "SELECT body, size, sha256 FROM parts WHERE call=? AND part=?", "ii", call, part);
    if (st == TKX_OK)
        st = unpack_row(store, &rows, body, err);
    return tkx__store_leave(store, st);
}

tkx_status tkx__store_model_body(tkx__store *store, tkx__buf *body, tkx_error **err)
{
    tkx__rows rows;

    tkx__store_enter(store);
    tkx_status st =
        tkx__sql_query(&store->sql, &rows, err,
                       "SELECT body, size, sha256 FROM models WHERE n=" CURRENT, "");
    if (st == TKX_OK)
        st = unpack_row(store, &rows, body, err);
    return tkx__store_leave(store, st);
}

/* --- parts ----------------------------------------------------------------------- */

#define WANTED                                                                           \
    " FROM parts p JOIN calls c ON c.n=p.call WHERE c.model=" CURRENT                    \
    " AND NOT c.is_dropped AND (p.state IN ('open', 'promised') OR"                      \
    " (NOT c.is_delivered AND p.state<>'refused'))"

static tkx__store_state state_of(const char *name)
{
    for (int i = TKX__STORE_OPEN; i <= TKX__STORE_REFUSED; i++)
        if (name && strcmp(name, tkx__store_state_names[i]) == 0)
            return (tkx__store_state)i;
    return TKX__STORE_OPEN;
}

static void read_part(tkx__arena *arena, const tkx__rows *rows, tkx__store_part *out,
                      bool *failed)
{
    *out = (tkx__store_part){
        .call = tkx__rows_int(rows, 0),
        .part = tkx__rows_int(rows, 1),
        .number = tkx__rows_int(rows, 2),
        .n_parts = tkx__rows_int(rows, 3),
        .op = keep(arena, rows, 4, failed),
        .seq_id = tkx__rows_int(rows, 5),
        .route = keep(arena, rows, 6, failed),
        .content_type = keep(arena, rows, 7, failed),
        .content_encoding = keep(arena, rows, 8, failed),
        .request_id = keep(arena, rows, 9, failed),
        .is_foreign = tkx__rows_int(rows, 10) != 0,
        .is_delivered = tkx__rows_int(rows, 11) != 0,
        .state = state_of(tkx__rows_text(rows, 12)),
        .error = keep(arena, rows, 13, failed),
        .path = keep(arena, rows, 14, failed),
    };
}

static tkx_status list(tkx__store *store, tkx__arena *arena, tkx__store_part **parts,
                       size_t *n, tkx_error **err)
{
    tkx__rows rows;
    int64_t count = 0;
    bool failed = false;
    size_t i = 0;

    *parts = NULL;
    *n = 0;
    tkx_status st =
        tkx__sql_int(&store->sql, 0, &count, err, "SELECT COUNT(*)" WANTED, "");
    if (st != TKX_OK || count <= 0)
        return st;
    *parts = tkx__arena_zalloc(arena, (size_t)count, sizeof **parts);
    if (!*parts)
        return tkx__fail_memory(err);
    st = tkx__sql_query(&store->sql, &rows, err,
                        "SELECT p.call, p.part, c.number, c.n_parts, c.op, p.seq_id,"
                        " p.route, p.content_type, p.content_encoding, p.request_id,"
                        " p.is_foreign, c.is_delivered, p.state, p.error, p.path" WANTED
                        " ORDER BY p.seq_id, c.number, p.part",
                        "");
    if (st != TKX_OK)
        return st;
    for (; i < (size_t)count && tkx__rows_next(&rows, err); i++)
        read_part(arena, &rows, &(*parts)[i], &failed);
    tkx__rows_end(&rows);
    *n = i;
    if (rows.status != TKX_OK)
        return rows.status;
    return failed ? tkx__fail_memory(err) : TKX_OK;
}

tkx_status tkx__store_list(tkx__store *store, tkx__arena *arena, tkx__store_part **parts,
                           size_t *n, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store, list(store, arena, parts, n, err));
}

tkx_status tkx__store_next_seq(tkx__store *store, int64_t *out, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(
        store,
        tkx__sql_int(&store->sql, 1, out, err,
                     "SELECT MAX(m.first_seq, COALESCE((SELECT MAX(p.seq_id)+1 FROM"
                     " parts p JOIN calls c ON c.n=p.call WHERE c.model=m.n AND"
                     " p.state<>'refused'), 1)) FROM models m WHERE m.n=" CURRENT,
                     ""));
}

/* --- totals ---------------------------------------------------------------------- */

static tkx_status count(tkx__store *store, int64_t *out, tkx_error **err,
                        const char *text)
{
    return tkx__sql_int(&store->sql, 0, out, err, text, "");
}

static tkx_status path_of(tkx__store *store, tkx__arena *arena, const char *op,
                          const char **out, tkx_error **err)
{
    tkx__rows rows;
    bool failed = false;

    *out = NULL;
    tkx_status st = tkx__sql_query(
        &store->sql, &rows, err,
        "SELECT p.path FROM parts p JOIN calls c ON c.n=p.call WHERE c.op=? AND"
        " p.state='applied' AND p.path IS NOT NULL AND NOT c.is_dropped"
        " ORDER BY c.number DESC LIMIT 1",
        "s", op);
    if (st != TKX_OK)
        return st;
    if (!tkx__rows_next(&rows, err))
        return rows.status;
    *out = keep(arena, &rows, 0, &failed);
    tkx__rows_end(&rows);
    return failed ? tkx__fail_memory(err) : TKX_OK;
}

#define LIVE " AND NOT is_dropped AND EXISTS (SELECT 1 FROM parts WHERE call=calls.n AND"

static tkx_status totals(tkx__store *store, tkx__arena *arena, tkx__store_totals *out,
                         tkx_error **err)
{
    tkx_status st;

    *out = (tkx__store_totals){0};
    st = count(store, &out->n_calls, err,
               "SELECT MAX(number) FROM calls WHERE NOT is_dropped");
    if (st == TKX_OK)
        st = count(store, &out->n_passes, err,
                   "SELECT COUNT(*) FROM calls WHERE op='forward_backward'" LIVE
                   " state<>'failed')");
    if (st == TKX_OK)
        st = count(store, &out->n_steps, err,
                   "SELECT COUNT(*) FROM calls WHERE op='optim_step'" LIVE
                   " state<>'failed')");
    if (st == TKX_OK)
        st = count(store, &out->n_pending_passes, err,
                   "SELECT COUNT(*) FROM calls WHERE op='forward_backward'" LIVE
                   " state<>'failed') AND number>COALESCE((SELECT MAX(number) FROM calls"
                   " WHERE op='optim_step'" LIVE " state<>'failed')), 0)");
    if (st == TKX_OK)
        st = count(store, &out->n_failed, err,
                   "SELECT COUNT(*) FROM calls WHERE 1" LIVE " state='failed')");
    if (st == TKX_OK)
        st = count(store, &out->n_open, err,
                   "SELECT COUNT(*) FROM calls WHERE 1" LIVE
                   " state IN ('open', 'promised'))");
    if (st == TKX_OK)
        st = path_of(store, arena, "save_weights", &out->state_path, err);
    if (st == TKX_OK)
        st = path_of(store, arena, "save_weights_for_sampler", &out->sampler_path, err);
    return st;
}

tkx_status tkx__store_totals_get(tkx__store *store, tkx__arena *arena,
                                 tkx__store_totals *out, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store, totals(store, arena, out, err));
}
