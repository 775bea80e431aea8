/*
 * Generating keys in a token through EVP. Only where an application says where, with our own
 * parameter: without it nothing happens, and software keys are the default provider's.
 */
#include "provider/keymgmt.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/keygen.h"
#include "provider/locate.h"
#include "provider/prov_err.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

enum { RSA_BITS_DEFAULT = 2048, SPEC_MAX_CHARS = 32 };

/* The names as other PKCS#11 providers have them, and in the way OpenSSL spells its own. */
static const char *const uri_names[] = {"pkcs11_uri", "pkcs11-uri"};
static const char *const usage_names[] = {"pkcs11_key_usage", "pkcs11-key-usage"};

struct gen {
    struct prov_ctx *ctx;
    enum hsm_key_type type;
    size_t rsa_bits;
    const struct hsm_curve *curve;
    char *uri;
    unsigned usage; /* enum hsm_usage; 0: not given */
};

/* clang-format off */
static const struct {
    const char *word; /* as in certificates (RFC 5280 section 4.2.1.3) */
    enum hsm_key_type type;
    unsigned usage;
} usages[] = {
    {"digitalSignature", HSM_KEY_RSA, HSM_USE_SIGN},
    {"digitalSignature", HSM_KEY_EC,  HSM_USE_SIGN},
    {"digitalSignature", HSM_KEY_ED,  HSM_USE_SIGN},
    {"keyEncipherment",  HSM_KEY_RSA, HSM_USE_DECRYPT},
    {"dataEncipherment", HSM_KEY_RSA, HSM_USE_DECRYPT},
    {"keyAgreement",     HSM_KEY_EC,  HSM_USE_DERIVE},
};
/* clang-format on */

static void gen_free(struct gen *gen)
{
    if (gen != NULL) {
        free(gen->uri);
        free(gen);
    }
}

void prov_keymgmt_gen_cleanup(void *vgen)
{
    gen_free(vgen);
}

DEFINE_AUTO(gen, struct gen *, gen_free)

static bool use_word(struct gen *gen, const char *word, size_t len, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(usages); i++) {
        if (usages[i].type == gen->type && strlen(usages[i].word) == len &&
            strncmp(usages[i].word, word, len) == 0) {
            gen->usage |= usages[i].usage;
            return true;
        }
    }
    return err_set(err, E_USAGE, "'%.*s' is no usage for this kind of key: there are %s",
                   len < SPEC_MAX_CHARS ? (int)len : SPEC_MAX_CHARS, word,
                   gen->type == HSM_KEY_RSA
                       ? "digitalSignature, keyEncipherment and dataEncipherment"
                   : gen->type == HSM_KEY_EC ? "digitalSignature and keyAgreement"
                                             : "digitalSignature");
}

static bool set_usage(struct gen *gen, const OSSL_PARAM *p, struct err *err)
{
    static const char separators[] = " ,";
    const char *text = NULL;

    if (OSSL_PARAM_get_utf8_string_ptr(p, &text) != 1 || text == NULL) {
        return err_set(err, E_USAGE, "the usage of a key is a string");
    }
    gen->usage = 0;
    for (text += strspn(text, separators); *text != '\0'; text += strspn(text, separators)) {
        size_t len = strcspn(text, separators);
        if (!use_word(gen, text, len, err)) {
            return false;
        }
        text += len;
    }
    return true;
}

static bool set_uri(struct gen *gen, const OSSL_PARAM *p, struct err *err)
{
    const char *text = NULL;

    if (OSSL_PARAM_get_utf8_string_ptr(p, &text) != 1 || text == NULL) {
        return err_set(err, E_USAGE, "the URI of a new key is a string");
    }
    free(gen->uri);
    gen->uri = str_dup(text);
    return gen->uri != NULL || err_nomem(err);
}

/* The two parameters that are ours. */
static bool set_ours(struct gen *gen, const OSSL_PARAM params[], struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(uri_names); i++) {
        const OSSL_PARAM *uri = OSSL_PARAM_locate_const(params, uri_names[i]);
        const OSSL_PARAM *usage = OSSL_PARAM_locate_const(params, usage_names[i]);
        if ((uri != NULL && !set_uri(gen, uri, err)) ||
            (usage != NULL && !set_usage(gen, usage, err))) {
            return false;
        }
    }
    return true;
}

