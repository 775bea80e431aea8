#include "order/inspect.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *journal_result_name(enum journal_result result)
{
    static const char *const names[] = {[JOURNAL_OK] = "ok",
                                        [JOURNAL_RECOVER] = "recover",
                                        [JOURNAL_NOTE] = "note",
                                        [JOURNAL_BAD] = "bad"};

    return names[result];
}

void inspect_tell(struct inspection *in, const char *check, enum journal_result result,
                  int64_t order, const char *fmt, ...)
{
    char text[1400];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    struct journal_finding finding = {
        .check = check, .result = result, .order = order, .text = text};
    in->out->bad += result == JOURNAL_BAD ? 1 : 0;
    in->out->recover += result == JOURNAL_RECOVER ? 1 : 0;
    in->faults += result == JOURNAL_BAD ? 1 : 0;
    in->visit(in->ctx, &finding);
}

void inspect_broken(struct inspection *in, const char *check, const struct err *err)
{
    inspect_tell(in, check, JOURNAL_BAD, 0, "%s", err->msg);
}

/* One file or directory: whose it is, and who else may touch it. */
static void check_file(struct inspection *in, const char *path, bool is_dir)
{
    struct stat st;
    mode_t closed = is_dir ? S_IWGRP | S_IWOTH : S_IRWXG | S_IRWXO;

    if (lstat(path, &st) != 0) {
        if (errno != ENOENT) {
            inspect_tell(in, "files", JOURNAL_BAD, 0, "%s: %s", path, strerror(errno));
        }
        return;
    }
    if (is_dir ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode)) {
        inspect_tell(in, "files", JOURNAL_BAD, 0, "%s is no %s", path,
                     is_dir ? "directory" : "file");
        return;
    }
    if ((st.st_mode & closed) != 0) {
        inspect_tell(in, "files", JOURNAL_BAD, 0,
                     "%s is open to other users (mode %04o); 'chmod %s %s' closes it", path,
                     (unsigned)(st.st_mode & 07777), is_dir ? "go-w" : "600", path);
    }
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        inspect_tell(in, "files", JOURNAL_BAD, 0, "%s belongs to user %lu, not to us or root", path,
                     (unsigned long)st.st_uid);
    }
}

static void check_files(struct inspection *in, const char *dir)
{
    static const char *const names[] = {"journal.db", "journal.db-wal", "journal.db-shm",
                                        "orders.lock"};

    in->faults = 0;
    check_file(in, dir, true);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(str) char *path = file_join(dir, names[i]);
        if (path != NULL) {
            check_file(in, path, false);
        }
    }
    if (in->faults == 0) {
        inspect_tell(in, "files", JOURNAL_OK, 0, "%s is closed to other users", dir);
    }
}

/* Rows of texts; each is a fault but the one word "ok". */
static void check_pages(struct inspection *in)
{
    AUTO(db_query) struct db_query *query = NULL;
    struct err err = ERR_INIT;
    bool row = true;

    in->faults = 0;
    if (!db_query(in->journal.db, "PRAGMA integrity_check(20)", &query, &err)) {
        inspect_broken(in, "database", &err);
        return;
    }
    while (row) {
        if (!db_step(query, &row, &err)) {
            inspect_broken(in, "database", &err);
            return;
        }
        const char *text = row ? db_text(query, 0) : NULL;
        if (text != NULL && !str_equal(text, "ok")) {
            inspect_tell(
                in, "database", JOURNAL_BAD, 0,
                "%.600s (the file is damaged; p11enroll-journal(1) says how a backup takes "
                "its place)",
                text);
        }
    }
    if (in->faults == 0) {
        inspect_tell(in, "database", JOURNAL_OK, 0, "every page and index is whole");
    }
}

static void check_references(struct inspection *in)
{
    AUTO(db_query) struct db_query *query = NULL;
    struct err err = ERR_INIT;
    bool row = true;

    in->faults = 0;
    if (!db_query(in->journal.db, "PRAGMA foreign_key_check", &query, &err)) {
        inspect_broken(in, "references", &err);
        return;
    }
    while (row) {
        if (!db_step(query, &row, &err)) {
            inspect_broken(in, "references", &err);
            return;
        }
        if (row) {
            inspect_tell(in, "references", JOURNAL_BAD, 0,
                         "row %lld of %s belongs to nothing in %s", (long long)db_int(query, 1),
                         db_text(query, 0), db_text(query, 2));
        }
    }
    if (in->faults == 0) {
        inspect_tell(in, "references", JOURNAL_OK, 0, "every entry belongs to an order");
    }
}

/* Whether b has everything that a has, by its text. */
static bool compare_schema(struct inspection *in, struct db *a, struct db *b, const char *fault,
                           struct err *err)
{
    AUTO(db_query) struct db_query *each = NULL;
    AUTO(db_query) struct db_query *find = NULL;
    bool row = true;

