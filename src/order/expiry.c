/* What ends soon, and what waits: read through indexes, so that it costs what is found, however
 * many orders the journal has. */
#include "order/journal_impl.h"

#include "base/str.h"

#include <string.h>

enum {
    AT_ID,
    AT_CA,
    AT_NAMES,
    AT_SERIAL,
    AT_CA_ORDER,
    AT_CERT,
    AT_NOT_AFTER,
    AT_STATE,
    AT_SUPERSEDED
};

/* "over": a newer certificate for the same thing, or one that renewed or replaced this one, is
 * bound. No other condition on not_after_s: SQLite would begin there. */
static const char expiring_sql[] =
    "SELECT o.id, o.ca, o.names, o.serial, o.ca_order_id, o.cert_pem, o.not_after_s, o.state,"
    " EXISTS (SELECT 1 FROM orders n WHERE n.dedupe = o.dedupe AND n.state = 'done'"
    "         AND n.not_after_s > o.not_after_s)"
    " OR EXISTS (SELECT 1 FROM orders n WHERE n.parent = o.ca_order_id AND n.ca = o.ca"
    "            AND n.kind IS o.kind AND n.state = 'done' AND n.not_after_s >= o.not_after_s AND "
    "n.id > o.id)"
    " FROM orders o WHERE o.not_after_s > ?1 AND o.not_after_s <= ?2"
    " AND o.state IN ('done', 'revoked') ORDER BY o.not_after_s, o.id";

bool journal_expiring(struct journal *journal, int64_t after_s, int64_t until_s,
                      journal_expiry_fn *visit, void *ctx, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(journal->db, expiring_sql, &query, err)) {
        return false;
    }
    db_bind_int(query, 1, after_s);
    db_bind_int(query, 2, until_s);
    while (db_step(query, &row, err)) {
        if (!row) {
            return true;
        }
        struct journal_expiry found = {
            .order = db_int(query, AT_ID),
            .ca = db_text(query, AT_CA),
            .names = db_text(query, AT_NAMES),
            .serial = db_text(query, AT_SERIAL),
            .ca_order_id = db_text(query, AT_CA_ORDER),
            .cert_pem = db_text(query, AT_CERT),
            .not_after_s = db_int(query, AT_NOT_AFTER),
            .over = db_int(query, AT_SUPERSEDED) != 0 ||
                    str_equal(db_text(query, AT_STATE), order_state_name(ORDER_REVOKED)),
        };
        if (!visit(ctx, &found, err)) {
            return false;
        }
    }
    return false;
}

bool journal_has_successor(struct journal *journal, const char *ca, const char *kind,
                           int64_t ca_order_id, bool *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(journal->db,
                  "SELECT id FROM orders WHERE parent = CAST(?1 AS TEXT) AND ca = ?2 AND "
                  "coalesce(kind, 'ssl') = ?3 AND state = 'done' AND ca_order_id <> parent LIMIT 1",
                  &query, err)) {
        return false;
    }
    db_bind_int(query, 1, ca_order_id);
    db_bind_text(query, 2, ca);
    db_bind_text(query, 3, kind);
    return db_step(query, out, err);
}

/*
 * Since when: the first event after the last one of another kind. Working and waiting at the CA are
 * one kind, as a CA may go to and fro between the two; so are the states of a lost answer.
 */
static const char waiting_sql[] =
    "SELECT o.id, o.ca, o.names, o.ca_order_id, o.ca_text, o.state,"
    " (SELECT min(e.at_s) FROM events e WHERE e.order_id = o.id AND e.id > coalesce("
    "   (SELECT max(p.id) FROM events p WHERE p.order_id = o.id AND CASE"
    "     WHEN o.state IN ('pending', 'waiting') THEN p.state NOT IN ('pending', 'waiting')"
    "     WHEN o.state IN ('submitting', 'ambiguous') THEN p.state NOT IN ('submitting', "
    "'ambiguous')"
    "     ELSE p.state <> o.state END), 0)), o.updated_s"
    " FROM orders o WHERE o.open = 1 ORDER BY o.id";

enum {
    WAITING_ID,
    WAITING_CA,
    WAITING_NAMES,
    WAITING_CA_ORDER,
    WAITING_TEXT,
    WAITING_STATE,
    WAITING_SINCE,
    WAITING_UPDATED
};

bool journal_waiting(struct journal *journal, journal_waiting_fn *visit, void *ctx, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(journal->db, waiting_sql, &query, err)) {
        return false;
    }
    while (db_step(query, &row, err)) {
        enum order_state state = ORDER_STATES;
        if (!row) {
            return true;
        }
        int64_t since_s = db_int(query, WAITING_SINCE);
        if (!order_state_parse(db_text(query, WAITING_STATE), &state)) {
            return err_set(err, E_JOURNAL, "order %lld is in a state this program does not know",
                           (long long)db_int(query, WAITING_ID));
        }
        struct journal_wait found = {
            .order = db_int(query, WAITING_ID),
            .state = state,
            .ca = db_text(query, WAITING_CA),
            .names = db_text(query, WAITING_NAMES),
            .ca_order_id = db_text(query, WAITING_CA_ORDER),
            .ca_text = db_text(query, WAITING_TEXT),
            .since_s = since_s != 0 ? since_s : db_int(query, WAITING_UPDATED),
        };
        if (!visit(ctx, &found, err)) {
            return false;
        }
    }
    return false;
}
