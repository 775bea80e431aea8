/*
 * EdDSA (RFC 8032), pure: the message itself is signed and goes through the token whole, so there
 * is no update function. OpenSSL refuses EVP_DigestSignUpdate() then, as it does for its own keys.
 */
#include "provider/signature.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/op.h"
#include "provider/prov_err.h"

#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <openssl/params.h>

/* OpenSSL 3.2 has these; one that is newer than our headers passes them, too. */
#ifndef OSSL_SIGNATURE_PARAM_INSTANCE
#define OSSL_SIGNATURE_PARAM_INSTANCE "instance"
#endif
#ifndef OSSL_SIGNATURE_PARAM_CONTEXT_STRING
#define OSSL_SIGNATURE_PARAM_CONTEXT_STRING "context-string"
#endif

DEFINE_AUTO(md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)

bool prov_eddsa_sign(struct prov_sig *sig, const uint8_t *in, size_t in_len, uint8_t *out,
                     size_t *out_len, struct err *err)
{
    const struct hsm_sign how = {.scheme = HSM_SIGN_EDDSA};
    const struct hsm_pin pin = prov_key_pin(sig->key);
    const struct hsm_key *key = &sig->key->hsm;

    if (!hsm_sign(&sig->key->hsm, &how, &pin, in, in_len, out, out_len, err)) {
        return false;
    }
    return *out_len == 2 * key->spec.curve->field_bytes ||
           err_set(err, E_TOKEN, "key '%s' on %s: an %s signature of %zu bytes is impossible",
                   key->label, hsm_token_name(&key->token->info), key->spec.curve->name, *out_len);
}

static bool check_digest(const struct prov_sig *sig, const char *md_name, struct err *err)
{
    return md_name == NULL || md_name[0] == '\0' ||
           err_set(err, E_USAGE, "%s signs the message itself and takes no digest, such as %.40s",
                   sig->key->hsm.spec.curve->name, md_name);
}

/*
 * The other variants of RFC 8032 (Ed25519ctx, Ed25519ph, Ed448ph, a context for Ed448) need
 * CK_EDDSA_PARAMS, which SoftHSM 2.6 accepts and drops: the pure signature that came of it would
 * look like success. So they are refused.
 */
static bool check_variant(const struct prov_sig *sig, const OSSL_PARAM params[], struct err *err)
{
    const OSSL_PARAM *instance = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_INSTANCE);
    const OSSL_PARAM *context =
        OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_CONTEXT_STRING);
    const char *pure = sig->key->hsm.spec.curve->name;
    const char *name = NULL;

    if (instance != NULL &&
        (OSSL_PARAM_get_utf8_string_ptr(instance, &name) != 1 || name == NULL)) {
        return err_set(err, E_USAGE, "the instance parameter is not a string");
    }
    if (name != NULL && !str_equal_nocase(name, pure)) {
        return err_set(err, E_USAGE, "key '%s' makes %s signatures, not %.40s", sig->key->hsm.label,
                       pure, name);
    }
    return context == NULL || context->data_size == 0 ||
           err_set(err, E_USAGE, "key '%s' makes %s signatures without a context string",
                   sig->key->hsm.label, pure);
}

static int digest_start(void *vsig, const char *md_name, void *key, const OSSL_PARAM params[])
{
    struct prov_sig *sig = vsig;
    struct err err = ERR_INIT;

    if (!prov_sig_start(sig, key, &err) || !check_digest(sig, md_name, &err) ||
        !check_variant(sig, params, &err)) {
        prov_raise(sig->ctx, &err);
        return 0;
    }
    return 1;
}

static int set_ctx_params(void *vsig, const OSSL_PARAM params[])
{
    const struct prov_sig *sig = vsig;
    struct err err = ERR_INIT;

    if (sig->key == NULL) {
        (void)err_set(&err, E_OBJECT_MISSING, "no key was given for the signature");
    } else if (check_variant(sig, params, &err)) {
        return 1;
    }
    prov_raise(sig->ctx, &err);
    return 0;
}

static const OSSL_PARAM *settable_ctx_params(void *vsig UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_INSTANCE, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_CONTEXT_STRING, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

#ifdef OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_INIT
/* EVP_PKEY_sign_message_init(3), since OpenSSL 3.4: the message whole, without naming no digest. */
static int message_start(void *vsig, void *key, const OSSL_PARAM params[])
{
    return digest_start(vsig, NULL, key, params);
}
#endif

static int digest_sign(void *vsig, unsigned char *out, size_t *out_len, size_t room,
                       const unsigned char *in, size_t in_len)
{
    return prov_sig_op_sign(vsig, prov_eddsa_sign, out, out_len, room, in, in_len);
}

static int digest_verify(void *vsig, const unsigned char *value, size_t value_len,
                         const unsigned char *in, size_t in_len)
{
    struct prov_sig *sig = vsig;
    AUTO(md_ctx) EVP_MD_CTX *verify = EVP_MD_CTX_new();

    if (!prov_sig_need_software(sig) || verify == NULL ||
        EVP_DigestVerifyInit_ex(verify, NULL, NULL, prov_ctx_libctx(sig->ctx),
                                "provider!=p11enroll", sig->software, NULL) != 1) {
        return 0;
    }
    return EVP_DigestVerify(verify, value, value_len, in, in_len);
}

static int get_ctx_params(void *vsig, OSSL_PARAM params[])
{
    const struct prov_sig *sig = vsig;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
    unsigned char *der = NULL;

    if (p == NULL) {
        return 1;
    }
    int nid = sig->key != NULL ? OBJ_sn2nid(sig->key->hsm.spec.curve->group) : NID_undef;
    int len = prov_sig_algorithm_der(NID_undef, nid, false, &der);
    bool ok = len > 0 && OSSL_PARAM_set_octet_string(p, der, (size_t)len) == 1;
    OPENSSL_free(der);
    return ok;
}

static const OSSL_PARAM *gettable_ctx_params(void *vsig UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

const OSSL_DISPATCH prov_signature_ed[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))prov_sig_new},
    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))prov_sig_free},
    {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))prov_sig_dup},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))digest_start},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))digest_sign},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (void (*)(void))digest_start},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, (void (*)(void))digest_verify},
#ifdef OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_INIT
    {OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_INIT, (void (*)(void))message_start},
    {OSSL_FUNC_SIGNATURE_SIGN, (void (*)(void))digest_sign},
    {OSSL_FUNC_SIGNATURE_VERIFY_MESSAGE_INIT, (void (*)(void))message_start},
    {OSSL_FUNC_SIGNATURE_VERIFY, (void (*)(void))digest_verify},
#endif
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))set_ctx_params},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))settable_ctx_params},
    {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))get_ctx_params},
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))gettable_ctx_params},
    {0, NULL},
};
