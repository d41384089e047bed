/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - opening the file, its schema, and transactions.
 *
 * The file is in WAL mode, so that others can read it while it is written.  A lock file
 * beside it (not a lock on the file itself, which SQLite's own would fall with) keeps a
 * second writer out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/error.h"
#include "base/mem.h"
#include "journal/store_in.h"

#define APPLICATION_ID 0x746b786a /* "tkxj" */
#define VERSION 1
#define BUSY_MS 30000 /* somebody who looks inside may hold the file for a moment */

const char *const tkx__store_state_names[] = {"open", "promised", "applied", "failed",
                                              "refused"};

static const char schema[] =
    "CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE metadata (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE models (n INTEGER PRIMARY KEY, op TEXT NOT NULL, session_id TEXT,"
    " model_seq_id INTEGER, from_path TEXT, with_optimizer INTEGER NOT NULL DEFAULT 0,"
    " base_model TEXT,"
    " sha256 TEXT, size INTEGER, body BLOB, request_id TEXT, model_id TEXT,"
    " first_seq INTEGER NOT NULL DEFAULT 1, n_resumed INTEGER NOT NULL DEFAULT 0,"
    " created_at INTEGER NOT NULL DEFAULT (unixepoch()));"
    "CREATE TABLE calls (n INTEGER PRIMARY KEY,"
    " model INTEGER NOT NULL REFERENCES models (n), number INTEGER NOT NULL,"
    " op TEXT NOT NULL, n_parts INTEGER NOT NULL, copy_of INTEGER,"
    " is_delivered INTEGER NOT NULL DEFAULT 0, is_dropped INTEGER NOT NULL DEFAULT 0,"
    " created_at INTEGER NOT NULL DEFAULT (unixepoch()));"
    "CREATE INDEX calls_by_number ON calls (number);"
    "CREATE INDEX calls_by_model ON calls (model);"
    "CREATE TABLE parts (call INTEGER NOT NULL REFERENCES calls (n),"
    " part INTEGER NOT NULL, seq_id INTEGER, state TEXT NOT NULL DEFAULT 'open',"
    " route TEXT NOT NULL, content_type TEXT, content_encoding TEXT,"
    " sha256 TEXT NOT NULL, size INTEGER NOT NULL, body BLOB,"
    " is_foreign INTEGER NOT NULL DEFAULT 0, request_id TEXT, path TEXT, error TEXT,"
    " PRIMARY KEY (call, part));"
    "CREATE INDEX parts_by_state ON parts (state);"
    "CREATE INDEX parts_with_body ON parts (call) WHERE body IS NOT NULL;"
    "CREATE VIEW operations AS SELECT c.number, c.op, p.part, p.seq_id, p.state,"
    " c.is_delivered, m.model_id, m.session_id, p.request_id, p.sha256, p.size,"
    " length(p.body) AS kept_bytes, p.path, p.error,"
    " datetime(c.created_at, 'unixepoch') AS at FROM parts p JOIN calls c ON c.n=p.call"
    " JOIN models m ON m.n=c.model WHERE NOT c.is_dropped ORDER BY c.number, p.part;";

/* --- opening --------------------------------------------------------------------- */

static tkx_status take_lock(tkx__store *store, const char *path, tkx_error **err)
{
    char name[4096];

    if ((size_t)snprintf(name, sizeof name, "%s-lock", path) >= sizeof name)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "the journal's path is too long");
    store->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return tkx__fail_errno(err, errno, "journal %s: cannot make %s", path, name);
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return TKX_OK;
    if (errno == EWOULDBLOCK)
        return tkx__fail(err, TKX_ERR_BUSY,
                         "journal %s is in use: another run has it open; wait for it or "
                         "choose another place",
                         path);
    return tkx__fail_errno(err, errno, "journal %s: cannot lock %s", path, name);
}

static tkx_status open_file(tkx__store *store, const char *path, tkx_error **err)
{
    /* It holds training data: private from its first moment. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return tkx__fail_errno(err, errno, "journal %s", path);
    close(fd);
    if (sqlite3_open_v2(path, &store->sql.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return tkx__sql_fail(&store->sql, "opening", err);
    sqlite3_extended_result_codes(store->sql.db, 1);
    sqlite3_busy_timeout(store->sql.db, BUSY_MS);
    return TKX_OK;
}

static tkx_status pragma_int(tkx__store *store, const char *text, int64_t *out,
                             tkx_error **err)
{
    return tkx__sql_int(&store->sql, 0, out, err, text, "");
}

static tkx_status make_schema(tkx__store *store, tkx_error **err)
{
    char head[96];

    snprintf(head, sizeof head, "PRAGMA application_id=%d; PRAGMA user_version=%d;",
             APPLICATION_ID, VERSION);
    tkx_status st = tkx__sql_exec(&store->sql, "BEGIN IMMEDIATE", err);
    if (st == TKX_OK)
        st = tkx__sql_exec(&store->sql, schema, err);
    if (st == TKX_OK)
        st = tkx__sql_exec(&store->sql, head, err);
    if (st == TKX_OK)
        st = tkx__sql_exec(&store->sql, "COMMIT", err);
    return st;
}

/* Every page, so that damage is found now and not in the middle of a run. */
static tkx_status check_pages(tkx__store *store, tkx_error **err)
{
    tkx__rows rows;
    tkx_status st = tkx__sql_query(&store->sql, &rows, err, "PRAGMA quick_check(1)", "");

    if (st != TKX_OK)
        return st;
    if (!tkx__rows_next(&rows, err))
        return rows.status != TKX_OK
                   ? rows.status
                   : tkx__fail(err, TKX_ERR_PARSE, "journal %s cannot be checked",
                               store->sql.path);
    const char *text = tkx__rows_text(&rows, 0);
    if (!text || strcmp(text, "ok") != 0)
        st = tkx__fail(err, TKX_ERR_PARSE,
                       "journal %s is damaged (%s); go on from a saved state with a new "
                       "journal",
                       store->sql.path, text ? text : "?");
    tkx__rows_end(&rows);
    return st;
}

static tkx_status check_file(tkx__store *store, tkx_error **err)
{
    int64_t id, version, n_tables;
    tkx_status st =
        pragma_int(store, "SELECT COUNT(*) FROM sqlite_master", &n_tables, err);

    if (st == TKX_OK)
        st = pragma_int(store, "PRAGMA application_id", &id, err);
    if (st == TKX_OK)
        st = pragma_int(store, "PRAGMA user_version", &version, err);
    if (st != TKX_OK)
        return st;
    if (n_tables == 0 && id == 0 && version == 0)
        return make_schema(store, err);
    if (id != APPLICATION_ID)
        return tkx__fail(err, TKX_ERR_PARSE,
                         "%s is a database, but not a journal of tkx; nothing was "
                         "changed",
                         store->sql.path);
    if (version > VERSION)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "journal %s has version %lld; this tkx knows up to %d: use the "
                         "newer one",
                         store->sql.path, (long long)version, VERSION);
    return check_pages(store, err);
}

