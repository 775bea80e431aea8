/*
 * YubiHSM 2: a certificate about one key, like a YubiKey's, with extensions of an arc of its own.
 * Unlike a YubiKey it attests keys that were imported, too, and says so in one of them.
 */
#include "hsm/evidence.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#define YUBIHSM_ARC HSM_YUBICO_ARC "4."
#define ORIGIN_OID YUBIHSM_ARC "3"

DEFINE_AUTO(asn1_object, ASN1_OBJECT *, ASN1_OBJECT_free)

enum { GENERATED = 0x01, IMPORTED = 0x02, IMPORTED_WRAPPED = 0x10 };

/* Certificates of its issuers have extensions of that arc, and no origin. */
static bool find_about(struct hsm_attested *certs, struct err *err)
{
    X509 *any = NULL;

    for (size_t i = 0; i < certs->count; i++) {
        X509 *cert = certs->certs[i];
        if (hsm_has_extension_below(cert, ORIGIN_OID)) {
            if (certs->about != NULL) {
                return err_set(err, E_EVIDENCE, "there are attestations of several keys in it");
            }
            certs->about = cert;
        }
        any = any == NULL && hsm_has_extension_below(cert, YUBIHSM_ARC) ? cert : any;
    }
    certs->about = certs->about != NULL ? certs->about : any;
    return certs->about != NULL ||
           err_set(err, E_EVIDENCE, "no certificate in it has the extensions of a YubiHSM");
}

bool hsm_yubihsm_recognise(const uint8_t *data, size_t len)
{
    AUTO(hsm_attested) struct hsm_attested found = {.count = 0};
    struct err ignored = ERR_INIT;

    if (!hsm_attested_certs(data, len, &found, &ignored)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        if (hsm_has_extension_below(found.certs[i], YUBIHSM_ARC)) {
            return true;
        }
    }
    return false;
}

bool hsm_yubihsm_origin(const uint8_t *value, size_t len, struct hsm_attested *out, struct err *err)
{
    bool is_bits = len == 4 && value[0] == V_ASN1_BIT_STRING && value[1] == 2 && value[2] == 0;
    bool is_number = len == 3 && value[0] == V_ASN1_INTEGER && value[1] == 1 && value[2] < 0x80;

    if (!is_bits && !is_number) {
        return err_set(err, E_EVIDENCE,
                       "the attestation certificate has an origin of %zu bytes that is malformed",
                       len);
    }
    unsigned origin = value[len - 1];
    bool is_imported = (origin & (unsigned)(IMPORTED | IMPORTED_WRAPPED)) != 0;
    hsm_attested_fact(out, "origin", "%s",
                      origin == GENERATED                          ? "generated"
                      : (origin & (unsigned)IMPORTED_WRAPPED) != 0 ? "imported under wrap"
                      : is_imported                                ? "imported"
                                                                   : "unknown");
    if (origin != GENERATED) {
        out->why_not = is_imported ? "it says that the key was imported, so it was outside"
                                   : "it does not say in a known way that the key was made in it";
    }
    return true;
}

bool hsm_yubihsm_parse(const uint8_t *data, size_t len, struct hsm_attested *out, struct err *err)
{
    AUTO(asn1_object) ASN1_OBJECT *oid = OBJ_txt2obj(ORIGIN_OID, 1);

    if (oid == NULL) {
        return err_nomem(err);
    }
    if (!hsm_attested_certs(data, len, out, err) || !find_about(out, err)) {
        return false;
    }
    int at = X509_get_ext_by_OBJ(out->about, oid, -1);
    if (at < 0) {
        out->why_not = "it does not say whether the key was made in it or imported";
        return true;
    }
    if (X509_get_ext_by_OBJ(out->about, oid, at) >= 0) {
        return err_set(err, E_EVIDENCE,
                       "the attestation certificate has the extension " ORIGIN_OID " twice");
    }
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(out->about, at));
    return hsm_yubihsm_origin(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), out,
                              err);
}
