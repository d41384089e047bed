/* SPDX-License-Identifier: Apache-2.0 */
/* usage.c - what was used, summed per hour, and what happened, for the audit log. */
#include "mock_server/exec.h"

#include "mock_server/util.h"

tkx_status usage_add(mock_server *srv, const char *session_id, const char *owner,
                     const char *project_id, const char *base_model, const char *kind,
                     bool is_cached, int64_t amount, tkx_error **err)
{
    int64_t hour = mock_now_ms() / 3600000 * 3600000;
    if (amount == 0)
        return TKX_OK;
    return db_run(
        srv->db, err,
        "INSERT INTO usage (hour, session_id, owner, project_id, base_model, kind,"
        " is_cached, amount) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (hour, session_id, base_model, kind, is_cached)"
        " DO UPDATE SET amount=amount+excluded.amount",
        "isssssii", hour, session_id ? session_id : "", owner,
        project_id && *project_id ? project_id : NULL, base_model, kind,
        (int64_t)is_cached, amount);
}

tkx_status audit_add(mock_server *srv, const char *owner, const char *event,
                     const char *details, const char *model_id, const char *tinker_path,
                     tkx_error **err)
{
    return db_run(srv->db, err,
                  "INSERT INTO audit (at, owner, event, details, model_id, tinker_path)"
                  " VALUES (?, ?, ?, ?, ?, ?)",
                  "isssss", mock_now_ms(), owner, event, details ? details : "{}",
                  model_id, tinker_path);
}