static bool set_group(struct gen *gen, const OSSL_PARAM *p, struct err *err)
{
    const char *name = NULL;

    if (p == NULL) {
        return true;
    }
    if (OSSL_PARAM_get_utf8_string_ptr(p, &name) != 1 || name == NULL) {
        return err_set(err, E_USAGE, "the name of a curve is a string");
    }
    gen->curve = hsm_curve_by_name(name);
    return gen->curve != NULL ||
           err_set(err, E_USAGE,
                   "there are no token keys on '%.40s': there are P-256, P-384, P-521", name);
}

static bool set_encoding(const OSSL_PARAM *p, struct err *err)
{
    const char *name = NULL;

    return p == NULL ||
           (OSSL_PARAM_get_utf8_string_ptr(p, &name) == 1 &&
            str_equal(name, OSSL_PKEY_EC_ENCODING_GROUP)) ||
           err_set(err, E_USAGE, "the curve of a token key is always named");
}

static bool set_rsa(struct gen *gen, const OSSL_PARAM params[], struct err *err)
{
    const OSSL_PARAM *bits = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_RSA_BITS);
    const OSSL_PARAM *exponent = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_RSA_E);
    BIGNUM *number = NULL;

    if (bits != NULL && OSSL_PARAM_get_size_t(bits, &gen->rsa_bits) != 1) {
        return err_set(err, E_USAGE, "the size of an RSA key is a number");
    }
    if (exponent == NULL) {
        return true;
    }
    bool ok = OSSL_PARAM_get_BN(exponent, &number) == 1 && BN_is_word(number, RSA_F4);
    BN_free(number);
    return ok || err_set(err, E_USAGE, "the public exponent of a token key is always 65537");
}

int prov_keymgmt_gen_set_params(void *vgen, const OSSL_PARAM params[])
{
    struct gen *gen = vgen;
    struct err err = ERR_INIT;

    if (params == NULL ||
        (set_ours(gen, params, &err) &&
         set_group(gen, OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME), &err) &&
         set_encoding(OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_EC_ENCODING), &err) &&
         set_rsa(gen, params, &err))) {
        return 1;
    }
    prov_raise(gen->ctx, &err);
    return 0;
}

/* Parameters alone are no work for a token: selection has to name a key pair. */
static void *gen_new(void *provctx, enum hsm_key_type type, int selection,
                     const OSSL_PARAM params[])
{
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) {
        return NULL;
    }
    AUTO(gen) struct gen *gen = calloc(1, sizeof(*gen));
    if (gen == NULL) {
        return NULL;
    }
    gen->ctx = provctx;
    gen->type = type;
    gen->rsa_bits = RSA_BITS_DEFAULT;
    return prov_keymgmt_gen_set_params(gen, params) == 1 ? TAKE(gen) : NULL;
}

void *prov_keymgmt_gen_init_rsa(void *provctx, int selection, const OSSL_PARAM params[])
{
    return gen_new(provctx, HSM_KEY_RSA, selection, params);
}

void *prov_keymgmt_gen_init_ec(void *provctx, int selection, const OSSL_PARAM params[])
{
    return gen_new(provctx, HSM_KEY_EC, selection, params);
}

static void *gen_new_ed(void *provctx, const char *name, int selection, const OSSL_PARAM params[])
{
    struct gen *gen = gen_new(provctx, HSM_KEY_ED, selection, params);

    if (gen != NULL) {
        gen->curve = hsm_curve_by_name(name);
    }
    return gen;
}

void *prov_keymgmt_gen_init_ed25519(void *provctx, int selection, const OSSL_PARAM params[])
{
    return gen_new_ed(provctx, "ed25519", selection, params);
}

void *prov_keymgmt_gen_init_ed448(void *provctx, int selection, const OSSL_PARAM params[])
{
    return gen_new_ed(provctx, "ed448", selection, params);
}

