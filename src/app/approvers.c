#include "app/approval.h"

#include "base/str.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const char user_prefix[] = "user:";
static const char hash_prefix[] = "sha256:";

void approvers_done(struct approvers *approvers)
{
    for (size_t i = 0; i < approvers->count; i++) {
        X509_free(approvers->list[i].cert);
    }
    approvers->count = 0;
}

/* A copy that is never cut: half a name is another name. */
static bool copy(char *out, size_t size, const char *text, struct err *err)
{
    return (size_t)snprintf(out, size, "%s", text) < size ||
           err_set(err, E_CONFIG, "approvers: '%.60s...' is too long", text);
}

static bool read_user(const char *name, struct approver *out, struct err *err)
{
    if (name[0] == '\0') {
        return err_set(err, E_CONFIG, "approvers: 'user:' names nobody");
    }
    (void)snprintf(out->label, sizeof(out->label), "the system user '%.80s'", name);
    return copy(out->user, sizeof(out->user), name, err) &&
           (out->identity[0] != '\0' || copy(out->identity, sizeof(out->identity), name, err));
}

/* The identity of a certificate that is nobody's by name. */
static void name_by_hash(struct approver *out)
{
    AUTO(buf) struct buf hex = BUF_INIT(2 * X509_FINGERPRINT_LEN);

    str_add_hex(&hex, out->fingerprint, sizeof(out->fingerprint), '\0');
    if (out->identity[0] == '\0') {
        (void)snprintf(out->identity, sizeof(out->identity), "%s%s", hash_prefix, buf_str(&hex));
    }
    if (out->label[0] == '\0') {
        (void)snprintf(out->label, sizeof(out->label), "the certificate %s%s", hash_prefix,
                       buf_str(&hex));
    }
}

static bool read_hash(const char *hex, struct approver *out, struct err *err)
{
    AUTO(buf) struct buf bytes = BUF_INIT(X509_FINGERPRINT_LEN);

    if (!str_from_hex(hex, &bytes) || bytes.len != X509_FINGERPRINT_LEN) {
        return err_set(err, E_CONFIG,
                       "approvers: 'sha256:%.80s' is no SHA-256 fingerprint of a certificate", hex);
    }
    memcpy(out->fingerprint, bytes.data, X509_FINGERPRINT_LEN);
    name_by_hash(out);
    return true;
}

static bool read_file(const char *path, struct approver *out, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    if (!x509_bundle_read(path, &certs, err)) {
        return err_wrap(err, "approvers");
    }
    if (sk_X509_num(certs) != 1) {
        return err_set(err, E_CONFIG, "approvers: %s has %d certificates instead of one", path,
                       sk_X509_num(certs));
    }
    if (!x509_info(sk_X509_value(certs, 0), &info, err) ||
        !x509_fingerprint(sk_X509_value(certs, 0), out->fingerprint, err)) {
        return err_wrap(err, "approvers: %s", path);
    }
    out->cert = sk_X509_shift(certs);
    (void)snprintf(out->label, sizeof(out->label), "the certificate '%.120s'", info.subject);
    name_by_hash(out);
    return true;
}

/* [NAME=](user:NAME | sha256:HEX | /path/to/certificate.pem) */
static bool read_entry(char *entry, struct approver *out, struct err *err)
{
    char *equals = strchr(entry, '=');
    char *what = entry;

    if (equals != NULL && entry[0] != '/') {
        *equals = '\0';
        what = str_trim(equals + 1);
        const char *name = str_trim(entry);
        if (name[0] == '\0') {
            return err_set(err, E_CONFIG, "approvers: there is no name before '='");
        }
        if (!copy(out->identity, sizeof(out->identity), name, err)) {
            return false;
        }
    }
    if (str_starts_with(what, user_prefix)) {
        return read_user(what + strlen(user_prefix), out, err);
    }
    if (str_starts_with(what, hash_prefix)) {
        return read_hash(what + strlen(hash_prefix), out, err);
    }
    return what[0] == '/' ? read_file(what, out, err)
                          : err_set(err, E_CONFIG,
                                    "approvers: '%.80s' is neither user:NAME, nor "
                                    "sha256:FINGERPRINT, nor the absolute path of a certificate",
                                    what);
}

bool approvers_read(const char *text, struct approvers *out, struct err *err)
{
    AUTO(str) char *copied = str_dup(text != NULL ? text : "");
    char *save = NULL;

    out->count = 0;
    if (copied == NULL) {
        return err_nomem(err);
    }
    for (char *word = strtok_r(copied, ",", &save); word != NULL;
         word = strtok_r(NULL, ",", &save)) {
        if (out->count == APPROVERS_MAX) {
            approvers_done(out);
            return err_set(err, E_CONFIG, "approvers: more than %d", APPROVERS_MAX);
        }
        struct approver *next = &out->list[out->count];
        *next = (struct approver){.cert = NULL};
        if (!read_entry(str_trim(word), next, err)) {
            approvers_done(out);
            return false;
        }
        out->count++;
    }
    return true;
}

