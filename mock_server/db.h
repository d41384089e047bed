/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db.h - SQLite with prepared statements kept by their text.
 *
 * Thread: one at a time (the server's lock is held).  Arguments follow a format:
 * 's' const char * (NULL is null), 'i' int64_t, 'f' double, 'b' const void * and size_t
 * (NULL is null).  Texts and blobs of a row stay valid until the next step.
 */
#ifndef MOCK_DB_H
#define MOCK_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

typedef struct mock_db mock_db;
typedef struct sqlite3_stmt db_rows;

/* Opens or makes the file and brings its schema up to date. */
tkx_status db_open(const char *path, mock_db **out, tkx_error **err);
void db_close(mock_db *db);

tkx_status db_begin(mock_db *db, tkx_error **err);
tkx_status db_commit(mock_db *db, tkx_error **err);
void db_rollback(mock_db *db);

/* A statement without rows. */
tkx_status db_run(mock_db *db, tkx_error **err, const char *sql, const char *fmt, ...);
int64_t db_changes(mock_db *db); /* of the last db_run */

/*
 * Rows: db_query, then db_next until false, then db_done (needed only when left early).
 * sql must be a literal or live as long as db; one query of a text at a time.
 */
db_rows *db_query(mock_db *db, const char *sql, const char *fmt, ...);
bool db_next(db_rows *rows); /* accepts NULL */
void db_done(db_rows *rows); /* accepts NULL */

int64_t db_int(db_rows *rows, int column);
double db_float(db_rows *rows, int column);
const char *db_text(db_rows *rows, int column); /* NULL when null */
const void *db_blob(db_rows *rows, int column, size_t *size);
bool db_is_null(db_rows *rows, int column);

/* The first column of the first row, or fallback. */
int64_t db_scalar(mock_db *db, int64_t fallback, const char *sql, const char *fmt, ...);

#endif
