#include "order/journal_impl.h"

#include "base/file.h"
#include "base/str.h"
#include "order/schema.h" /* generated: the files of order/schema as strings */

#include <openssl/rand.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const journal_migrations[] = {
    schema_001_init,      schema_002_bindings, schema_003_inventory,
    schema_004_approvals, schema_005_reissue,  schema_006_key_left_out,
    schema_007_absence,   schema_008_kinds,    schema_009_alerts};
const size_t journal_migration_count = ARRAY_LEN(journal_migrations);

/* Columns by their place in every statement: texts, then numbers, then bytes. */
#define TEXT(name)                                                                                 \
    {                                                                                              \
#name, offsetof(struct order, name)                                                        \
    }
static const struct {
    const char *column;
    size_t offset;
} texts[] = {
    TEXT(dedupe),        TEXT(ca),           TEXT(profile),
    TEXT(token),         TEXT(names),        TEXT(subject),
    TEXT(product),       TEXT(comments),     TEXT(external_requester),
    TEXT(custom_fields), TEXT(key_type),     TEXT(key_uri),
    TEXT(key_label),     TEXT(csr_pem),      TEXT(ca_state),
    TEXT(ca_order_id),   TEXT(ca_text),      TEXT(answer_pem),
    TEXT(cert_pem),      TEXT(chain_pem),    TEXT(serial),
    TEXT(cert_uri),      TEXT(last_error),   TEXT(requester),
    TEXT(validation),    TEXT(kind),         TEXT(person),
    TEXT(origin),        TEXT(parent),       TEXT(parent_serial),
    TEXT(reason),        TEXT(key_left_out), TEXT(optional_fields),
};

static char **text_at(struct order *order, size_t i)
{
    return (char **)(void *)((char *)order + texts[i].offset);
}

static const char *const numbers[] = {"created_s",  "updated_s",    "product_id",    "term_days",
                                      "send_names", "key_is_ours",  "not_after_s",   "open",
                                      "awaiting_s", "absent_looks", "absent_last_s", "absent_for_s",
                                      "sent_again"};

static void number_values(const struct order *o, int64_t out[static ARRAY_LEN(numbers)])
{
    const int64_t values[ARRAY_LEN(numbers)] = {
        o->created_s,         o->updated_s,
        o->product_id,        o->term_days,
        o->send_names,        o->key_is_ours ? 1 : 0,
        o->not_after_s,       order_state_is_final(o->state) ? 0 : 1,
        o->awaiting_s,        o->absent_looks,
        o->absent_last_s,     o->absent_for_s,
        o->sent_again ? 1 : 0};

    memcpy(out, values, sizeof(values));
}

/* "mark, state, <texts>, <numbers>, key_id, spki_hash" */
static void add_columns(struct buf *sql)
{
    buf_add_str(sql, "mark, state");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        buf_addf(sql, ", %s", texts[i].column);
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        buf_addf(sql, ", %s", numbers[i]);
    }
    buf_add_str(sql, ", key_id, spki_hash");
}

enum { COLUMNS = 2 + (int)ARRAY_LEN(texts) + (int)ARRAY_LEN(numbers) + 2 };

static void bind_columns(struct db_query *query, struct order *order)
{
    int64_t values[ARRAY_LEN(numbers)];
    int at = 1;

    db_bind_text(query, at++, order->mark);
    db_bind_text(query, at++, order_state_name(order->state));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        db_bind_text(query, at++, *text_at(order, i));
    }
    number_values(order, values);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        db_bind_int(query, at++, values[i]);
    }
    db_bind_bytes(query, at++, order->key_id, order->key_id_len);
    db_bind_bytes(query, at, order->spki_hash, sizeof(order->spki_hash));
}

static bool read_blob(struct db_query *query, int column, uint8_t *out, size_t max, size_t *len)
{
    size_t size = 0;
    const uint8_t *data = db_bytes(query, column, &size);

    if (size > max) {
        return false;
    }
    if (size > 0) {
        memcpy(out, data, size);
    }
    *len = size;
    return true;
}

