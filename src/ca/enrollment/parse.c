#include "ca/enrollment/enrollment.h"

#include "base/str.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CSR_CHARS_MAX = 32767, REQUESTER_MAX = 512 };

bool enrollment_parse_fields(const char *list, unsigned *out, struct err *err)
{
    static const struct {
        const char *word;
        enum enrollment_field field;
    } words[] = {{"product", ENROLLMENT_PRODUCT},     {"term", ENROLLMENT_TERM},
                 {"names", ENROLLMENT_NAMES},         {"comments", ENROLLMENT_COMMENTS},
                 {"requester", ENROLLMENT_REQUESTER}, {"custom", ENROLLMENT_CUSTOM}};
    AUTO(str) char *copy = str_dup(list);
    char *save = NULL;
    unsigned fields = 0;

    if (copy == NULL) {
        return err_nomem(err);
    }
    for (char *word = strtok_r(copy, ", \t", &save); word != NULL;
         word = strtok_r(NULL, ", \t", &save)) {
        unsigned before = fields;
        for (size_t i = 0; i < ARRAY_LEN(words); i++) {
            fields |= str_equal(words[i].word, word) ? (unsigned)words[i].field : 0U;
        }
        if (fields == before && !str_equal(word, "none")) {
            return err_set(err, E_CONFIG,
                           "order_fields: '%.40s' is none of product, term, names, comments, "
                           "requester, custom "
                           "(each once), none",
                           word);
        }
    }
    *out = fields;
    return true;
}

