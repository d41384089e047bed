/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.c - what is recorded.
 *
 * Times are milliseconds since 1970.  A promise's body is kept while its effect is in no
 * tensor file yet, so that a restart can do the work (again).
 */
#include "mock_server/schema.h"

const char mock_schema[] =
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"

    "CREATE TABLE IF NOT EXISTS sessions ("
    " session_id TEXT PRIMARY KEY, owner TEXT NOT NULL, project_id TEXT, display_name "
    "TEXT,"
    " tags TEXT, user_metadata TEXT, sdk_version TEXT, created_at INTEGER NOT NULL,"
    " last_seen INTEGER NOT NULL, finished_at INTEGER, finish_reason TEXT,"
    " finish_detail TEXT, failed_request TEXT, failed_kind TEXT, failed_category TEXT,"
    " failed_message TEXT, next_sampler INTEGER NOT NULL DEFAULT 0);"

    "CREATE TABLE IF NOT EXISTS models ("
    " model_id TEXT PRIMARY KEY, session_id TEXT NOT NULL, model_seq_id INTEGER,"
    " owner TEXT NOT NULL, project_id TEXT, base_model TEXT NOT NULL, rank INTEGER,"
    " train_attn INTEGER, train_mlp INTEGER, train_unembed INTEGER, seed INTEGER,"
    " optimizer TEXT NOT NULL, user_metadata TEXT, created_at INTEGER NOT NULL,"
    " last_request INTEGER NOT NULL, next_seq INTEGER NOT NULL DEFAULT 0,"
    " file TEXT, file_seq INTEGER NOT NULL DEFAULT -1, file_parts INTEGER,"
    " is_ready INTEGER NOT NULL DEFAULT 0, is_unloaded INTEGER NOT NULL DEFAULT 0,"
    " is_corrupted INTEGER NOT NULL DEFAULT 0, is_copy INTEGER NOT NULL DEFAULT 0,"
    " inflight_file TEXT);"
    "CREATE INDEX IF NOT EXISTS models_by_session ON models (session_id);"

    "CREATE TABLE IF NOT EXISTS samplers ("
    " sampler_id TEXT PRIMARY KEY, session_id TEXT NOT NULL, sampler_seq INTEGER,"
    " owner TEXT NOT NULL, base_model TEXT NOT NULL, model_path TEXT, model_id TEXT,"
    " file TEXT, is_inflight INTEGER NOT NULL DEFAULT 0,"
    " next_copy INTEGER NOT NULL DEFAULT 1, created_at INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS samplers_by_session ON samplers (session_id);"

    "CREATE TABLE IF NOT EXISTS promises ("
    " request_id TEXT PRIMARY KEY, kind INTEGER NOT NULL, owner TEXT NOT NULL,"
    " session_id TEXT, model_id TEXT, sampler_id TEXT, seq_id INTEGER, sha256 TEXT,"
    " body BLOB, is_proto INTEGER NOT NULL DEFAULT 0, seed INTEGER, source TEXT,"
    " base_model TEXT, is_lost INTEGER NOT NULL DEFAULT 0,"
    " state INTEGER NOT NULL DEFAULT 0, json BLOB, proto BLOB, error TEXT, category TEXT,"
    " cursor INTEGER, created_at INTEGER NOT NULL, done_at INTEGER);"
    "CREATE INDEX IF NOT EXISTS promises_by_model ON promises (model_id, seq_id);"
    "CREATE INDEX IF NOT EXISTS promises_by_sampler ON promises (sampler_id, cursor);"
    "CREATE INDEX IF NOT EXISTS promises_by_state ON promises (state, done_at);"

    "CREATE TABLE IF NOT EXISTS journal ("
    " n INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT NOT NULL, model_id TEXT NOT NULL,"
    " seq_id INTEGER, sha256 TEXT NOT NULL, at INTEGER NOT NULL);"

    "CREATE TABLE IF NOT EXISTS checkpoints ("
    " tinker_path TEXT PRIMARY KEY, run TEXT NOT NULL, kind TEXT NOT NULL,"
    " name TEXT NOT NULL, owner TEXT NOT NULL, project_id TEXT, base_model TEXT NOT NULL,"
    " rank INTEGER, train_attn INTEGER, train_mlp INTEGER, train_unembed INTEGER,"
    " optimizer TEXT NOT NULL, file TEXT NOT NULL, size_bytes INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL, expires_at INTEGER, is_public INTEGER NOT NULL "
    "DEFAULT 0,"
    " user_metadata TEXT, recipients TEXT, archive_at INTEGER);"
    "CREATE INDEX IF NOT EXISTS checkpoints_by_run ON checkpoints (run);"
    "CREATE INDEX IF NOT EXISTS checkpoints_by_file ON checkpoints (file);"

    "CREATE TABLE IF NOT EXISTS copies (idempotency_key TEXT PRIMARY KEY, tinker_path "
    "TEXT);"

    "CREATE TABLE IF NOT EXISTS uploads ("
    " upload_id TEXT PRIMARY KEY, owner TEXT NOT NULL, project_id TEXT,"
    " base_model TEXT NOT NULL, rank INTEGER, train_attn INTEGER, train_mlp INTEGER,"
    " train_unembed INTEGER, tinker_path TEXT);"

    "CREATE TABLE IF NOT EXISTS losses ("
    " loss_id TEXT PRIMARY KEY, session_id TEXT NOT NULL, seq_id INTEGER, sha256 TEXT,"
    " body TEXT NOT NULL);"

    "CREATE TABLE IF NOT EXISTS usage ("
    " hour INTEGER NOT NULL, session_id TEXT NOT NULL, owner TEXT NOT NULL, project_id "
    "TEXT,"
    " base_model TEXT NOT NULL, kind TEXT NOT NULL, is_cached INTEGER NOT NULL DEFAULT 0,"
    " amount INTEGER NOT NULL,"
    " PRIMARY KEY (hour, session_id, base_model, kind, is_cached)) WITHOUT ROWID;"

    "CREATE TABLE IF NOT EXISTS audit ("
    " n INTEGER PRIMARY KEY, at INTEGER NOT NULL, owner TEXT NOT NULL, event TEXT NOT "
    "NULL,"
    " details TEXT NOT NULL, model_id TEXT, tinker_path TEXT);"

    "CREATE TABLE IF NOT EXISTS telemetry ("
    " n INTEGER PRIMARY KEY, at INTEGER NOT NULL, session_id TEXT, event TEXT NOT NULL,"
    " body TEXT NOT NULL);";