/* Columns of "SELECT id, <columns>". */
static bool read_columns(struct db_query *query, struct order *order, struct err *err)
{
    int at = 0;
    size_t hash_len = 0;

    order->id = db_int(query, at++);
    const char *mark = db_text(query, at++);
    const char *state = db_text(query, at++);
    (void)snprintf(order->mark, sizeof(order->mark), "%s", mark != NULL ? mark : "");
    if (state == NULL || !order_state_parse(state, &order->state)) {
        return err_set(err, E_JOURNAL, "order %lld is in a state this program does not know",
                       (long long)order->id);
    }
    order->saved = order->state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!order_set(text_at(order, i), db_text(query, at++), err)) {
            return false;
        }
    }
    order->created_s = db_int(query, at++);
    order->updated_s = db_int(query, at++);
    order->product_id = db_int(query, at++);
    order->term_days = db_int(query, at++);
    order->send_names = (int)db_int(query, at++);
    order->key_is_ours = db_int(query, at++) != 0;
    order->not_after_s = db_int(query, at++);
    at++; /* open follows from the state */
    order->awaiting_s = db_int(query, at++);
    order->absent_looks = db_int(query, at++);
    order->absent_last_s = db_int(query, at++);
    order->absent_for_s = db_int(query, at++);
    order->sent_again = db_int(query, at++) != 0;
    if (!read_blob(query, at, order->key_id, sizeof(order->key_id), &order->key_id_len) ||
        !read_blob(query, at + 1, order->spki_hash, sizeof(order->spki_hash), &hash_len)) {
        return err_set(err, E_JOURNAL, "order %lld has fields of impossible size",
                       (long long)order->id);
    }
    return true;
}

void order_init(struct order *order)
{
    memset(order, 0, sizeof(*order));
}

void order_done(struct order *order)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        free(*text_at(order, i));
    }
    order_init(order);
}

bool order_set(char **field, const char *value, struct err *err)
{
    char *copy = str_dup(value);

    if (copy == NULL && value != NULL) {
        return err_nomem(err);
    }
    free(*field);
    *field = copy;
    return true;
}

bool order_new_mark(char out[static ORDER_MARK_SIZE], struct err *err)
{
    uint8_t random[16];
    AUTO(buf) struct buf hex = BUF_INIT(64);

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return err_set_ssl(err, E_INTERNAL, "no random bytes for an order's mark");
    }
    str_add_hex(&hex, random, sizeof(random), '\0');
    (void)snprintf(out, ORDER_MARK_SIZE, "p11e-%s", buf_str(&hex));
    return true;
}

void journal_close(struct journal *journal)
{
    if (journal != NULL) {
        db_close(journal->db);
        free(journal->dir);
        free(journal);
    }
}

bool journal_open(const char *dir, const struct clock *clock, struct journal **out, struct err *err)
{
    AUTO(journal) struct journal *journal = calloc(1, sizeof(*journal));
    AUTO(str) char *path = NULL;

    if (!file_make_private_dir(dir, err)) {
        return err_wrap(err, "order journal");
    }
    path = file_join(dir, "journal.db");
    if (journal == NULL || path == NULL || (journal->dir = str_dup(dir)) == NULL) {
        return err_nomem(err);
    }
    journal->clock = clock;
    if (!journal_not_emptied(dir, path, clock, err) ||
        !db_open(path, journal_migrations, journal_migration_count, &journal->db, err)) {
        return err_wrap(err, "order journal");
    }
    *out = TAKE(journal);
    return true;
}

const char *journal_dir(const struct journal *journal)
{
    return journal->dir;
}

struct db *journal_db(struct journal *journal)
{
    return journal->db;
}

static bool add_event(struct journal *journal, const struct order *order, const char *text,
                      struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(journal->db,
                  "INSERT INTO events (order_id, at_s, state, text) VALUES (?, ?, ?, ?)", &query,
                  err)) {
        return false;
    }
    db_bind_int(query, 1, order->id);
    db_bind_int(query, 2, order->updated_s);
    db_bind_text(query, 3, order_state_name(order->state));
    db_bind_text(query, 4, text);
    return db_run(query, err);
}

/*
 * The order of the same thing that is most in the way: one that is done with a certificate that
 * still lasts, one that the CA has, one whose certificate was rejected, one that was never sent;
 * the newest of a kind. *other 0: there is none.
 */
static bool find_same(struct journal *journal, const struct order *order, int64_t *other,
                      struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    const char *replace = order_origin_name(ORIGIN_REPLACE);
    bool again_and_again = str_equal(order->origin, replace); /* done is not in the way */
    int64_t now_s = clock_wall_s(journal->clock);
    enum order_claim most = ORDER_CLAIM_NONE;
    bool superseded = false; /* a newer order of the same thing came to its end */
    bool row = true;

    *other = 0;
    /* A renewal is the same as another one of the same certificate, not as what it renews. */
    if (!db_query(journal->db,
                  order->parent != NULL
                      ? "SELECT id, state, not_after_s, NULL FROM orders WHERE parent = ? AND "
                        "ca = ? AND (origin = ?) = ? AND kind IS ? ORDER BY id DESC"
                      : "SELECT id, state, not_after_s, parent FROM orders WHERE dedupe = ? "
                        "ORDER BY id DESC",
                  &query, err)) {
        return false;
    }
    db_bind_text(query, 1, order->parent != NULL ? order->parent : order->dedupe);
    if (order->parent != NULL) {
        db_bind_text(query, 2, order->ca);
        db_bind_text(query, 3, replace);
        db_bind_int(query, 4, again_and_again ? 1 : 0);
        db_bind_text(query, 5, order->kind);
    }
    while (db_step(query, &row, err)) {
        enum order_state state = ORDER_STATES;
        if (!row) {
            return true;
        }
        if (!order_state_parse(db_text(query, 1), &state)) {
            return err_set(err, E_JOURNAL, "order %lld is in a state this program does not know",
                           (long long)db_int(query, 0));
        }
        enum order_claim claim = order_claim(state, db_int(query, 2) > now_s, superseded);
        bool passed_over = (again_and_again && claim == ORDER_CLAIM_DONE) ||
                           (claim == ORDER_CLAIM_UNSENT && db_text(query, 3) != NULL);
        if (claim > most && !passed_over) {
            most = claim;
            *other = db_int(query, 0);
        }
        superseded = superseded || state == ORDER_DONE;
    }
    return false;
}

