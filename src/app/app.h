/*
 * The stories: one use case a file, each readable on a page. They put the parts together
 * (configuration, keystore, CA, journal) and know nothing of options or output.
 */
#ifndef APP_APP_H
#define APP_APP_H

#include "alert/alert.h"
#include "app/dcv.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "ca/ca.h"
#include "config/config.h"
#include "inventory/inventory.h"
#include "keystore/keystore.h"
#include "order/order.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How an order's product is called where an account has one that the CA does not tell. */
#define APP_OWN_PRODUCT "the account's own"

/* What every story works with. Borrowed. */
struct app {
    struct config *config;
    struct config_selection selection;
    struct keystore *keystore;
    struct secret_policy secrets;
    const struct clock *clock;
    const volatile bool *stop;
    const char *state_dir;
    void (*progress)(void *ctx, const struct order *order, int64_t elapsed_ms, int64_t wait_ms);
    void *progress_ctx;
};

/* A CA connection with what it needs: the client identity stays alive beside it. */
struct app_ca {
    struct keystore_identity identity;
    struct secret password;
    struct secret client_secret;
    struct http_settings token_net;
    struct secret proxy_password;
    X509_STORE *trust; /* NULL: the system's */
    struct http_client *http;
    struct ca *ca;
};

bool app_ca_open(struct app *app, struct app_ca *out, struct err *err) NODISCARD;
void app_ca_close(struct app_ca *connection);

/* The token section of the selection, as the keystore wants it. */
struct keystore_token app_token(const struct config_token *token);

enum { POLICY_TEXT_MAX = 8192 };

/* policy.c: the policy of that name (NULL: none), as the keystore wants it. The text lives in
 * *text. */
bool app_policy(const struct config *config, const char *name, struct buf *text,
                struct keystore_policy *out, struct err *err) NODISCARD;

/* Whether the CA takes keys of that kind at all ("Ed25519"), as far as is known before it is asked.
 * E_POLICY. */
bool app_check_kind(const struct config_ca *ca, const char *kind, struct err *err) NODISCARD;

/* preflight.c: what can be refused before a key is made. */

/* Whether the CA section's catalog has the product; E_POLICY names the catalog. Of entries that are
 * none of `products` (NULL: not asked) is warned. */
bool app_check_catalog(const struct config_selection *selection, const struct ca_products *products,
                       const struct ca_product *product, struct err *err) NODISCARD;

/*
 * Whether the organization that will order is there and orders over the API are enabled for it, as
 * far as this account is told. E_CONFIG: there is none of that number. E_FORBIDDEN: not enabled.
 */
bool app_check_organization(const struct config_selection *selection, struct ca *ca,
                            struct err *err) NODISCARD;

/* journal.c: opens the journal for a story that sends something: it can be written and there is
 * room, and the clock is not behind it. E_JOURNAL, E_IO. */
bool app_journal(struct app *app, struct journal **out, struct err *err) NODISCARD;

/* enroll.c */
struct app_enroll {
    const struct x509_names *names; /* at least one */
    const char *key_uri;            /* use this key; NULL: make one */
    bool again;                     /* order even though there is an order for the same names */
};

struct app_result {
    bool continued; /* an order that was under way was taken up again */
};

/*
 * From a profile to a bound certificate: preflight, key in the token, signed request, order,
 * waiting, verification, binding. Unless `again`, an open order for the same names, product, token
 * and account is continued instead: with the sections and terms it was made with if the CA has it,
 * else as configured now. One that is done or whose certificate was rejected, or one for another
 * key than the one that is named, prevents a second (E_ORDER_EXISTS). *order is what became of it
 * (also after a failure, if it has an id). Selects the order's sections in app->selection.
 */
bool app_enroll(struct app *app, const struct app_enroll *request, struct order *order,
                struct app_result *result, struct err *err) NODISCARD;

