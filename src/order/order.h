/*
 * Orders: what one is, where it is kept, and what is done next with it.
 *
 * machine.c says which state follows which and what is due in each (pure). journal.c keeps orders
 * in SQLite and writes each step with the state it leads to. drive.c is the loop (fleet.c: for many
 * orders beside each other): load, do the one
 * thing that is due, save; so that a process that is killed anywhere is continued by the next.
 */
#ifndef ORDER_ORDER_H
#define ORDER_ORDER_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "ca/ca.h"
#include "order/due.h"
#include "order/upkeep.h"
#include "x509/x509.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum order_state {
#define X(symbol, name, action, doing, sentence) symbol,
#include "order/states.def"
#undef X
    ORDER_STATES
};

enum order_action {
    ACTION_NONE,
    ACTION_MAKE_KEY,
    ACTION_SIGN,
    ACTION_APPROVE,
    ACTION_SUBMIT,
    ACTION_FIND,
    ACTION_POLL,
    ACTION_COLLECT,
    ACTION_VERIFY,
    ACTION_BIND,
};

/* machine.c, pure */
const char *order_state_name(enum order_state state);
const char *order_state_sentence(enum order_state state);
/* What is being done while an order is driven in that state; NULL: nothing worth telling. */
const char *order_state_doing(enum order_state state);
enum order_action order_state_action(enum order_state state);
bool order_state_parse(const char *name, enum order_state *out);
bool order_state_may_follow(enum order_state from, enum order_state to);
bool order_state_is_final(enum order_state state);
/* True once the CA may know of the order: then it must never be sent again. */
bool order_state_is_sent(enum order_state state);
enum order_state order_state_of_phase(enum ca_phase phase);

/* How an order came to be. */
enum order_origin {
    ORIGIN_ENROLL,
    ORIGIN_RENEW,          /* with a request of its own */
    ORIGIN_RENEW_SAME_KEY, /* with the one that the CA has */
    ORIGIN_REPLACE,        /* under the number of the certificate that it replaces */
};

/* "enroll", "renew", "renew-same-key", "replace" */
const char *order_origin_name(enum order_origin origin);
bool order_origin_parse(const char *name, enum order_origin *out);

/* How much an order is in the way of another one of the same thing, ascending. */
enum order_claim {
    ORDER_CLAIM_NONE,
    ORDER_CLAIM_UNSENT,   /* it can be taken up, or abandoned */
    ORDER_CLAIM_REJECTED, /* paid for; its certificate can be checked again */
    ORDER_CLAIM_OPEN,     /* the CA has it, or may have it */
    ORDER_CLAIM_DONE,
};

/* valid: its certificate still lasts. superseded: a newer order of the same thing is done. */
enum order_claim order_claim(enum order_state state, bool valid, bool superseded);

/* backoff.c, pure */
enum backoff_kind {
    BACKOFF_STEPS, /* 5 s, 15 s, 45 s, 2 min, then 5 min, each +-20 %, until the deadline */
    BACKOFF_POWER, /* min(base^n, max), n = 1, 2, ..., a fixed number of times */
};

struct backoff {
    enum backoff_kind kind;
    int64_t deadline_ms;             /* STEPS: while machines work on it */
    int64_t people_deadline_ms;      /* STEPS: while a person has to act */
    int64_t base_s, max_s, attempts; /* POWER */
    int64_t scale_percent;
};

/* The scheduled wait after status request number `attempt` (from 1). */
int64_t backoff_delay_ms(const struct backoff *backoff, int attempt, uint32_t random);

/* True if there is no further request after that many, or that much time. */
bool backoff_is_over(const struct backoff *backoff, int attempt, int64_t elapsed_ms);

/* The scheduled wait, or what is left until the deadline: then is asked once more. */
int64_t backoff_wait_ms(const struct backoff *backoff, int attempt, int64_t elapsed_ms,
                        uint32_t random);

enum { ORDER_ID_BYTES_MAX = 256, ORDER_MARK_SIZE = 40 };

/* One order. Strings are owned, NULL while unknown. Holds no secret. */
struct order {
    int64_t id;
    char mark[ORDER_MARK_SIZE]; /* unique text by which the CA's records can be searched */
    enum order_state state;
    enum order_state saved; /* the state that the journal has; journal.c's own */
    int64_t created_s, updated_s;
    char *dedupe; /* same for orders of the same thing: CA, product and names */

