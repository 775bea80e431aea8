#include "inventory/impl.h"

#include "base/str.h"

#include <ctype.h>
#include <string.h>

/* What follows the texts in every SELECT. */
static const char more_columns[] = "ca_id, spki_hash, gone_s, details_s, first_s, is_issued";
enum { AT_CA_ID = INVENTORY_TEXTS, AT_SPKI, AT_GONE, AT_DETAILS, AT_FIRST, AT_ISSUED, AT_NEXT };

static const uint8_t *hash_at(struct db_query *query, int column)
{
    size_t len = 0;
    const uint8_t *hash = db_bytes(query, column, &len);

    return len == INVENTORY_HASH_LEN ? hash : NULL;
}

/* A row from its columns on; borrowed until the next step. */
static void read_row(struct db_query *query, int from, struct inventory_row *row)
{
    *row = (struct inventory_row){.ca_id = db_int(query, from + AT_CA_ID),
                                  .spki_hash = hash_at(query, from + AT_SPKI),
                                  .gone_s = db_int(query, from + AT_GONE),
                                  .details_s = db_int(query, from + AT_DETAILS),
                                  .first_s = db_int(query, from + AT_FIRST),
                                  .is_issued = db_int(query, from + AT_ISSUED) != 0};
    for (int i = 0; i < INVENTORY_TEXTS; i++) {
        *inventory_text_at(row, (size_t)i) = db_text(query, from + i);
    }
}

static bool lower(const char *text, char *out, size_t size)
{
    size_t len = strlen(text);

    if (len >= size) {
        return false;
    }
    for (size_t i = 0; i <= len; i++) {
        out[i] = (char)tolower((unsigned char)text[i]);
    }
    return true;
}

/* The end of the statement, and the value in it. */
static bool add_condition(const struct inventory_query *wanted, struct buf *sql)
{
    const char *condition =
        wanted->ca_id != 0            ? "ca_id = ?2"
        : wanted->serial != NULL      ? "serial = ?2"
        : wanted->spki_hash != NULL   ? "spki_hash = ?2"
        : wanted->common_name != NULL ? "common_name = ?2"
        : wanted->name != NULL
            ? "id IN (SELECT certificate_id FROM certificate_names WHERE name = ?2)"
            : NULL;

    if (condition == NULL) {
        return false;
    }
    buf_addf(sql,
             "SELECT %s, %s FROM certificates WHERE ca = ?1 AND kind = ?3 AND %s "
             "ORDER BY ca_id",
             inventory_columns, more_columns, condition);
    return true;
}

static void bind_value(struct db_query *query, const struct inventory_query *wanted)
{
    char name[256];

    if (wanted->ca_id != 0) {
        db_bind_int(query, 2, wanted->ca_id);
    } else if (wanted->serial != NULL) {
        db_bind_text(query, 2, wanted->serial);
    } else if (wanted->spki_hash != NULL) {
        db_bind_bytes(query, 2, wanted->spki_hash, INVENTORY_HASH_LEN);
    } else if (wanted->common_name != NULL) {
        db_bind_text(query, 2, wanted->common_name);
    } else {
        db_bind_text(query, 2, lower(wanted->name, name, sizeof(name)) ? name : wanted->name);
    }
}

bool inventory_find(struct inventory *inventory, const struct inventory_query *wanted,
                    inventory_row_fn *visit, void *ctx, struct err *err)
{
    AUTO(buf) struct buf sql = BUF_INIT(1024);
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!add_condition(wanted, &sql)) {
        return err_set(err, E_INTERNAL, "nothing is looked for in the inventory");
    }
    if (!db_query(inventory->db, buf_str(&sql), &query, err)) {
        return false;
    }
    db_bind_text(query, 1, inventory->ca);
    bind_value(query, wanted);
    db_bind_text(query, 3, inventory->kind);
    while (db_step(query, &row, err)) {
        struct inventory_row found;
        if (!row) {
            return true;
        }
        read_row(query, 0, &found);
        found.ca = inventory->ca;
        found.kind = inventory->kind;
        if (!visit(ctx, &found, err)) {
            return err->code == E_NONE;
        }
    }
    return false;
}

