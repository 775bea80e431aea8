#include "inventory/impl.h"

#include "base/str.h"

#include <ctype.h>
#include <string.h>

/* The statements of a reading, prepared once for many rows. */
struct statements {
    struct db_query *find, *insert, *update, *drop_names, *add_name;
};

static void statements_done(struct statements *s)
{
    struct db_query *const all[] = {s->find, s->insert, s->update, s->drop_names, s->add_name};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        db_query_done(all[i]);
    }
}

DEFINE_AUTO_DONE(statements, struct statements, statements_done)

static bool prepare(struct inventory *inventory, struct statements *s, struct err *err)
{
    AUTO(buf) struct buf find = BUF_INIT(1024);
    AUTO(buf) struct buf insert = BUF_INIT(1024);
    AUTO(buf) struct buf update = BUF_INIT(1024);
    static const char marks[] = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?";

    buf_addf(&find,
             "SELECT %s, id, sync_id, details_s, gone_s FROM certificates WHERE ca = ? "
             "AND kind = ? AND ca_id = ?",
             inventory_columns);
    buf_addf(&insert,
             "INSERT INTO certificates (%s, spki_hash, details_s, sync_id, gone_s, first_s, ca, "
             "kind, ca_id) VALUES (%s, ?, ?, ?, 0, ?, ?, ?, ?)",
             inventory_columns, marks);
    /* ?1 is the serial number: another certificate under the same number may have another key */
    buf_addf(&update,
             "UPDATE certificates SET (%s) = (%s), "
             "spki_hash = coalesce(?, CASE WHEN serial IS ?1 THEN spki_hash END), "
             "details_s = ?, sync_id = ?, gone_s = 0 WHERE id = ?",
             inventory_columns, marks);
    return db_query(inventory->db, buf_str(&find), &s->find, err) &&
           db_query(inventory->db, buf_str(&insert), &s->insert, err) &&
           db_query(inventory->db, buf_str(&update), &s->update, err) &&
           db_query(inventory->db,
                    "DELETE FROM certificate_names WHERE name = ? AND certificate_id = ?",
                    &s->drop_names, err) &&
           db_query(inventory->db,
                    "INSERT OR IGNORE INTO certificate_names (name, certificate_id) VALUES (?, ?)",
                    &s->add_name, err);
}

/* Runs a statement for each of comma-separated names, in lower case. */
static bool each_name(struct db_query *query, const char *names, int64_t id, struct err *err)
{
    char name[256];

    for (const char *p = names != NULL ? names : ""; *p != '\0';) {
        size_t len = strcspn(p, ",");
        if (len > 0 && len < sizeof(name)) {
            for (size_t i = 0; i < len; i++) {
                name[i] = (char)tolower((unsigned char)p[i]);
            }
            name[len] = '\0';
            db_reset(query);
            db_bind_text(query, 1, name);
            db_bind_int(query, 2, id);
            if (!db_run(query, err)) {
                return false;
            }
        }
        p += len + (p[len] != '\0' ? 1 : 0);
    }
    return true;
}

/* The row as it will be, and whether that is another than it was. */
struct merged {
    struct inventory_row row; /* borrows from the new one, and from the statement */
    bool differs;
    bool conflict; /* the status was another one in the same reading */
};

static void merge(const struct inventory_row *now, struct db_query *old, bool met,
                  struct merged *out)
{
    struct inventory_row row = *now;

    *out = (struct merged){.differs = false};
    for (int i = 0; i < INVENTORY_TEXTS; i++) {
        const char **text = inventory_text_at(&row, (size_t)i);
        const char *was = db_text(old, i);
        bool is_status = text == &row.status;
        if (is_status && met && !now->details && *text != NULL && !str_equal(*text, was)) {
            out->conflict = true;
            *text = NULL;
        } else if (*text == NULL) {
            *text = was;
        }
        out->differs = out->differs || !str_equal(*text, was);
    }
    out->row = row;
}

static void bind_row(struct db_query *query, const struct inventory_row *row, int64_t details_s,
                     int64_t sync_id)
{
    struct inventory_row copy = *row;
    int at = 1;

    db_reset(query);
    for (size_t i = 0; i < INVENTORY_TEXTS; i++) {
        db_bind_text(query, at++, *inventory_text_at(&copy, i));
    }
    db_bind_bytes(query, at++, row->spki_hash,
                  row->spki_hash != NULL ? (size_t)INVENTORY_HASH_LEN : 0);
    db_bind_int(query, at++, details_s);
    db_bind_int(query, at, sync_id);
}

