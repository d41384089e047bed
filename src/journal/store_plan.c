/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_plan.c - go on with another model when the current one is lost.
 *
 * What has to be carried out again on a state saved as call number s of the run:
 *
 *   - passes since the last step before s: a state holds weights and moments, no
 *     gradients;
 *   - everything behind s that changes the model: passes, steps, loads;
 *   - forward passes and named saves behind s whose outcome nobody has seen.
 *
 * Parts that the service had failed or refused changed nothing and stay out.  Copies are
 * open until the new model has them; their bodies move along.
 */
#include <string.h>

#include "base/error.h"
#include "journal/store_in.h"

/* Which calls are copied: ?1 the state's number, ?2 that of the last step before it, ?3
   1 when nothing behind the state is wanted. */
#define COPIED                                                                           \
    " NOT c.is_dropped AND ((c.op='forward_backward' AND c.number>?2 AND c.number<?1)"   \
    " OR (c.number>?1 AND NOT ?3 AND (c.op IN ('forward_backward', 'optim_step',"        \
    " 'load_weights') OR (NOT c.is_delivered AND c.op IN ('forward', 'save_weights',"    \
    " 'save_weights_for_sampler', 'save_weights_external')))))"
#define TAKEN " p.state NOT IN ('failed', 'refused')"

typedef struct base {
    int64_t number; /* of the save; 0: the beginning */
    int64_t step;   /* of the last step before it */
    char path[1024];
} base;

static tkx_status find_step(tkx__store *store, base *b, tkx_error **err)
{
    return tkx__sql_int(&store->sql, 0, &b->step, err,
                        "SELECT MAX(number) FROM calls WHERE op='optim_step' AND"
                        " NOT is_dropped AND number<?",
                        "i", b->number);
}

static tkx_status has_bodies(tkx__store *store, const base *b, bool is_rewind, bool *has,
                             tkx_error **err)
{
    int64_t n_missing = 0;
    tkx_status st = tkx__sql_int(&store->sql, 0, &n_missing, err,
                                 "SELECT COUNT(*) FROM parts p JOIN calls c ON c.n=p.call"
                                 " WHERE p.body IS NULL AND" TAKEN " AND" COPIED,
                                 "iii", b->number, b->step, (int64_t)is_rewind);

    *has = n_missing == 0;
    return st;
}

/* The newest state of those before `before`; number 0 when there is none. */
static tkx_status find_state(tkx__store *store, int64_t before, base *b, tkx_error **err)
{
    tkx__rows rows;

    *b = (base){0};
    tkx_status st = tkx__sql_query(
        &store->sql, &rows, err,
        "SELECT c.number, p.path FROM calls c JOIN parts p ON p.call=c.n WHERE"
        " c.op='save_weights' AND p.state='applied' AND p.path IS NOT NULL AND"
        " NOT c.is_dropped AND (?1=0 OR c.number<?1) ORDER BY c.number DESC LIMIT 1",
        "i", before);
    if (st != TKX_OK)
        return st;
    if (!tkx__rows_next(&rows, err))
        return rows.status;
    const char *path = tkx__rows_text(&rows, 1);
    if (strlen(path) < sizeof b->path) {
        b->number = tkx__rows_int(&rows, 0);
        memcpy(b->path, path, strlen(path) + 1);
    }
    tkx__rows_end(&rows);
    return b->number ? find_step(store, b, err) : TKX_OK;
}

static tkx_status find_base(tkx__store *store, int64_t before, bool is_rewind, base *b,
                            tkx_error **err)
{
    bool has = false;
    tkx_status st = find_state(store, before, b, err);

    if (st == TKX_OK)
        st = has_bodies(store, b, is_rewind, &has, err);
    if (st != TKX_OK || has)
        return st;
    if (b->number == 0)
        return tkx__fail(err, TKX_ERR_NOT_FOUND,
                         "journal %s: the model is lost, and there is no saved state to "
                         "go on from%s",
                         store->sql.path, before ? " that the service still has" : "");
    *b = (base){0};
    st = has_bodies(store, b, is_rewind, &has, err);
    if (st == TKX_OK && !has)
        st = tkx__fail(err, TKX_ERR_NOT_FOUND,
                       "journal %s: the model is lost, and not all requests since the "
                       "last saved state are kept",
                       store->sql.path);
    return st;
}

