/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db.c - the SQLite connection and its statement cache.
 *
 * WAL with synchronous NORMAL: a commit survives the death of the process; after a power
 * failure the file is whole and may be a few commits old.
 */
#include "mock_server/db.h"

#include <stdarg.h>
#include <string.h>

#include <sqlite3.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/schema.h"

enum { MAX_STATEMENTS = 256 };

struct mock_db {
    sqlite3 *handle;
    sqlite3_stmt *statements[MAX_STATEMENTS];
    size_t n_statements;
};

static tkx_status db_fail(mock_db *db, tkx_error **err, const char *what)
{
    return tkx__fail(err, TKX_ERR_IO, "database, %s: %s", what,
                     sqlite3_errmsg(db->handle));
}

static tkx_status apply_schema(mock_db *db, tkx_error **err)
{
    char *problem = NULL;
    if (sqlite3_exec(db->handle,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                     "PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;",
                     NULL, NULL, &problem) == SQLITE_OK &&
        sqlite3_exec(db->handle, mock_schema, NULL, NULL, &problem) == SQLITE_OK)
        return TKX_OK;
    sqlite3_free(problem);
    return db_fail(db, err, "schema");
}

tkx_status db_open(const char *path, mock_db **out, tkx_error **err)
{
    mock_db *db = tkx__calloc(1, sizeof *db);
    tkx_status st;
    if (!db)
        return tkx__fail_memory(err);
    if (sqlite3_open_v2(path, &db->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                            SQLITE_OPEN_FULLMUTEX,
                        NULL) != SQLITE_OK)
        st = db_fail(db, err, path);
    else
        st = apply_schema(db, err);
    if (st != TKX_OK) {
        db_close(db);
        return st;
    }
    *out = db;
    return TKX_OK;
}

void db_close(mock_db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < db->n_statements; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    tkx__free(db);
}

static sqlite3_stmt *prepare(mock_db *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    for (size_t i = 0; i < db->n_statements; i++)
        if (strcmp(sqlite3_sql(db->statements[i]), sql) == 0) {
            sqlite3_reset(db->statements[i]);
            return db->statements[i];
        }
    if (db->n_statements == MAX_STATEMENTS ||
        sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) !=
            SQLITE_OK)
        return NULL;
    db->statements[db->n_statements++] = stmt;
    return stmt;
}

static void bind(sqlite3_stmt *stmt, const char *fmt, va_list args)
{
    sqlite3_clear_bindings(stmt);
    for (int i = 1; *fmt; fmt++, i++) {
        const void *blob;
        switch (*fmt) {
        case 's':
            sqlite3_bind_text(stmt, i, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
            break;
        case 'i':
            sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
            break;
        case 'f':
            sqlite3_bind_double(stmt, i, va_arg(args, double));
            break;
        default:
            blob = va_arg(args, const void *);
            sqlite3_bind_blob64(stmt, i, blob, va_arg(args, size_t), SQLITE_TRANSIENT);
            break;
        }
    }
}

tkx_status db_run(mock_db *db, tkx_error **err, const char *sql, const char *fmt, ...)
{
    sqlite3_stmt *stmt = prepare(db, sql);
    va_list args;
    int rc;
    if (!stmt)
        return db_fail(db, err, sql);
    va_start(args, fmt);
    bind(stmt, fmt, args);
    va_end(args);
    rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? TKX_OK : db_fail(db, err, sql);
}

tkx_status db_begin(mock_db *db, tkx_error **err)
{
    return db_run(db, err, "BEGIN IMMEDIATE", "");
}

tkx_status db_commit(mock_db *db, tkx_error **err)
{
    tkx_status st = db_run(db, err, "COMMIT", "");
    if (st != TKX_OK)
        db_rollback(db);
    return st;
}

void db_rollback(mock_db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        db_run(db, NULL, "ROLLBACK", "");
}

int64_t db_changes(mock_db *db)
{
    return sqlite3_changes64(db->handle);
}

db_rows *db_query(mock_db *db, const char *sql, const char *fmt, ...)
{
    sqlite3_stmt *stmt = prepare(db, sql);
    va_list args;
    if (!stmt)
        return NULL;
    va_start(args, fmt);
    bind(stmt, fmt, args);
    va_end(args);
    return stmt;
}

bool db_next(db_rows *rows)
{
    if (!rows)
        return false;
    if (sqlite3_step(rows) == SQLITE_ROW)
        return true;
    sqlite3_reset(rows);
    return false;
}

void db_done(db_rows *rows)
{
    if (rows)
        sqlite3_reset(rows);
}

int64_t db_int(db_rows *rows, int column)
{
    return sqlite3_column_int64(rows, column);
}

double db_float(db_rows *rows, int column)
{
    return sqlite3_column_double(rows, column);
}

const char *db_text(db_rows *rows, int column)
{
    return (const char *)sqlite3_column_text(rows, column);
}

const void *db_blob(db_rows *rows, int column, size_t *size)
{
    const void *blob = sqlite3_column_blob(rows, column);
    *size = (size_t)sqlite3_column_bytes(rows, column);
    return blob;
}

bool db_is_null(db_rows *rows, int column)
{
    return sqlite3_column_type(rows, column) == SQLITE_NULL;
}

int64_t db_scalar(mock_db *db, int64_t fallback, const char *sql, const char *fmt, ...)
{
    sqlite3_stmt *stmt = prepare(db, sql);
    int64_t value = fallback;
    va_list args;
    if (!stmt)
        return fallback;
    va_start(args, fmt);
    bind(stmt, fmt, args);
    va_end(args);
    if (sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
        value = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return value;
}