/* reissue.c */
struct app_reissue {
    bool replace;                   /* under the same number at the CA; false: renew */
    int64_t order;                  /* of the journal; 0: ca_order at the selected CA */
    int64_t ca_order;               /* the CA's number */
    const char *reason;             /* replace: why */
    const char *key_uri;            /* use this key */
    bool new_key;                   /* make one; neither: the key that the certificate has */
    const struct x509_names *names; /* replace: other names; NULL: the same */
    bool again;                     /* although it was renewed already */
};

/*
 * Renews or replaces a certificate that the CA has, as an order of its own that goes through the
 * same steps as any other. One that is under way is continued; one that renewed it already
 * prevents a second (E_ORDER_EXISTS). *order is what became of it (also after a failure, if it has
 * an id).
 */
bool app_reissue(struct app *app, const struct app_reissue *request, struct order *order,
                 struct app_result *result, struct err *err) NODISCARD;

/* request.c: requests that wait at the CA, and its records, by number. */
struct app_request_decision {
    int64_t id;
    bool approve;
    const char *message;
};

/* *record is what it was before; ca_record_done(). E_ORDER_MISSING, E_CA_REFUSED,
 * E_ORDER_AMBIGUOUS. */
bool app_request_decide(struct app *app, const struct app_request_decision *decision,
                        struct ca_record *record, struct err *err) NODISCARD;

/* Changes a record at the CA, and the journal's order behind it with it; *record is what it is
 * then. E_USAGE: a change that would take our order its key. */
bool app_update(struct app *app, struct ca_update *update, struct ca_record *record,
                struct err *err) NODISCARD;

/* Fetches a certificate in one of the CA's own formats and changes nothing. E_ORDER_PENDING. */
bool app_collect_as(struct app *app, int64_t order, const char *format, struct buf *out,
                    struct err *err) NODISCARD;

/* resume.c: takes up an order where it stands. With `once`, the CA is asked a single time. */
bool app_resume(struct app *app, int64_t id, bool once, struct order *order,
                struct err *err) NODISCARD;

/* wait.c: many orders beside each other. */

/* How it goes with all of them. */
struct app_waiting {
    size_t count;        /* of orders */
    size_t done, failed; /* failed: everything else that has ended but what is left */
    size_t left;         /* still with the CA when their time was over */
    size_t open, people; /* people: of those that are open, so many wait for people */
    size_t asking;       /* about so many the CAs are asked right now */
    int64_t next_ms;     /* until the next one is asked about */
};

struct app_wait {
    const int64_t *ids; /* of different orders */
    size_t count;
    bool once; /* the CA is asked a single time about each */
    /* What became of each, when it is known: err E_NONE if it is done. May be NULL. */
    void (*ended)(void *ctx, const struct order *order, const struct err *err);
    /* A few times a second at most; may be NULL. */
    void (*progress)(void *ctx, const struct app_waiting *waiting);
    void *ctx;
};

struct app_waited {
    size_t done, pending, waiting, failed; /* failed: everything else, busy ones as well */
    enum err_code code;                    /* of the first failed one; E_NONE */
};

/*
 * As app_resume() for each of many orders, in one process. False only if none could be begun. An
 * order that another process works on is left to it (E_ORDER_BUSY, told through `ended`).
 */
bool app_wait(struct app *app, const struct app_wait *request, struct app_waited *out,
              struct err *err) NODISCARD;

/* The numbers of all orders that are not finished (see journal_list()) and that the CA has, or may
 * have, oldest first; free() them. */
bool app_open_orders(struct app *app, int64_t **ids, size_t *count, struct err *err) NODISCARD;

/* resolve.c: an order whose answer was lost, and which the CA does not have, somebody says. */
struct app_resolve {
    int64_t order;
    const char *why;
    bool again;     /* it may be sent again; else it is closed */
    bool confirmed; /* false: only look */
};

struct app_resolved {
    int64_t sent_s; /* when it was sent last */
    bool asked;     /* the CA could be asked for it, and shows nothing */
};

