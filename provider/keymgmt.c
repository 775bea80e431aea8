#include "provider/keymgmt.h"

#include "provider/prov_err.h"
#include "provider/trial.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <string.h>

/* The store hands over its reference: the pointer in the reference is taken and cleared. */
void *prov_keymgmt_load(const void *reference, size_t reference_sz)
{
    struct prov_key *key = NULL;
    void *nothing = NULL;

    if (reference == NULL || reference_sz != sizeof(key)) {
        return NULL;
    }
    memcpy(&key, reference, sizeof(key));
    memcpy((void *)(uintptr_t)reference, &nothing, sizeof(nothing));
    return key;
}

/*
 * OpenSSL compares a software key with a token key by trying to import the one into the provider of
 * the other, and only then the other way round. Without these functions the first attempt leaves an
 * error behind that is none.
 */
void *prov_keymgmt_new(void *provctx)
{
    return prov_key_new_empty(provctx);
}

/*
 * Whether this is the peer of a key agreement, which OpenSSL hands over this way. At other times it
 * only tries which provider could do something with a software key, and whatever that is, the
 * default provider is to do it. Where that comes after us, a key pair is refused at any time: the
 * peer's is normally public, and OpenSSL would sign with what it sees accepted.
 */
static bool is_for_agreement(struct prov_ctx *ctx, const OSSL_PARAM params[])
{
    return atomic_load(&ctx->agreements) > 0 &&
           (ctx->default_came_first ||
            OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PRIV_KEY) == NULL);
}

/* Private halves are never imported: key material from outside has no place here. */
int prov_keymgmt_import(void *keydata, int selection, const OSSL_PARAM params[])
{
    struct prov_key *key = keydata;
    const OSSL_PARAM *group = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
    const OSSL_PARAM *public = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PUB_KEY);
    const char *name = NULL;
    const void *point = NULL;
    size_t len = 0;

    if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0 || !prov_key_is_empty(key) ||
        (!is_for_agreement(key->ctx, params) && !prov_keymgmt_is_trial(selection, params))) {
        return 0;
    }
    if (group == NULL || OSSL_PARAM_get_utf8_string_ptr(group, &name) != 1 || public == NULL ||
        OSSL_PARAM_get_octet_string_ptr(public, &point, &len) != 1) {
        return 0;
    }
    const struct hsm_curve *curve = hsm_curve_by_name(name);
    return curve != NULL && prov_key_set_foreign_point(key, curve, point, len);
}

const OSSL_PARAM *prov_keymgmt_import_types(int selection)
{
    static const OSSL_PARAM none[] = {OSSL_PARAM_END};
    static const OSSL_PARAM public[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_END,
    };

    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? public : none;
}

bool prov_keymgmt_is_trial(int selection, const OSSL_PARAM params[])
{
    const int pair = OSSL_KEYMGMT_SELECT_KEYPAIR;

    return (selection & pair) == pair && (selection & OSSL_KEYMGMT_SELECT_OTHER_PARAMETERS) == 0 &&
           OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PRIV_KEY) == NULL;
}

bool prov_keymgmt_import_point(struct prov_key *key, const struct hsm_curve *curve,
                               const OSSL_PARAM params[])
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PUB_KEY);
    struct hsm_public public = {.known = true};
    const void *point = NULL;
    size_t len = 0;

    if (!prov_key_is_empty(key) || curve == NULL || p == NULL ||
        OSSL_PARAM_get_octet_string_ptr(p, &point, &len) != 1 || len > sizeof(public.point) ||
        hsm_ec_point(curve, point, len, &public.point_len) != point) {
        return false;
    }
    struct hsm_key_spec spec = {.type = curve->type, .bits = curve->bits, .curve = curve};
    memcpy(public.point, point, len);
    return prov_key_set_public(key, &spec, &public);
}

bool prov_keymgmt_public_wanted(const struct prov_key *key, const OSSL_PARAM *wanted)
{
    struct err err = ERR_INIT;

    if (wanted == NULL || prov_key_check_public(key, &err)) {
        return true;
    }
    prov_raise(key->ctx, &err);
    return false;
}