const struct approver *approvers_find_cert(const struct approvers *approvers, X509 *cert)
{
    uint8_t fingerprint[X509_FINGERPRINT_LEN];
    struct err ignored = ERR_INIT;

    if (!x509_fingerprint(cert, fingerprint, &ignored)) {
        return NULL;
    }
    for (size_t i = 0; i < approvers->count; i++) {
        const struct approver *a = &approvers->list[i];
        if (a->user[0] == '\0' && memcmp(a->fingerprint, fingerprint, sizeof(fingerprint)) == 0) {
            return a;
        }
    }
    return NULL;
}

const struct approver *approvers_find_user(const struct approvers *approvers, const char *user)
{
    for (size_t i = 0; i < approvers->count; i++) {
        if (approvers->list[i].user[0] != '\0' && str_equal(approvers->list[i].user, user)) {
            return &approvers->list[i];
        }
    }
    return NULL;
}

STACK_OF(X509) * approvers_certs(const struct approvers *approvers)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = sk_X509_new_null();

    for (size_t i = 0; certs != NULL && i < approvers->count; i++) {
        X509 *cert = approvers->list[i].cert;
        if (cert == NULL) {
            continue;
        }
        if (X509_up_ref(cert) != 1) {
            return NULL;
        }
        if (sk_X509_push(certs, cert) <= 0) {
            X509_free(cert);
            return NULL;
        }
    }
    return TAKE(certs);
}

static bool is_first_of(const struct approvers *approvers, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (str_equal(approvers->list[i].identity, approvers->list[at].identity)) {
            return false;
        }
    }
    return true;
}

size_t approvers_who_may(const struct approvers *approvers, const struct order *order, bool own)
{
    size_t count = 0;

    for (size_t i = 0; i < approvers->count; i++) {
        const char *identity = approvers->list[i].identity;
        count +=
            is_first_of(approvers, i) && (own || !order_has_requester(order, identity)) ? 1 : 0;
    }
    return count;
}

static bool any_name(const struct order *order, const char *pattern)
{
    AUTO(str) char *names = str_dup(order->names);
    char *save = NULL;

    if (names == NULL) {
        return true; /* out of memory: rather ask than not */
    }
    for (char *name = strtok_r(names, ",", &save); name != NULL;
         name = strtok_r(NULL, ",", &save)) {
        if (pattern == NULL ? name[0] == '*' : fnmatch(pattern, name, FNM_CASEFOLD) == 0) {
            return true;
        }
    }
    return false;
}

/* What the CA does not tell (of an account's own product, of a number that the journal does not
 * know) may be what the rule means: rather ask than not. */
static bool has_name(const struct order *order)
{
    return order->product != NULL && order->product_id != 0 &&
           !str_equal(order->product, APP_OWN_PRODUCT);
}

static bool is_product(const struct order *order, const char *wanted)
{
    uint64_t number = 0;

    if (str_to_u64(wanted, INT64_MAX, &number)) {
        return order->product_id == 0 || order->product_id == (int64_t)number;
    }
    return !has_name(order) || str_equal_nocase(order->product, wanted);
}

static bool is_ev(const struct order *order)
{
    struct ca_product product = {.name = order->product};

    return !has_name(order) || str_equal(order->validation, "EV") || ca_product_is_ev(&product);
}

static bool word_fits(const char *word, const struct order *order, bool *fits, struct err *err)
{
    static const char product[] = "product:";
    static const char name[] = "name:";

    if (str_equal(word, "always")) {
        *fits = true;
    } else if (str_equal(word, "ev")) {
        *fits = *fits || is_ev(order);
    } else if (str_equal(word, "wildcard")) {
        *fits = *fits || any_name(order, NULL);
    } else if (str_starts_with(word, product) && word[strlen(product)] != '\0') {
        *fits = *fits || is_product(order, word + strlen(product));
    } else if (str_starts_with(word, name) && word[strlen(name)] != '\0') {
        *fits = *fits || any_name(order, word + strlen(name));
    } else {
        return err_set(err, E_CONFIG,
                       "approval_for: '%.60s' is none of always, ev, wildcard, product:ID|NAME, "
                       "name:PATTERN",
                       word);
    }
    return true;
}

bool approval_rule_fits(const char *rule, const struct order *order, bool *fits, struct err *err)
{
    AUTO(str) char *words = str_dup(rule);
    char *save = NULL;

    if (words == NULL) {
        return err_nomem(err);
    }
    *fits = false;
    for (char *word = strtok_r(words, ",", &save); word != NULL;
         word = strtok_r(NULL, ",", &save)) {
        if (!word_fits(str_trim(word), order, fits, err)) {
            return false;
        }
    }
    return true;
}

bool approval_is_needed(const struct config_approval *settings, const struct order *order,
                        bool *needed, struct err *err)
{
    *needed = false;
    if (!str_equal(settings->rule, "required")) {
        return true;
    }
    return approval_rule_fits(settings->rule_for != NULL ? settings->rule_for : "always", order,
                              needed, err);
}