/*
 * The CA is asked first: what it has is not taken for absent. Unless confirmed nothing is changed,
 * and E_USAGE says so. *order is loaded all the same, where it could be. E_ORDER_PENDING: the CA
 * has it; E_USAGE: its answer was not lost; and whatever asking the CA fails with.
 */
bool app_resolve(struct app *app, const struct app_resolve *request, struct order *order,
                 struct app_resolved *out, struct err *err) NODISCARD;

/* Gives up an order that was not sent to the CA. E_USAGE, E_ORDER_AMBIGUOUS if it was. */
/*
 * Goes on with an order of which it was not known whether the CA has it, as the one that somebody
 * found there under that id. The id is refused if the CA has nothing there, or a certificate for
 * another key. E_USAGE, E_ORDER_MISSING, E_CERT_REJECTED, and as app_resume().
 */
bool app_adopt(struct app *app, int64_t id, const char *ca_order, struct order *order,
               struct err *err) NODISCARD;

bool app_abandon(struct app *app, int64_t id, struct order *order, struct err *err) NODISCARD;

/* False for the name that stands for a section which nobody wrote. */
bool app_has_section(const char *name);

/* Whether the CA has to be asked for what is due. */
bool app_needs_ca(struct app *app, struct journal *journal, const struct order *order);

/* The order behind a number at the selected CA, of the profile's kind of certificate. *id 0: there
 * is none. E_USAGE: it is that of an order of another kind. */
bool app_find_ca_order(const struct app *app, struct journal *journal, int64_t number, int64_t *id,
                       struct err *err) NODISCARD;

/* Selects the sections that an order was made with; options given now still override single
 * settings. */
bool app_select_for(struct app *app, const struct order *order, struct err *err) NODISCARD;

/* steps.c: how the CA's section says to wait; `once`: not at all. */
struct backoff app_backoff(const struct config_ca *ca, bool once);

/* The hooks that order_drive() calls. */
struct app_steps {
    struct app *app;
    struct journal *journal;
    struct order *order; /* that a key is being made for */
};

/* What drives an order with the sections that are selected; it points into itself. */
struct app_driver {
    struct app_steps steps;
    struct drive_hooks hooks;
    struct drive drive;
};

void app_driver(struct app *app, struct journal *journal, struct ca *ca, bool once,
                struct app_driver *out);

bool app_drive(struct app *app, struct journal *journal, struct ca *ca, struct order *order,
               bool once, struct err *err) NODISCARD;

/* csr.c: signs a request with a key in the token; *out is PEM. */
bool app_csr(struct app *app, const char *key_uri, const char *subject,
             const struct x509_names *names, struct buf *out, struct err *err) NODISCARD;

/* bind.c: verifies a certificate from a file like an issued one, and binds it. */
struct app_bind {
    const char *key_uri;
    const char *cert_path;
    const char *chain_path; /* NULL: in cert_path, if anywhere */
    bool keep_old;
    bool trust_any;           /* bind without a chain check, whatever roots are configured */
    const char *detached_dir; /* NULL: as the token's section says */
    bool name_module, name_pin_source; /* in the file that stands for the key */
    bool attested;                     /* the device's attestation was collected, the user says */
};

struct app_bound {
    struct keystore_put_report report;
    char *detached_dir; /* where the files are; NULL: it is on the token */
    char *key_uri;      /* as programs are to name it; with detached_dir alone */
    char serial[128];
    int64_t not_after_s;
};

void app_bound_done(struct app_bound *bound);

bool app_bind(struct app *app, const struct app_bind *request, struct app_bound *out,
              struct err *err) NODISCARD;

/* put.c: where a verified certificate goes: onto the token, what it replaces written down first, or
 * into files. */
struct app_put {
    const char *key_uri;
    const uint8_t *spki_hash; /* of the key */
    X509 *leaf;
    STACK_OF(X509) * chain;  /* its issuers */
    struct journal *journal; /* NULL: opened if something is replaced */
    bool keep_old, attested;
    const char *detached_dir; /* NULL: as the token's section says */
    bool name_module, name_pin_source;
};