    char *ca, *profile, *token; /* sections of the configuration */
    char *names;                /* comma-separated */
    char *subject;
    int64_t product_id;
    char *product;
    int64_t term_days;
    char *comments, *external_requester, *custom_fields, *optional_fields;
    char *requester;    /* the system users who ordered it, commas between */
    char *validation;   /* "EV" if the product says so */
    int64_t awaiting_s; /* since when it awaits approval; 0: it does not */
    int64_t absent_looks, absent_last_s, absent_for_s; /* looked for in vain: absence.c */
    int send_names;                                    /* enum ca_send_names */
    char *kind;   /* of certificate: ca_kind_name(); NULL: TLS */
    char *person; /* S/MIME: first and last name */

    char *origin;        /* order_origin_name(); NULL: enrolled */
    char *parent;        /* the CA's number of what is renewed or replaced */
    char *parent_serial; /* of the certificate that it has */
    char *reason;        /* why it is replaced */

    char *key_type;
    char *key_uri;      /* set once the key is known */
    char *key_label;    /* of a key that is to be made */
    char *key_left_out; /* attributes that the token did not take; "" for none, NULL: not known */
    uint8_t key_id[ORDER_ID_BYTES_MAX];
    size_t key_id_len;
    bool key_is_ours; /* made for this order */
    bool sent_again;  /* it was sent before, or may have been */
    uint8_t spki_hash[X509_SPKI_HASH_LEN];
    char *csr_pem;

    char *ca_state;    /* the back end's own */
    char *ca_order_id; /* for people */
    char *ca_text;     /* the CA's word for the state */

    char *answer_pem; /* what was collected */
    char *cert_pem, *chain_pem;
    char *serial;
    int64_t not_after_s;
    char *cert_uri;
    char *last_error;
};

void order_init(struct order *order);
void order_done(struct order *order);
DEFINE_AUTO_DONE(order, struct order, order_done)

/* Sets an owned string; NULL clears. */
bool order_set(char **field, const char *value, struct err *err) NODISCARD;

/* A fresh random mark ("p11e-" and 128 bits). */
bool order_new_mark(char out[static ORDER_MARK_SIZE], struct err *err) NODISCARD;

/* journal.c */
struct journal;

/* Opens (or creates) DIR/journal.db; the directory is made private. E_JOURNAL, E_IO. */
bool journal_open(const char *dir, const struct clock *clock, struct journal **out,
                  struct err *err) NODISCARD;
void journal_close(struct journal *journal);
const char *journal_dir(const struct journal *journal);
/* Its database, for what else is kept in it; borrowed. */
struct db;
struct db *journal_db(struct journal *journal);

/*
 * Adds a new order and sets its id; who runs this becomes its requester, unless it has one. Unless
 * `again`, an order of the same thing that is done and
 * still valid, open, or rejected prevents that: then *other is the one with the greatest claim
 * (order_claim(), the newest of those), nothing is added and true is returned with order->id 0.
 */
bool journal_add(struct journal *journal, struct order *order, bool again, int64_t *other,
                 struct err *err) NODISCARD;

/* The order that journal_add() would find in the way of this one, which need not be complete: of
 * renewals and replacements `parent`, `ca` and `origin` decide. *other 0: none. */
bool journal_same(struct journal *journal, const struct order *order, int64_t *other,
                  struct err *err) NODISCARD;

/* Writes the order as it is now, with an event ("submitted", "CA says Applied"). Durable when it
 * returns. E_ORDER_BUSY: another process has changed its state since it was loaded, and nothing was
 * written. */
bool journal_save(struct journal *journal, struct order *order, const char *event,
                  struct err *err) NODISCARD;

/* E_ORDER_MISSING. */
bool journal_load(struct journal *journal, int64_t id, struct order *out,
                  struct err *err) NODISCARD;

/* The id behind what a user typed: a number of the journal. E_ORDER_MISSING, E_USAGE. */
bool journal_resolve(struct journal *journal, const char *text, int64_t *id,
                     struct err *err) NODISCARD;

/* The newest order that has that number at that CA (a section's name) among those of that kind of
 * certificate (NULL: TLS; each kind has numbers of its own). *id 0: there is none. */
bool journal_find_ca_order(struct journal *journal, const char *ca, const char *kind,
                           const char *ca_order_id, int64_t *id, struct err *err) NODISCARD;

/* Whether a done order renewed or replaced, under a number of its own, what has that number at that
 * CA (a section's name) among those of that kind of certificate ("ssl"). */
