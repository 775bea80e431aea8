/*
 * Where keys come from: a PKCS#12 file, PEM files, or a PKCS#11 token.
 *
 * Everybody else works with EVP_PKEY and X509 and does not ask. A key in a token is opened through
 * our own OpenSSL provider, which lives in a library context of its own, so that nothing else in
 * the process (the module included) meets it. Only ks_pkcs11.c knows hsm.
 */
#ifndef KEYSTORE_KEYSTORE_H
#define KEYSTORE_KEYSTORE_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret_source.h"

#include <openssl/core.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keystore;

struct keystore_settings {
    OSSL_provider_init_fn *provider_init; /* of our provider */
    struct secret_policy secrets;         /* how PINs and passwords are asked for */
};

/* E_INTERNAL if OpenSSL does not accept the provider. */
bool keystore_new(const struct keystore_settings *settings, struct keystore **out,
                  struct err *err) NODISCARD;
void keystore_free(struct keystore *keystore);

/* A token as the configuration describes it; all borrowed, all may be NULL. */
struct keystore_token {
    const char *section; /* its name in the configuration */
    const char *module;
    const char *init_args;
    const char *quirks;
    const char *uri;        /* which token */
    const char *pin_source; /* NULL: prompt */
    bool pin_source_is_deliberate;
    bool try_pin_again;                        /* whatever became of the last one */
    bool so_generates, so_writes_certificates; /* the security officer has to */
    const char *so_pin_source;                 /* NULL: prompt */
};

struct hsm_access;

/* The same for those who see hsm themselves; it borrows from all three. */
void keystore_access(const struct keystore_token *token, const struct secret_policy *secrets,
                     struct hsm_access *out);

/* A key with the certificate that belongs to it. */
struct keystore_identity {
    EVP_PKEY *key;
    X509 *cert;
    STACK_OF(X509) * chain; /* its issuers, may be empty */
};

void keystore_identity_done(struct keystore_identity *identity);

/* What a file must be; AUTO: whichever its bytes say. */
enum keystore_type { KEYSTORE_AUTO, KEYSTORE_PEM, KEYSTORE_PKCS12, KEYSTORE_JKS };

struct keystore_source {
    const char *cert;  /* PKCS#12, JKS or PEM file, or pkcs11: URI; NULL: beside the key */
    const char *key;   /* PEM file or pkcs11: URI; NULL: in the cert file */
    const char *alias; /* PKCS#12: friendly name; JKS: entry */
    const char *password_source;     /* PKCS#12, JKS or encrypted PEM */
    const char *key_password_source; /* JKS: of the key; NULL: it has the file's */
    enum keystore_type type;
    struct keystore_token token; /* for a key in a token */
};

/*
 * Opens a client identity. The certificate must belong to the key. May log in to a token and may
 * prompt. E_KEYSTORE (file not understood, wrong password, no such alias, certificate and key do
 * not belong together), E_IO, and everything a token can fail with.
 */
bool keystore_open(struct keystore *keystore, const struct keystore_source *source,
                   struct keystore_identity *out, struct err *err) NODISCARD;

/* Certificates that may vouch for a server. */
struct keystore_trust {
    const char *path;
    enum keystore_type type;
    const char *password_source; /* PKCS#12, JKS; NULL: a JKS file's digest is not checked */
};

/*
 * Reads a trust store: all certificates of a PEM file; of a PKCS#12 file those that Java marks as
 * trusted, or else all that belong to no key in it; of a JKS file its trusted entries.
 * X509_STORE_free() it. May prompt. E_KEYSTORE, E_CONFIG (nothing in it), E_IO.
 */
bool keystore_trust_open(struct keystore *keystore, const struct keystore_trust *trust,
                         X509_STORE **out, struct err *err) NODISCARD;

enum { KEYSTORE_ID_MAX = 256 };

/* A private key in a token. */
struct keystore_key {
    EVP_PKEY *pkey;
    char *uri; /* names exactly this key; without secrets */
    char *label;
    uint8_t id[KEYSTORE_ID_MAX];
    size_t id_len;
    char kind[32]; /* "RSA-3072" */
};

void keystore_key_done(struct keystore_key *key);

/* Logs in to the token now, so that a wrong PIN is found out before anything else is done. */
bool keystore_login(struct keystore *keystore, const struct keystore_token *token,
                    struct err *err) NODISCARD;

/* A new random key id, to be written down before keystore_generate(). */
bool keystore_new_id(uint8_t id[static KEYSTORE_ID_MAX], size_t *len, struct err *err) NODISCARD;

/* A policy for new keys: its name, and its settings as lines of text. Both NULL: a signing key that
 * stays in the token. No text: one that is built in. */
struct keystore_policy {
    const char *name;
    const char *text;
};

/* What is to be made; all borrowed. */
struct keystore_new {
    struct keystore_policy policy;
    const char *key_type; /* as in the configuration ("rsa:3072"); NULL: the policy's first */
    const uint8_t *id;    /* random, from keystore_new_id() */
    size_t id_len;
    const char *label;
    /* May be NULL. Told a sentence when the token refuses attributes and is asked for less, with
     * all that is left out from then on; and without when there is something else to be told. */
    void (*told)(void *ctx, const char *left_out, const char *sentence);
    void *ctx;
};

/*
 * Generates a key under a policy, reads it back and checks it. Blocks, for minutes on a smartcard.
 * E_CONFIG, E_POLICY, E_OBJECT_EXISTS.
 */
