/*
 * YubiKeys (PIV, firmware 4.3 and later): a certificate about the key in a slot, signed by the key
 * of slot f9, whose certificate leads to a root of Yubico. The module ykcs11 shows both as
 * certificate objects, the first one with the CKA_ID of the key.
 */
#include "hsm/evidence.h"

#include "base/str.h"
#include "hsm/cert.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define YUBICO_ARC HSM_YUBICO_ARC "3."

enum {
    EXT_FIRMWARE = 3,
    EXT_SERIAL = 7,
    EXT_POLICY = 8,
    EXT_FORM = 9,
    EXT_FIPS = 10,
    EXT_CSPN = 11
};

static const char *word(const char *const words[], size_t count, unsigned value)
{
    return value < count && words[value] != NULL ? words[value] : "unknown";
}

static bool malformed(const char *what, size_t len, struct err *err)
{
    return err_set(err, E_EVIDENCE,
                   "the attestation certificate has a %s of %zu bytes that is malformed", what,
                   len);
}

static bool add_serial(const uint8_t *value, size_t len, struct hsm_attested *out, struct err *err)
{
    const unsigned char *p = value;
    uint64_t serial = 0;

    (void)ERR_set_mark();
    ASN1_INTEGER *number = len <= 16 ? d2i_ASN1_INTEGER(NULL, &p, (long)len) : NULL;
    bool ok = number != NULL && p == value + len && ASN1_INTEGER_get_uint64(&serial, number) == 1;
    (void)ERR_pop_to_mark();
    ASN1_INTEGER_free(number);
    if (!ok) {
        return malformed("serial number", len, err);
    }
    hsm_attested_fact(out, "serial", "%llu", (unsigned long long)serial);
    return true;
}

static bool add_policy(const uint8_t *value, size_t len, struct hsm_attested *out, struct err *err)
{
    static const char *const pin[] = {NULL,     "never",      "once per session",
                                      "always", "match once", "match always"};
    static const char *const touch[] = {NULL, "never", "always", "cached for 15 s"};

    if (len != 2) {
        return malformed("PIN and touch policy", len, err);
    }
    hsm_attested_fact(out, "pin_policy", "%s", word(pin, ARRAY_LEN(pin), value[0]));
    hsm_attested_fact(out, "touch_policy", "%s", word(touch, ARRAY_LEN(touch), value[1]));
    return true;
}

static bool add_form(const uint8_t *value, size_t len, struct hsm_attested *out, struct err *err)
{
    static const char *const forms[] = {NULL,
                                        "USB-A keychain",
                                        "USB-A nano",
                                        "USB-C keychain",
                                        "USB-C nano",
                                        "USB-C and Lightning",
                                        "USB-A with fingerprint reader",
                                        "USB-C with fingerprint reader"};

    if (len != 1) {
        return malformed("form factor", len, err);
    }
    /* the two highest bits are flags */
    hsm_attested_fact(out, "form_factor", "%s%s", word(forms, ARRAY_LEN(forms), value[0] & 0x3fU),
                      (value[0] & 0x80U) != 0 ? ", FIPS series" : "");
    return true;
}

bool hsm_yubikey_extension(unsigned arc, const uint8_t *value, size_t len, struct hsm_attested *out,
                           struct err *err)
{
    switch (arc) {
    case EXT_FIRMWARE:
        if (len != 3) {
            return malformed("firmware version", len, err);
        }
        hsm_attested_fact(out, "firmware", "%u.%u.%u", value[0], value[1], value[2]);
        return true;
    case EXT_SERIAL:
        return add_serial(value, len, out, err);
    case EXT_POLICY:
        return add_policy(value, len, out, err);
    case EXT_FORM:
        return add_form(value, len, out, err);
    case EXT_FIPS:
        hsm_attested_fact(out, "certified", "FIPS 140");
        return true;
    case EXT_CSPN:
        hsm_attested_fact(out, "certified", "CSPN");
        return true;
    default:
        return true;
    }
}

/* The last arc of an OID of theirs; 0 for every other. */
static unsigned last_arc(const X509_EXTENSION *extension)
{
    char oid[80];
    uint64_t arc = 0;
    /* the accessor takes no const */
    const ASN1_OBJECT *object = X509_EXTENSION_get_object((X509_EXTENSION *)(uintptr_t)extension);

    if (OBJ_obj2txt(oid, sizeof(oid), object, 1) <= 0 || !str_starts_with(oid, YUBICO_ARC) ||
        !str_to_u64(oid + strlen(YUBICO_ARC), 1000, &arc)) {
        return 0;
    }
    return (unsigned)arc;
}

/* "9c" of "CN=YubiKey PIV Attestation 9c". */
static void add_slot(X509 *cert, struct hsm_attested *out)
{
    char name[80];
    int len =
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name));
    const char *space = len > 0 ? strrchr(name, ' ') : NULL;

    if (space != NULL && strlen(space + 1) == 2 &&
        strspn(space + 1, "0123456789abcdefABCDEF") == 2) {
        hsm_attested_fact(out, "slot", "%s", space + 1);
    }
}

