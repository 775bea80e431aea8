/* Inside the keystore folder: one row per format. */
#ifndef KEYSTORE_KS_H
#define KEYSTORE_KS_H

#include "keystore/keystore.h"

struct keystore {
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *default_provider;
    OSSL_PROVIDER *token_provider;
    struct secret_policy secrets;
};

struct keystore_format {
    const char *name;
    enum keystore_type type; /* AUTO: no file */
    /* True if the source is of this format. data is the beginning of its file, NULL for a URI. */
    bool (*matches)(const struct keystore_source *source, const uint8_t *data, size_t len);
    bool (*open)(struct keystore *keystore, const struct keystore_source *source,
                 struct keystore_identity *out, struct err *err);
};

extern const struct keystore_format ks_pem;
extern const struct keystore_format ks_pkcs12;
extern const struct keystore_format ks_jks;
extern const struct keystore_format ks_pkcs11;

/* ks_trust.c: what bytes are; AUTO: none of what is known. */
enum keystore_type ks_type_of(const uint8_t *data, size_t len);
const char *ks_type_name(enum keystore_type type);

/* Whether a file is what it is said to be. E_KEYSTORE, with the setting. */
bool ks_check_type(enum keystore_type wanted, const uint8_t *data, size_t len, const char *path,
                   const char *setting, struct err *err) NODISCARD;

/* The certificates of a file that may vouch for others, as of keystore_trust_open(). */
bool ks_pkcs12_trusted(const uint8_t *data, size_t len, const struct secret *password,
                       const char *path, STACK_OF(X509) * out, struct err *err) NODISCARD;
bool ks_jks_trusted(const uint8_t *data, size_t len, const struct secret *password,
                    const char *path, STACK_OF(X509) * out, struct err *err) NODISCARD;

/* Reads the password of a file, or of the key in it; unset if there is no source. */
bool ks_password(struct keystore *keystore, const struct keystore_source *source, const char *path,
                 struct secret *out, struct err *err) NODISCARD;
bool ks_key_password(struct keystore *keystore, const struct keystore_source *source,
                     const char *path, struct secret *out, struct err *err) NODISCARD;

/* How a certificate is tied to a key beyond its public key, in formats that say so; borrowed. */
struct ks_tie {
    const ASN1_STRING *key_id; /* localKeyID of the key; NULL: none */
    const char *alias;         /* that the user named; NULL: none */
    bool key_named;            /* the alias is the key's own */
};

/*
 * Splits certificates into the one of the key and its issuers. Of several certificates for the key,
 * what the user named by an alias goes first, then one that is valid now, then the one tied to the
 * key, then the one that lasts longest. tie may be NULL. E_KEYSTORE.
 */
bool ks_match(EVP_PKEY *key, STACK_OF(X509) * certs, const struct ks_tie *tie, const char *where,
              struct keystore_identity *out, struct err *err) NODISCARD;

#endif
