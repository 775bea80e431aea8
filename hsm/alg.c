#include "hsm/alg.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { TAG_BIT_STRING = 0x03, TAG_OCTET_STRING = 0x04 };
enum { POINT_UNCOMPRESSED = 0x04 };

static const uint8_t oid_p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
static const uint8_t oid_p521[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23};
/* RFC 8410, section 3 */
static const uint8_t oid_x25519[] = {0x06, 0x03, 0x2b, 0x65, 0x6e};
static const uint8_t oid_x448[] = {0x06, 0x03, 0x2b, 0x65, 0x6f};
static const uint8_t oid_ed25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
static const uint8_t oid_ed448[] = {0x06, 0x03, 0x2b, 0x65, 0x71};
/* what OpenPGP cards used before: 1.3.6.1.4.1.11591.15.1 and 1.3.6.1.4.1.3029.1.5.1 */
static const uint8_t oid_pgp_ed25519[] = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x04,
                                          0x01, 0xda, 0x47, 0x0f, 0x01};
static const uint8_t oid_pgp_cv25519[] = {0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04,
                                          0x01, 0x97, 0x55, 0x01, 0x05, 0x01};

/* clang-format off */
static const struct hsm_curve curves[] = {
    {HSM_KEY_EC,         "P-256",   "prime256v1", oid_p256,    sizeof(oid_p256),    "\x13\x09" "secp256r1",    32, 256, 128},
    {HSM_KEY_EC,         "P-384",   "secp384r1",  oid_p384,    sizeof(oid_p384),    "\x13\x09" "secp384r1",    48, 384, 192},
    {HSM_KEY_EC,         "P-521",   "secp521r1",  oid_p521,    sizeof(oid_p521),    "\x13\x09" "secp521r1",    66, 521, 256},
    {HSM_KEY_ED,         "Ed25519", "ED25519",    oid_ed25519, sizeof(oid_ed25519), "\x13\x0c" "edwards25519", 32, 256, 128},
    {HSM_KEY_ED,         "Ed448",   "ED448",      oid_ed448,   sizeof(oid_ed448),   "\x13\x0a" "edwards448",   57, 456, 224},
    {HSM_KEY_MONTGOMERY, "X25519",  "X25519",     oid_x25519,  sizeof(oid_x25519),  "\x13\x0a" "curve25519",   32, 253, 128},
    {HSM_KEY_MONTGOMERY, "X448",    "X448",       oid_x448,    sizeof(oid_x448),    "\x13\x08" "curve448",     56, 448, 224},
};

static const struct {
    const char *word; /* what people type, compared without case and punctuation */
    const char *curve;
} curve_words[] = {
    {"p256", "P-256"}, {"prime256v1", "P-256"}, {"secp256r1", "P-256"},
    {"p384", "P-384"}, {"secp384r1", "P-384"},
    {"p521", "P-521"}, {"secp521r1", "P-521"},
    {"ed25519", "Ed25519"}, {"edwards25519", "Ed25519"},
    {"ed448", "Ed448"}, {"edwards448", "Ed448"},
};

/* What else stands in CKA_EC_PARAMS. */
static const struct {
    const uint8_t *oid_der;
    size_t oid_der_len;
    const char *curve;
} other_oids[] = {
    {oid_pgp_ed25519, sizeof(oid_pgp_ed25519), "Ed25519"},
    {oid_pgp_cv25519, sizeof(oid_pgp_cv25519), "X25519"},
};

static const struct {
    CK_MECHANISM_TYPE type;
    const char *name;
} mechanism_names[] = {
    {CKM_RSA_PKCS_KEY_PAIR_GEN, "RSA key generation"},
    {CKM_RSA_PKCS,              "RSA PKCS#1 v1.5"},
    {CKM_RSA_X_509,             "RSA without padding"},
    {CKM_SHA256_RSA_PKCS,       "RSA PKCS#1 v1.5 with SHA-256"},
    {CKM_SHA384_RSA_PKCS,       "RSA PKCS#1 v1.5 with SHA-384"},
    {CKM_SHA512_RSA_PKCS,       "RSA PKCS#1 v1.5 with SHA-512"},
    {CKM_RSA_PKCS_PSS,          "RSA PSS"},
    {CKM_SHA256_RSA_PKCS_PSS,   "RSA PSS with SHA-256"},
    {CKM_SHA384_RSA_PKCS_PSS,   "RSA PSS with SHA-384"},
    {CKM_SHA512_RSA_PKCS_PSS,   "RSA PSS with SHA-512"},
    {CKM_RSA_PKCS_OAEP,         "RSA OAEP"},
    {CKM_EC_KEY_PAIR_GEN,       "EC key generation"},
    {CKM_ECDSA,                 "ECDSA"},
    {CKM_ECDSA_SHA256,          "ECDSA with SHA-256"},
    {CKM_ECDSA_SHA384,          "ECDSA with SHA-384"},
    {CKM_ECDSA_SHA512,          "ECDSA with SHA-512"},
    {CKM_ECDH1_DERIVE,          "ECDH"},
    {CKM_EC_EDWARDS_KEY_PAIR_GEN, "Edwards curve key generation"},
    {CKM_EDDSA,                 "EdDSA"},
};
/* clang-format on */

const char *hsm_mechanism_name(CK_MECHANISM_TYPE type)
{
    for (size_t i = 0; i < ARRAY_LEN(mechanism_names); i++) {
        if (mechanism_names[i].type == type) {
            return mechanism_names[i].name;
        }
    }
    return NULL;
}

static const struct hsm_curve *curve_called(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        if (str_equal(curves[i].name, name)) {
            return &curves[i];
        }
    }
    return NULL;
}