const OSSL_PARAM *prov_keymgmt_gen_settable_params(void *vgen, void *provctx UNUSED)
{
    static const OSSL_PARAM ec[] = {
        OSSL_PARAM_utf8_string("pkcs11_uri", NULL, 0),
        OSSL_PARAM_utf8_string("pkcs11-uri", NULL, 0),
        OSSL_PARAM_utf8_string("pkcs11_key_usage", NULL, 0),
        OSSL_PARAM_utf8_string("pkcs11-key-usage", NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0),
        OSSL_PARAM_END,
    };
    static const OSSL_PARAM ed[] = {
        OSSL_PARAM_utf8_string("pkcs11_uri", NULL, 0),
        OSSL_PARAM_utf8_string("pkcs11-uri", NULL, 0),
        OSSL_PARAM_utf8_string("pkcs11_key_usage", NULL, 0),
        OSSL_PARAM_utf8_string("pkcs11-key-usage", NULL, 0),
        OSSL_PARAM_END,
    };
    static const OSSL_PARAM rsa[] = {
        OSSL_PARAM_utf8_string("pkcs11_uri", NULL, 0),
        OSSL_PARAM_utf8_string("pkcs11-uri", NULL, 0),
        OSSL_PARAM_utf8_string("pkcs11_key_usage", NULL, 0),
        OSSL_PARAM_utf8_string("pkcs11-key-usage", NULL, 0),
        OSSL_PARAM_size_t(OSSL_PKEY_PARAM_RSA_BITS, NULL),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };
    const struct gen *gen = vgen;

    return gen->type == HSM_KEY_RSA ? rsa : gen->type == HSM_KEY_EC ? ec : ed;
}

/* What is wanted, under the checks that all generated keys go through. */
static bool make_spec(const struct gen *gen, struct hsm_key_spec *spec, struct err *err)
{
    char text[SPEC_MAX_CHARS];

    if (gen->type == HSM_KEY_RSA) {
        (void)snprintf(text, sizeof(text), "rsa:%zu", gen->rsa_bits);
    } else if (gen->type == HSM_KEY_ED) {
        (void)snprintf(text, sizeof(text), "%s", gen->curve->name);
    } else if (gen->curve != NULL) {
        (void)snprintf(text, sizeof(text), "ec:%s", gen->curve->name);
    } else {
        return err_set(err, E_USAGE, "the curve of the new key is not given");
    }
    return hsm_key_spec_parse(text, spec, err);
}

static bool check_uri(const struct gen *gen, struct hsm_uri *uri, struct err *err)
{
    if (gen->uri == NULL) {
        return err_set(err, E_USAGE,
                       "a key is generated in a token only where 'pkcs11_uri' names the new key "
                       "(software keys are made by the provider 'default')");
    }
    if (!hsm_uri_parse(gen->uri, uri, err)) {
        return false;
    }
    if (uri->object == NULL || (uri->type != HSM_URI_ANY && uri->type != HSM_URI_PRIVATE)) {
        return err_set(err, E_USAGE,
                       "the URI of a new key needs a label (object=), and no other type than "
                       "private");
    }
    return true;
}

static bool generate(struct gen *gen, const struct hsm_uri *uri, struct hsm_key *key,
                     struct err *err)
{
    struct prov_pin pin = {.prov = gen->ctx, .uri = uri};
    struct hsm_pin rules = prov_pin_rules(&pin);
    struct hsm_token *token = NULL;
    struct hsm_key_spec spec;
    struct hsm_verdict verdict;
    struct hsm_id id = uri->id;

    if (!make_spec(gen, &spec, err) || (!id.set && !hsm_new_id(&id, err)) ||
        !prov_locate_token(&pin, &token, err) || !hsm_login(token, &rules, err)) {
        return false;
    }
    struct hsm_policy policy = hsm_policy_signing(spec);
    struct hsm_key_name name = {.id = &id, .label = uri->object, .id_is_random = !uri->id.set};
    policy.usage = gen->usage != 0 ? gen->usage : policy.usage;
    return hsm_keygen(token, &policy, &name, key, &verdict, err);
}

void *prov_keymgmt_gen(void *vgen, OSSL_CALLBACK *callback UNUSED, void *callback_arg UNUSED)
{
    struct gen *gen = vgen;
    struct err err = ERR_INIT;
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(hsm_key) struct hsm_key hsm = {0};

    (void)ERR_set_mark(); /* a module that uses libcrypto itself leaves its errors there */
    bool ok = check_uri(gen, &uri, &err) && generate(gen, &uri, &hsm, &err);
    (void)ERR_pop_to_mark();
    struct prov_key *key = ok ? prov_key_new(gen->ctx, &hsm) : NULL;
    if (ok && (key == NULL || !prov_key_set_origin(key, &uri))) {
        prov_key_free(key);
        key = NULL;
        (void)err_nomem(&err);
    }
    if (key == NULL) {
        prov_raise(gen->ctx, &err);
    }
    return key;
}
