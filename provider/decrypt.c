#include "provider/decrypt.h"

#include "base/cleanup.h"
#include "hsm/op.h"
#include "provider/unpad.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>

/* clang-format off */
static const struct {
    int nid;
    CK_MECHANISM_TYPE hash;
    CK_RSA_PKCS_MGF_TYPE mgf;
} oaep_hashes[] = {
    {NID_sha1,   CKM_SHA_1,  CKG_MGF1_SHA1},
    {NID_sha224, CKM_SHA224, CKG_MGF1_SHA224},
    {NID_sha256, CKM_SHA256, CKG_MGF1_SHA256},
    {NID_sha384, CKM_SHA384, CKG_MGF1_SHA384},
    {NID_sha512, CKM_SHA512, CKG_MGF1_SHA512},
};

/* The token does not do that: said before it has looked at any ciphertext. */
static const CK_RV refusals[] = {
    CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED,
};

/* What modules answer to wrong padding. SoftHSM knows only the general error. */
static const CK_RV padding_errors[] = {
    CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_DATA_INVALID, CKR_DATA_LEN_RANGE,
    CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED,
};
/* clang-format on */

static bool is_one_of(unsigned long rv, const CK_RV *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == rv) {
            return true;
        }
    }
    return false;
}

/* A block of the modulus' size that is wiped. */
struct block {
    uint8_t bytes[HSM_RSA_BYTES_MAX];
};

static void block_done(struct block *block)
{
    OPENSSL_cleanse(block, sizeof(*block));
}

/* What wrong padding is answered with, wiped as well. */
struct rejection {
    uint8_t secret[PROV_REJECTION_BYTES];
    struct unpad_stand_in stand_in;
};

static void rejection_done(struct rejection *rejection)
{
    OPENSSL_cleanse(rejection, sizeof(*rejection));
}

DEFINE_AUTO(md, EVP_MD *, EVP_MD_free)
DEFINE_AUTO_DONE(rejection, struct rejection, rejection_done)
DEFINE_AUTO_DONE(block, struct block, block_done)

static bool decrypt(struct prov_cipher *cipher, const struct hsm_decrypt *how, const uint8_t *in,
                    size_t size, uint8_t *out, size_t *out_len, struct err *err)
{
    const struct hsm_pin pin = prov_key_pin(cipher->key);

    /* A module that uses libcrypto itself leaves its errors in this thread's queue: among them what
     * was wrong with the padding. */
    (void)ERR_set_mark();
    bool ok = hsm_decrypt(&cipher->key->hsm, how, &pin, in, size, out, out_len, err);
    (void)ERR_pop_to_mark();
    if (ok) {
        return true;
    }
    return err->native == CKR_KEY_FUNCTION_NOT_PERMITTED
               ? err_wrap(err, "the key was not made for decryption (CKA_DECRYPT)")
               : false;
}

/* The decrypted block, padding and all; some modules leave out its leading zeros. `refused` is set
 * as in struct hsm_decrypt, and may be NULL. */
static bool decrypt_raw(struct prov_cipher *cipher, const uint8_t *in, size_t size, uint8_t *em,
                        bool *refused, struct err *err)
{
    const struct hsm_decrypt how = {.scheme = HSM_DECRYPT_RSA_RAW, .refused_at_init = refused};
    size_t len = size;

    if (!decrypt(cipher, &how, in, size, em, &len, err)) {
        return false;
    }
    memmove(em + (size - len), em, len);
    memset(em, 0, size - len);
    return true;
}

/* Bits of prov_key.refused: a refusal costs a session, and would each time. */
static const unsigned refused_raw = 1;

static unsigned refused_oaep(size_t hash, size_t mgf)
{
    return 2U << (hash * ARRAY_LEN(oaep_hashes) + mgf);
}

static bool is_refused(const struct prov_cipher *cipher, unsigned what)
{
    return (atomic_load(&cipher->key->refused) & what) != 0;
}

/*
 * True if err says that the token will not do it at all; that is remembered, and err cleared. Only
 * what C_DecryptInit refused counts: C_Decrypt has seen the ciphertext, and whoever sent that must
 * not choose the way that the next one is decrypted.
 */
