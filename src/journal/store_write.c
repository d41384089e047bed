/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_write.c - models and calls as they go: asked for, promised, ended.
 *
 * Bodies are kept while the model may have to be made again without them: those before a
 * confirmed state go, but for the passes whose gradients no step had used when it was
 * saved, since a state holds no gradients.
 */
#include "base/error.h"
#include "journal/store_in.h"

#define CURRENT "(SELECT MAX(n) FROM models)"

/* --- models ---------------------------------------------------------------------- */

static tkx_status add_model(tkx__store *store, const tkx__store_model *m, tkx_error **err)
{
    int64_t n = 0;
    tkx_status st =
        tkx__sql_int(&store->sql, 0, &n, err, "SELECT COUNT(*) FROM models", "");

    if (st == TKX_OK && n > 0)
        st = tkx__fail(err, TKX_ERR_INVALID_STATE,
                       "journal %s holds a run already: resume it, or choose another "
                       "file",
                       store->sql.path);
    if (st == TKX_OK)
        st = tkx__sql_run(&store->sql, err,
                          "INSERT INTO models (op, from_path, with_optimizer, base_model)"
                          " VALUES (?, ?, ?, ?)",
                          "ssis", m->op, m->from_path, (int64_t)m->with_optimizer,
                          m->base_model);
    return st;
}

tkx_status tkx__store_add_model(tkx__store *store, const tkx__store_model *model,
                                tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store, add_model(store, model, err));
}

tkx_status tkx__store_put_metadata(tkx__store *store, const char *name, const char *value,
                                   tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store,
                            tkx__sql_run(&store->sql, err,
                                         "INSERT OR REPLACE INTO metadata VALUES (?, ?)",
                                         "ss", name, value));
}

tkx_status tkx__store_ask_model(tkx__store *store, const char *session_id,
                                int64_t model_seq_id, const void *frame,
                                size_t frame_size, size_t size, const char *sha256,
                                tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(
        store, tkx__sql_run(&store->sql, err,
                            "UPDATE models SET session_id=?, model_seq_id=?, body=?,"
                            " size=?, sha256=?, request_id=NULL WHERE n=" CURRENT,
                            "sibis", session_id, model_seq_id, frame, frame_size,
                            (int64_t)size, sha256));
}

tkx_status tkx__store_model_promised(tkx__store *store, const char *request_id,
                                     tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(
        store,
        tkx__sql_run(&store->sql, err, "UPDATE models SET request_id=? WHERE n=" CURRENT,
                     "s", request_id));
}

tkx_status tkx__store_made_model(tkx__store *store, const char *model_id,
                                 int64_t first_seq, tkx_error **err)
{
    tkx__store_enter(store);
    tkx_status st = tkx__sql_run(
        &store->sql, err, "UPDATE models SET model_id=?, first_seq=? WHERE n=" CURRENT,
        "si", model_id, first_seq);
    if (st == TKX_OK)
        st = tkx__sql_run(
            &store->sql, err,
            "UPDATE parts SET seq_id=?+r.k FROM (SELECT p.call c, p.part i,"
            " row_number() OVER (ORDER BY k.number, p.part)-1 k FROM parts p"
            " JOIN calls k ON k.n=p.call WHERE k.model=" CURRENT
            " AND p.seq_id IS NULL) r WHERE parts.call=r.c AND parts.part=r.i",
            "i", first_seq);
    return tkx__store_leave(store, st);
}

tkx_status tkx__store_refused_model(tkx__store *store, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store,
                            tkx__sql_run(&store->sql, err,
                                         "DELETE FROM models WHERE n=1 AND model_id IS"
                                         " NULL AND NOT EXISTS (SELECT 1 FROM calls) AND"
                                         " (SELECT COUNT(*) FROM models)=1",
                                         ""));
}

tkx_status tkx__store_count_resume(tkx__store *store, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(
        store,
        tkx__sql_run(&store->sql, err,
                     "UPDATE models SET n_resumed=n_resumed+1 WHERE n=" CURRENT, ""));
}

/* --- calls ----------------------------------------------------------------------- */

/* Calls of which the service took nothing are no part of the run. */
static tkx_status drop_refused(tkx__store *store, tkx_error **err)
{
    return tkx__sql_run(&store->sql, err,
                        "UPDATE calls SET is_dropped=1 WHERE model=" CURRENT
                        " AND NOT is_dropped AND NOT EXISTS (SELECT 1 FROM parts"
                        " WHERE call=calls.n AND state<>'refused')"
                        " AND EXISTS (SELECT 1 FROM parts WHERE call=calls.n)",
                        "");
}

static tkx_status add_call(tkx__store *store, const char *op, size_t n_parts,
                           int64_t first_seq, int64_t *call, tkx_error **err)
{
    int64_t n_taken = 0;
    tkx_status st = tkx__sql_int(
        &store->sql, 0, &n_taken, err,
        "SELECT COUNT(*) FROM parts p JOIN calls c ON c.n=p.call WHERE c.model=" CURRENT
        " AND p.seq_id>=? AND p.state='open'",
        "i", first_seq);

    if (st == TKX_OK && n_taken > 0)
        st = tkx__sql_run(&store->sql, err,
                          "UPDATE parts SET state='refused', body=NULL WHERE seq_id>=?"
                          " AND state='open' AND call IN (SELECT n FROM calls WHERE"
                          " model=" CURRENT ")",
                          "i", first_seq);
    if (st == TKX_OK && n_taken > 0)
        st = drop_refused(store, err);
    if (st == TKX_OK)
        st = tkx__sql_run(&store->sql, err,
                          "INSERT INTO calls (model, number, op, n_parts) VALUES"
                          " (" CURRENT ", (SELECT COALESCE(MAX(number), 0)+1 FROM calls"
                          " WHERE NOT is_dropped), ?, ?)",
                          "si", op, (int64_t)n_parts);
    if (st == TKX_OK)
        *call = tkx__sql_last_id(&store->sql);
    return st;
}