bool enrollment_take_id(const char *text, struct enrollment_id *out)
{
    static const char plain[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~:";
    size_t len = strlen(text);

    /* dots alone would walk up the path */
    if (len == 0 || len > ENROLLMENT_ID_MAX || strspn(text, plain) < len ||
        strspn(text, ".") == len || strspn(text, "0") == len) {
        return false;
    }
    (void)snprintf(out->text, sizeof(out->text), "%s", text);
    return true;
}

static bool take_id(const json *doc, const char *name, struct enrollment_id *out)
{
    const char *text = NULL;
    int64_t number = 0;

    if (json_find_string(doc, name, &text)) {
        return enrollment_take_id(text, out);
    }
    if (!json_find_int(doc, name, &number) || number <= 0) {
        return false;
    }
    (void)snprintf(out->text, sizeof(out->text), "%lld", (long long)number);
    return true;
}

bool enrollment_parse_id(const json *doc, struct enrollment_id *out, struct err *err)
{
    static const char *const names[] = {"id", "certId", "certificateId", "sslId"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (take_id(doc, names[i], out)) {
            return true;
        }
    }
    return err_set(err, E_PROTOCOL, "the answer names no certificate ('id' or 'certId')");
}

bool enrollment_read_state(const char *state, struct enrollment_id *out, struct err *err)
{
    AUTO(json) json *doc = NULL;

    if (state == NULL || !json_parse((const uint8_t *)state, strlen(state), &doc, err) ||
        !take_id(doc, "id", out)) {
        return err_set(err, E_JOURNAL, "the journal has no usable id for this order");
    }
    return true;
}

char *enrollment_make_state(const struct enrollment_id *id, bool replaces)
{
    AUTO(json) json *doc = json_new_object();
    AUTO(buf) struct buf text = BUF_INIT(256);
    struct err ignored = ERR_INIT;

    if (doc == NULL || !json_add_string(doc, "id", id->text) ||
        (replaces && !json_add_bool(doc, "replaces", true)) || !json_print(doc, &text, &ignored)) {
        return NULL;
    }
    return str_dup(buf_str(&text));
}

bool enrollment_state_replaces(const char *state)
{
    AUTO(json) json *doc = NULL;
    struct err ignored = ERR_INIT;
    bool replaces = false;

    return json_parse((const uint8_t *)state, strlen(state), &doc, &ignored) &&
           json_find_bool(doc, "replaces", &replaces) && replaces;
}

/* Words that this API has beside those of the other one. */
static enum ca_phase phase_of(const char *word)
{
    static const char *const done[] = {"ready", "collectable", "collected"};

    for (size_t i = 0; i < ARRAY_LEN(done); i++) {
        if (str_equal_nocase(done[i], word)) {
            return CA_ISSUED;
        }
    }
    return scm_phase(word);
}

bool enrollment_parse_status(const json *doc, struct enrollment_status *out, struct err *err)
{
    static const char *const names[] = {"status", "state", "certificateStatus"};
    AUTO(buf) struct buf quoted = BUF_INIT(256);
    const char *word = NULL;

    for (size_t i = 0; word == NULL && i < ARRAY_LEN(names); i++) {
        (void)json_find_string(doc, names[i], &word);
    }
    if (word == NULL || word[0] == '\0') {
        return err_set(err, E_PROTOCOL,
                       "the answer has no status ('status', 'state' or 'certificateStatus')");
    }
    *out = (struct enrollment_status){.phase = phase_of(word),
                                      .revoked = str_equal_nocase(word, "revoked")};
    str_add_quotable(&quoted, word, strlen(word), 40);
    (void)snprintf(out->word, sizeof(out->word), "%.60s", buf_str(&quoted));
    return true;
}

bool enrollment_csr(const char *csr_pem, struct buf *out, struct err *err)
{
    AUTO(x509_req) X509_REQ *csr = NULL;
    unsigned char *der = NULL;

    if (!x509_csr_parse(csr_pem, &csr, err)) {
        return false;
    }
    int len = i2d_X509_REQ(csr, &der);
    if (len <= 0) {
        return err_set_ssl(err, E_INTERNAL, "encoding the certificate request");
    }
    size_t size = 4 * (((size_t)len + 2) / 3) + 1;
    unsigned char *text = malloc(size);
    if (text != NULL) {
        buf_add(out, text, (size_t)EVP_EncodeBlock(text, der, len));
    }
    free(text);
    OPENSSL_free(der);
    if (text == NULL) {
        return err_nomem(err);
    }
    return (buf_ok(out) && out->len <= CSR_CHARS_MAX) ||
           err_set(err, E_USAGE, "the certificate request is longer than the CA takes");
}

static bool add_csr(json *body, const char *csr_pem, struct err *err)
{
    AUTO(buf) struct buf csr = BUF_INIT(2 * CSR_CHARS_MAX);

    /* before there is a request it is only looked whether the rest could be sent */
    if (csr_pem[0] != '\0' && !enrollment_csr(csr_pem, &csr, err)) {
        return false;
    }
    return json_add_string(body, "csr", buf_str(&csr)) || err_nomem(err);
}

static bool add_names(json *body, const struct ca_request *request, struct err *err)
{
    if (request->csr_pem[0] == '\0' || !scm_wants_names(request)) {
        return true;
    }
    AUTO(str) char *names = x509_names_join(request->names, ',');
    return (names != NULL && json_add_string(body, "subjAltNames", names)) || err_nomem(err);
}

static bool add_requester(json *body, const struct ca_request *request, struct err *err)
{
    const char *requester = request->external_requester;

    if (requester == NULL || requester[0] == '\0') {
        return true;
    }
    if (strlen(requester) > REQUESTER_MAX) {
        return err_set(err, E_CONFIG, "external_requester: longer than %d characters",
                       REQUESTER_MAX);
    }
    return json_add_string(body, "externalRequester", requester) || err_nomem(err);
}

static bool has(unsigned fields, enum enrollment_field field)
{
    return (fields & (unsigned)field) != 0;
}

bool enrollment_build(const struct ca_request *request, unsigned fields, struct buf *out,
                      struct err *err)
{
    AUTO(json) json *body = json_new_object();

    if (body == NULL) {
        return err_nomem(err);
    }
    if (request->how == CA_RENEW) { /* as it is: the object may not be missing */
        return json_print(body, out, err);
    }
    if (!add_csr(body, request->csr_pem, err)) {
        return false;
    }
    if (request->how == CA_REPLACE) {
        return (!has(fields, ENROLLMENT_NAMES) || add_names(body, request, err)) &&
               json_print(body, out, err);
    }
    if (has(fields, ENROLLMENT_PRODUCT) && request->product_id > 0 &&
        !json_add_int(body, "productId", request->product_id)) {
        return err_nomem(err);
    }
    if (has(fields, ENROLLMENT_TERM) && request->term_days > 0 &&
        !json_add_int(body, "term", request->term_days)) {
        return err_nomem(err);
    }
    if (has(fields, ENROLLMENT_NAMES) && !add_names(body, request, err)) {
        return false;
    }
    if (has(fields, ENROLLMENT_COMMENTS) && !scm_add_comments(body, request, err)) {
        return false;
    }
    if (has(fields, ENROLLMENT_REQUESTER) && !add_requester(body, request, err)) {
        return false;
    }
    if (has(fields, ENROLLMENT_CUSTOM) && request->custom_fields != NULL &&
        !scm_add_custom_fields(body, request->custom_fields, err)) {
        return false;
    }
    return json_print(body, out, err);
}

bool enrollment_build_revoke(const struct ca_revocation *revocation, struct buf *out,
                             struct err *err)
{
    AUTO(json) json *body = json_new_object();
    size_t len = revocation->text != NULL ? strlen(revocation->text) : 0;

    if (len == 0 || len > CA_REASON_TEXT_MAX) {
        return err_set(err, E_USAGE, "the CA wants a reason of 1 to %d characters for a revocation",
                       CA_REASON_TEXT_MAX);
    }
    if (body == NULL || !json_add_string(body, "message", revocation->text) ||
        !json_add_int(body, "reasonCode", revocation->reason)) {
        return err_nomem(err);
    }
    return json_print(body, out, err);
}

static bool is_wanted(X509 *cert, const uint8_t *spki_hash)
{
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct err ignored = ERR_INIT;

    if (spki_hash == NULL) {
        bool ca = X509_check_ca(cert) != 0;
        ERR_clear_error();
        return !ca;
    }
    return x509_cert_spki_hash(cert, hash, &ignored) && memcmp(hash, spki_hash, sizeof(hash)) == 0;
}

bool enrollment_pick(const struct buf *answer, const uint8_t *spki_hash, STACK_OF(X509) * *certs,
                     X509 **leaf, struct err *err)
{
    if (!x509_bundle_parse(answer->data, answer->len, certs, err)) {
        return false;
    }
    for (int i = 0; i < sk_X509_num(*certs); i++) {
        X509 *cert = sk_X509_value(*certs, i);
        if (is_wanted(cert, spki_hash)) {
            *leaf = cert;
            return true;
        }
    }
    return err_set(err, E_CERT_REJECTED, "none of the %d certificates is %s", sk_X509_num(*certs),
                   spki_hash != NULL ? "for that key" : "other than a CA's");
}