/* app_bound_done(out), also after a failure. */
bool app_put(struct app *app, const struct app_put *put, struct app_bound *out,
             struct err *err) NODISCARD;

/* detached.c: the files of a certificate that is not on a token. */
struct app_detached {
    const char *dir;
    X509 *leaf;
    STACK_OF(X509) * chain;
    const struct keystore_wrapped *key;
};

/*
 * Writes key.pem (stands for the key), key.uri, chain.pem, cert.pem, fullchain.pem and combined.pem
 * (that and the key), each atomically. Nothing is written if a key.pem is there that is something
 * else than such a file, or one of the others that holds a private key. E_OBJECT_EXISTS, E_IO.
 */
bool app_detach(const struct app_detached *files, struct err *err) NODISCARD;

/* The same for what is on the token under a key; where that has no certificate, files that are
 * there already will do. E_KEYSTORE: there are neither. */
bool app_detach_again(struct app *app, const char *key_uri, const char *dir,
                      struct err *err) NODISCARD;

/* The directory below `base` for a certificate, named by its first name; free() it. */
char *app_detached_dir(const char *base, X509 *leaf) NODISCARD;

/* undo.c: puts back what the last bind or removal of a key's certificate replaced. */
struct app_undone {
    int64_t at_s; /* when that was */
    char *who;    /* owned */
    size_t put_back;
    bool removed;   /* the certificate that was bound then is gone */
    char *cert_uri; /* owned */
};

void app_undone_done(struct app_undone *undone);

/* E_OBJECT_MISSING: nothing is written down for that key. */
bool app_undo(struct app *app, const char *key_uri, struct app_undone *out,
              struct err *err) NODISCARD;

/* Writes down in the journal (NULL: opened for it) what a change to a key's certificates replaces;
 * cert NULL: nothing takes its place. E_CONFIG: there is no place for a journal. */
struct app_note {
    const char *key_uri;
    const uint8_t *spki_hash;
    X509 *cert;
    const struct keystore_old *old;
    size_t old_count;
};
bool app_note_old(struct app *app, struct journal *journal, const struct app_note *note,
                  struct err *err) NODISCARD;

/*
 * evidence.c: what can be shown about a key: what the module claims, what the device attests, and a
 * proof that somebody has the private key. docs/man/p11enroll-evidence.1 describes the file.
 */
struct app_evidence_request {
    const char *key_uri;
    const char *attestation_path; /* a vendor's file; NULL: the token is asked */
    bool need_attestation;        /* it is a failure if there is none */
    const char *policy;           /* to judge by; NULL: the profile's, if it has one */
    const char *dropped; /* attributes that were not asked for in the end, because the token
                            refused them; "": none; NULL: not known */
};

enum { APP_FACTS_MAX = 12, APP_HASH_TEXT = 65 };

struct app_fact {
    const char *name; /* "firmware" */
    char value[80];
};

struct app_evidence {
    struct buf document;    /* the evidence file */
    struct buf attestation; /* in the vendor's form; empty: there is none */
    struct buf payload;     /* what Sectigo takes; empty: payload_why says why */
    char payload_why[512];
    char label[256], key_type[32];
    char public_key_sha256[APP_HASH_TEXT], statement_sha256[APP_HASH_TEXT];
    bool policy_kept, secret_refused;
    char policy[128], violations[768], secret_answer[40];
    const char *form, *device; /* static; NULL: nothing attests the key */
    bool attestation_checked;  /* its form is one that can be read: it is of this key */
    const char *no_proof;      /* static: why the attestation proves nothing all the same; NULL */
    struct app_fact facts[APP_FACTS_MAX];
    size_t fact_count;
};

void app_evidence_init(struct app_evidence *evidence);
void app_evidence_done(struct app_evidence *evidence);

