/*
 * What an account sees at its CA, kept beside the orders in the journal's database.
 *
 * A reading (a sync) goes through the CA's list and writes down what is new or has changed; rows
 * that it did not meet are asked for one by one and marked when the CA does not have them any more.
 * A reading that was interrupted is gone on with by the next. Nothing here talks to the CA.
 */
#ifndef INVENTORY_INVENTORY_H
#define INVENTORY_INVENTORY_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct inventory;

enum { INVENTORY_HASH_LEN = 32 };

/* One certificate. Strings are borrowed; NULL is "not known", in what is put: "as it was". */
struct inventory_row {
    int64_t ca_id;
    const char *serial; /* AB:CD:... */
    const char *common_name, *names, *subject;
    const char *status, *product, *issued, *expires, *revoked;
    const char *requester, *external_requester, *comments;
    const uint8_t *spki_hash; /* INVENTORY_HASH_LEN bytes, or NULL */
    /* of what is read alone */
    const char *ca, *kind;
    int64_t gone_s, details_s, first_s;
    bool is_issued; /* as the CA's word for it means */
    bool details;   /* in all: what the CA says of this one alone, or its report */
};

/* Opens the part of the database that belongs to a CA's section and a kind of certificate ("ssl");
 * db and clock are borrowed. */
bool inventory_open(struct db *db, const struct clock *clock, const char *ca, const char *kind,
                    struct inventory **out, struct err *err) NODISCARD;
void inventory_close(struct inventory *inventory);

/* sync.c */

/* A reading. */
struct inventory_sync {
    int64_t id;
    bool resumed;      /* one that was interrupted */
    int64_t started_s; /* when it began first */
    int stage;         /* which list, and how far */
    int64_t position;
    int64_t added, changed; /* by this process */
};

/* Begins a reading, or goes on with the last one of the same source that was not finished. */
bool inventory_begin(struct inventory *inventory, const char *source, struct inventory_sync *sync,
                     struct err *err) NODISCARD;

/*
 * Writes down rows, and how far the reading is: all or nothing, in one short transaction. A row
 * that says another status than it did before in the same reading loses it: then nobody knows.
 * *conflicts counts those.
 */
bool inventory_put(struct inventory *inventory, struct inventory_sync *sync,
                   const struct inventory_row *rows, size_t count, size_t *conflicts,
                   struct err *err) NODISCARD;

/* The CA's next number after one, of what the reading met, or did not meet, or of what has no
 * status, was never asked for details, or lacks a key; *ca_id 0: there is none. */
enum inventory_which {
    INVENTORY_MET,
    INVENTORY_NOT_MET,
    INVENTORY_NO_STATUS,
    INVENTORY_NO_DETAILS,
    INVENTORY_NO_KEY, /* issued, and nobody knows for which key */
};
bool inventory_next(struct inventory *inventory, const struct inventory_sync *sync,
                    enum inventory_which which, int64_t after, int64_t *ca_id,
                    struct err *err) NODISCARD;

bool inventory_mark_gone(struct inventory *inventory, int64_t ca_id, struct err *err) NODISCARD;

bool inventory_finish(struct inventory *inventory, struct inventory_sync *sync,
                      struct err *err) NODISCARD;

/* find.c */

struct inventory_state {
    int64_t rows, gone;
    int64_t last_s;    /* when a reading was finished; 0: never */
    int64_t started_s; /* when that one had begun */
    bool open;         /* the last one was not finished */
};

bool inventory_state(struct inventory *inventory, struct inventory_state *out,
                     struct err *err) NODISCARD;

typedef bool inventory_row_fn(void *ctx, const struct inventory_row *row, struct err *err);

/* What is looked for: exactly one of these. */
struct inventory_query {
    int64_t ca_id;
    const char *serial; /* AB:CD:... */
    const char *common_name;
    const char *name; /* alternative, or the common name */
    const uint8_t *spki_hash;
};

/* Visits what fits, by the CA's number. Ends early, and well, when visit returns false with err
 * empty. Takes as long as there are rows that fit. */
bool inventory_find(struct inventory *inventory, const struct inventory_query *query,
                    inventory_row_fn *visit, void *ctx, struct err *err) NODISCARD;

/* An order of the journal at this CA, and what the CA has of it. */
struct inventory_order {
    int64_t order;
    int64_t ca_id;
    int64_t created_s;
    const char *state, *names, *serial; /* of the order */
    const uint8_t *spki_hash;           /* NULL: not known */
    bool listed;                        /* the CA has it, or had it: row says what */
    struct inventory_row row;
};

typedef bool inventory_order_fn(void *ctx, const struct inventory_order *order, struct err *err);
bool inventory_orders(struct inventory *inventory, inventory_order_fn *visit, void *ctx,
                      struct err *err) NODISCARD;

/* expiry.c */

/* A certificate at a CA that ends soon. Borrowed until visit returns. */
struct inventory_expiry {
    const char *ca, *serial, *common_name, *names;
    int64_t ca_id;
    int64_t expires_s;        /* begin of its last day: CAs tell no more */
    const uint8_t *spki_hash; /* NULL: not known */
    bool over;                /* it was revoked or replaced */
    bool superseded;          /* the account has a newer one for the same names */
};
typedef bool inventory_expiry_fn(void *ctx, const struct inventory_expiry *found, struct err *err);

/* Visits certificates of all CAs that end after one time, until another, soonest first; costs what
 * it finds. False from visit, with err, ends it. */
bool inventory_expiring(struct db *db, int64_t after_s, int64_t until_s, inventory_expiry_fn *visit,
                        void *ctx, struct err *err) NODISCARD;

/* Whether there are issued certificates of which it is not known when they end: a list that was
 * read without details does not tell it. */
bool inventory_undated(struct db *db, bool *out, struct err *err) NODISCARD;

/* Whether a reading of any account has ever come to its end. */
bool inventory_was_read(struct db *db, bool *out, struct err *err) NODISCARD;

/* Notes whose key it is, once that is known. */
bool inventory_set_key(struct inventory *inventory, int64_t ca_id,
                       const uint8_t spki_hash[static INVENTORY_HASH_LEN],
                       struct err *err) NODISCARD;

/* Takes the keys of our own orders over. */
bool inventory_learn_orders(struct inventory *inventory, struct err *err) NODISCARD;

DEFINE_AUTO(inventory, struct inventory *, inventory_close)

#endif
