/* Databases that are looked at, not worked with. */
#include "db/db_impl.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a log has that was not carried over into the database yet would be missed without it. */
static bool has_log(const char *path)
{
    AUTO(str) char *log = NULL;
    struct stat st;

    if (asprintf(&log, "%s-wal", path) < 0) {
        log = NULL;
        return true;
    }
    return stat(log, &st) == 0 && st.st_size > 0;
}

static bool open_with(struct db *db, const char *name, int flags, struct err *err)
{
    (void)sqlite3_close_v2(db->handle);
    db->handle = NULL;
    if (sqlite3_open_v2(name, &db->handle,
                        flags | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_FULLMUTEX |
                            SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK) {
        return db_failed(db, "opening the journal", err);
    }
    (void)sqlite3_busy_timeout(db->handle, DB_BUSY_TIMEOUT_MS);
    /* Closing it carries nothing over from the log either. */
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return db_execute(db, "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;",
                      "opening the journal", err) &&
           db_execute(db, "SELECT count(*) FROM sqlite_master", "reading the journal", err);
}

/* A log cannot be kept in a directory that cannot be written; if there is none, none is needed. */
static bool open_alone(struct db *db, struct err *err)
{
    AUTO(buf) struct buf name = BUF_INIT(16384);

    buf_add_str(&name, "file:");
    str_percent_encode(&name, (const uint8_t *)db->path, strlen(db->path), "/");
    buf_add_str(&name, "?immutable=1");
    return buf_ok(&name)
               ? open_with(db, buf_str(&name), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err)
               : err_nomem(err);
}

static bool is_about_writing(const struct err *err)
{
    unsigned long code = err->native & 0xff;

    return code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_PERM;
}

bool db_open_as_is(const char *path, struct db **out, struct err *err)
{
    AUTO(db) struct db *db = calloc(1, sizeof(*db));

    if (db == NULL || (db->path = str_dup(path)) == NULL) {
        return err_nomem(err);
    }
    if (!open_with(db, path, SQLITE_OPEN_READWRITE, err)) {
        struct err first = *err;
        if (!is_about_writing(err) || has_log(path) || !open_alone(db, err)) {
            *err = first;
            return false;
        }
        err_clear(err);
    }
    *out = TAKE(db);
    return true;
}

bool db_open_model(const char *const migrations[], size_t migration_count, struct db **out,
                   struct err *err)
{
    AUTO(db) struct db *db = calloc(1, sizeof(*db));

    if (db == NULL || (db->path = str_dup("(model)")) == NULL) {
        return err_nomem(err);
    }
    if (sqlite3_open_v2(":memory:", &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK) {
        return db_failed(db, "opening a database in memory", err);
    }
    for (size_t i = 0; i < migration_count; i++) {
        if (!db_execute(db, migrations[i], "making the schema", err)) {
            return false;
        }
    }
    *out = TAKE(db);
    return true;
}

bool db_version(struct db *db, int *version, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(db, "PRAGMA user_version", &query, err) || !db_step(query, &row, err)) {
        return false;
    }
    *version = row ? (int)db_int(query, 0) : 0;
    return true;
}

bool db_try_write(struct db *db, struct err *err)
{
    char set[48];
    int version = 0;

    /* Writing the version that it has makes a page to be written all the same. */
    if (!db_begin(db, err)) {
        return false;
    }
    bool ok = db_version(db, &version, err);
    (void)snprintf(set, sizeof(set), "PRAGMA user_version = %d", version);
    if (ok && db_execute(db, set, "trying to write", err) && db_commit(db, err)) {
        return true;
    }
    db_rollback(db);
    return false;
}

bool db_begin_reading(struct db *db, struct err *err)
{
    return db_execute(db, "BEGIN; SELECT count(*) FROM sqlite_master", "reading the journal", err);
}