/* Collects it, which makes one signature with the key. Logs in. E_EVIDENCE: an attestation that is
 * of another key, or none although it is needed; and what tokens and files fail with. */
bool app_evidence_collect(struct app *app, const struct app_evidence_request *request,
                          struct app_evidence *out, struct err *err) NODISCARD;

/*
 * evidence_gate.c: evidence that the profile wants of each key (`evidence_dir`): a file for each,
 * named after the key's id. Both do nothing for a profile that wants none.
 */

/* Collects it, unless its file is there already: right after the key was made or chosen. E_EVIDENCE
 * (the file is of another key; the attestation that the profile requires is missing), E_IO. */
bool app_evidence_keep(struct app *app, const struct keystore_key *key, const char *dropped,
                       struct err *err) NODISCARD;

/* Whether it is there: before a certificate is bound. *attested becomes true if it has an
 * attestation by the device. E_EVIDENCE says how to get it. */
bool app_evidence_gate(struct app *app, const char *key_uri, bool *attested,
                       struct err *err) NODISCARD;

/* evidence_verify.c: the check of an evidence file, offline. */
struct app_evidence_files {
    const char *evidence;
    const char *roots;      /* PEM: who may vouch for a device; NULL: that is not checked */
    const char *device;     /* the form whose maker the roots are; NULL: the one the file has */
    const char *csr, *cert; /* whose key it has to be; NULL */
};

enum app_check_result { APP_CHECK_OK, APP_CHECK_FAILED, APP_CHECK_NOT };

enum { APP_CHECKS_MAX = 16 };

struct app_evidence_check {
    const char *name, *title; /* static */
    enum app_check_result result;
    char detail[320];
};

struct app_evidence_verdict {
    struct app_evidence_check checks[APP_CHECKS_MAX];
    size_t count, failed, unchecked;
    /* what the file says, as far as it could be read; made printable by whoever prints it */
    char label[256], key_type[64], token[256], created[40];
    char public_key_sha256[APP_HASH_TEXT], statement_sha256[APP_HASH_TEXT];
    /* there is an attestation: checked and of the key, or of a known form that is only stored */
    bool attestation_kept;
};

/*
 * Checks everything that can be checked. False only if a file cannot be read or is no evidence at
 * all (E_IO, E_EVIDENCE), or the files are not (E_USAGE); otherwise verdict->failed is the number
 * of checks that failed.
 */
bool app_evidence_verify(const struct app_evidence_files *files, int64_t now_s,
                         struct app_evidence_verdict *verdict, struct err *err) NODISCARD;

/* The same for the bytes of an evidence file, without the other files. E_EVIDENCE. */
bool app_evidence_verify_bytes(const uint8_t *data, size_t len,
                               struct app_evidence_verdict *verdict, struct err *err) NODISCARD;

/* approval.c, decide.c: approval here, before an order is sent. */

/* Whether enough people could approve an order that needs it; before a key is made. E_CONFIG. */
bool app_approval_check(struct app *app, const struct order *order, struct err *err) NODISCARD;

/* The hook of order_drive(). */
bool app_approval_ask(struct app *app, struct journal *journal, const struct order *order,
                      enum order_approval *out, struct err *err) NODISCARD;

/*
 * Whether a request may be changed at the CA: not if the order (id 0: the journal does not know
 * it), or what it would become, is one that has to be approved here. E_FORBIDDEN, E_POLICY
 * (catalog).
 */
bool app_approval_allows(struct app *app, const struct order *order, const struct ca_update *update,
                         struct err *err) NODISCARD;

/* The text that a decision on an order signs: one line without its end. E_USAGE: it has no request
 * yet. */
bool app_order_request(struct app *app, int64_t id, bool decline, struct buf *out,
                       struct err *err) NODISCARD;

struct app_decision {
    int64_t order;
    bool approve;
    const char *key_uri;        /* sign with this key of the selected token; NULL */
    const char *cert_path;      /* its certificate, if that is not beside the key */
    const char *signature_path; /* a signature made elsewhere; NULL: the system user decides */
    const char *message;        /* NULL: none */
};

