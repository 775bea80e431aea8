/*
 * Keys on a token: found by URI, with their public half.
 *
 * The public half of a private key comes from wherever the token has it, in this order: the private
 * object itself (RSA modulus, EC point, CKA_PUBLIC_KEY_INFO), a public key object with the same id,
 * a certificate with the same id.
 */
#ifndef HSM_KEY_H
#define HSM_KEY_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/alg.h"
#include "hsm/attr.h"
#include "hsm/object.h"
#include "hsm/session.h"
#include "hsm/uri.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HSM_RSA_BYTES_MAX = 2048, HSM_POINT_MAX = 133 };

struct hsm_public {
    bool known;
    bool borrowed; /* from another object with the private key's id, which may be another key's
                    * (hsm_proof_check()) */
    /* RSA: big-endian, no leading zero bytes; owned */
    uint8_t *modulus;
    size_t modulus_len;
    uint8_t *exponent;
    size_t exponent_len;
    /* EC: uncompressed point; Ed and X keys: the public key as it is */
    uint8_t point[HSM_POINT_MAX];
    size_t point_len;
};

/* A copy of a private key among the session objects: SoftHSM reads the object's file for each use
 * of the original. Belongs to hsm/op.c, under the token's lock. */
struct hsm_copy {
    enum { HSM_COPY_NONE, HSM_COPY_IN_MAKING, HSM_COPY_READY, HSM_COPY_REFUSED } state;
    CK_OBJECT_HANDLE handle;
    unsigned sessions_epoch, objects_epoch; /* the token's, when it was made */
    unsigned uses;
};

struct hsm_key {
    struct hsm_token *token;
    CK_OBJECT_HANDLE handle;
    unsigned epoch; /* of the token's objects; see struct hsm_token */
    struct hsm_copy copy;
    CK_OBJECT_CLASS class; /* CKO_PRIVATE_KEY or CKO_PUBLIC_KEY */
    struct hsm_key_spec spec;
    struct hsm_id id;
    char *label;              /* owned, "" if it has none */
    bool always_authenticate; /* CKA_ALWAYS_AUTHENTICATE: a PIN for every operation */
    bool pss_only;            /* RSA, and CKA_ALLOWED_MECHANISMS lists PSS signatures alone */
    unsigned signs_digests, refuses_digests; /* bits by scheme; hsm/hashing.c, the token's lock */
    struct hsm_public public;
};

/* Frees what belongs to it, the copy on the token included. */
void hsm_key_done(struct hsm_key *key);

/*
 * Looks for the same key again, after its handle became invalid: same class, id, label, kind and
 * public half. E_OBJECT_MISSING, E_OBJECT_AMBIGUOUS.
 */
bool hsm_key_find_again(struct hsm_session *session, struct hsm_key *key,
                        struct err *err) NODISCARD;

/* Whether both are the same object of one token by their handles, and these are current. False also
 * says that the handles do not tell. */
bool hsm_key_is_same_object(const struct hsm_key *a, const struct hsm_key *b);

/* Reads the object behind a handle. With want_public, also finds the public half (it may stay
 * unknown). */
bool hsm_key_load(struct hsm_session *session, CK_OBJECT_HANDLE handle, CK_OBJECT_CLASS class,
                  bool want_public, struct hsm_key *key, struct err *err) NODISCARD;

/* Looks for the public half in the places named above. `public.known` tells; not finding it is no
 * error. */
bool hsm_key_find_public(struct hsm_session *session, struct hsm_key *key,
                         struct err *err) NODISCARD;

/* The same without touching the key, which other threads may use meanwhile; hsm_public_done() *out.
 */
bool hsm_key_search_public(struct hsm_session *session, const struct hsm_key *key,
                           struct hsm_public *out, struct err *err) NODISCARD;

/*
 * The one key of that class that the URI means. The caller has logged in, if that is needed.
 * With want_public its public half is looked for as well (one or two searches more).
 * E_OBJECT_MISSING; E_OBJECT_AMBIGUOUS with the candidates.
 */
bool hsm_key_find(struct hsm_session *session, const struct hsm_uri *uri, CK_OBJECT_CLASS class,
                  bool want_public, struct hsm_key *key, struct err *err) NODISCARD;

/*
 * The one private key that a URI names by label or id, in one search for everything of that name:
 * its public object usually has it as well, and then the public half is known. Where there are many
 * objects of one name, a search for private keys alone follows. Fails as hsm_key_find() does.
 */
bool hsm_key_find_pair(struct hsm_session *session, const struct hsm_uri *uri, struct hsm_key *key,
                       struct err *err) NODISCARD;

/* The error of a URI that matches nothing, or too much; used by the provider's store as well. */
bool hsm_key_none_found(const struct hsm_token *token, const struct hsm_uri *uri, const char *what,
                        struct err *err);
bool hsm_key_several_found(struct hsm_session *session, const struct hsm_uri *uri,
                           const struct hsm_handles *found, const char *what, struct err *err);

/* A URI that names this very object: token attributes, id, label, type. Strings owned by *uri. */
bool hsm_key_uri(const struct hsm_key *key, struct hsm_uri *uri, struct err *err) NODISCARD;

/* OpenSSL's name of the key's type: "RSA", "RSA-PSS", "EC", "ED25519"; NULL if it is none of ours.
 */
const char *hsm_key_evp_type(const struct hsm_key *key);

/* A URI for a file that outlives updates of the token: its label and serial, id, label, type. */
bool hsm_key_file_uri(const struct hsm_key *key, struct hsm_uri *uri, struct err *err) NODISCARD;

/* A software EVP_PKEY with the public half, in the default library context; EVP_PKEY_free() it.
 * E_TOKEN. */
bool hsm_key_public_evp(const struct hsm_key *key, EVP_PKEY **out, struct err *err) NODISCARD;

/* Takes the public half out of a SubjectPublicKeyInfo; false (no error) if it is none of our kinds.
 */
bool hsm_public_from_spki(const uint8_t *der, size_t len, struct hsm_key_spec *spec,
                          struct hsm_public *out);
bool hsm_public_from_x509(X509 *cert, struct hsm_key_spec *spec, struct hsm_public *out);

void hsm_public_done(struct hsm_public *public);

/* Same key: type, curve and numbers. False if either is unknown. */
bool hsm_public_equal(const struct hsm_key_spec *a_spec, const struct hsm_public *a,
                      const struct hsm_key_spec *b_spec, const struct hsm_public *b);

DEFINE_AUTO_DONE(hsm_key, struct hsm_key, hsm_key_done)
DEFINE_AUTO_DONE(hsm_public, struct hsm_public, hsm_public_done)

#endif