    if (!db_query(a, "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL", &each,
                  err) ||
        !db_query(b, "SELECT 1 FROM sqlite_master WHERE type = ? AND name = ? AND sql = ?", &find,
                  err)) {
        return false;
    }
    while (row) {
        bool there = false;
        if (!db_step(each, &row, err)) {
            return false;
        }
        if (!row || str_starts_with(db_text(each, 1), "sqlite_")) {
            continue;
        }
        db_reset(find);
        for (int i = 0; i < 3; i++) {
            db_bind_text(find, i + 1, db_text(each, i));
        }
        if (!db_step(find, &there, err)) {
            return false;
        }
        if (!there) {
            inspect_tell(in, "schema", JOURNAL_BAD, 0, "the %s %s is %s", db_text(each, 0),
                         db_text(each, 1), fault);
        }
    }
    return true;
}

/* Whether the orders can be read by this program. */
static bool check_schema(struct inspection *in)
{
    AUTO(db) struct db *model = NULL;
    struct err err = ERR_INIT;
    int known = (int)journal_migration_count;
    int version = 0;

    in->faults = 0;
    if (!db_version(in->journal.db, &version, &err)) {
        inspect_broken(in, "schema", &err);
        return false;
    }
    in->out->version = version;
    if (version < 0 || version > known) {
        inspect_tell(in, "schema", JOURNAL_BAD, 0,
                     "version %d was written by a newer p11enroll, this one knows %d: use that one",
                     version, known);
        return false;
    }
    if (!db_open_model(journal_migrations, (size_t)version, &model, &err) ||
        !compare_schema(in, model, in->journal.db, "missing, or not as it was made", &err) ||
        !compare_schema(in, in->journal.db, model, "not of this program", &err)) {
        inspect_broken(in, "schema", &err);
        return false;
    }
    if (in->faults != 0) {
        return version == known;
    }
    if (version < known) {
        inspect_tell(
            in, "schema", JOURNAL_NOTE, 0,
            "version %d of %d: the next command that uses it brings it up to date, and then "
            "its orders can be inspected",
            version, known);
        return false;
    }
    inspect_tell(in, "schema", JOURNAL_OK, 0, "version %d, as this program makes it", version);
    return true;
}

/* What was written and not carried over into the main file yet; it grows while somebody reads. */
static void check_log(struct inspection *in, const char *dir)
{
    AUTO(db_query) struct db_query *query = NULL;
    AUTO(str) char *path = file_join(dir, "journal.db-wal");
    struct err err = ERR_INIT;
    struct stat st;
    bool row = false;

    if (!db_query(in->journal.db, "PRAGMA journal_mode", &query, &err) ||
        !db_step(query, &row, &err)) {
        inspect_broken(in, "log", &err);
        return;
    }
    in->out->log_bytes = path != NULL && stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
    if (!row || !str_equal(db_text(query, 0), "wal")) {
        inspect_tell(in, "log", JOURNAL_NOTE, 0,
                     "no write-ahead log, as in a backup: the next command that writes makes one");
        return;
    }
    inspect_tell(in, "log", JOURNAL_OK, 0,
                 "a write-ahead log, %lld bytes of it beside the database",
                 (long long)in->out->log_bytes);
}

static void check_clock(struct inspection *in)
{
    struct err err = ERR_INIT;
    char last[CLOCK_TEXT_SIZE];
    char now[CLOCK_TEXT_SIZE];
    int64_t now_s = clock_wall_s(in->journal.clock);

    if (!journal_last_time(&in->journal, &in->out->last_s, &err)) {
        inspect_broken(in, "clock", &err);
        return;
    }
    clock_format(in->out->last_s, last);
    clock_format(now_s, now);
    if (in->out->last_s > now_s + JOURNAL_CLOCK_SLACK_S) {
        inspect_tell(in, "clock", JOURNAL_BAD, 0,
                     "the last entry is of %s, and it is %s now: the clock was set back, or was "
                     "ahead then; set it right, or if it is right now say so with --accept-clock",
                     last, now);
        return;
    }
    inspect_tell(in, "clock", JOURNAL_OK, 0, "%s%s",
                 in->out->last_s != 0 ? "the last entry is of " : "there is no entry yet",
                 in->out->last_s != 0 ? last : "");
}

static void check_contents(struct inspection *in, const char *dir)
{
    check_pages(in);
    bool readable = check_schema(in);
    if (in->out->version > 0) {
        check_references(in);
    }
    check_log(in, dir);
    if (readable) {
        check_clock(in);
        inspect_orders(in);
    }
}

bool journal_inspect(const char *dir, const struct clock *clock, journal_finding_fn *visit,
                     void *ctx, struct journal_inspected *out, struct err *err)
{
    AUTO(str) char *own_dir = str_dup(dir);
    AUTO(str) char *path = file_join(dir, "journal.db");
    AUTO(db) struct db *db = NULL;
    struct inspection in = {
        .journal = {.dir = own_dir, .clock = clock}, .visit = visit, .ctx = ctx, .out = out};
    struct err broken = ERR_INIT;

    *out = (struct journal_inspected){.version = -1};
    if (own_dir == NULL || path == NULL) {
        return err_nomem(err);
    }
    if (!file_exists(path)) {
        return err_set(err, E_JOURNAL, "there is no journal in %s: nothing was ordered with it",
                       dir);
    }
    check_files(&in, dir);
    if (!db_open_as_is(path, &db, &broken)) {
        inspect_broken(&in, "database", &broken);
        return true;
    }
    in.journal.db = db;
    check_contents(&in, dir);
    return true;
}