static bool note_refusal(struct prov_cipher *cipher, unsigned what, bool at_init, struct err *err)
{
    if (!at_init || !is_one_of(err->native, refusals, ARRAY_LEN(refusals))) {
        return false;
    }
    atomic_fetch_or(&cipher->key->refused, what);
    err_clear(err);
    return true;
}

static bool has_raw(const struct prov_cipher *cipher)
{
    return hsm_token_can(cipher->key->hsm.token, CKM_RSA_X_509) && !is_refused(cipher, refused_raw);
}

/* With the token's own PKCS#1 v1.5, whose answer becomes a block again, right or wrong. */
static bool decrypt_and_rebuild(struct prov_cipher *cipher, const uint8_t *in, size_t size,
                                uint8_t *em, struct err *err)
{
    const struct hsm_decrypt how = {.scheme = HSM_DECRYPT_RSA_PKCS1};
    AUTO(block) struct block message;
    size_t len = size;
    bool ok = decrypt(cipher, &how, in, size, message.bytes, &len, err);

    if (!ok && !is_one_of(err->native, padding_errors, ARRAY_LEN(padding_errors))) {
        return false;
    }
    err_clear(err);
    unpad_rebuild(ok ? message.bytes : NULL, len, em, size);
    return true;
}

/*
 * A block with PKCS#1 v1.5 padding that nobody has looked at yet. Without padding, the token cannot
 * tell right from wrong, neither by its return code nor by the time that an error takes.
 */
static bool decrypt_block(struct prov_cipher *cipher, const uint8_t *in, size_t size, uint8_t *em,
                          struct err *err)
{
    bool refused = false;

    if (has_raw(cipher)) {
        if (decrypt_raw(cipher, in, size, em, &refused, err)) {
            return true;
        }
        if (!note_refusal(cipher, refused_raw, refused, err)) {
            return false;
        }
    }
    return decrypt_and_rebuild(cipher, in, size, em, err);
}

static bool decrypt_pkcs1(struct prov_cipher *cipher, const uint8_t *in, size_t size, uint8_t *out,
                          size_t *out_len, struct err *err)
{
    AUTO(block) struct block em;
    AUTO(rejection) struct rejection rejection;
    bool good = false;

    if (!prov_ctx_rejection_secret(cipher->ctx, rejection.secret, err) ||
        !decrypt_block(cipher, in, size, em.bytes, err)) {
        return false;
    }
    if (!unpad_stand_in(prov_ctx_libctx(cipher->ctx), rejection.secret, in, size,
                        &rejection.stand_in)) {
        return err_set(err, E_INTERNAL, "decryption needs HMAC with SHA-256");
    }
    *out_len = unpad_pkcs1(em.bytes, &rejection.stand_in, out, &good);
    if (cipher->explicit_rejection && !good) {
        return err_set(err, E_TOKEN, "this was not encrypted for key '%s' on %s",
                       cipher->key->hsm.label, hsm_token_name(&cipher->key->hsm.token->info));
    }
    return true;
}

/* Asked before anything is decrypted, so that a failure tells nothing. */
static bool decrypt_premaster(struct prov_cipher *cipher, const uint8_t *in, size_t size,
                              uint8_t *out, size_t *out_len, struct err *err)
{
    AUTO(block) struct block em;

    if (cipher->tls_versions[0] == 0) {
        return err_set(err, E_USAGE, "the version that the TLS client offered is not given");
    }
    if (RAND_priv_bytes_ex(prov_ctx_libctx(cipher->ctx), out, UNPAD_PREMASTER_BYTES, 0) != 1) {
        return err_set(err, E_INTERNAL, "no random bytes for decryption");
    }
    if (!decrypt_block(cipher, in, size, em.bytes, err)) {
        return false;
    }
    unpad_premaster(em.bytes, size, cipher->tls_versions, out);
    *out_len = UNPAD_PREMASTER_BYTES;
    return true;
}

static bool find_oaep_hash(const EVP_MD *md, size_t *row)
{
    for (size_t i = 0; i < ARRAY_LEN(oaep_hashes); i++) {
        if (oaep_hashes[i].nid == (md != NULL ? EVP_MD_get_type(md) : NID_sha1)) {
            *row = i;
            return true;
        }
    }
    return false;
}

