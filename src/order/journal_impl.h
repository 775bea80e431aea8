/* Inside the order folder: what a journal is made of. */
#ifndef ORDER_JOURNAL_IMPL_H
#define ORDER_JOURNAL_IMPL_H

#include "db/db.h"
#include "order/order.h"

/* What leads from version i of the schema to i + 1. */
extern const char *const journal_migrations[];
extern const size_t journal_migration_count;

struct journal {
    struct db *db;
    char *dir;
    const struct clock *clock;
};

/* ready.c: whether DIR/journal.db was there and is empty now. Waits a moment for a process that is
 * just making it. E_JOURNAL. */
bool journal_not_emptied(const char *dir, const char *path, const struct clock *clock,
                         struct err *err) NODISCARD;

/* Clocks are set right by small steps all the time. */
enum { JOURNAL_CLOCK_SLACK_S = 300 };

/* ready.c: when something was written down last; 0: never. */
bool journal_last_time(struct journal *journal, int64_t *out, struct err *err) NODISCARD;

/* The order as it is now, and an event; inside a transaction. Once that is committed, the caller
 * sets order->saved. */
bool journal_write(struct journal *journal, struct order *order, const char *event,
                   struct err *err) NODISCARD;

#endif