bool journal_has_successor(struct journal *journal, const char *ca, const char *kind,
                           int64_t ca_order_id, bool *out, struct err *err) NODISCARD;

/* Visits orders, newest first, at most `limit`; if asked, only those that are not finished: open
 * ones, and those whose certificate was rejected and that no later one has made up for. Ends when
 * visit returns false. */
typedef bool journal_visit_fn(void *ctx, const struct order *order);
bool journal_list(struct journal *journal, bool open_only, int64_t limit, journal_visit_fn *visit,
                  void *ctx, struct err *err) NODISCARD;

/* Visits the events of an order, oldest first. */
typedef bool journal_event_fn(void *ctx, int64_t at_s, const char *state, const char *text);
bool journal_events(struct journal *journal, int64_t id, journal_event_fn *visit, void *ctx,
                    struct err *err) NODISCARD;

/* expiry.c: what ends soon, and what waits; both cost what they find. Borrowed until visit returns;
 * false from visit, with err, ends it. */

/* A certificate that an order got. */
struct journal_expiry {
    int64_t order;
    int64_t not_after_s;
    const char *ca, *names, *serial, *ca_order_id, *cert_pem;
    bool over; /* it was revoked, or a newer one for the same thing is bound */
};
typedef bool journal_expiry_fn(void *ctx, const struct journal_expiry *found, struct err *err);

/* Visits certificates that end after one time, until another, soonest first. */
bool journal_expiring(struct journal *journal, int64_t after_s, int64_t until_s,
                      journal_expiry_fn *visit, void *ctx, struct err *err) NODISCARD;

/* An order that is not at its end. */
struct journal_wait {
    int64_t order;
    enum order_state state;
    int64_t since_s; /* when it came into that state */
    const char *ca, *names, *ca_order_id, *ca_text;
};
typedef bool journal_waiting_fn(void *ctx, const struct journal_wait *found, struct err *err);

bool journal_waiting(struct journal *journal, journal_waiting_fn *visit, void *ctx,
                     struct err *err) NODISCARD;

/* binding.c: what was on a token before a certificate was bound or removed, so that it can be put
 * back. */

struct binding_old {
    X509 *cert;  /* owned */
    char *label; /* owned */
};

struct binding {
    int64_t id; /* 0: none */
    int64_t at_s;
    char *who;     /* user and host; owned */
    char *key_uri; /* owned */
    uint8_t spki_hash[X509_SPKI_HASH_LEN];
    X509 *cert;              /* that was bound; NULL: the old ones were removed; owned */
    struct binding_old *old; /* owned */
    size_t old_count;
};

void binding_done(struct binding *binding);
DEFINE_AUTO_DONE(binding, struct binding, binding_done)

/*
 * Writes down what is about to be replaced; durable when it returns. A bind of the same certificate
 * that was interrupted goes on in its entry. Fills in id, time and user of `binding`.
 */
bool journal_note_binding(struct journal *journal, struct binding *binding,
                          struct err *err) NODISCARD;

/* The newest entry of a key that was not undone; out->id 0: there is none. */
bool journal_last_binding(struct journal *journal,
                          const uint8_t spki_hash[static X509_SPKI_HASH_LEN], struct binding *out,
                          struct err *err) NODISCARD;

bool journal_binding_undone(struct journal *journal, int64_t id, struct err *err) NODISCARD;

/* approval.c: who approved or declined an order here, before it was sent. */

struct approval {
    int64_t id, at_s;
    bool approve;    /* false: declined */
    char *who;       /* for people; owned, as all of these */
    char *user_name; /* a system user; NULL: there is a signature */
    char *text;      /* what was signed */
    X509 *cert;
    uint8_t *signature; /* CMS, DER */
    size_t signature_len;
    char *message; /* NULL: none */
};

struct approvals {
    struct approval *list;
    size_t count;
};

/* The name of the system user who runs this; his number, if he has none that could be listed. */
enum { ORDER_USER_MAX = 80 };
void order_user(char out[static ORDER_USER_MAX]);

void approval_done(struct approval *approval);
void approvals_done(struct approvals *approvals);
DEFINE_AUTO_DONE(approval, struct approval, approval_done)
DEFINE_AUTO_DONE(approvals, struct approvals, approvals_done)

/* Writes a decision down, the order as it is now, and an event, all or nothing; durable when it
 * returns. Fills in id and time. */
bool journal_add_approval(struct journal *journal, struct order *order, struct approval *approval,
                          const char *event, struct err *err) NODISCARD;