static bool decrypt_oaep_here(struct prov_cipher *cipher, const uint8_t *in, size_t size,
                              uint8_t *out, size_t *out_len, struct err *err)
{
    AUTO(block) struct block em;
    AUTO(md) EVP_MD *sha1 = NULL;
    const EVP_MD *md = cipher->oaep_md;

    if (md == NULL) {
        sha1 = prov_ctx_fetch_digest(cipher->ctx, "SHA1", NULL, NULL, err);
        md = sha1;
    }
    if (md == NULL || !decrypt_raw(cipher, in, size, em.bytes, NULL, err)) {
        return false;
    }
    return unpad_oaep(em.bytes, size, md, cipher->mgf1_md != NULL ? cipher->mgf1_md : md,
                      cipher->label, cipher->label_len, out, out_len) ||
           err_set(err, E_TOKEN,
                   "this was not encrypted for key '%s' on %s, or with another digest or label",
                   cipher->key->hsm.label, hsm_token_name(&cipher->key->hsm.token->info));
}

/*
 * Whether the token is to be asked, and how. A label is looked at here where that is possible:
 * SoftHSM drops it without a word.
 */
static bool is_for_token(const struct prov_cipher *cipher, struct hsm_decrypt *how, unsigned *bit)
{
    const EVP_MD *mgf1 = cipher->mgf1_md != NULL ? cipher->mgf1_md : cipher->oaep_md;
    size_t hash = 0;
    size_t mgf = 0;

    if (!hsm_token_can(cipher->key->hsm.token, CKM_RSA_PKCS_OAEP) ||
        (cipher->label_len > 0 && has_raw(cipher)) || !find_oaep_hash(cipher->oaep_md, &hash) ||
        !find_oaep_hash(mgf1, &mgf)) {
        return false;
    }
    *bit = refused_oaep(hash, mgf);
    *how = (struct hsm_decrypt){.scheme = HSM_DECRYPT_RSA_OAEP,
                                .oaep_hash = oaep_hashes[hash].hash,
                                .oaep_mgf = oaep_hashes[mgf].mgf,
                                .oaep_label = cipher->label,
                                .oaep_label_len = cipher->label_len};
    return !is_refused(cipher, *bit);
}

/* By the token where it can; without padding, and the rest in software, where it cannot. */
static bool decrypt_oaep(struct prov_cipher *cipher, const uint8_t *in, size_t size, uint8_t *out,
                         size_t *out_len, struct err *err)
{
    struct hsm_decrypt how;
    unsigned bit = 0;
    bool refused = false;

    if (is_for_token(cipher, &how, &bit)) {
        how.refused_at_init = &refused;
        if (decrypt(cipher, &how, in, size, out, out_len, err)) {
            return true;
        }
        if (!has_raw(cipher) || !note_refusal(cipher, bit, refused, err)) {
            return false;
        }
        *out_len = size;
    }
    return has_raw(cipher)
               ? decrypt_oaep_here(cipher, in, size, out, out_len, err)
               : err_set(err, E_TOKEN,
                         "%s does neither RSA OAEP with this digest nor RSA without "
                         "padding, so key '%s' cannot decrypt this",
                         hsm_token_name(&cipher->key->hsm.token->info), cipher->key->hsm.label);
}

bool prov_decrypt(struct prov_cipher *cipher, const uint8_t *in, size_t in_len, uint8_t *out,
                  size_t *out_len, struct err *err)
{
    uint8_t ciphertext[HSM_RSA_BYTES_MAX] = {0};
    size_t size = prov_key_max_size(cipher->key);

    if (in_len > size || size > sizeof(ciphertext) || size <= UNPAD_PREMASTER_BYTES * 2) {
        return err_set(err, E_USAGE, "%zu bytes are no ciphertext for key '%s', which takes %zu",
                       in_len, cipher->key->hsm.label, size);
    }
    memcpy(ciphertext + (size - in_len), in, in_len);
    *out_len = size;
    switch (cipher->padding) {
    case RSA_PKCS1_PADDING:
        return decrypt_pkcs1(cipher, ciphertext, size, out, out_len, err);
    case RSA_PKCS1_OAEP_PADDING:
        return decrypt_oaep(cipher, ciphertext, size, out, out_len, err);
    case RSA_PKCS1_WITH_TLS_PADDING:
        return decrypt_premaster(cipher, ciphertext, size, out, out_len, err);
    default:
        return decrypt_raw(cipher, ciphertext, size, out, NULL, err);
    }
}
