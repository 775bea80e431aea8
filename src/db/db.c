#include "db/db.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_TIMEOUT_MS = 10000, BUSY_PAUSE_MS = 5 };

struct db {
    sqlite3 *handle;
    char *path;
};

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

static bool failed(const struct db *db, const char *what, struct err *err)
{
    int code = db->handle != NULL ? sqlite3_extended_errcode(db->handle) : SQLITE_NOMEM;
    const char *text = db->handle != NULL ? sqlite3_errmsg(db->handle) : "out of memory";

    return err_set_native(err, E_JOURNAL, (unsigned long)code, "%s: %s: %s", db->path, what, text);
}

static bool execute(struct db *db, const char *sql, const char *what, struct err *err)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || failed(db, what, err);
}

/* SQLite gives its -wal and -shm files the mode of the main file, so that is made private first. */
static bool make_private(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        return err_set_errno(err, E_JOURNAL, errno, "opening the journal %s", path);
    }
    (void)close(fd);
    return true;
}

static bool read_version(struct db *db, int *version, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(db, "PRAGMA user_version", &query, err) || !db_step(query, &row, err)) {
        return false;
    }
    *version = row ? (int)db_int(query, 0) : 0;
    return true;
}

static bool migrate_one(struct db *db, const char *sql, int to, struct err *err)
{
    char set[48];

    (void)snprintf(set, sizeof(set), "PRAGMA user_version = %d", to);
    return execute(db, sql, "migrating the schema", err) &&
           execute(db, set, "migrating the schema", err);
}

static bool migrate(struct db *db, const char *const migrations[], size_t count, struct err *err)
{
    int version = 0;

    if (!read_version(db, &version, err)) {
        return false;
    }
    if (version == (int)count) {
        return true;
    }
    if (version < 0 || version > (int)count) {
        return err_set(err, E_JOURNAL,
                       "%s was written by a newer p11enroll (schema %d, known is %zu)", db->path,
                       version, count);
    }
    if (!db_begin(db, err)) {
        return false;
    }
    bool ok = read_version(db, &version, err); /* another process may have been faster */
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
    int64_t end = clock_mono_ms(&clock) + BUSY_TIMEOUT_MS;

    while (!execute(db,
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
        return failed(db, "opening the journal", err);
    }
    (void)sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    if (!set_up(db, err) || !migrate(db, migrations, migration_count, err)) {
        return false;
    }
    *out = TAKE(db);
    return true;
}

bool db_begin(struct db *db, struct err *err)
{
    return execute(db, "BEGIN IMMEDIATE", "starting a transaction", err);
}

bool db_commit(struct db *db, struct err *err)
{
    return execute(db, "COMMIT", "writing", err);
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
        return failed(db, "reading the journal", err);
    }
    *out = query;
    return true;
}

void db_query_done(struct db_query *query)
{
    if (query != NULL) {
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
        return failed(query->db, "using the journal", err);
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
