/* Inside app: what is found out and decided before an order is written down; in enroll.c. */
#ifndef APP_PLAN_H
#define APP_PLAN_H

#include "app/app.h"

/* The order as it would be planned now, and the key that was named for it. */
struct wish {
    struct order order;
    char kind[32]; /* of the key that will be used */
    bool has_key;  /* a key was named; the hash is its own */
    uint8_t spki_hash[X509_SPKI_HASH_LEN];
};

/* What needs neither the CA nor the token. */
bool plan_check_profile(const struct config_selection *selection, struct err *err) NODISCARD;

/* Of the key that is named, or of the one that will be made. */
bool plan_look_at_key(struct app *app, const struct app_enroll *request, struct wish *wish,
                      struct err *err) NODISCARD;

/* What kind of key will be made; the policy and the CA must want such a key. */
bool plan_check_kind(struct app *app, const struct app_enroll *request, struct wish *wish,
                     struct err *err) NODISCARD;

bool plan_key(struct app *app, const struct app_enroll *request, struct wish *wish,
              struct err *err) NODISCARD;

/* The text that orders of the same thing share. */
bool plan_dedupe(const struct app *app, const struct x509_names *names, struct order *order,
                 struct err *err) NODISCARD;

/* The profile's kind of certificate, as the journal writes it. */
const char *plan_kind_name(const struct config_profile *profile);

#endif