static tkx_status set_durability(tkx__store *store, tkx_error **err)
{
    return tkx__sql_exec(&store->sql,
                         store->options.is_full_sync
                             ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                             : "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                         err);
}

tkx_status tkx__store_open(const char *path, const tkx__store_options *options,
                           tkx__store **out, tkx_error **err)
{
    pthread_mutexattr_t recursive;
    tkx__store *store = tkx__calloc(1, sizeof *store);

    if (!store)
        return tkx__fail_memory(err);
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&store->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    store->options = *options;
    store->lock_fd = -1;
    store->sql.path = tkx__strdup(path);
    tkx_status st = store->sql.path ? take_lock(store, path, err) : tkx__fail_memory(err);
    if (st == TKX_OK)
        st = open_file(store, path, err);
    if (st == TKX_OK)
        st = check_file(store, err);
    if (st == TKX_OK)
        st = set_durability(store, err);
    if (st != TKX_OK) {
        tkx__store_close(store);
        return st;
    }
    *out = store;
    return TKX_OK;
}

void tkx__store_close(tkx__store *store)
{
    if (!store)
        return;
    sqlite3_close(store->sql.db);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_mutex_destroy(&store->lock);
    tkx__free(store->sql.path);
    tkx__free(store);
}

const char *tkx__store_path(const tkx__store *store)
{
    return store->sql.path;
}

/* --- transactions ---------------------------------------------------------------- */

tkx_status tkx__store_begin(tkx__store *store, tkx_error **err)
{
    tkx__store_enter(store);
    tkx_status st = tkx__sql_exec(&store->sql, "BEGIN IMMEDIATE", err);
    return st == TKX_OK ? st : tkx__store_leave(store, st);
}

tkx_status tkx__store_commit(tkx__store *store, tkx_error **err)
{
    tkx_status st = tkx__sql_exec(&store->sql, "COMMIT", err);

    if (st != TKX_OK)
        tkx__store_rollback(store);
    else
        tkx__store_leave(store, st);
    return st;
}

void tkx__store_rollback(tkx__store *store)
{
    if (!sqlite3_get_autocommit(store->sql.db)) /* a full disk may have ended it */
        tkx__sql_exec(&store->sql, "ROLLBACK", NULL);
    tkx__store_leave(store, TKX_OK);
}

tkx_status tkx__store_mark(tkx__store *store, tkx_error **err)
{
    return tkx__sql_exec(&store->sql, "SAVEPOINT step", err);
}

void tkx__store_release(tkx__store *store, bool is_kept)
{
    if (sqlite3_get_autocommit(store->sql.db))
        return;
    if (!is_kept)
        tkx__sql_exec(&store->sql, "ROLLBACK TO step", NULL);
    tkx__sql_exec(&store->sql, "RELEASE step", NULL);
}

/* --- notes ----------------------------------------------------------------------- */

tkx_status tkx__store_set_note(tkx__store *store, const char *name, const char *value,
                               tkx_error **err)
{
    tkx__store_enter(store);
    return tkx__store_leave(store,
                            tkx__sql_run(&store->sql, err,
                                         "INSERT OR REPLACE INTO notes VALUES (?, ?)",
                                         "ss", name, value));
}

tkx_status tkx__store_get_note(tkx__store *store, const char *name, char **value,
                               tkx_error **err)
{
    tkx__rows rows;

    *value = NULL;
    tkx__store_enter(store);
    tkx_status st = tkx__sql_query(&store->sql, &rows, err,
                                   "SELECT value FROM notes WHERE name=?", "s", name);
    if (st == TKX_OK && tkx__rows_next(&rows, err)) {
        *value = tkx__strdup(tkx__rows_text(&rows, 0));
        if (!*value)
            st = tkx__fail_memory(err);
        tkx__rows_end(&rows);
    } else if (st == TKX_OK) {
        st = rows.status;
    }
    return tkx__store_leave(store, st);
}