/* The row of the new model: from the state, or as the first one was asked for. */
static tkx_status add_model(tkx__store *store, const base *b, tkx_error **err)
{
    if (b->number)
        return tkx__sql_run(&store->sql, err,
                            "INSERT INTO models (op, from_path, with_optimizer)"
                            " VALUES ('load_weights', ?, 1)",
                            "s", b->path);
    return tkx__sql_run(&store->sql, err,
                        "INSERT INTO models (op, from_path, with_optimizer, base_model,"
                        " sha256, size, body) SELECT op, from_path, with_optimizer,"
                        " base_model, sha256, size, body"
                        " FROM models ORDER BY n LIMIT 1",
                        "");
}

static tkx_status copy_calls(tkx__store *store, const base *b, bool is_rewind,
                             int64_t *n_copied, tkx_error **err)
{
    tkx_status st = tkx__sql_run(
        &store->sql, err,
        "INSERT INTO calls (model, number, op, n_parts, copy_of, is_delivered)"
        " SELECT (SELECT MAX(n) FROM models), c.number, c.op, c.n_parts, c.n,"
        " c.is_delivered FROM calls c WHERE" COPIED
        " AND EXISTS (SELECT 1 FROM parts p WHERE p.call=c.n AND" TAKEN
        ") ORDER BY c.number",
        "iii", b->number, b->step, (int64_t)is_rewind);
    if (st == TKX_OK)
        st = tkx__sql_int(&store->sql, 0, n_copied, err,
                          "SELECT COUNT(*) FROM calls WHERE model=(SELECT MAX(n) FROM"
                          " models)",
                          "");
    if (st == TKX_OK)
        st = tkx__sql_run(
            &store->sql, err,
            "INSERT INTO parts (call, part, route, content_type, content_encoding,"
            " sha256, size, body, is_foreign) SELECT c.n, p.part, p.route,"
            " p.content_type, p.content_encoding, p.sha256, p.size, p.body, 1"
            " FROM calls c JOIN parts p ON p.call=c.copy_of"
            " WHERE c.model=(SELECT MAX(n) FROM models) AND" TAKEN,
            "");
    return st;
}

/* The old rows of what was copied, and of what nobody will have any more. */
static tkx_status drop_old(tkx__store *store, const base *b, bool is_rewind,
                           tkx_error **err)
{
    tkx_status st = tkx__sql_run(
        &store->sql, err,
        "UPDATE calls SET is_dropped=1 WHERE model<(SELECT MAX(n) FROM models) AND"
        " NOT is_dropped AND (n IN (SELECT copy_of FROM calls WHERE"
        " model=(SELECT MAX(n) FROM models)) OR (number>?1 AND (?2 OR NOT EXISTS"
        " (SELECT 1 FROM parts WHERE call=calls.n AND state IN ('applied', 'failed')))))",
        "ii", b->number, (int64_t)is_rewind);

    if (st == TKX_OK)
        st = tkx__sql_run(&store->sql, err,
                          "UPDATE parts SET body=NULL WHERE body IS NOT NULL AND call IN"
                          " (SELECT n FROM calls WHERE is_dropped)",
                          "");
    return st;
}

static tkx_status plan_model(tkx__store *store, int64_t before, bool is_rewind,
                             tkx__arena *arena, tkx__store_plan *plan, tkx_error **err)
{
    bool is_older = before < 0;
    base b = {0};
    tkx_status st = TKX_OK;

    if (is_older)
        st = tkx__sql_int(&store->sql, 0, &before, err,
                          "SELECT MAX(c.number) FROM calls c JOIN parts p ON p.call=c.n"
                          " WHERE c.op='save_weights' AND p.path=(SELECT from_path FROM"
                          " models ORDER BY n DESC LIMIT 1)",
                          "");
    if (st == TKX_OK && before == 0 && is_older)
        st = tkx__fail(err, TKX_ERR_NOT_FOUND,
                       "journal %s: the checkpoint that the run began from cannot be "
                       "loaded",
                       store->sql.path);
    if (st == TKX_OK)
        st = find_base(store, before, is_rewind, &b, err);

    *plan = (tkx__store_plan){.number = b.number};
    if (st == TKX_OK && b.number) {
        plan->from_path = tkx__arena_strndup(arena, b.path, strlen(b.path));
        if (!plan->from_path)
            st = tkx__fail_memory(err);
    }
    if (st == TKX_OK)
        st = add_model(store, &b, err);
    if (st == TKX_OK)
        st = copy_calls(store, &b, is_rewind, &plan->n_replayed, err);
    if (st == TKX_OK)
        st = drop_old(store, &b, is_rewind, err);
    return st;
}

tkx_status tkx__store_plan_model(tkx__store *store, int64_t before, bool is_rewind,
                                 tkx__arena *arena, tkx__store_plan *plan,
                                 tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store,
                            plan_model(store, before, is_rewind, arena, plan, err));
}
