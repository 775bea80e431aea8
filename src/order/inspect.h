/* Inside the order folder: an inspection of the journal at work. */
#ifndef ORDER_INSPECT_H
#define ORDER_INSPECT_H

#include "order/journal_impl.h"

struct inspection {
    struct journal journal; /* opened as it is; db NULL: it cannot be */
    journal_finding_fn *visit;
    void *ctx;
    struct journal_inspected *out;
    size_t faults; /* of the check that is being made */
};

/* Tells a finding, and counts it. */
void inspect_tell(struct inspection *in, const char *check, enum journal_result result,
                  int64_t order, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* That a check could not be made to its end. */
void inspect_broken(struct inspection *in, const char *check, const struct err *err);

/* inspect_orders.c: what must hold of each order, and what is to be recovered. */
void inspect_orders(struct inspection *in);

#endif