static bool add_facts(X509 *cert, struct hsm_attested *out, struct err *err)
{
    uint64_t seen = 0;

    add_slot(cert, out);
    for (int i = 0; i < X509_get_ext_count(cert); i++) {
        X509_EXTENSION *extension = X509_get_ext(cert, i);
        unsigned arc = last_arc(extension);
        if (arc == 0 || arc >= 64) {
            continue;
        }
        if ((seen & (1ULL << arc)) != 0) {
            return err_set(err, E_EVIDENCE,
                           "the attestation certificate has the extension " YUBICO_ARC "%u twice",
                           arc);
        }
        seen |= 1ULL << arc;
        const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
        if (!hsm_yubikey_extension(arc, ASN1_STRING_get0_data(value),
                                   (size_t)ASN1_STRING_length(value), out, err)) {
            return false;
        }
    }
    return true;
}

bool hsm_yubikey_recognise(const uint8_t *data, size_t len)
{
    AUTO(hsm_attested) struct hsm_attested found = {.count = 0};
    struct err ignored = ERR_INIT;

    if (!hsm_attested_certs(data, len, &found, &ignored)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        if (hsm_has_extension_below(found.certs[i], YUBICO_ARC)) {
            return true;
        }
    }
    return false;
}

bool hsm_yubikey_parse(const uint8_t *data, size_t len, struct hsm_attested *out, struct err *err)
{
    if (!hsm_attested_certs(data, len, out, err)) {
        return false;
    }
    for (size_t i = 0; i < out->count; i++) {
        X509 *cert = out->certs[i];
        /* f9's own certificate may tell the firmware, too; it is the issuer of the other */
        bool is_issuer = X509_check_ca(cert) > 0;
        if (!is_issuer && hsm_has_extension_below(cert, YUBICO_ARC)) {
            if (out->about != NULL) {
                return err_set(err, E_EVIDENCE, "there are attestations of several keys in it");
            }
            out->about = cert;
        }
    }
    if (out->about == NULL) {
        return err_set(err, E_EVIDENCE,
                       "no certificate in it has the extensions of a YubiKey's attestation");
    }
    return add_facts(out->about, out, err);
}

/* The certificate whose key signed the attestation; NULL if it is not there. */
static X509 *issuer_of(X509 *about, X509 *const *certs, size_t count)
{
    X509 *found = NULL;

    (void)ERR_set_mark();
    for (size_t i = 0; found == NULL && i < count; i++) {
        EVP_PKEY *key = certs[i] != about && certs[i] != NULL ? X509_get0_pubkey(certs[i]) : NULL;
        if (key != NULL && X509_verify(about, key) == 1) {
            found = certs[i];
        }
    }
    (void)ERR_pop_to_mark();
    return found;
}

bool hsm_yubikey_payload(const uint8_t *data UNUSED, size_t len UNUSED,
                         const struct hsm_attested *attested, struct buf *out, struct err *err)
{
    AUTO(buf) struct buf pem = BUF_INIT(HSM_ATTESTATION_MAX);
    X509 *f9 = issuer_of(attested->about, attested->certs, attested->count);

    if (f9 == NULL) {
        return err_set(err, E_EVIDENCE,
                       "the certificate of slot f9, which signed the attestation, is not in it; "
                       "Sectigo wants exactly these two");
    }
    return hsm_add_pem(attested->about, &pem, err) && hsm_add_pem(f9, &pem, err) &&
           hsm_add_base64((const uint8_t *)buf_str(&pem), pem.len, out, err);
}

static bool is_of_key(X509 *cert, const struct hsm_key *key)
{
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};

    return hsm_public_from_x509(cert, &spec, &public) &&
           hsm_public_equal(&spec, &public, &key->spec, &key->public);
}

/* The attestation certificate of that very key among those with its id. */
static const struct hsm_cert *find_about(const struct hsm_certs *certs, const struct hsm_key *key,
                                         bool *other)
{
    *other = false;
    for (size_t i = 0; i < certs->count; i++) {
        X509 *cert = certs->list[i].x509;
        if (cert == NULL || !hsm_has_extension_below(cert, YUBICO_ARC)) {
            continue;
        }
        if (is_of_key(cert, key)) {
            return &certs->list[i];
        }
        *other = true;
    }
    return NULL;
}

/* Looks through all certificates: there are few on a YubiKey. */
static bool add_issuer(struct hsm_session *session, X509 *about, struct buf *out, struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs all = HSM_CERTS_INIT;
    struct hsm_uri any = {.type = HSM_URI_CERT};

    if (!hsm_certs_find(session, &any, &all, err)) {
        return false;
    }
    for (size_t i = 0; i < all.count; i++) {
        if (issuer_of(about, &all.list[i].x509, 1) != NULL) {
            return hsm_add_pem(all.list[i].x509, out, err);
        }
    }
    return err_set(err, E_EVIDENCE,
                   "%s shows no certificate of slot f9 for the attestation; its owner may have "
                   "written over it, and it cannot be restored",
                   hsm_token_name(&session->token->info));
}

bool hsm_yubikey_collect(struct hsm_session *session, const struct hsm_key *key, struct buf *out,
                         struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    struct hsm_uri uri = {.id = key->id};
    bool other = false;

    if (!key->id.set || key->id.len == 0) {
        return true;
    }
    if (!hsm_certs_find(session, &uri, &certs, err)) {
        return false;
    }
    const struct hsm_cert *about = find_about(&certs, key, &other);
    if (about == NULL && other) {
        return err_set(err, E_EVIDENCE,
                       "%s has an attestation certificate with the id of key '%s', and it is of "
                       "another key",
                       hsm_token_name(&session->token->info), key->label);
    }
    return about == NULL ||
           (hsm_add_pem(about->x509, out, err) && add_issuer(session, about->x509, out, err));
}
