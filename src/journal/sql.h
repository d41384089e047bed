/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal/sql.h - statements of one SQLite connection, for store*.c alone.
 *
 * Arguments follow a format: 's' const char * (NULL: null), 'i' int64_t, 'b' const void *
 * and size_t.  Thread: one at a time.
 */
#ifndef TKX_JOURNAL_SQL_H
#define TKX_JOURNAL_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

struct sqlite3;
struct sqlite3_stmt;

typedef struct tkx__sql {
    struct sqlite3 *db;
    char *path; /* for messages */
} tkx__sql;

/* What SQLite says about the last call, as a status and a message about `what`. */
tkx_status tkx__sql_fail(const tkx__sql *sql, const char *what, tkx_error **err);

/* One or more statements without arguments or rows. */
tkx_status tkx__sql_exec(tkx__sql *sql, const char *text, tkx_error **err);
/* One statement whose rows nobody wants. */
tkx_status tkx__sql_run(tkx__sql *sql, tkx_error **err, const char *text, const char *fmt,
                        ...);
/* The first column of the first row, or fallback. */
tkx_status tkx__sql_int(tkx__sql *sql, int64_t fallback, int64_t *out, tkx_error **err,
                        const char *text, const char *fmt, ...);
int64_t tkx__sql_last_id(const tkx__sql *sql);

/* Rows: query, then next until false (which ends it), or end to leave early. */
typedef struct tkx__rows {
    tkx__sql *sql;
    struct sqlite3_stmt *statement;
    tkx_status status; /* of what went wrong; OK at an orderly end */
} tkx__rows;

tkx_status tkx__sql_query(tkx__sql *sql, tkx__rows *rows, tkx_error **err,
                          const char *text, const char *fmt, ...);
bool tkx__rows_next(tkx__rows *rows, tkx_error **err);
void tkx__rows_end(tkx__rows *rows);
int64_t tkx__rows_int(const tkx__rows *rows, int column);
const char *tkx__rows_text(const tkx__rows *rows, int column); /* NULL: null */
const void *tkx__rows_blob(const tkx__rows *rows, int column, size_t *size);

#endif
