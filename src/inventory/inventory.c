#include "inventory/impl.h"

#include "base/str.h"

#include <stdlib.h>

const char inventory_columns[] =
    "serial, common_name, names, subject, status, product, issued, expires, revoked, requester, "
    "external_requester, comments";

const char **inventory_text_at(struct inventory_row *row, size_t i)
{
    const char **const texts[INVENTORY_TEXTS] = {
        &row->serial,
        &row->common_name,
        &row->names,
        &row->subject,
        &row->status,
        &row->product,
        &row->issued,
        &row->expires,
        &row->revoked,
        &row->requester,
        &row->external_requester,
        &row->comments,
    };

    return texts[i];
}

bool inventory_open(struct db *db, const struct clock *clock, const char *ca, const char *kind,
                    struct inventory **out, struct err *err)
{
    struct inventory *inventory = calloc(1, sizeof(*inventory));

    if (inventory == NULL) {
        return err_nomem(err);
    }
    *inventory =
        (struct inventory){.db = db, .clock = clock, .ca = str_dup(ca), .kind = str_dup(kind)};
    if (inventory->ca == NULL || inventory->kind == NULL) {
        inventory_close(inventory);
        return err_nomem(err);
    }
    *out = inventory;
    return true;
}

void inventory_close(struct inventory *inventory)
{
    if (inventory != NULL) {
        free(inventory->ca);
        free(inventory->kind);
        free(inventory);
    }
}