struct app_decided {
    size_t given, wanted; /* approvals */
    enum order_state state;
    char who[256];
};

/*
 * Approves an order that awaits it, or declines it for good. E_FORBIDDEN: who that is may not, or
 * did it before; E_EVIDENCE: the signature; E_USAGE: there is nothing to decide; E_ORDER_FAILED:
 * too late.
 */
bool app_decide(struct app *app, const struct app_decision *decision, struct app_decided *out,
                struct err *err) NODISCARD;

/* One decision; borrowed. */
struct app_approval {
    int64_t id, at_s;
    bool approve, is_user, counts;
    const char *who, *message, *text;
    const char *why_not; /* why it does not count */
    const uint8_t *signature;
    size_t signature_len;
    X509 *cert;
};
typedef bool app_approval_fn(void *ctx, const struct app_approval *approval, struct err *err);

struct app_approvals {
    bool needed, late;
    size_t good, wanted;
    int64_t until_s; /* 0: there is no limit */
};

/* Visits the decisions on an order, oldest first. */
bool app_approvals(struct app *app, int64_t id, struct app_approvals *out, app_approval_fn *visit,
                   void *ctx, struct err *err) NODISCARD;

/* Visits those who are listed for an order. */
typedef bool app_approver_fn(void *ctx, const char *identity, const char *label, bool may,
                             const char *why_not, struct err *err);
bool app_approvers(struct app *app, int64_t id, app_approver_fn *visit, void *ctx,
                   struct err *err) NODISCARD;

/* revoke.c */
struct app_revoke {
    int64_t order;    /* of the journal; 0: the next two say which, at the selected CA */
    int64_t ca_order; /* the CA's number; 0: by serial number */
    const char *serial;
    int reason;
    const char *text;
    bool confirmed; /* false: only look at what would be revoked */
};

struct app_revoked {
    struct ca_record record; /* as the CA had it before; ca_record_done() */
    int64_t order;           /* ours; 0: none of the journal */
    bool was_revoked;
};

/*
 * Revokes a certificate at the CA. Intent and outcome are written into the journal where it has the
 * order. Unless confirmed nothing is sent, and E_USAGE says so; *out is filled all the same.
 * E_ORDER_MISSING, E_ORDER_AMBIGUOUS, E_CA_REFUSED, ...
 */
bool app_revoke(struct app *app, const struct app_revoke *request, struct app_revoked *out,
                struct err *err) NODISCARD;

/* inventory.c: what the account sees at its CA, kept in the journal's database. */
struct app_sync {
    enum ca_kind kind;
    enum ca_source source;
    bool details;      /* ask for those of whatever has none, or has changed: a request each */
    bool certificates; /* collect issued certificates whose key is not known: a request each */
};

struct app_synced {
    bool resumed;       /* a reading that was interrupted was gone on with */
    const char *source; /* "list" or "report" */
    int64_t added, changed, gone, asked;
    struct inventory_state state; /* afterwards */
};

/* Reads it. What was read is kept also after a failure, and the next reading goes on there. */
bool app_inventory_sync(struct app *app, const struct app_sync *request, struct app_synced *out,
                        struct err *err) NODISCARD;

/* inventory_find.c: visits what is stored, or with `live` what the CA says now. E_USAGE: it was
 * never read. */
struct app_find {
    enum ca_kind kind;
    bool live;
    const struct inventory_query *query;
};
bool app_inventory_find(struct app *app, const struct app_find *request, inventory_row_fn *visit,
                        void *ctx, struct err *err) NODISCARD;

/* inventory_match.c: what the account sees beside what is on the token and in the journal. */
enum app_finding {
    APP_NOT_BOUND,     /* issued for a key or an order of ours, and not on the token */
    APP_BOUND_REVOKED, /* on the token, and revoked at the CA */
    APP_NOT_AT_CA,     /* on the token with its key, and the CA's list does not have it */
    APP_GONE,          /* ordered by us, and the CA does not have it any more */
};

