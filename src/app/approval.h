/*
 * Inside the app folder: local approval, in parts. An order is approved by signatures over (or
 * system users who agree to) a text with everything that will be sent; docs/approval.md is for
 * those who rely on it.
 */
#ifndef APP_APPROVAL_H
#define APP_APPROVAL_H

#include "app/app.h"

enum { APPROVERS_MAX = 64, APPROVER_NAME_MAX = 80, APPROVAL_TEXT_MAX = 256 * 1024 };

/* One who may approve: a certificate or a system user. */
struct approver {
    char identity[APPROVER_NAME_MAX]; /* who it is: two of the same identity count once */
    char user[APPROVER_NAME_MAX];     /* system user; "": a certificate */
    uint8_t fingerprint[X509_FINGERPRINT_LEN];
    X509 *cert;      /* NULL: only its fingerprint is listed; owned */
    char label[200]; /* for people */
};

struct approvers {
    struct approver list[APPROVERS_MAX];
    size_t count;
};

void approvers_done(struct approvers *approvers);
DEFINE_AUTO_DONE(approvers, struct approvers, approvers_done)

/* approvers.c */

/* Reads the setting 'approvers' and the certificates that it names. NULL: nobody. E_CONFIG, E_IO.
 */
bool approvers_read(const char *text, struct approvers *out, struct err *err) NODISCARD;

/* The entry of a certificate or a system user; NULL: it is not listed. */
const struct approver *approvers_find_cert(const struct approvers *approvers, X509 *cert);
const struct approver *approvers_find_user(const struct approvers *approvers, const char *user);

/* The certificates among them; the list is owned by the caller, x509_stack_free(). */
STACK_OF(X509) * approvers_certs(const struct approvers *approvers) NODISCARD;

/* How many different ones there are; less those who ordered, unless `own`. */
size_t approvers_who_may(const struct approvers *approvers, const struct order *order, bool own);

/* Whether the setting 'approval_for' means an order. Pure. E_CONFIG. */
bool approval_rule_fits(const char *rule, const struct order *order, bool *fits,
                        struct err *err) NODISCARD;

/* Whether an order needs approval under what is configured. E_CONFIG. */
bool approval_is_needed(const struct config_approval *settings, const struct order *order,
                        bool *needed, struct err *err) NODISCARD;

/* approval_text.c: the one text of a decision on an order, under what is configured now. Without a
 * line end. */
bool approval_text(const struct config_selection *selection, const struct order *order,
                   bool approve, struct buf *out, struct err *err) NODISCARD;

/* approval.c */

/* The name of the system user who runs this. */
bool approval_user(char out[static APPROVER_NAME_MAX], struct err *err) NODISCARD;

/* What is there to judge by: the approvals of an order, and who may give them. */
struct judgement {
    struct config_approval settings;
    struct approvers approvers;
    struct approvals given;
    struct buf text; /* that approvals have to be of now */
    size_t good;     /* different approvers who agree to this text */
    bool late;       /* the time is over */
};

void judgement_init(struct judgement *judgement);
void judgement_done(struct judgement *judgement);
DEFINE_AUTO_DONE(judgement, struct judgement, judgement_done)

bool approval_judge(struct app *app, struct journal *journal, const struct order *order,
                    struct judgement *out, struct err *err) NODISCARD;

/* Whether one decision still counts, and whose it is; err says why not. */
bool approval_counts(const struct app *app, const struct judgement *judgement,
                     const struct order *order, const struct approval *approval,
                     const struct approver **whose, struct err *err) NODISCARD;

/* Whether an approver may approve that order at all: not if it is his own. E_FORBIDDEN. */
bool approval_may(const struct config_approval *settings, const struct order *order,
                  const struct approver *approver, struct err *err) NODISCARD;

#endif
