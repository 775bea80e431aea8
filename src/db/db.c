#include "db/db_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_PAUSE_MS = 5 };

struct db_query {
    sqlite3_stmt *stmt;
    struct db *db;
    int bind_result; /* of the first value that could not be bound */
};

void db_close(struct db *db)
{
    if (db == NULL) {
        return;
    }
    (void)sqlite3_close_v2(db->handle);
    free(db->path);
    free(db);
}

bool db_execute(struct db *db, const char *sql, const char *what, struct err *err)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || db_failed(db, what, err);
}

/* SQLite gives its -wal and -shm files the mode of the main file, so that is made private first. */
static bool make_private(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        bool full = errno == ENOSPC || errno == EDQUOT;
        return err_set_errno(err, E_JOURNAL, errno, "opening the journal %s (%s)", path,
                             full ? "there has to be room on its disk"
                                  : "it and its directory must be writable for the user who runs "
                                    "this");
    }
    (void)close(fd);
    return true;
}

static bool migrate_one(struct db *db, const char *sql, int to, struct err *err)
{
    char set[48];

    (void)snprintf(set, sizeof(set), "PRAGMA user_version = %d", to);
    return db_execute(db, sql, "migrating the schema", err) &&
           db_execute(db, set, "migrating the schema", err);
}

static bool migrate(struct db *db, const char *const migrations[], size_t count, struct err *err)
{
    int version = 0;

    if (!db_version(db, &version, err)) {
        return false;
    }
    if (version == (int)count) {
        return true;
    }
    if (version < 0 || version > (int)count) {
        return err_set(err, E_JOURNAL,
                       "%s was written by a newer p11enroll (schema %d, known is %zu): nothing was "
                       "changed; use that version, or name another 'state_dir'",
                       db->path, version, count);
    }
    if (!db_begin(db, err)) {
        return false;
    }
    bool ok = db_version(db, &version, err); /* another process may have been faster */
    for (int at = version; ok && at < (int)count; at++) {
        ok = migrate_one(db, migrations[at], at + 1, err);
    }
    if (ok && db_commit(db, err)) {
        return true;
    }
    db_rollback(db);
    return false;
}

/* While a file becomes a WAL database, SQLite reports "busy" to others without waiting, so the
 * waiting is done here. */
static bool set_up(struct db *db, struct err *err)
{
    struct clock clock = clock_system(NULL);
    int64_t end = clock_mono_ms(&clock) + DB_BUSY_TIMEOUT_MS;

    while (!db_execute(db,
                       "PRAGMA journal_mode = WAL;"
                       "PRAGMA synchronous = FULL;"
                       "PRAGMA foreign_keys = ON;"
                       "PRAGMA trusted_schema = OFF;",
                       "setting up the journal", err)) {
        bool busy = (sqlite3_errcode(db->handle) & 0xff) == SQLITE_BUSY;
        if (!busy || clock_mono_ms(&clock) >= end || !clock_sleep_ms(&clock, BUSY_PAUSE_MS)) {
            return false;
        }
        err_clear(err);
    }
    return true;
}

bool db_open(const char *path, const char *const migrations[], size_t migration_count,
             struct db **out, struct err *err)
{
    AUTO(db) struct db *db = calloc(1, sizeof(*db));

    if (db == NULL || (db->path = str_dup(path)) == NULL) {
        return err_nomem(err);
    }
    if (!make_private(path, err)) {
        return false;
    }
    if (sqlite3_open_v2(path, &db->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_FULLMUTEX |
                            SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK) {
        return db_failed(db, "opening the journal", err);
    }
    (void)sqlite3_busy_timeout(db->handle, DB_BUSY_TIMEOUT_MS);
    if (!set_up(db, err) || !migrate(db, migrations, migration_count, err)) {
        return false;
    }
    *out = TAKE(db);
    return true;
}

bool db_begin(struct db *db, struct err *err)
{
    return db_execute(db, "BEGIN IMMEDIATE", "starting a transaction", err);
}

bool db_commit(struct db *db, struct err *err)
{
    return db_execute(db, "COMMIT", "writing", err);
}

void db_rollback(struct db *db)
{
    (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

bool db_query(struct db *db, const char *sql, struct db_query **out, struct err *err)
{
    struct db_query *query = calloc(1, sizeof(*query));

    if (query == NULL) {
        return err_nomem(err);
    }
    query->db = db;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &query->stmt, NULL) != SQLITE_OK) {
        free(query);
        return db_failed(db, "reading the journal", err);
    }
    *out = query;
    return true;
}

/* A statement that walked through a table: fine for what looks at everything, and for nothing
 * else. */
static void tell_scan(struct db_query *query)
{
    int steps = sqlite3_stmt_status(query->stmt, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0);

    if (steps > 0 && log_enabled(LOG_TRACE)) {
        log_line(LOG_TRACE, "db", "%d rows scanned: %s", steps, sqlite3_sql(query->stmt));
    }
}

void db_query_done(struct db_query *query)
{
    if (query != NULL) {
        tell_scan(query);
        (void)sqlite3_finalize(query->stmt);
        free(query);
    }
}

void db_reset(struct db_query *query)
{
    (void)sqlite3_reset(query->stmt);
    (void)sqlite3_clear_bindings(query->stmt);
    query->bind_result = SQLITE_OK;
}

/* A value that was not bound would be NULL: the statement must not run. */
static void note(struct db_query *query, int result)
{
    if (query->bind_result == SQLITE_OK) {
        query->bind_result = result;
    }
}

void db_bind_int(struct db_query *query, int at, int64_t value)
{
    note(query, sqlite3_bind_int64(query->stmt, at, value));
}

void db_bind_text(struct db_query *query, int at, const char *value)
{
    note(query, value == NULL ? sqlite3_bind_null(query->stmt, at)
                              : sqlite3_bind_text(query->stmt, at, value, -1, SQLITE_TRANSIENT));
}

void db_bind_bytes(struct db_query *query, int at, const uint8_t *data, size_t len)
{
    note(query, data == NULL ? sqlite3_bind_null(query->stmt, at)
                             : sqlite3_bind_blob64(query->stmt, at, data, len, SQLITE_TRANSIENT));
}

bool db_step(struct db_query *query, bool *row, struct err *err)
{
    if (query->bind_result != SQLITE_OK) {
        return err_set_native(err, E_JOURNAL, (unsigned long)query->bind_result,
                              "%s: using the journal: %s", query->db->path,
                              sqlite3_errstr(query->bind_result));
    }
    int rc = sqlite3_step(query->stmt);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return db_failed(query->db, "using the journal", err);
    }
    *row = rc == SQLITE_ROW;
    return true;
}

bool db_run(struct db_query *query, struct err *err)
{
    bool row = false;

    return db_step(query, &row, err);
}

int64_t db_int(struct db_query *query, int column)
{
    return sqlite3_column_int64(query->stmt, column);
}

const char *db_text(struct db_query *query, int column)
{
    return (const char *)sqlite3_column_text(query->stmt, column);
}

const uint8_t *db_bytes(struct db_query *query, int column, size_t *len)
{
    const void *data = sqlite3_column_blob(query->stmt, column);

    *len = (size_t)sqlite3_column_bytes(query->stmt, column);
    return data;
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t db_changes(struct db *db)
{
    return sqlite3_changes(db->handle);
}