/* The decisions on an order, oldest first. */
bool journal_approvals(struct journal *journal, int64_t id, struct approvals *out,
                       struct err *err) NODISCARD;

/* One process works on an order at a time. E_ORDER_BUSY names the other. */
struct order_lock {
    int fd;
};
#define ORDER_LOCK_INIT                                                                            \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
bool order_lock_take(struct journal *journal, int64_t id, struct order_lock *lock,
                     struct err *err) NODISCARD;
/* For many orders: opened once, then one after the other is added; released together. */
bool order_locks_open(struct journal *journal, struct order_lock *lock, struct err *err) NODISCARD;
bool order_locks_add(struct order_lock *lock, int64_t id, struct err *err) NODISCARD;
void order_lock_release(struct order_lock *lock);

/* reissue.c: orders that renew or replace a certificate. */

/* What the CA is to be asked for: fills `request` from the order; names is for the time of the
 * call. E_JOURNAL, E_USAGE. */
bool order_request(const struct order *order, struct x509_names *names, struct ca_request *request,
                   struct err *err) NODISCARD;

/*
 * Notes in the order how what it renews or replaces stands at the CA. When an order is planned, and
 * again right before it is sent: then somebody else may have done it since (E_ORDER_EXISTS,
 * E_CA_REFUSED). again: it may have been renewed already when this is planned.
 */
bool order_look(struct journal *journal, struct ca *ca, struct order *order, bool again,
                struct err *err) NODISCARD;

/*
 * Whether the CA gives the certificate that is being replaced still, or one for another key:
 * *stale, and err says which (E_ORDER_PENDING). Only certificates for the order's key with another
 * serial number than the old one count.
 */
bool order_is_stale(const struct order *order, STACK_OF(X509) * answer, bool *stale,
                    struct err *err) NODISCARD;

/* Whether one of the certificates has the serial number of what is renewed or replaced. */
bool order_has_old(const struct order *order, STACK_OF(X509) * answer);

/* Writes our mark and the comments into the CA's record of a renewal, which had no way to carry
 * them. Best effort: *said is what became of it. */
void order_mark_renewal(struct ca *ca, const struct order *order, char said[static 256]);

/* revise.c: what a command changes in an order beside driving it. */

/* Whoever takes an unsent order up has a hand in it from then on. *changed stays if he had before.
 */
bool order_add_requester(struct order *order, const char *who, bool *changed,
                         struct err *err) NODISCARD;

/* Saves an unsent order in which something has changed; what was approved of it is not that. */
bool order_approve_anew(struct journal *journal, struct order *order, struct err *err) NODISCARD;

/* Whether an order that was added just now, and is locked since, is as it was added. E_ORDER_BUSY:
 * between the two somebody else brought it on. */
bool order_is_fresh(const struct order *order, struct err *err) NODISCARD;

/*
 * Takes over what has been configured since for an order that was not sent: product, term, texts,
 * names sending, sections; before the request is signed also the subject, and before a key is
 * chosen its URI. Key and request are kept.
 */
bool order_revise(struct journal *journal, struct order *order, const struct order *wish,
                  struct err *err) NODISCARD;

/* Whether a system user is among those who ordered it. */
bool order_has_requester(const struct order *order, const char *who);

/* Ends an order that awaits approval: nobody approved it in time. */
bool order_decline_late(struct journal *journal, struct order *order, const char *event,
                        struct err *err) NODISCARD;

/* Gives up an order that was not sent. E_ORDER_AMBIGUOUS, E_USAGE: the CA has it, or may have it.
 */
bool order_abandon(struct journal *journal, struct order *order, struct err *err) NODISCARD;

/* Takes what a person found at the CA for an order that may have been sent; the state is that of
 * ca_adopt(). */
bool order_adopt(struct journal *journal, struct order *order, const char *ca_state,
                 struct err *err) NODISCARD;

/* Lets the certificate of a rejected order be verified again; other orders stay as they are. */
bool order_look_again(struct journal *journal, struct order *order, struct err *err) NODISCARD;

/* Fetches the certificate of a rejected order from the CA once more; blocks. *fresh: it is another
 * answer than the one that was rejected, and is to be verified. E_ORDER_PENDING: the CA has none
 * for now; else as ca_collect(). The order stays rejected then, with the answer that it has. */
bool order_collect_again(struct journal *journal, struct ca *ca, struct order *order, bool *fresh,
                         struct err *err) NODISCARD;

