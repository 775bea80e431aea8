#include "alert/alert.h"

#include "base/str.h"
#include "db/db.h"

#include <string.h>

bool alert_sent_find(struct db *db, const char *subject, const char *sink, bool *found,
                     struct alert_sent *last, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(db, "SELECT urgency, sent_s FROM alerts WHERE subject = ? AND sink = ?", &query,
                  err)) {
        return false;
    }
    db_bind_text(query, 1, subject);
    db_bind_text(query, 2, sink);
    if (!db_step(query, &row, err)) {
        return false;
    }
    *found = row;
    if (row) {
        *last = (struct alert_sent){.urgency = db_int(query, 0), .sent_s = db_int(query, 1)};
    }
    return true;
}

static bool put_all(struct db *db, const char *sink, const struct alert_item *const *items,
                    size_t count, int64_t now_s, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(db,
                  "INSERT OR REPLACE INTO alerts (subject, sink, urgency, sent_s) "
                  "VALUES (?, ?, ?, ?)",
                  &query, err)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        db_reset(query);
        db_bind_text(query, 1, items[i]->subject);
        db_bind_text(query, 2, sink);
        db_bind_int(query, 3, items[i]->urgency);
        db_bind_int(query, 4, now_s);
        if (!db_run(query, err)) {
            return false;
        }
    }
    return true;
}

bool alert_sent_put(struct db *db, const char *sink, const struct alert_item *const *items,
                    size_t count, int64_t now_s, struct err *err)
{
    if (!db_begin(db, err)) {
        return false;
    }
    if (put_all(db, sink, items, count, now_s, err) && db_commit(db, err)) {
        return true;
    }
    db_rollback(db);
    return err_wrap(err, "alerts that were delivered (%s) cannot be written down", sink);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The first subject of that kind that is written down and is none of these; *out "": there is
 * none. */
static bool next_foreign(struct db *db, const char *prefix, const char *const *kept, size_t count,
                         struct buf *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;
    AUTO(str) char *after = str_dup(buf_str(out));

    if (after == NULL) {
        return err_nomem(err);
    }
    buf_reset(out);
    if (!db_query(db,
                  "SELECT DISTINCT subject FROM alerts WHERE subject > ?1 "
                  "AND substr(subject, 1, length(?2)) = ?2 ORDER BY subject",
                  &query, err)) {
        return false;
    }
    db_bind_text(query, 1, after);
    db_bind_text(query, 2, prefix);
    while (db_step(query, &row, err)) {
        const char *subject = row ? db_text(query, 0) : NULL;
        if (subject == NULL) {
            return true;
        }
        if (bsearch(&subject, kept, count, sizeof(kept[0]), by_text) == NULL) {
            buf_add_str(out, subject);
            return buf_ok(out) || err_nomem(err);
        }
    }
    return false;
}

static bool drop(struct db *db, const char *subject, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(db, "DELETE FROM alerts WHERE subject = ?", &query, err)) {
        return false;
    }
    db_bind_text(query, 1, subject);
    return db_run(query, err);
}

bool alert_sent_keep(struct db *db, enum alert_kind kind, const struct alerts *alerts,
                     struct err *err)
{
    AUTO(mem) void *list = calloc(alerts->count + 1, sizeof(char *));
    AUTO(buf) struct buf subject = BUF_INIT(4096);
    const char **kept = list;

    if (kept == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < alerts->count; i++) {
        kept[i] = alerts->list[i].subject;
    }
    qsort(kept, alerts->count, sizeof(kept[0]), by_text);
    do {
        if (!next_foreign(db, alert_subject_prefix(kind), kept, alerts->count, &subject, err) ||
            (subject.len > 0 && !drop(db, buf_str(&subject), err))) {
            return false;
        }
    } while (subject.len > 0);
    return true;
}
