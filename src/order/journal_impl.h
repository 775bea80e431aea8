/* Inside the order folder: what a journal is made of. */
#ifndef ORDER_JOURNAL_IMPL_H
#define ORDER_JOURNAL_IMPL_H

#include "db/db.h"
#include "order/order.h"

struct journal {
    struct db *db;
    char *dir;
    const struct clock *clock;
};

/* The order as it is now, and an event; inside a transaction. Once that is committed, the caller
 * sets order->saved. */
bool journal_write(struct journal *journal, struct order *order, const char *event,
                   struct err *err) NODISCARD;

#endif