/* Notes that the certificate is revoked at the CA. Orders that ended otherwise, or have no
 * certificate, keep their state and get the event. */
bool order_revoked(struct journal *journal, struct order *order, const char *event,
                   struct err *err) NODISCARD;

/* drive.c */

/* Whether an order may be sent. */
enum order_approval {
    APPROVAL_GIVEN,   /* or none is needed */
    APPROVAL_AWAITED, /* err says of whom */
    APPROVAL_REFUSED, /* for good; err says why */
};

/* What needs a token or the configuration; the application provides it. Each fills fields of the
 * order. */
struct drive_hooks {
    bool (*make_key)(void *ctx, struct order *order, struct err *err);
    bool (*sign)(void *ctx, struct order *order, struct err *err);
    /* Asked right before each submission; NULL: every order may be sent. */
    bool (*approve)(void *ctx, const struct order *order, enum order_approval *out,
                    struct err *err);
    /* Splits and checks order->answer_pem. E_CERT_REJECTED ends the order. */
    bool (*verify)(void *ctx, struct order *order, struct err *err);
    bool (*bind)(void *ctx, struct order *order, struct err *err);
    /* Tells how it is going; wait_ms is the time to the next request (0: working). */
    void (*progress)(void *ctx, const struct order *order, int64_t elapsed_ms, int64_t wait_ms);
    void *ctx;
};

struct drive {
    struct journal *journal;
    struct ca *ca; /* NULL: stop before the CA is needed */
    const struct clock *clock;
    struct backoff backoff;
    const struct drive_hooks *hooks;
    int64_t absence_after_s; /* see order_is_absent(); below 0: never */
};

/*
 * Whether an order that may have been sent is certain not to have reached the CA: it was looked for
 * at least three times, for so many seconds, and was never there. Once in its life: what was sent
 * again and is missing again is for a person.
 */
bool order_is_absent(const struct order *order, int64_t after_s);

/* One more look in vain. The time between two of them counts, but not more than half of what is
 * needed, whatever the clock says. */
void order_count_look(struct order *order, int64_t after_s, int64_t now_s);

/* It is being sent: what was seen before says nothing of that. */
void order_forget_looks(struct order *order);

/* Whether an order could be sent as it is, as far as that can be told without the CA, a key and a
 * request. E_CONFIG, E_USAGE. */
bool order_check(struct ca *ca, const struct order *order, struct err *err) NODISCARD;

/*
 * Does what is due until the order is done, has failed, or must be waited for longer than the
 * schedule allows. True: done. False: E_ORDER_APPROVAL, E_ORDER_PENDING, E_ORDER_WAITING,
 * E_ORDER_FAILED, E_ORDER_AMBIGUOUS, E_CERT_REJECTED, E_INTERRUPTED, or whatever a step failed
 * with; the order is saved in each case and can be driven again.
 */
bool order_drive(struct drive *drive, struct order *order, struct err *err) NODISCARD;

/* fleet.c: many orders beside each other */

struct fleet_member {
    struct order order; /* loaded, and locked */
    struct drive drive; /* its hooks tell nothing; a CA is shared by pointer */
    size_t width;       /* how many of its CA's orders are asked about at a time */
    bool ended;         /* set before the fleet is driven: it does not take part */
    bool done;
    struct err err; /* why it is not done, as of order_drive() */
    void *tag;      /* the caller's */
};

struct fleet {
    struct fleet_member *list;
    size_t count;
    const volatile bool *stop; /* set by a signal handler; may be NULL */
    /* Both may be NULL: before anything is done for an order; when it is done, has failed, or the
     * time for it is up. */
    void (*turn)(void *ctx, struct fleet_member *member);
    void (*ended)(void *ctx, struct fleet_member *member);
    /* How it goes, several times a second at most, and every second; may be NULL. asking: about so
     * many the CAs are asked right now; next_ms: until somebody is due. */
    void (*tick)(void *ctx, size_t asking, int64_t next_ms);
    void *ctx;
};

/*
 * As order_drive() for each of many orders, which wait beside each other in one thread. Blocks
 * until all have ended. E_MEMORY; what becomes of the orders is in their members.
 */
bool fleet_drive(struct fleet *fleet, struct err *err) NODISCARD;

DEFINE_AUTO(journal, struct journal *, journal_close)
DEFINE_AUTO_DONE(order_lock, struct order_lock, order_lock_release)

#endif