tkx_status tkx__store_add_call(tkx__store *store, const char *op, size_t n_parts,
                               int64_t first_seq, int64_t *call, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store, add_call(store, op, n_parts, first_seq, call, err));
}

tkx_status tkx__store_put_part(tkx__store *store, int64_t call, size_t part,
                               const tkx__store_request *r, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(
        store,
        tkx__sql_run(&store->sql, err,
                     "INSERT INTO parts (call, part, seq_id, route, content_type,"
                     " content_encoding, sha256, size, body)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                     " ON CONFLICT (call, part) DO UPDATE SET seq_id=excluded.seq_id,"
                     " route=excluded.route, content_type=excluded.content_type,"
                     " content_encoding=excluded.content_encoding,"
                     " sha256=excluded.sha256, size=excluded.size, body=excluded.body,"
                     " is_foreign=0",
                     "iiissssib", call, (int64_t)part, r->seq_id, r->route,
                     r->content_type, r->content_encoding, r->sha256, (int64_t)r->size,
                     r->frame, r->frame_size));
}

tkx_status tkx__store_promised(tkx__store *store, int64_t call, size_t part,
                               const char *request_id, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(
        store, tkx__sql_run(&store->sql, err,
                            "UPDATE parts SET request_id=?, state='promised'"
                            " WHERE call=? AND part=? AND state IN ('open', 'promised')",
                            "sii", request_id, call, (int64_t)part));
}

/* The service runs a model's operations in order: what came before a state is over. */
static tkx_status close_earlier(tkx__store *store, int64_t call, tkx_error **err)
{
    return tkx__sql_run(
        &store->sql, err,
        "UPDATE parts SET state='applied' WHERE state IN ('open', 'promised')"
        " AND call IN (SELECT n FROM calls WHERE model=" CURRENT " AND number<"
        "(SELECT number FROM calls WHERE n=?))",
        "i", call);
}

/* Bodies before the states that are kept. */
static tkx_status prune(tkx__store *store, tkx_error **err)
{
    int64_t state = 0, step = 0;
    tkx_status st;

    if (store->options.n_kept_states == 0)
        return TKX_OK;
    st = tkx__sql_int(&store->sql, 0, &state, err,
                      "SELECT c.number FROM calls c JOIN parts p ON p.call=c.n"
                      " WHERE c.op='save_weights' AND p.state='applied'"
                      " AND p.path IS NOT NULL AND NOT c.is_dropped"
                      " ORDER BY c.number DESC LIMIT 1 OFFSET ?",
                      "i", (int64_t)store->options.n_kept_states - 1);
    if (st != TKX_OK || state == 0)
        return st;
    st = tkx__sql_int(&store->sql, 0, &step, err,
                      "SELECT MAX(number) FROM calls WHERE op='optim_step'"
                      " AND NOT is_dropped AND number<?",
                      "i", state);
    if (st != TKX_OK)
        return st;
    return tkx__sql_run(&store->sql, err,
                        "UPDATE parts SET body=NULL WHERE body IS NOT NULL AND call IN"
                        " (SELECT n FROM calls WHERE number<=?1 AND (is_dropped OR"
                        " op<>'forward_backward' OR number<?2))",
                        "ii", state, step);
}

static tkx_status ended(tkx__store *store, int64_t call, size_t part,
                        tkx__store_state state, const char *path, const char *error,
                        tkx_error **err)
{
    int64_t is_state = 0;
    tkx_status st = tkx__sql_run(
        &store->sql, err,
        "UPDATE parts SET state=?, path=?, error=? WHERE call=? AND part=?", "sssii",
        tkx__store_state_names[state], path, error, call, (int64_t)part);

    if (st == TKX_OK && state == TKX__STORE_REFUSED)
        return drop_refused(store, err);
    if (st != TKX_OK || state != TKX__STORE_APPLIED || !path)
        return st;
    st = tkx__sql_int(&store->sql, 0, &is_state, err,
                      "SELECT op='save_weights' FROM calls WHERE n=?", "i", call);
    if (st == TKX_OK && is_state)
        st = close_earlier(store, call, err);
    if (st == TKX_OK && is_state)
        st = prune(store, err);
    return st;
}

tkx_status tkx__store_ended(tkx__store *store, int64_t call, size_t part,
                            tkx__store_state state, const char *path, const char *error,
                            tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store, ended(store, call, part, state, path, error, err));
}

tkx_status tkx__store_delivered(tkx__store *store, int64_t call, tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(
        store, tkx__sql_run(&store->sql, err, "UPDATE calls SET is_delivered=1 WHERE n=?",
                            "i", call));
}
