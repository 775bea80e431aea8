/* Signing with a digest in front of it: the digest goes to the token or, where that hashes by
 * itself, the message. */
#include "provider/signature.h"

#include "hsm/hashing.h"
#include "provider/hashes.h"
#include "provider/prov_err.h"

CK_MECHANISM_TYPE prov_sig_hash(const struct prov_sig *sig)
{
    const struct prov_hash *hash = prov_hash_of(sig->md);

    return hash != NULL ? hash->hash : sig->md == NULL ? CKM_SHA256 : 0;
}

/* What the token is asked for if it is to hash. False if there is no such thing. */
static bool whole(struct prov_sig *sig, const struct prov_sig_kind *kind, struct hsm_sign *how)
{
    struct err ignored = ERR_INIT;
    CK_MECHANISM_TYPE mechanism = 0;

    return kind->how(sig, how, &ignored) && hsm_sign_mechanism(how, &mechanism);
}

/* A refused digest, told so that one knows what would work, or that nothing would. */
static bool explain(struct prov_sig *sig, const struct prov_sig_kind *kind, struct err *err)
{
    struct hsm_key *key = &sig->key->hsm;
    struct err ignored = ERR_INIT;
    struct hsm_sign how;
    CK_MECHANISM_TYPE mechanism = 0;

    if (err->native != CKR_MECHANISM_INVALID || !kind->how(sig, &how, &ignored)) {
        return false;
    }
    how.message = false;
    if (!hsm_sign_mechanism(&how, &mechanism) || hsm_token_can(key->token, mechanism)) {
        return false;
    }
    const char *name = hsm_mechanism_name(mechanism);
    return err_wrap(err, "the token signs neither digests (%s) nor messages (%s with %s)", name,
                    name, sig->md != NULL ? EVP_MD_get0_name(sig->md) : "any digest");
}

static bool only_messages(const struct prov_sig *sig, struct err *err)
{
    const struct hsm_key *key = &sig->key->hsm;

    return err_set_native(err, E_TOKEN, CKR_MECHANISM_INVALID,
                          "key '%s' on %s signs whole messages only, which the token hashes "
                          "itself, and was given a digest",
                          key->label, hsm_token_name(&key->token->info));
}

/* A digest without its message. */
static bool sign_digest(struct prov_sig *sig, const struct prov_sig_kind *kind, const uint8_t *in,
                        size_t in_len, uint8_t *out, size_t *out_len, struct err *err)
{
    struct hsm_sign how;
    bool has_other_way = whole(sig, kind, &how);

    if (has_other_way && hsm_hashing_of(&sig->key->hsm, &how) == HSM_HASHING_TOKENS) {
        return only_messages(sig, err);
    }
    if (kind->sign(sig, in, in_len, out, out_len, err)) {
        return true;
    }
    if (has_other_way && err->native == CKR_MECHANISM_INVALID &&
        hsm_hashing_refused(&sig->key->hsm, &how)) {
        return only_messages(sig, err);
    }
    return explain(sig, kind, err);
}

void prov_sig_sign_start(struct prov_sig *sig)
{
    if (prov_key_is_private(sig->key)) {
        prov_message_begin(&sig->message);
    }
}

bool prov_sig_sign_update(struct prov_sig *sig, const struct prov_sig_kind *kind,
                          const uint8_t *data, size_t len, struct err *err)
{
    struct hsm_sign how;

    if (!sig->hashing) {
        return err_set(err, E_USAGE, "no data is being hashed for this signature");
    }
    if (!prov_message_is_streamed(&sig->message) && EVP_DigestUpdate(sig->md_ctx, data, len) != 1) {
        return err_set(err, E_INTERNAL, "the digest '%s' fails", EVP_MD_get0_name(sig->md));
    }
    return sig->message.state == PROV_MESSAGE_NONE ||
           prov_message_add(&sig->message, sig->key, whole(sig, kind, &how) ? &how : NULL, data,
                            len, err);
}

static bool sign_message(struct prov_sig *sig, const struct prov_sig_kind *kind,
                         const struct hsm_sign *how, uint8_t *out, size_t *out_len, struct err *err)
{
    uint8_t raw[HSM_RSA_BYTES_MAX];
    size_t raw_len = sizeof(raw);

    return prov_message_sign(&sig->message, sig->key, how, raw, &raw_len, err) &&
           kind->encode(sig, raw, raw_len, out, out_len, err);
}

/* The digest first and, if the token does not take that, the message. */
static bool sign_either(struct prov_sig *sig, const struct prov_sig_kind *kind,
                        const struct hsm_sign *how, uint8_t *out, size_t *out_len, struct err *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t room = *out_len;
    unsigned len = 0;

    if (!prov_sig_finish(sig, digest, &len, err)) {
        return false;
    }
    if (kind->sign(sig, digest, len, out, out_len, err)) {
        return true;
    }
    if (how == NULL || sig->message.state != PROV_MESSAGE_KEPT ||
        err->native != CKR_MECHANISM_INVALID || !hsm_hashing_refused(&sig->key->hsm, how)) {
        return false;
    }
    err_clear(err);
    *out_len = room;
    return sign_message(sig, kind, how, out, out_len, err);
}

