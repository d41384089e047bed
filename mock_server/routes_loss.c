/* SPDX-License-Identifier: Apache-2.0 */
/* routes_loss.c - uploading a loss of the user's own. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "mock_server/graph.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/submit.h"
#include "mock_server/util.h"

static bool unlock(call *c, bool answer)
{
    pthread_mutex_unlock(&c->srv->lock);
    return answer;
}

/* The same number again: the same loss, or a conflict.  False: it is new. */
static bool find_earlier(call *c, const char *loss_id, const char *sha256)
{
    db_rows *rows =
        db_query(c->srv->db, "SELECT sha256 FROM losses WHERE loss_id=?", "s", loss_id);
    bool is_same;
    if (!db_next(rows))
        return false;
    is_same = strcmp(db_text(rows, 0), sha256) == 0;
    db_done(rows);
    if (!is_same)
        return call_error(c, 409, "%s was used for another loss already", loss_id);
    c->request_id = call_keep(c, loss_id);
    jw_fmt(&c->out, "{\"request_id\":%s}", loss_id);
    return call_ok(c);
}

/* Under the lock. */
static bool keep_loss(call *c, const char *session, int64_t seq)
{
    char id[320], sha256[MOCK_SHA_SIZE];
    op_spec spec = {
        .kind = OP_CUSTOM_LOSS, .session_id = session, .request_id = id, .seq_id = -1};
    tkx_error *err = NULL;
    tkx__buf text;
    bool answer;
    if (!session_is_alive(c, session))
        return true;
    snprintf(id, sizeof id, "%.250s:loss:%lld", session, (long long)seq);
    mock_sha256_hex(c->body, c->body_size, sha256);
    spec.sha256 = sha256;
    if (find_earlier(c, id, sha256))
        return true;
    if (db_run(c->srv->db, &err,
               "INSERT INTO losses (loss_id, session_id, seq_id, sha256, body)"
               " VALUES (?, ?, ?, ?, ?)",
               "ssiss", id, session, seq, sha256, c->body) != TKX_OK)
        return call_fail(c, &err);
    tkx__buf_init(&text, 1024);
    jw_fmt(&text, "{\"loss_id\":%s,\"type\":\"create_custom_loss\"}", id);
    answer = submit_done(c, &spec, tkx__buf_text(&text));
    tkx__buf_clear(&text);
    return answer;
}

bool handle_custom_loss(call *c)
{
    const jv *body;
    const char *session;
    graph checked;
    tkx_error *err = NULL;
    int64_t seq;
    if (!call_json(c, &body))
        return true;
    session = jv_get_str(body, "session_id");
    if (!session)
        return call_invalid(c, "session_id", "Field required");
    if (!jv_i64(jv_get(body, "custom_loss_seq_id"), &seq) || seq < 0)
        return call_invalid(c, "custom_loss_seq_id", "Input should be an integer from 0");
    if (graph_read(&c->arena, body, &checked, &err) != TKX_OK)
        return call_fail(c, &err);
    pthread_mutex_lock(&c->srv->lock);
    return unlock(c, keep_loss(c, session, seq));
}
