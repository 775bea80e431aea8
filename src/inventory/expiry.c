/* What ends soon at the CAs, whichever: read through an index of its own. */
#include "inventory/impl.h"

/* "over": it was revoked or replaced there, or the same account has another one for the same names
 * that lasts longer. */
static const char expiring_sql[] =
    "SELECT c.ca, c.ca_id, c.serial, c.common_name, c.names, c.status, c.spki_hash, c.expires_s,"
    " c.is_over,"
    " EXISTS (SELECT 1 FROM certificates n WHERE n.common_name = c.common_name AND n.ca = c.ca"
    "         AND n.kind = c.kind AND n.names IS c.names AND n.gone_s = 0"
    "         AND n.is_issued = 1 AND n.expires_s > c.expires_s)"
    " FROM certificates c WHERE c.gone_s = 0 AND c.expires_s > ?1 AND c.expires_s <= ?2"
    " AND c.serial IS NOT NULL AND c.status IS NOT NULL ORDER BY c.expires_s, c.id";

bool inventory_expiring(struct db *db, int64_t after_s, int64_t until_s, inventory_expiry_fn *visit,
                        void *ctx, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(db, expiring_sql, &query, err)) {
        return false;
    }
    db_bind_int(query, 1, after_s);
    db_bind_int(query, 2, until_s);
    while (db_step(query, &row, err)) {
        size_t hash_len = 0;
        if (!row) {
            return true;
        }
        const uint8_t *hash = db_bytes(query, 6, &hash_len);
        struct inventory_expiry found = {
            .ca = db_text(query, 0),
            .ca_id = db_int(query, 1),
            .serial = db_text(query, 2),
            .common_name = db_text(query, 3),
            .names = db_text(query, 4),
            .spki_hash = hash_len == INVENTORY_HASH_LEN ? hash : NULL,
            .expires_s = db_int(query, 7),
            .over = db_int(query, 8) != 0,
            .superseded = db_int(query, 9) != 0,
        };
        if (!visit(ctx, &found, err)) {
            return false;
        }
    }
    return false;
}

/* The conditions are the index's own: one look. */
bool inventory_undated(struct db *db, bool *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    return db_query(db,
                    "SELECT ca FROM certificates WHERE gone_s = 0 AND expires_s IS NULL "
                    "AND is_issued = 1 LIMIT 1",
                    &query, err) &&
           db_step(query, out, err);
}

bool inventory_was_read(struct db *db, bool *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    return db_query(db, "SELECT ca FROM syncs WHERE ended_s <> 0 LIMIT 1", &query, err) &&
           db_step(query, out, err);
}
