/* Whether the journal can be worked with, before anything is done that has to be written down. */
#include "order/journal_impl.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum {
    ROOM_MIN = 1 << 20, /* bytes: for the log of an order, with certificates */
    MAKING_MS = 20,     /* how often to look at a file that is being made */
    MAKING_TRIES = 25,
};

static bool has_content(const char *dir, const char *name)
{
    AUTO(str) char *path = file_join(dir, name);
    struct stat st;

    return path != NULL && stat(path, &st) == 0 && st.st_size > 0;
}

static bool is_empty(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

/* SQLite takes an empty file for a new database: all that was ordered would be ordered again. */
bool journal_not_emptied(const char *dir, const char *path, const struct clock *clock,
                         struct err *err)
{
    for (int i = 0; i < MAKING_TRIES; i++) {
        if (!is_empty(path) ||
            (!has_content(dir, "orders.lock") && !has_content(dir, "journal.db-wal"))) {
            return true;
        }
        (void)clock_sleep_ms(clock, MAKING_MS);
    }
    return err_set(err, E_JOURNAL,
                   "%s is empty, although orders were worked on with it: it was cut off. "
                   "p11enroll-journal(1) says how a backup takes its place; to begin anew, remove "
                   "the file",
                   path);
}

bool journal_open_as_is(const char *dir, const struct clock *clock, bool current,
                        struct journal **out, struct err *err)
{
    AUTO(journal) struct journal *journal = calloc(1, sizeof(*journal));
    AUTO(str) char *path = file_join(dir, "journal.db");
    struct stat st;
    int version = 0;

    if (journal == NULL || path == NULL || (journal->dir = str_dup(dir)) == NULL) {
        return err_nomem(err);
    }
    journal->clock = clock;
    if (lstat(path, &st) != 0 && errno != ENOENT) { /* a directory of somebody else */
        return err_set_errno(err, E_JOURNAL, errno, "whether there is a journal in %s", dir);
    }
    if (!file_exists(path)) {
        return err_set(err, E_JOURNAL, "there is no journal in %s: nothing was ordered with it",
                       dir);
    }
    if (!db_open_as_is(path, &journal->db, err) || !db_version(journal->db, &version, err)) {
        return err_wrap(err, "order journal");
    }
    int known = (int)journal_migration_count;
    if (current && version != known) {
        return err_set(err, E_JOURNAL,
                       "order journal: %s has the schema %d, and this program reads %d: %s", path,
                       version, known,
                       version > known ? "use the newer p11enroll that wrote it"
                                       : "'p11enroll order list' brings it up to date");
    }
    *out = TAKE(journal);
    return true;
}

bool journal_last_time(struct journal *journal, int64_t *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(journal->db, "SELECT at_s FROM events ORDER BY id DESC LIMIT 1", &query, err) ||
        !db_step(query, &row, err)) {
        return false;
    }
    *out = row ? db_int(query, 0) : 0;
    return true;
}

static bool has_room(const struct journal *journal, struct err *err)
{
    struct statvfs fs;

    if (statvfs(journal->dir, &fs) != 0) {
        return err_set_errno(err, E_JOURNAL, errno, "examining %s", journal->dir);
    }
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    return room >= ROOM_MIN ||
           err_set(err, E_JOURNAL,
                   "the disk of the order journal in %s is full: %llu bytes are left, and at least "
                   "%d are kept free for what an order writes down; make room and do it again",
                   journal->dir, (unsigned long long)room, ROOM_MIN);
}

static bool clock_is_behind(struct journal *journal, int64_t *last_s, bool *behind, struct err *err)
{
    if (!journal_last_time(journal, last_s, err)) {
        return false;
    }
    *behind = *last_s > clock_wall_s(journal->clock) + JOURNAL_CLOCK_SLACK_S;
    return true;
}

static bool check_clock(struct journal *journal, struct err *err)
{
    char last[CLOCK_TEXT_SIZE];
    char now[CLOCK_TEXT_SIZE];
    int64_t last_s = 0;
    bool behind = false;

    if (!clock_is_behind(journal, &last_s, &behind, err)) {
        return false;
    }
    if (!behind) {
        return true;
    }
    clock_format(last_s, last);
    clock_format(clock_wall_s(journal->clock), now);
    return err_set(
        err, E_JOURNAL,
        "this machine's clock says %s, but the last entry of the journal in %s is of %s: "
        "the clock was set back, or was ahead then. Waiting times, approvals and the "
        "validity of certificates hang on it: set it right; if it is right now, say so "
        "with 'p11enroll journal check --accept-clock'",
        now, journal->dir, last);
}

bool journal_ready(struct journal *journal, struct err *err)
{
    if (!has_room(journal, err)) {
        return false;
    }
    if (!db_try_write(journal->db, err)) {
        return err_wrap(err, "order journal");
    }
    return check_clock(journal, err);
}

bool journal_accept_clock(struct journal *journal, bool *done, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    char text[ORDER_USER_MAX + 100];
    char user[ORDER_USER_MAX];
    int64_t last_s = 0;

    if (!clock_is_behind(journal, &last_s, done, err)) {
        return false;
    }
    if (!*done) {
        return true;
    }
    order_user(user);
    (void)snprintf(text, sizeof(text), "%s says that the clock is right now, and was ahead before",
                   user);
    if (!db_query(journal->db,
                  "INSERT INTO events (order_id, at_s, state, text) "
                  "SELECT id, ?, state, ? FROM orders ORDER BY id DESC LIMIT 1",
                  &query, err)) {
        return false;
    }
    db_bind_int(query, 1, clock_wall_s(journal->clock));
    db_bind_text(query, 2, text);
    return db_run(query, err);
}
