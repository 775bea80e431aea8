/* A copy of a database that others go on writing. */
#include "db/db_impl.h"

#include "base/str.h"

#include <stdlib.h>

enum { PAGES_AT_ONCE = 2000 };

static bool open_copy(const char *path, struct db *copy, struct err *err)
{
    if ((copy->path = str_dup(path)) == NULL) {
        return err_nomem(err);
    }
    return sqlite3_open_v2(path, &copy->handle,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                           NULL) == SQLITE_OK ||
           db_failed(copy, "opening the copy", err);
}

/* The source is in a reading transaction: it stands still, so no step begins anew. */
static bool copy_pages(struct db *from, struct db *to, const struct clock *clock, struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to->handle, "main", from->handle, "main");
    bool stopped = false;
    int rc = SQLITE_OK;

    if (backup == NULL) {
        return db_failed(to, "copying", err);
    }
    while (rc == SQLITE_OK && !stopped) {
        rc = sqlite3_backup_step(backup, PAGES_AT_ONCE);
        stopped = !clock_sleep_ms(clock, 0);
    }
    int finished = sqlite3_backup_finish(backup);
    if (rc == SQLITE_DONE && finished == SQLITE_OK) {
        return true;
    }
    if (stopped && rc == SQLITE_OK) {
        return err_set(err, E_INTERRUPTED, "interrupted while copying %s", from->path);
    }
    return sqlite3_errcode(to->handle) != SQLITE_OK ? db_failed(to, "copying", err)
                                                    : db_failed(from, "copying", err);
}

/* One answer "ok", or what is wrong. */
static bool check_copy(struct db *copy, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(copy, "PRAGMA integrity_check(1)", &query, err) || !db_step(query, &row, err)) {
        return false;
    }
    const char *said = row ? db_text(query, 0) : NULL;
    return str_equal(said, "ok") || err_set(err, E_JOURNAL, "%s: the copy is damaged: %.300s",
                                            copy->path, said != NULL ? said : "no answer");
}

/* A copy that opens as one file, and says that it is whole when it is read back. */
static bool finish(struct db *copy, struct err *err)
{
    return db_execute(copy, "PRAGMA journal_mode = DELETE", "finishing the copy", err) &&
           check_copy(copy, err);
}

bool db_copy(struct db *db, const char *path, const struct clock *clock, struct err *err)
{
    struct db copy = {.handle = NULL};
    bool reading = db_begin_reading(db, err);
    bool ok = reading && open_copy(path, &copy, err) && copy_pages(db, &copy, clock, err);

    if (reading) {
        db_rollback(db);
    }
    ok = ok && finish(&copy, err);
    (void)sqlite3_close_v2(copy.handle);
    free(copy.path);
    return ok;
}