bool journal_same(struct journal *journal, const struct order *order, int64_t *other,
                  struct err *err)
{
    return find_same(journal, order, other, err);
}

static bool insert(struct journal *journal, struct order *order, struct err *err)
{
    AUTO(buf) struct buf sql = BUF_INIT(4096);
    AUTO(db_query) struct db_query *query = NULL;

    buf_add_str(&sql, "INSERT INTO orders (");
    add_columns(&sql);
    buf_add_str(&sql, ") VALUES (?");
    for (int i = 1; i < COLUMNS; i++) {
        buf_add_str(&sql, ", ?");
    }
    buf_add_str(&sql, ")");
    if (!db_query(journal->db, buf_str(&sql), &query, err)) {
        return false;
    }
    bind_columns(query, order);
    if (!db_run(query, err)) {
        return false;
    }
    order->id = db_last_id(journal->db);
    return add_event(journal, order, "planned", err);
}

bool journal_add(struct journal *journal, struct order *order, bool again, int64_t *other,
                 struct err *err)
{
    char user[ORDER_USER_MAX];

    order_user(user);
    if (order->requester == NULL && !order_set(&order->requester, user, err)) {
        return false;
    }
    order->id = 0;
    order->created_s = clock_wall_s(journal->clock);
    order->updated_s = order->created_s;
    *other = 0;
    if (!db_begin(journal->db, err)) {
        return false;
    }
    bool ok = again || find_same(journal, order, other, err);
    if (ok && *other == 0) {
        ok = insert(journal, order, err);
    }
    if (ok && db_commit(journal->db, err)) {
        order->saved = order->state;
        return true;
    }
    db_rollback(journal->db);
    order->id = 0;
    return false;
}

/* Why no row was changed. */
static bool was_changed(struct journal *journal, const struct order *order, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    long long id = (long long)order->id;
    bool row = false;

    if (!db_query(journal->db, "SELECT state FROM orders WHERE id = ?", &query, err)) {
        return false;
    }
    db_bind_int(query, 1, order->id);
    if (!db_step(query, &row, err)) {
        return false;
    }
    if (!row) {
        return err_set(err, E_JOURNAL, "it is not in the journal");
    }
    return err_set(err, E_ORDER_BUSY,
                   "another process has brought it from the state '%s' to '%.40s' meanwhile, and "
                   "that stays as it is; 'p11enroll order show %lld' tells more",
                   order_state_name(order->saved), db_text(query, 0), id);
}

/* The lock keeps others away; the state that was loaded is looked at in case it did not. */
static bool update(struct journal *journal, struct order *order, struct err *err)
{
    AUTO(buf) struct buf sql = BUF_INIT(4096);
    AUTO(db_query) struct db_query *query = NULL;

    buf_add_str(&sql, "UPDATE orders SET (");
    add_columns(&sql);
    buf_add_str(&sql, ") = (?");
    for (int i = 1; i < COLUMNS; i++) {
        buf_add_str(&sql, ", ?");
    }
    buf_add_str(&sql, ") WHERE id = ? AND state = ?");
    if (!db_query(journal->db, buf_str(&sql), &query, err)) {
        return false;
    }
    bind_columns(query, order);
    db_bind_int(query, COLUMNS + 1, order->id);
    db_bind_text(query, COLUMNS + 2, order_state_name(order->saved));
    if (!db_run(query, err)) {
        return false;
    }
    return db_changes(journal->db) == 1 || was_changed(journal, order, err);
}

bool journal_write(struct journal *journal, struct order *order, const char *event, struct err *err)
{
    order->updated_s = clock_wall_s(journal->clock);
    return update(journal, order, err) && add_event(journal, order, event, err);
}