bool keystore_generate(struct keystore *keystore, const struct keystore_token *token,
                       const struct keystore_new *wanted, struct keystore_key *out,
                       struct err *err) NODISCARD;

/* "RSA-3072" for "rsa:3072": how a CA's product names the kind. E_USAGE. */
bool keystore_kind_name(const char *key_type, char out[static 32], struct err *err) NODISCARD;

/* The kind that a policy means by a key type (NULL: its first), before anything is made. E_POLICY
 * if the policy does not allow it; E_CONFIG for a policy that is not understood, or that needs an
 * id other than one that was written down before. */
bool keystore_policy_kind(const struct keystore_policy *policy, const char *key_type,
                          char out[static 32], struct err *err) NODISCARD;

/* Whether a key of that kind (keystore_kind_name()) is one that public CAs do not accept. */
bool keystore_kind_is_private(const char *kind);

/* Whether an existing key is what keystore_generate() would have made. E_POLICY says what is not.
 */
bool keystore_check_policy(struct keystore *keystore, const struct keystore_token *token,
                           const char *key_uri, const struct keystore_policy *policy,
                           const char *key_type, struct err *err) NODISCARD;

/* Whether a key is known to be weak by its public half (RSA: ROCA, close primes). E_POLICY. */
bool keystore_check_strength(const struct keystore_key *key, struct err *err) NODISCARD;

/* Whether the public half that a key seems to have is its own, where another object lends it: one
 * signature. E_TOKEN. */
bool keystore_check_half(struct keystore *keystore, const struct keystore_token *token,
                         const char *key_uri, struct err *err) NODISCARD;

/* The one private key that the URI means (token attributes may be left to the token's
 * configuration). */
bool keystore_find(struct keystore *keystore, const struct keystore_token *token, const char *uri,
                   struct keystore_key *out, struct err *err) NODISCARD;

/* As keystore_find(), by id; *found tells whether there is one. */
bool keystore_find_id(struct keystore *keystore, const struct keystore_token *token,
                      const uint8_t *id, size_t id_len, bool *found, struct keystore_key *out,
                      struct err *err) NODISCARD;

/* A certificate on a token, as it was before something changed. Borrowed. */
struct keystore_old {
    X509 *cert;
    const char *label;
};

/* Is told what will be replaced before anything is written; false (with err) prevents it. */
typedef bool keystore_note_fn(void *ctx, const struct keystore_old *old, size_t count,
                              struct err *err);

struct keystore_put {
    X509 *cert;
    const char *label;      /* NULL: the key's */
    STACK_OF(X509) * chain; /* NULL: not to the token */
    bool keep_old;
    size_t max_size;          /* bytes that a certificate may have on this token; 0: any number */
    bool attestation_missing; /* refuse to write: see struct hsm_bind */
    keystore_note_fn *note;   /* may be NULL */
    void *note_ctx;
};

struct keystore_put_report {
    bool already_there;
    size_t chain_written, old_removed, foreign_left, newer_left;
    char *cert_uri; /* owned */
};

/*
 * Binds a certificate to a key in a token: same id and label, issuers beside it, earlier
 * certificates of the key removed after the new one was read back. Checks the public key first.
 * E_CERT_REJECTED, E_TOKEN, E_POLICY.
 */
bool keystore_put(struct keystore *keystore, const struct keystore_token *token,
                  const char *key_uri, const struct keystore_put *put,
                  struct keystore_put_report *report, struct err *err) NODISCARD;

/* Removes that very certificate of a key, and looks whether it is gone. *removed false: it was not
 * there. E_TOKEN. */
bool keystore_unbind(struct keystore *keystore, const struct keystore_token *token,
                     const char *key_uri, X509 *cert, bool *removed, struct err *err) NODISCARD;

/* A private key or a certificate on a token. All borrowed. */
struct keystore_item {
    X509 *cert; /* NULL: it is a key */
    const char *label, *uri;
    bool known; /* whose it is: the public half was found */
    uint8_t spki_hash[32];
};

/* Visits all private keys of a token, then all its certificates but the device's attestations. Logs
 * in. False from visit, with err, ends it. */
typedef bool keystore_visit_fn(void *ctx, const struct keystore_item *item, struct err *err);
bool keystore_survey(struct keystore *keystore, const struct keystore_token *token,
                     keystore_visit_fn *visit, void *ctx, struct err *err) NODISCARD;

/* A file that stands for a key in a token, for programs that take file names. */
struct keystore_wrapped {
    char *uri; /* as in the file; owned */
    char *pem; /* owned */
};

struct keystore_wrap {
    bool name_module, name_pin_source; /* name them in the URI; there is never a PIN in it */
};

/* E_USAGE: a PIN source is to be named and none is configured. */
bool keystore_wrap(struct keystore *keystore, const struct keystore_token *token,
                   const char *key_uri, const struct keystore_wrap *how,
                   struct keystore_wrapped *out, struct err *err) NODISCARD;
void keystore_wrapped_done(struct keystore_wrapped *wrapped);

/* Whether a PEM text is such a file, and not, say, a real private key. */
bool keystore_is_wrapped(const char *pem, size_t len);

DEFINE_AUTO_DONE(keystore_wrapped, struct keystore_wrapped, keystore_wrapped_done)
DEFINE_AUTO(keystore, struct keystore *, keystore_free)
DEFINE_AUTO_DONE(keystore_identity, struct keystore_identity, keystore_identity_done)
DEFINE_AUTO_DONE(keystore_key, struct keystore_key, keystore_key_done)

#endif