enum { AT_ID = INVENTORY_TEXTS, AT_SYNC, AT_DETAILS, AT_GONE, AT_NEXT };

static bool insert(struct inventory *inventory, struct statements *s, int64_t sync_id,
                   const struct inventory_row *row, struct err *err)
{
    int64_t now_s = clock_wall_s(inventory->clock);
    int at = INVENTORY_TEXTS + 4; /* behind hash, details, sync */

    bind_row(s->insert, row, row->details ? now_s : 0, sync_id);
    db_bind_int(s->insert, at++, now_s);
    db_bind_text(s->insert, at++, inventory->ca);
    db_bind_text(s->insert, at++, inventory->kind);
    db_bind_int(s->insert, at, row->ca_id);
    if (!db_run(s->insert, err)) {
        return false;
    }
    int64_t id = db_last_id(inventory->db);
    return each_name(s->add_name, row->names, id, err) &&
           each_name(s->add_name, row->common_name, id, err);
}

/* A list that has no status now gives the one that details gave up to date no longer. */
static bool update(struct inventory *inventory, struct statements *s, struct inventory_sync *sync,
                   const struct inventory_row *row, bool *conflict, struct err *err)
{
    struct merged merged;
    int64_t id = db_int(s->find, AT_ID);
    int64_t details_s = db_int(s->find, AT_DETAILS);
    bool met = db_int(s->find, AT_SYNC) == sync->id;

    merge(row, s->find, met, &merged);
    *conflict = merged.conflict;
    bool back = db_int(s->find, AT_GONE) != 0;
    bool rename = !str_equal(merged.row.names, db_text(s->find, 2)) ||
                  !str_equal(merged.row.common_name, db_text(s->find, 1));
    if (!merged.differs && !back && met && !row->details && row->spki_hash == NULL) {
        return true;
    }
    sync->changed += merged.differs || back ? 1 : 0;
    details_s = row->details ? clock_wall_s(inventory->clock) : merged.differs ? 0 : details_s;
    if (rename && (!each_name(s->drop_names, db_text(s->find, 2), id, err) ||
                   !each_name(s->drop_names, db_text(s->find, 1), id, err))) {
        return false;
    }
    bind_row(s->update, &merged.row, details_s, sync->id);
    db_bind_int(s->update, INVENTORY_TEXTS + 4, id);
    return db_run(s->update, err) &&
           (!rename || (each_name(s->add_name, merged.row.names, id, err) &&
                        each_name(s->add_name, merged.row.common_name, id, err)));
}

static bool put_one(struct inventory *inventory, struct statements *s, struct inventory_sync *sync,
                    const struct inventory_row *row, size_t *conflicts, struct err *err)
{
    bool there = false;
    bool conflict = false;

    db_reset(s->find);
    db_bind_text(s->find, 1, inventory->ca);
    db_bind_text(s->find, 2, inventory->kind);
    db_bind_int(s->find, 3, row->ca_id);
    if (!db_step(s->find, &there, err)) {
        return false;
    }
    if (!there) {
        sync->added++;
        return insert(inventory, s, sync->id, row, err);
    }
    bool ok = update(inventory, s, sync, row, &conflict, err);
    *conflicts += conflict ? 1 : 0;
    return ok;
}

static bool save_place(struct inventory *inventory, const struct inventory_sync *sync,
                       struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(inventory->db, "UPDATE syncs SET stage = ?, position = ? WHERE id = ?", &query,
                  err)) {
        return false;
    }
    db_bind_int(query, 1, sync->stage);
    db_bind_int(query, 2, sync->position);
    db_bind_int(query, 3, sync->id);
    return db_run(query, err);
}

static bool put_all(struct inventory *inventory, struct inventory_sync *sync,
                    const struct inventory_row *rows, size_t count, size_t *conflicts,
                    struct err *err)
{
    AUTO(statements) struct statements s = {.find = NULL};

    if (!prepare(inventory, &s, err)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!put_one(inventory, &s, sync, &rows[i], conflicts, err)) {
            return false;
        }
    }
    return save_place(inventory, sync, err);
}