static bool wants_message(struct prov_sig *sig, const struct hsm_sign *how)
{
    return prov_message_is_streamed(&sig->message) ||
           (how != NULL && sig->message.state == PROV_MESSAGE_KEPT &&
            hsm_hashing_of(&sig->key->hsm, how) == HSM_HASHING_TOKENS);
}

bool prov_sig_sign_final(struct prov_sig *sig, const struct prov_sig_kind *kind, uint8_t *out,
                         size_t *out_len, struct err *err)
{
    struct hsm_sign how;
    const struct hsm_sign *message = whole(sig, kind, &how) ? &how : NULL;
    bool ok = false;

    /* Nothing more: but an empty message is one. */
    if (!prov_sig_sign_update(sig, kind, (const uint8_t *)"", 0, err)) {
        return false;
    }
    if (wants_message(sig, message)) {
        sig->hashing = false;
        ok = sign_message(sig, kind, message, out, out_len, err);
    } else {
        ok = sign_either(sig, kind, message, out, out_len, err);
    }
    prov_message_done(&sig->message);
    return ok || explain(sig, kind, err);
}

/* What comes before a signature: whether there is room for it, and a key that signs. */
static bool may_sign(const struct prov_sig *sig, size_t room, struct err *err)
{
    size_t max = prov_key_max_size(sig->key);

    if (room < max) {
        return err_set(err, E_USAGE, "the signature needs %zu bytes and there is room for %zu", max,
                       room);
    }
    return prov_key_is_private(sig->key) ||
           err_set(err, E_USAGE, "%s is a public key and cannot sign", prov_key_name(sig->key));
}

/* How a dispatch function ends. */
static int done(const struct prov_sig *sig, bool ok, size_t len, size_t *out_len,
                const struct err *err)
{
    if (!ok) {
        prov_raise(sig->ctx, err);
        return 0;
    }
    *out_len = len;
    return 1;
}

int prov_sig_op_sign(struct prov_sig *sig, prov_sign_fn *sign, unsigned char *out, size_t *out_len,
                     size_t room, const unsigned char *in, size_t in_len)
{
    struct err err = ERR_INIT;
    size_t len = room;

    if (out == NULL) {
        *out_len = prov_key_max_size(sig->key);
        return 1;
    }
    bool ok = may_sign(sig, room, &err) && sign(sig, in, in_len, out, &len, &err);
    return done(sig, ok, len, out_len, &err);
}

int prov_sig_op_sign_digest(struct prov_sig *sig, const struct prov_sig_kind *kind,
                            unsigned char *out, size_t *out_len, size_t room,
                            const unsigned char *in, size_t in_len)
{
    struct err err = ERR_INIT;
    size_t len = room;

    if (out == NULL) {
        *out_len = prov_key_max_size(sig->key);
        return 1;
    }
    bool ok = may_sign(sig, room, &err) && sign_digest(sig, kind, in, in_len, out, &len, &err);
    return done(sig, ok, len, out_len, &err);
}

int prov_sig_op_update(struct prov_sig *sig, const struct prov_sig_kind *kind,
                       const unsigned char *data, size_t len)
{
    struct err err = ERR_INIT;

    sig->fed = true;
    if (prov_sig_sign_update(sig, kind, data, len, &err)) {
        return 1;
    }
    prov_raise(sig->ctx, &err);
    return 0;
}

int prov_sig_op_final(struct prov_sig *sig, const struct prov_sig_kind *kind, unsigned char *out,
                      size_t *out_len, size_t room)
{
    struct err err = ERR_INIT;
    size_t len = room;

    if (out == NULL) {
        *out_len = prov_key_max_size(sig->key);
        return 1;
    }
    /* Asked before the digest is used up: the application may come again with more room. */
    bool ok = may_sign(sig, room, &err) && prov_sig_sign_final(sig, kind, out, &len, &err);
    return done(sig, ok, len, out_len, &err);
}

/* Ready for a message in one go: the first one, or the next one of the same kind. */
static bool begin_again(struct prov_sig *sig, struct err *err)
{
    if (sig->hashing || !sig->spent) {
        return true;
    }
    if (!prov_sig_digest_start(sig, NULL, err)) {
        return false;
    }
    prov_sig_sign_start(sig);
    return true;
}

int prov_sig_op_message(struct prov_sig *sig, const struct prov_sig_kind *kind, unsigned char *out,
                        size_t *out_len, size_t room, const unsigned char *in, size_t in_len)
{
    struct err err = ERR_INIT;
    size_t len = room;

    if (out == NULL) {
        *out_len = prov_key_max_size(sig->key);
        return 1;
    }
    if (!may_sign(sig, room, &err) || !begin_again(sig, &err)) {
        return done(sig, false, 0, out_len, &err);
    }
    bool ok = prov_sig_sign_update(sig, kind, in, in_len, &err) &&
              prov_sig_sign_final(sig, kind, out, &len, &err);
    sig->hashing = false; /* wherever it failed: nothing may be hashed twice */
    sig->spent = !sig->fed;
    return done(sig, ok, len, out_len, &err);
}
