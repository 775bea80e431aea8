/* The key kinds we generate and use: one table of names, sizes, OIDs and mechanisms. */
#ifndef HSM_ALG_H
#define HSM_ALG_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/cryptoki.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PKCS#11 3.0; p11-kit's header has only the Edwards half. */
#ifndef CKK_EC_MONTGOMERY
#define CKK_EC_MONTGOMERY 0x41UL
#endif

enum hsm_key_type {
    HSM_KEY_OTHER,
    HSM_KEY_RSA,
    HSM_KEY_EC,         /* the NIST curves: ECDSA, ECDH */
    HSM_KEY_ED,         /* Ed25519, Ed448: EdDSA (RFC 8032) */
    HSM_KEY_MONTGOMERY, /* X25519, X448: key agreement (RFC 7748) */
};

struct hsm_curve {
    enum hsm_key_type type; /* which keys it is for */
    const char *name;       /* NIST's: "P-256" (also Sectigo's word); RFC 8410's: "Ed25519" */
    const char *group;      /* OpenSSL's: "prime256v1"; for Ed and X keys the key type "ED25519" */
    const uint8_t *oid_der; /* the value of CKA_EC_PARAMS: namedCurve, DER */
    size_t oid_der_len;
    const char *name_der; /* the other value of CKA_EC_PARAMS: the name as a PrintableString, DER */
    size_t field_bytes; /* of one coordinate; a raw signature has two of them. Ed and X keys: of the
                           public key */
    int bits;
    int security_bits;
};

/* What kind of key is wanted, or was found. */
struct hsm_key_spec {
    enum hsm_key_type type;
    int bits;                      /* RSA: of the modulus; otherwise of the curve */
    const struct hsm_curve *curve; /* NULL for RSA */
};

enum { HSM_RSA_MIN_BITS = 2048, HSM_RSA_MAX_BITS = 8192 };

/* Reads "rsa:3072", "RSA-3072", "ec:P-256", "P-384", "p521", "ed25519": keys that sign. E_USAGE
 * lists what there is. */
bool hsm_key_spec_parse(const char *text, struct hsm_key_spec *out, struct err *err) NODISCARD;

/* "RSA-3072", "EC P-256", "Ed25519"; a per-thread buffer. */
const char *hsm_key_spec_name(const struct hsm_key_spec *spec);

/* OpenSSL's name of the key type: "RSA", "EC", "ED25519"; NULL for HSM_KEY_OTHER. */
const char *hsm_key_spec_evp(const struct hsm_key_spec *spec);

bool hsm_key_spec_equal(const struct hsm_key_spec *a, const struct hsm_key_spec *b);

/*
 * The curve with that CKA_EC_PARAMS: an OID (also those of GnuPG's and OpenSC's time, before RFC
 * 8410) or a PrintableString with the curve's name (PKCS#11 3.0, section 2.3.10), DER. NULL if it
 * is none of ours.
 */
const struct hsm_curve *hsm_curve_by_params(const uint8_t *der, size_t len);

/* The curve with that name, either spelling; NULL if it is none that signs. */
const struct hsm_curve *hsm_curve_by_name(const char *name);

/*
 * The public key inside a CKA_EC_POINT: an uncompressed point (04 || X || Y) or, for Ed and X keys,
 * the bytes of RFC 8032 and RFC 7748. Modules store it raw, or wrapped in an OCTET STRING, or in a
 * BIT STRING; the length that the curve demands decides. NULL if nothing fits.
 */
const uint8_t *hsm_ec_point(const struct hsm_curve *curve, const uint8_t *value, size_t len,
                            size_t *point_len);

/* "RSA PKCS#1 v1.5 signatures" for the mechanisms that matter here; "CKM_RSA_PKCS" style for others
 * known. */
const char *hsm_mechanism_name(CK_MECHANISM_TYPE type);

#endif