bool inventory_put(struct inventory *inventory, struct inventory_sync *sync,
                   const struct inventory_row *rows, size_t count, size_t *conflicts,
                   struct err *err)
{
    if (!db_begin(inventory->db, err)) {
        return false;
    }
    if (put_all(inventory, sync, rows, count, conflicts, err) && db_commit(inventory->db, err)) {
        return true;
    }
    db_rollback(inventory->db);
    return err_wrap(err, "inventory of CA '%s'", inventory->ca);
}

static bool add_sync(struct inventory *inventory, const char *source, struct inventory_sync *sync,
                     struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    sync->started_s = clock_wall_s(inventory->clock);
    if (!db_query(inventory->db,
                  "INSERT INTO syncs (ca, source, started_s, ended_s, stage, position, kind) "
                  "VALUES (?, ?, ?, 0, 0, 0, ?)",
                  &query, err)) {
        return false;
    }
    db_bind_text(query, 1, inventory->ca);
    db_bind_text(query, 2, source);
    db_bind_int(query, 3, sync->started_s);
    db_bind_text(query, 4, inventory->kind);
    if (!db_run(query, err)) {
        return false;
    }
    sync->id = db_last_id(inventory->db);
    return true;
}

bool inventory_begin(struct inventory *inventory, const char *source, struct inventory_sync *sync,
                     struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    *sync = (struct inventory_sync){.id = 0};
    if (!db_query(inventory->db,
                  "SELECT id, started_s, stage, position, ended_s, source FROM syncs WHERE ca = ? "
                  "AND kind = ? ORDER BY id DESC LIMIT 1",
                  &query, err)) {
        return false;
    }
    db_bind_text(query, 1, inventory->ca);
    db_bind_text(query, 2, inventory->kind);
    if (!db_step(query, &row, err)) {
        return false;
    }
    if (!row || db_int(query, 4) != 0 || !str_equal(db_text(query, 5), source)) {
        return add_sync(inventory, source, sync, err);
    }
    *sync = (struct inventory_sync){.id = db_int(query, 0),
                                    .resumed = true,
                                    .started_s = db_int(query, 1),
                                    .stage = (int)db_int(query, 2),
                                    .position = db_int(query, 3)};
    return true;
}

bool inventory_next(struct inventory *inventory, const struct inventory_sync *sync,
                    enum inventory_which which, int64_t after, int64_t *ca_id, struct err *err)
{
    /* "+": by the CA's numbers in order, so that all calls together read each row once */
    static const char *const conditions[] = {
        [INVENTORY_MET] = "+sync_id = ?3",
        [INVENTORY_NOT_MET] = "+sync_id < ?3",
        [INVENTORY_NO_STATUS] = "+sync_id = ?3 AND status IS NULL",
        [INVENTORY_NO_DETAILS] = "+sync_id = ?3 AND details_s = 0",
        [INVENTORY_NO_KEY] = "+sync_id = ?3 AND spki_hash IS NULL AND is_issued = 1",
    };
    AUTO(buf) struct buf sql = BUF_INIT(512);
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    *ca_id = 0;
    buf_addf(&sql,
             "SELECT ca_id FROM certificates WHERE ca = ?1 AND kind = ?4 AND ca_id > ?2 AND "
             "gone_s = 0 AND %s ORDER BY ca_id LIMIT 1",
             conditions[which]);
    if (!db_query(inventory->db, buf_str(&sql), &query, err)) {
        return false;
    }
    db_bind_text(query, 1, inventory->ca);
    db_bind_int(query, 2, after);
    db_bind_int(query, 3, sync->id);
    db_bind_text(query, 4, inventory->kind);
    if (!db_step(query, &row, err)) {
        return false;
    }
    *ca_id = row ? db_int(query, 0) : 0;
    return true;
}

bool inventory_mark_gone(struct inventory *inventory, int64_t ca_id, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(inventory->db,
                  "UPDATE certificates SET gone_s = ? WHERE ca = ? AND kind = ? AND ca_id = ?",
                  &query, err)) {
        return false;
    }
    db_bind_int(query, 1, clock_wall_s(inventory->clock));
    db_bind_text(query, 2, inventory->ca);
    db_bind_text(query, 3, inventory->kind);
    db_bind_int(query, 4, ca_id);
    return db_run(query, err);
}

bool inventory_finish(struct inventory *inventory, struct inventory_sync *sync, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(inventory->db, "UPDATE syncs SET ended_s = ? WHERE id = ?", &query, err)) {
        return false;
    }
    db_bind_int(query, 1, clock_wall_s(inventory->clock));
    db_bind_int(query, 2, sync->id);
    return db_run(query, err);
}
