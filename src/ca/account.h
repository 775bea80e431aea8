/* A part of ca/ca.h: what an account has beside certificates: organizations, and ACME accounts. */
#ifndef CA_ACCOUNT_H
#define CA_ACCOUNT_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct ca;

/* What an answer says of something that is on or off. */
enum ca_flag { CA_UNSAID, CA_OFF, CA_ON };

/* An organization or a department; strings are owned, NULL where nothing is said. */
struct ca_organization {
    int64_t id;
    int64_t parent_id; /* 0: it is none's department, or that is not said */
    char *name;
    char *parent; /* whose department it is */
    char *cert_types;
    enum ca_flag ssl_api, client_api; /* whether orders over the API are enabled */
};

struct ca_organizations {
    struct ca_organization *list;
    size_t count;
};

void ca_organization_done(struct ca_organization *organization);
void ca_organizations_done(struct ca_organizations *organizations);

/* Those that the account sees, departments behind their organization. */
bool ca_organizations(struct ca *ca, struct ca_organizations *out, struct err *err) NODISCARD;

/* One with its details. E_ORDER_MISSING: the CA knows none of that number. */
bool ca_organization(struct ca *ca, int64_t id, struct ca_organization *out,
                     struct err *err) NODISCARD;

/* An ACME account at the CA: a name, and the pair that binds an ACME client's account to it
 * (RFC 8555 section 7.3.4). Strings are owned, NULL where nothing is said. */
struct ca_acme_account {
    int64_t id;
    char *name, *server, *status, *validation;
    int64_t org_id;
    char *mac_id;          /* the key identifier; no secret */
    struct secret mac_key; /* the HMAC key as the CA writes it (base64url) */
};

void ca_acme_account_done(struct ca_acme_account *account);

/* NULL and 0: not narrowed. */
struct ca_acme_filter {
    const char *name, *server, *validation;
    int64_t org_id;
};

/* False ends the listing; with err set it is a failure. The account is borrowed. */
typedef bool ca_acme_visit_fn(void *ctx, const struct ca_acme_account *account, struct err *err);

/* Pages through the ACME accounts, each once. */
bool ca_acme_list(struct ca *ca, const struct ca_acme_filter *filter, ca_acme_visit_fn *visit,
                  void *ctx, struct err *err) NODISCARD;

/* E_ORDER_MISSING: there is none of that number. */
bool ca_acme_account(struct ca *ca, int64_t id, struct ca_acme_account *out,
                     struct err *err) NODISCARD;

enum { CA_ACME_NAME_MAX = 128, CA_ACME_SERVER_MAX = 1024 };

/* What is made. Borrowed; NULL where nothing is asked for. */
struct ca_acme_wish {
    const char *name;   /* 1 to CA_ACME_NAME_MAX characters */
    const char *server; /* by the name that the CA has for it */
    const char *validation, *validation_id;
    int64_t org_id;
};

enum ca_made {
    CA_MADE,
    CA_NOT_MADE,   /* err says why */
    CA_MAYBE_MADE, /* nobody knows; err says why */
};

/*
 * Makes an ACME account, once. Where the answer is lost, it is looked for among the accounts of
 * that name that were not there before. E_OBJECT_EXISTS: there is one of that name already.
 */
enum ca_made ca_acme_create(struct ca *ca, const struct ca_acme_wish *wish, int64_t *id,
                            struct err *err) NODISCARD;

/* Asking again does no harm in these; a lost answer is looked up. E_ORDER_MISSING. */
bool ca_acme_rename(struct ca *ca, int64_t id, const char *name, struct err *err) NODISCARD;
bool ca_acme_delete(struct ca *ca, int64_t id, struct err *err) NODISCARD;

/* One domain that an ACME account may order for; borrowed, "" where nothing is said. */
struct ca_acme_domain {
    const char *name, *valid_until, *sticky_until;
};
typedef bool ca_acme_domain_fn(void *ctx, const struct ca_acme_domain *domain, struct err *err);

bool ca_acme_domains(struct ca *ca, int64_t id, ca_acme_domain_fn *visit, void *ctx,
                     struct err *err) NODISCARD;

/*
 * Adds domains to an ACME account, or removes them. The CA may take some and leave others: those
 * are joined with ", " into `left`, and it is E_CA_REFUSED then.
 */
bool ca_acme_change_domains(struct ca *ca, int64_t id, bool add, const char *const names[],
                            size_t count, struct buf *left, struct err *err) NODISCARD;

/* One client that registered with the pair; borrowed, "" where nothing is said. */
struct ca_acme_client {
    const char *id, *user_agent, *address, *status, *last_activity, *contacts;
};
typedef bool ca_acme_client_fn(void *ctx, const struct ca_acme_client *client, struct err *err);

bool ca_acme_clients(struct ca *ca, int64_t id, ca_acme_client_fn *visit, void *ctx,
                     struct err *err) NODISCARD;
bool ca_acme_deactivate(struct ca *ca, int64_t id, const char *client, struct err *err) NODISCARD;

DEFINE_AUTO_DONE(ca_organization, struct ca_organization, ca_organization_done)
DEFINE_AUTO_DONE(ca_organizations, struct ca_organizations, ca_organizations_done)
DEFINE_AUTO_DONE(ca_acme_account, struct ca_acme_account, ca_acme_account_done)

#endif