bool journal_save(struct journal *journal, struct order *order, const char *event, struct err *err)
{
    if (!db_begin(journal->db, err)) {
        return false;
    }
    if (journal_write(journal, order, event, err) && db_commit(journal->db, err)) {
        order->saved = order->state;
        return true;
    }
    db_rollback(journal->db);
    return err_wrap(err, "order %lld cannot be saved", (long long)order->id);
}

static void select_orders(struct buf *sql, const char *tail)
{
    buf_add_str(sql, "SELECT id, ");
    add_columns(sql);
    buf_addf(sql, " FROM orders %s", tail);
}

bool journal_load(struct journal *journal, int64_t id, struct order *out, struct err *err)
{
    AUTO(buf) struct buf sql = BUF_INIT(4096);
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    select_orders(&sql, "WHERE id = ?");
    if (!db_query(journal->db, buf_str(&sql), &query, err)) {
        return false;
    }
    db_bind_int(query, 1, id);
    if (!db_step(query, &row, err)) {
        return false;
    }
    if (!row) {
        return err_set(err, E_ORDER_MISSING, "there is no order %lld in %s", (long long)id,
                       journal->dir);
    }
    return read_columns(query, out, err);
}

bool journal_resolve(struct journal *journal, const char *text, int64_t *id, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    uint64_t number = 0;
    bool row = false;

    if (!str_to_u64(text, INT64_MAX, &number)) {
        return err_set(err, E_USAGE, "'%.40s' is no order number", text);
    }
    if (!db_query(journal->db, "SELECT id FROM orders WHERE id = ?", &query, err)) {
        return false;
    }
    db_bind_int(query, 1, (int64_t)number);
    if (!db_step(query, &row, err)) {
        return false;
    }
    if (!row) {
        return err_set(err, E_ORDER_MISSING, "there is no order %s in %s", text, journal->dir);
    }
    *id = (int64_t)number;
    return true;
}

bool journal_find_ca_order(struct journal *journal, const char *ca, const char *kind,
                           const char *ca_order_id, int64_t *id, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    *id = 0;
    if (!db_query(journal->db,
                  "SELECT id FROM orders WHERE ca_order_id = ? AND ca = ? AND kind IS ? "
                  "ORDER BY id DESC LIMIT 1",
                  &query, err)) {
        return false;
    }
    db_bind_text(query, 1, ca_order_id);
    db_bind_text(query, 2, ca);
    db_bind_text(query, 3, kind);
    if (!db_step(query, &row, err)) {
        return false;
    }
    *id = row ? db_int(query, 0) : 0;
    return true;
}

/* Open orders, and those that were paid for and have nothing bound: a certificate that was rejected
 * has no end yet, and no later order for the same thing. Each part through an index. */
static const char unfinished[] =
    "WHERE id IN (SELECT id FROM orders WHERE open = 1 UNION ALL"
    " SELECT o.id FROM orders o WHERE o.not_after_s = 0 AND o.state = 'cert-rejected'"
    " AND NOT EXISTS (SELECT 1 FROM orders n WHERE n.dedupe = o.dedupe AND n.state = 'done'"
    "                 AND n.id > o.id)"
    " AND NOT EXISTS (SELECT 1 FROM orders n WHERE n.parent = o.parent AND n.ca = o.ca"
    "                 AND n.kind IS o.kind AND n.state = 'done' AND n.id > o.id))"
    " ORDER BY id DESC LIMIT ?";

bool journal_list(struct journal *journal, bool open_only, int64_t limit, journal_visit_fn *visit,
                  void *ctx, struct err *err)
{
    AUTO(buf) struct buf sql = BUF_INIT(4096);
    AUTO(db_query) struct db_query *query = NULL;
    bool row = true;

    select_orders(&sql, open_only ? unfinished : "ORDER BY id DESC LIMIT ?");
    if (!db_query(journal->db, buf_str(&sql), &query, err)) {
        return false;
    }
    db_bind_int(query, 1, limit);
    while (row) {
        AUTO(order) struct order order;
        order_init(&order);
        if (!db_step(query, &row, err)) {
            return false;
        }
        if (row && !read_columns(query, &order, err)) {
            return false;
        }
        if (row && !visit(ctx, &order)) {
            break;
        }
    }
    return true;
}

bool journal_events(struct journal *journal, int64_t id, journal_event_fn *visit, void *ctx,
                    struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = true;

    if (!db_query(journal->db,
                  "SELECT at_s, state, text FROM events WHERE order_id = ? ORDER BY id", &query,
                  err)) {
        return false;
    }
    db_bind_int(query, 1, id);
    while (row) {
        if (!db_step(query, &row, err)) {
            return false;
        }
        if (row && !visit(ctx, db_int(query, 0), db_text(query, 1), db_text(query, 2))) {
            break;
        }
    }
    return true;
}
