/*
 * Looking after the journal, and settling what it cannot know: a part of order/order.h, which
 * includes it.
 */
#ifndef ORDER_UPKEEP_H
#define ORDER_UPKEEP_H

#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;
struct order;

/* ready.c */

/*
 * Whether what is about to be done can be written down: there is room, a transaction can be
 * committed, and this machine's clock is not behind the last entry. Blocks for the disk. E_JOURNAL.
 */
bool journal_ready(struct journal *journal, struct err *err) NODISCARD;

/* Writes down that the clock is right now, and that it was the earlier entries' that was not:
 * *done false if there is no need. E_JOURNAL. */
bool journal_accept_clock(struct journal *journal, bool *done, struct err *err) NODISCARD;

/* Opens DIR/journal.db to look at it or to copy it: nothing is created, migrated or written, and
 * read-only files will do. `current`: its schema must be the one of this program. E_JOURNAL. */
bool journal_open_as_is(const char *dir, const struct clock *clock, bool current,
                        struct journal **out, struct err *err) NODISCARD;

/* inspect.c, inspect_orders.c: whether the journal is as it has to be. */

enum journal_result {
    JOURNAL_OK,
    JOURNAL_RECOVER, /* something was begun, and what came of it is not known: it is looked up */
    JOURNAL_NOTE,    /* no fault, and good to know */
    JOURNAL_BAD,
};

/* "ok", "recover", "note", "bad" */
const char *journal_result_name(enum journal_result result);

/* Borrowed for the time of the call. */
struct journal_finding {
    const char *check; /* "files", "database", ... */
    enum journal_result result;
    int64_t order; /* 0: of none in particular */
    const char *text;
};

typedef void journal_finding_fn(void *ctx, const struct journal_finding *finding);

struct journal_inspected {
    int64_t orders, open;
    size_t bad, recover;
    int version;       /* of the schema; -1: not known */
    int64_t log_bytes; /* of the write-ahead log */
    int64_t last_s;    /* when something was written down last; 0: never */
};

/*
 * Inspects the journal in a directory: its files and their modes, SQLite's own checks, the schema,
 * the clock, and what must hold of each order. Reads all of it and changes nothing; other processes
 * may go on. False only if there is no journal to inspect (E_JOURNAL); otherwise findings say what
 * is wrong, one for each check at least.
 */
bool journal_inspect(const char *dir, const struct clock *clock, journal_finding_fn *visit,
                     void *ctx, struct journal_inspected *out, struct err *err) NODISCARD;

/* resolve.c: orders whose answer was lost */

/* Whether it is not known of an order if the CA has it. E_USAGE. */
bool order_is_unsettled(const struct order *order, struct err *err) NODISCARD;

/* When an order was sent last; 0: never. */
bool journal_last_sent(struct journal *journal, int64_t id, int64_t *out,
                       struct err *err) NODISCARD;

/*
 * Takes somebody's word that the CA does not have an order, and writes down who said so and why: it
 * may be sent again, or is closed. E_USAGE.
 */
bool order_settle_not_ordered(struct journal *journal, struct order *order, bool again,
                              const char *why, struct err *err) NODISCARD;

/* backup.c */

enum { JOURNAL_DIGEST_TEXT = 65 };

struct journal_copy {
    int64_t orders, events, bytes;
    char sha256[JOURNAL_DIGEST_TEXT]; /* of the file, hexadecimal */
};

/*
 * Copies the journal as it is at one moment into a file of its own (mode 0600) while others may
 * write, checks the copy, syncs it and puts it in its place. Blocks for as long as that takes.
 * E_OBJECT_EXISTS: the file is there, and `overwrite` is not said; E_USAGE: it is the journal
 * itself; E_IO, E_JOURNAL, E_INTERRUPTED.
 */
bool journal_backup(struct journal *journal, const char *path, bool overwrite,
                    struct journal_copy *out, struct err *err) NODISCARD;

#endif
