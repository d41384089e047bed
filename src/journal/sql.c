/* SPDX-License-Identifier: Apache-2.0 */
/* sql.c - binding, stepping, and what SQLite's codes mean to us. */
#include "journal/sql.h"

#include <stdarg.h>

#include <sqlite3.h>

#include "base/error.h"

static tkx_status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return TKX_ERR_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return TKX_ERR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return TKX_ERR_PARSE;
    case SQLITE_TOOBIG:
        return TKX_ERR_LIMIT;
    default:
        return TKX_ERR_IO;
    }
}

static const char *hint_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return "; the disk is full: make room and run it again";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "; another program holds a lock on the file";
    case SQLITE_CORRUPT:
        return "; the file is damaged";
    case SQLITE_NOTADB:
        return "; it is not a journal of tkx";
    default:
        return "";
    }
}

tkx_status tkx__sql_fail(const tkx__sql *sql, const char *what, tkx_error **err)
{
    int code = sql->db ? sqlite3_errcode(sql->db) : SQLITE_NOMEM;
    tkx_status st = status_of(code);

    if (st == TKX_ERR_NO_MEMORY)
        return tkx__fail_memory(err);
    return tkx__fail(err, st, "journal %s, %s: %s%s", sql->path, what,
                     sqlite3_errmsg(sql->db), hint_of(code));
}

tkx_status tkx__sql_exec(tkx__sql *sql, const char *text, tkx_error **err)
{
    if (sqlite3_exec(sql->db, text, NULL, NULL, NULL) == SQLITE_OK)
        return TKX_OK;
    return tkx__sql_fail(sql, "writing", err);
}

/* Texts and blobs are borrowed until the statement has run. */
static void bind(sqlite3_stmt *statement, const char *fmt, va_list args)
{
    for (int i = 1; *fmt; fmt++, i++) {
        const void *blob;
        switch (*fmt) {
        case 's':
            sqlite3_bind_text(statement, i, va_arg(args, const char *), -1,
                              SQLITE_STATIC);
            break;
        case 'i':
            sqlite3_bind_int64(statement, i, va_arg(args, int64_t));
            break;
        default:
            blob = va_arg(args, const void *);
            sqlite3_bind_blob64(statement, i, blob, va_arg(args, size_t), SQLITE_STATIC);
            break;
        }
    }
}

static tkx_status vquery(tkx__sql *sql, tkx__rows *rows, tkx_error **err,
                         const char *text, const char *fmt, va_list args)
{
    *rows = (tkx__rows){.sql = sql};
    if (sqlite3_prepare_v2(sql->db, text, -1, &rows->statement, NULL) != SQLITE_OK) {
        rows->status = tkx__sql_fail(sql, "reading", err);
        return rows->status;
    }
    bind(rows->statement, fmt, args);
    return TKX_OK;
}

tkx_status tkx__sql_query(tkx__sql *sql, tkx__rows *rows, tkx_error **err,
                          const char *text, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    tkx_status st = vquery(sql, rows, err, text, fmt, args);
    va_end(args);
    return st;
}

bool tkx__rows_next(tkx__rows *rows, tkx_error **err)
{
    int code = rows->statement ? sqlite3_step(rows->statement) : SQLITE_DONE;

    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        rows->status = tkx__sql_fail(rows->sql, "reading", err);
    tkx__rows_end(rows);
    return false;
}

void tkx__rows_end(tkx__rows *rows)
{
    sqlite3_finalize(rows->statement);
    rows->statement = NULL;
}

tkx_status tkx__sql_run(tkx__sql *sql, tkx_error **err, const char *text, const char *fmt,
                        ...)
{
    tkx__rows rows;
    va_list args;

    va_start(args, fmt);
    tkx_status st = vquery(sql, &rows, err, text, fmt, args);
    if (st == TKX_OK) {
        int code = sqlite3_step(rows.statement);
        if (code != SQLITE_DONE && code != SQLITE_ROW)
            st = tkx__sql_fail(sql, "writing", err);
        tkx__rows_end(&rows);
    }
    va_end(args);
    return st;
}

static bool is_null(const tkx__rows *rows, int column)
{
    return sqlite3_column_type(rows->statement, column) == SQLITE_NULL;
}

tkx_status tkx__sql_int(tkx__sql *sql, int64_t fallback, int64_t *out, tkx_error **err,
                        const char *text, const char *fmt, ...)
{
    tkx__rows rows;
    va_list args;

    va_start(args, fmt);
    tkx_status st = vquery(sql, &rows, err, text, fmt, args);
    va_end(args);
    *out = fallback;
    if (st != TKX_OK)
        return st;
    if (!tkx__rows_next(&rows, err))
        return rows.status;
    if (!is_null(&rows, 0))
        *out = tkx__rows_int(&rows, 0);
    tkx__rows_end(&rows);
    return TKX_OK;
}

int64_t tkx__sql_last_id(const tkx__sql *sql)
{
    return sqlite3_last_insert_rowid(sql->db);
}

int64_t tkx__rows_int(const tkx__rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement, column);
}

const char *tkx__rows_text(const tkx__rows *rows, int column)
{
    return (const char *)sqlite3_column_text(rows->statement, column);
}

const void *tkx__rows_blob(const tkx__rows *rows, int column, size_t *size)
{
    const void *blob = sqlite3_column_blob(rows->statement, column);

    *size = (size_t)sqlite3_column_bytes(rows->statement, column);
    return blob;
}