struct app_match {
    enum app_finding finding;
    const char *kind;        /* NULL: it is at no CA */
    int64_t ca_order, order; /* 0: none */
    const char *serial, *common_name, *status, *label, *uri;
};

typedef bool app_match_fn(void *ctx, const struct app_match *match, struct err *err);

struct app_matched {
    int64_t read_s; /* when the CA's list was read; of several kinds the one that is oldest */
    size_t keys, certs, good; /* on the token; certificates that are as they should be */
    size_t findings;
};

/* Logs in to the token; asks the CA nothing. kind CA_KINDS: all that were read. E_USAGE: the
 * inventory was never read. */
bool app_inventory_match(struct app *app, enum ca_kind kind, app_match_fn *visit, void *ctx,
                         struct app_matched *out, struct err *err) NODISCARD;

/* The inventory of the selected CA. */
bool app_inventory_open(struct app *app, enum ca_kind kind, struct journal **journal,
                        struct inventory **out, struct err *err) NODISCARD;

/* alert.c: what ends soon or waits too long, told to whoever is configured. */
struct app_alert {
    const char *levels;  /* instead of the configured ones; NULL */
    const char *sources; /* likewise */
    bool one_token;      /* the selected one alone, not all that are configured */
    bool dry_run;        /* look and compose, deliver and remember nothing */
};

enum { APP_ALERT_SINKS = 3, APP_ALERT_FAILURES = 16 };

/* A place where alerts go. */
struct app_alert_sink {
    const char *name; /* "mail", "webhook", "metrics" */
    size_t due;       /* alerts to deliver now; of metrics, all */
    bool delivered;   /* they were */
    bool failed;      /* err says why; they are due again the next time */
    struct err err;
};

struct app_alerted {
    struct alerts alerts; /* what has reached a level, the worst first */
    struct alert_rules rules;
    struct app_alert_sink sinks[APP_ALERT_SINKS];
    size_t sink_count;                   /* that are configured */
    char failed[APP_ALERT_FAILURES][80]; /* "token 'prod'" */
    struct err errs[APP_ALERT_FAILURES]; /* and why */
    size_t failure_count;
    char host[256];
    bool undated; /* the inventory has issued certificates and does not know when they end */
};

void app_alerted_init(struct app_alerted *alerted);
void app_alerted_done(struct app_alerted *alerted);

/*
 * Looks into journal, inventory and tokens and tells the sinks what is due. Sources and sinks that
 * fail are in *out; false only if there is no journal or the settings are not understood. E_CONFIG,
 * E_JOURNAL, E_ORDER_BUSY: another one is under way.
 */
bool app_alert(struct app *app, const struct app_alert *request, struct app_alerted *out,
               struct err *err) NODISCARD;

/* Where alerts are looked for. */
struct app_alert_look {
    unsigned sources; /* enum alert_source */
    bool named;       /* somebody named them: then they must have something to say */
    bool one_token;   /* as in struct app_alert */
};

/* alert_gather.c: adds what the sources have to out->alerts. */
bool app_alert_gather(struct app *app, struct journal *journal, const struct app_alert_look *look,
                      struct app_alerted *out, struct err *err) NODISCARD;

/* check.c: the connection test. The result is in *out; false only if there is not even a
 * configuration. */
void app_check(struct app *app, struct ca_checks *out);

DEFINE_AUTO_DONE(app_alerted, struct app_alerted, app_alerted_done)
DEFINE_AUTO_DONE(app_ca, struct app_ca, app_ca_close)
DEFINE_AUTO_DONE(app_bound, struct app_bound, app_bound_done)
DEFINE_AUTO_DONE(app_undone, struct app_undone, app_undone_done)

DEFINE_AUTO_DONE(app_evidence, struct app_evidence, app_evidence_done)

#endif