static bool is_same(const uint8_t *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

const struct hsm_curve *hsm_curve_by_params(const uint8_t *der, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        if (is_same(der, len, curves[i].oid_der, curves[i].oid_der_len) ||
            is_same(der, len, curves[i].name_der, strlen(curves[i].name_der))) {
            return &curves[i];
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(other_oids); i++) {
        if (is_same(der, len, other_oids[i].oid_der, other_oids[i].oid_der_len)) {
            return curve_called(other_oids[i].curve);
        }
    }
    return NULL;
}

/* Lower case, without '-', '_', ':' and ' '. A text that is too long for any name becomes empty. */
static void fold(const char *text, char *out, size_t size)
{
    size_t n = 0;

    for (; *text != '\0'; text++) {
        char c = *text;
        if (c == '-' || c == '_' || c == ':' || c == ' ') {
            continue;
        }
        if (n + 1 == size) {
            n = 0;
            break;
        }
        out[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[n] = '\0';
}

static const struct hsm_curve *curve_by_folded(const char *folded)
{
    for (size_t i = 0; i < ARRAY_LEN(curve_words); i++) {
        if (str_equal(curve_words[i].word, folded)) {
            return curve_called(curve_words[i].curve);
        }
    }
    return NULL;
}

const struct hsm_curve *hsm_curve_by_name(const char *name)
{
    char folded[32];

    fold(name, folded, sizeof(folded));
    return curve_by_folded(folded);
}

bool hsm_key_spec_parse(const char *text, struct hsm_key_spec *out, struct err *err)
{
    char folded[32];
    int bits = 0;

    fold(text, folded, sizeof(folded));
    if (str_starts_with(folded, "rsa")) {
        if (str_to_int(folded + 3, HSM_RSA_MIN_BITS, HSM_RSA_MAX_BITS, &bits) && bits % 256 == 0) {
            *out = (struct hsm_key_spec){.type = HSM_KEY_RSA, .bits = bits, .curve = NULL};
            return true;
        }
    } else {
        const char *name = str_starts_with(folded, "ec") ? folded + 2 : folded;
        const struct hsm_curve *curve = curve_by_folded(name);
        if (curve != NULL) {
            *out = (struct hsm_key_spec){.type = curve->type, .bits = curve->bits, .curve = curve};
            return true;
        }
    }
    return err_set(err, E_USAGE,
                   "'%.40s' is no key type: there are rsa:2048, rsa:3072, rsa:4096, ec:P-256, "
                   "ec:P-384, ec:P-521, ed25519 and ed448",
                   text);
}

const char *hsm_key_spec_name(const struct hsm_key_spec *spec)
{
    static _Thread_local char name[32];

    switch (spec->type) {
    case HSM_KEY_RSA:
        (void)snprintf(name, sizeof(name), "RSA-%d", spec->bits);
        return name;
    case HSM_KEY_EC:
        (void)snprintf(name, sizeof(name), "EC %s", spec->curve != NULL ? spec->curve->name : "?");
        return name;
    case HSM_KEY_ED:
    case HSM_KEY_MONTGOMERY:
        return spec->curve != NULL ? spec->curve->name : "?";
    case HSM_KEY_OTHER:
        break;
    }
    return "other";
}

const char *hsm_key_spec_evp(const struct hsm_key_spec *spec)
{
    switch (spec->type) {
    case HSM_KEY_RSA:
        return "RSA";
    case HSM_KEY_EC:
        return "EC";
    case HSM_KEY_ED:
    case HSM_KEY_MONTGOMERY:
        return spec->curve != NULL ? spec->curve->group : NULL;
    case HSM_KEY_OTHER:
        break;
    }
    return NULL;
}

bool hsm_key_spec_equal(const struct hsm_key_spec *a, const struct hsm_key_spec *b)
{
    return a->type == b->type && a->curve == b->curve && a->bits == b->bits;
}

/* Skips a DER header of that tag whose content fills the rest exactly; NULL if it is not one. */
static const uint8_t *unwrap(const uint8_t *der, size_t len, uint8_t tag, size_t *content_len)
{
    size_t header = 2;
    size_t content;

    if (len < 2 || der[0] != tag) {
        return NULL;
    }
    content = der[1];
    if (der[1] == 0x81) {
        if (len < 3) {
            return NULL;
        }
        content = der[2];
        header = 3;
    } else if (der[1] > 0x81) {
        return NULL;
    }
    if (content != len - header) {
        return NULL;
    }
    *content_len = content;
    return der + header;
}

static bool is_public_key(const struct hsm_curve *curve, const uint8_t *value, size_t len)
{
    return curve->type == HSM_KEY_EC
               ? len == 1 + 2 * curve->field_bytes && value[0] == POINT_UNCOMPRESSED
               : len == curve->field_bytes;
}

const uint8_t *hsm_ec_point(const struct hsm_curve *curve, const uint8_t *value, size_t len,
                            size_t *point_len)
{
    size_t inner_len = len;
    const uint8_t *inner = value;

    if (!is_public_key(curve, value, len)) {
        inner = unwrap(value, len, TAG_OCTET_STRING, &inner_len);
        if (inner == NULL) {
            inner = unwrap(value, len, TAG_BIT_STRING, &inner_len);
            if (inner != NULL && inner_len > 0 && inner[0] == 0) { /* no unused bits */
                inner++;
                inner_len--;
            }
        }
        if (inner == NULL || !is_public_key(curve, inner, inner_len)) {
            return NULL;
        }
    }
    *point_len = inner_len;
    return inner;
}
