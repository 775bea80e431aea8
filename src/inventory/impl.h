/* Inside the inventory folder. */
#ifndef INVENTORY_IMPL_H
#define INVENTORY_IMPL_H

#include "db/db.h"
#include "inventory/inventory.h"

struct inventory {
    struct db *db; /* borrowed */
    const struct clock *clock;
    char *ca, *kind;
};

/* "serial, common_name, ...": the texts of a row, in the order of inventory_texts(). */
enum { INVENTORY_TEXTS = 12 };
extern const char inventory_columns[];

/* Where a row keeps its i-th text. */
const char **inventory_text_at(struct inventory_row *row, size_t i);

#endif
