/* SPDX-License-Identifier: Apache-2.0 */
/* paths.c - see the header. */
#include "mock_server/paths.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "mock_server/auth.h"
#include "mock_server/util.h"

bool checkpoint_name_is_good(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "0123456789._-");
    return n > 0 && n <= 255 && !name[n] && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

const char *checkpoint_type_of(const char *kind)
{
    if (strcmp(kind, "weights") == 0)
        return "training";
    return strcmp(kind, "external_weights") == 0 ? "external" : "sampler";
}

static bool take_part(const char **at, char *out, size_t size)
{
    size_t n = strcspn(*at, "/");
    if (n == 0 || n >= size)
        return false;
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n;
    if (**at == '/')
        ++*at;
    return true;
}

/* tinker://RUN/KIND/NAME or, for sampler weights, tinker://RUN/NAME; false for the
   rest. */
static bool tinker_path_parse(const char *text, tinker_path *out)
{
    const char *at = text;
    char second[256];
    if (tkx__starts_with(text, "tinker://"))
        at += strlen("tinker://");
    else if (tkx__starts_with(text, "twinkle://"))
        at += strlen("twinkle://");
    else
        return false;
    if (!take_part(&at, out->run, sizeof out->run) ||
        !take_part(&at, second, sizeof second))
        return false;
    if (!*at) { /* SkyRL's form of sampler weights */
        snprintf(out->kind, sizeof out->kind, "sampler_weights");
        memcpy(out->name, second, strlen(second) + 1);
        return true;
    }
    if (strcmp(second, "weights") != 0 && strcmp(second, "sampler_weights") != 0 &&
        strcmp(second, "external_weights") != 0)
        return false;
    memcpy(out->kind, second, strlen(second) + 1);
    return take_part(&at, out->name, sizeof out->name) && !*at;
}

static void copy_column(char *to, size_t size, db_rows *rows, int column)
{
    const char *text = db_text(rows, column);
    snprintf(to, size, "%s", text ? text : "");
}

static void read_row(db_rows *rows, checkpoint_row *out)
{
    *out = (checkpoint_row){.lora = NN_LORA_OPTIONS_INIT};
    copy_column(out->tinker_path, sizeof out->tinker_path, rows, 0);
    copy_column(out->run, sizeof out->run, rows, 1);
    copy_column(out->kind, sizeof out->kind, rows, 2);
    copy_column(out->base_model, sizeof out->base_model, rows, 3);
    copy_column(out->optimizer, sizeof out->optimizer, rows, 4);
    copy_column(out->file, sizeof out->file, rows, 5);
    copy_column(out->owner, sizeof out->owner, rows, 6);
    out->is_public = db_int(rows, 7) != 0;
    out->lora.rank = (size_t)db_int(rows, 8);
    out->lora.train_attn = db_int(rows, 9) != 0;
    out->lora.train_mlp = db_int(rows, 10) != 0;
    out->lora.train_unembed = db_int(rows, 11) != 0;
    out->lora.optimizer = strstr(out->optimizer, "dimuon") ? NN_DIMUON : NN_ADAMW;
}

static bool may_read(const mock_server *srv, const checkpoint_row *row, const char *owner,
                     const char *token)
{
    char other[AUTH_OWNER_SIZE];
    if (row->is_public || !owner || strcmp(row->owner, owner) == 0)
        return true;
    return token && auth_owner(srv, token, other) == AUTH_OK &&
           strcmp(row->owner, other) == 0;
}

tkx_status checkpoint_find(mock_server *srv, const char *path, const char *owner,
                           const char *token, checkpoint_row *out, tkx_error **err)
{
    tinker_path parts;
    char full[640];
    db_rows *rows;
    if (!path || !tinker_path_parse(path, &parts))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "%s is no checkpoint path: tinker://RUN/KIND/NAME is wanted",
                         path ? path : "(none)");
    snprintf(full, sizeof full, "tinker://%s/%s/%s", parts.run, parts.kind, parts.name);
    rows =
        db_query(srv->db,
                 "SELECT tinker_path, run, kind, base_model, optimizer, file, owner,"
                 " is_public, rank, train_attn, train_mlp, train_unembed FROM checkpoints"
                 " WHERE tinker_path=? AND (expires_at IS NULL OR expires_at>?)",
                 "si", full, mock_now_ms());
    if (!db_next(rows))
        return tkx__fail(err, TKX_ERR_NOT_FOUND, "checkpoint %s: not found", path);
    read_row(rows, out);
    db_done(rows);
    if (!may_read(srv, out, owner, token))
        return tkx__fail(err, TKX_ERR_PERMISSION,
                         "checkpoint %s belongs to somebody else and is not public",
                         path);
    return TKX_OK;
}

tkx_status checkpoint_make_run(mock_server *srv, const char *owner,
                               const checkpoint_row *of, const char *session,
                               const char *project, char run[300], tkx_error **err)
{
    char uuid[MOCK_UUID_SIZE];
    mock_uuid(uuid);
    snprintf(run, 300, "%.200s:copy:%.8s", session ? session : "copy", uuid);
    return db_run(
        srv->db, err,
        "INSERT INTO models (model_id, session_id, owner, project_id, base_model,"
        " rank, train_attn, train_mlp, train_unembed, optimizer, created_at,"
        " last_request, is_copy, is_unloaded)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1)",
        "sssssiiiisii", run, session ? session : "", owner, project, of->base_model,
        (int64_t)of->lora.rank, (int64_t)of->lora.train_attn, (int64_t)of->lora.train_mlp,
        (int64_t)of->lora.train_unembed, of->optimizer, mock_now_ms(), mock_now_ms());
}