bool prov_keymgmt_set_int(OSSL_PARAM params[], const char *name, int value)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

    return p == NULL || OSSL_PARAM_set_int(p, value) == 1;
}

bool prov_keymgmt_set_string(OSSL_PARAM params[], const char *name, const char *value)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

    return p == NULL || OSSL_PARAM_set_utf8_string(p, value) == 1;
}

bool prov_keymgmt_set_point(OSSL_PARAM params[], const char *name, const struct prov_key *key)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

    if (p == NULL || !prov_keymgmt_public_wanted(key, p)) {
        return p == NULL;
    }
    const struct hsm_public *public = prov_key_public(key);
    return OSSL_PARAM_set_octet_string(p, public->point, public->point_len) == 1;
}

void prov_keymgmt_free(void *keydata)
{
    prov_key_free(keydata);
}

int prov_keymgmt_has(const void *keydata, int selection)
{
    const struct prov_key *key = keydata;

    if (key == NULL) {
        return 0;
    }
    if (prov_key_is_empty(key)) {
        int has = key->hsm.spec.curve != NULL ? OSSL_KEYMGMT_SELECT_ALL_PARAMETERS : 0;
        return (selection & OSSL_KEYMGMT_SELECT_ALL & ~has) == 0;
    }
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && !prov_key_is_private(key)) {
        return 0;
    }
    if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 && prov_key_public(key) == NULL) {
        return 0;
    }
    return 1;
}

int prov_keymgmt_match(const void *keydata1, const void *keydata2, int selection)
{
    struct prov_key *a = (struct prov_key *)(uintptr_t)keydata1; /* it may learn its public half */
    struct prov_key *b = (struct prov_key *)(uintptr_t)keydata2;

    if (a->hsm.spec.type == HSM_KEY_OTHER || b->hsm.spec.type == HSM_KEY_OTHER) {
        return 0;
    }
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) {
        return a->hsm.spec.type == b->hsm.spec.type && a->hsm.spec.curve == b->hsm.spec.curve;
    }
    if (a == b || hsm_key_is_same_object(&a->hsm, &b->hsm)) {
        return 1;
    }
    const struct hsm_public *public_a = prov_key_public(a);
    const struct hsm_public *public_b = prov_key_public(b);
    if (public_a == NULL && public_b == NULL) {
        return 0;
    }
    if (public_a == NULL || public_b == NULL) {
        return public_a == NULL ? prov_trial(a, b) : prov_trial(b, a);
    }
    return hsm_public_equal(&a->hsm.spec, public_a, &b->hsm.spec, public_b);
}

/*
 * A token key never changes, so a duplicate is another reference. A duplicate of its parameters is
 * what CMS puts the peer's public key into.
 */
void *prov_keymgmt_dup(const void *keydata, int selection)
{
    const struct prov_key *key = keydata;

    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0) {
        return prov_key_ref((struct prov_key *)(uintptr_t)keydata);
    }
    struct prov_key *parameters = prov_key_new_empty(key->ctx);
    if (parameters != NULL && key->hsm.spec.curve != NULL) {
        parameters->hsm.spec = key->hsm.spec;
    }
    return parameters;
}

int prov_keymgmt_export(void *keydata, int selection, OSSL_CALLBACK *param_cb, void *cbarg)
{
    struct prov_key *key = keydata;
    struct err err = ERR_INIT;

    /*
     * Somebody who wants the private half must not get the public one instead: OpenSSL would take
     * that for the whole key and sign with nothing. Where it tries and has another way, it drops
     * the error.
     */
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && prov_key_is_private(key)) {
        if ((selection & OSSL_KEYMGMT_SELECT_OTHER_PARAMETERS) == 0) {
            return 0; /* a comparison: OpenSSL goes on the other way round, and keeps the error */
        }
        /* At each signature, when OpenSSL tries the default provider first. */
        prov_raise_text(key->ctx, E_USAGE, "the private key '%s' does not leave token '%s'",
                        key->hsm.label, key->hsm.token->info.label);
        return 0;
    }
    if (!prov_key_check_public(key, &err)) {
        prov_raise(key->ctx, &err);
        return 0;
    }
    return prov_key_export_public(key, param_cb, cbarg);
}