bool inventory_state(struct inventory *inventory, struct inventory_state *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    *out = (struct inventory_state){.rows = 0};
    if (!db_query(
            inventory->db,
            "SELECT (SELECT count(*) FROM certificates WHERE ca = ?1 AND kind = ?2 AND "
            "gone_s = 0),"
            " (SELECT count(*) FROM certificates WHERE ca = ?1 AND kind = ?2 AND gone_s <> "
            "0),"
            " (SELECT max(ended_s) FROM syncs WHERE ca = ?1 AND kind = ?2),"
            " (SELECT started_s FROM syncs WHERE ca = ?1 AND kind = ?2 AND ended_s <> 0 ORDER BY "
            "id DESC LIMIT 1),"
            " (SELECT ended_s = 0 FROM syncs WHERE ca = ?1 AND kind = ?2 ORDER BY id DESC "
            "LIMIT 1)",
            &query, err)) {
        return false;
    }
    db_bind_text(query, 1, inventory->ca);
    db_bind_text(query, 2, inventory->kind);
    if (!db_step(query, &row, err)) {
        return false;
    }
    out->rows = db_int(query, 0);
    out->gone = db_int(query, 1);
    out->last_s = db_int(query, 2);
    out->started_s = db_int(query, 3);
    out->open = db_int(query, 4) != 0;
    return true;
}

/* Columns of an order; behind them those of a certificate. */
enum {
    ORDER_ID,
    ORDER_CA_ID,
    ORDER_STATE,
    ORDER_NAMES,
    ORDER_SERIAL,
    ORDER_SPKI,
    ORDER_CREATED,
    ORDER_ROW,
    ORDER_COLUMNS
};

bool inventory_orders(struct inventory *inventory, inventory_order_fn *visit, void *ctx,
                      struct err *err)
{
    AUTO(buf) struct buf sql = BUF_INIT(2048);
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    buf_addf(&sql,
             "SELECT o.id, CAST(o.ca_order_id AS INTEGER), o.state, o.names, o.serial, "
             "o.spki_hash, o.created_s, c.id, c.*"
             " FROM orders o LEFT JOIN (SELECT id, ca, %s, %s FROM certificates WHERE kind = ?2) c"
             " ON c.ca = o.ca AND c.ca_id = CAST(o.ca_order_id AS INTEGER)"
             " WHERE o.ca = ?1 AND o.ca_order_id IS NOT NULL AND coalesce(o.kind, 'ssl') = ?2"
             " ORDER BY o.id",
             inventory_columns, more_columns);
    if (!db_query(inventory->db, buf_str(&sql), &query, err)) {
        return false;
    }
    db_bind_text(query, 1, inventory->ca);
    db_bind_text(query, 2, inventory->kind);
    while (db_step(query, &row, err)) {
        if (!row) {
            return true;
        }
        struct inventory_order order = {.order = db_int(query, ORDER_ID),
                                        .ca_id = db_int(query, ORDER_CA_ID),
                                        .created_s = db_int(query, ORDER_CREATED),
                                        .state = db_text(query, ORDER_STATE),
                                        .names = db_text(query, ORDER_NAMES),
                                        .serial = db_text(query, ORDER_SERIAL),
                                        .spki_hash = hash_at(query, ORDER_SPKI),
                                        .listed = db_int(query, ORDER_ROW) != 0};
        read_row(query, ORDER_COLUMNS + 2, &order.row); /* behind c.id and c.ca */
        order.row.ca = inventory->ca;
        order.row.kind = inventory->kind;
        if (!visit(ctx, &order, err)) {
            return err->code == E_NONE;
        }
    }
    return false;
}

bool inventory_set_key(struct inventory *inventory, int64_t ca_id,
                       const uint8_t spki_hash[static INVENTORY_HASH_LEN], struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(inventory->db,
                  "UPDATE certificates SET spki_hash = ?1 WHERE ca = ?2 AND kind = ?4 AND "
                  "ca_id = ?3 AND spki_hash IS NOT ?1",
                  &query, err)) {
        return false;
    }
    db_bind_bytes(query, 1, spki_hash, INVENTORY_HASH_LEN);
    db_bind_text(query, 2, inventory->ca);
    db_bind_int(query, 3, ca_id);
    db_bind_text(query, 4, inventory->kind);
    return db_run(query, err);
}

bool inventory_learn_orders(struct inventory *inventory, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    /* A certificate that was replaced at the CA may have another key by now: only what is not known
     * is taken over. */
    if (!db_query(inventory->db,
                  "UPDATE certificates SET spki_hash = o.spki_hash FROM orders o "
                  "WHERE o.ca = ?1 AND o.ca_order_id IS NOT NULL AND length(o.spki_hash) = 32 "
                  "AND coalesce(o.kind, 'ssl') = ?2 "
                  "AND o.spki_hash <> zeroblob(32) AND certificates.ca = ?1 "
                  "AND certificates.kind = ?2 "
                  "AND certificates.ca_id = CAST(o.ca_order_id AS INTEGER) "
                  "AND certificates.spki_hash IS NULL",
                  &query, err)) {
        return false;
    }
    db_bind_text(query, 1, inventory->ca);
    db_bind_text(query, 2, inventory->kind);
    return db_run(query, err);
}
