#include "provider/store.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/cert.h"
#include "hsm/object.h"
#include "hsm/revive.h"
#include "provider/locate.h"
#include "provider/prov_err.h"
#include "provider/search.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum { CLASSES_MAX = 3 };

/* An open "pkcs11:" URI. The token is looked for at the first load, not at open. */
struct store {
    struct prov_ctx *prov;
    struct hsm_uri uri;
    int expect; /* OSSL_STORE_INFO_*, 0: anything */
    struct prov_search wanted;

    struct err
        bad_uri; /* reported at the first load: at open, noise of other loaders would precede it */
    bool searched;
    bool failed;
    struct hsm_token *token;
    unsigned epoch; /* of the handles below: the token's objects_epoch */
    CK_OBJECT_CLASS classes[CLASSES_MAX];
    struct hsm_handles found[CLASSES_MAX];
    size_t class_count;
    size_t class_at;
    struct prov_key *key; /* the only one that is wanted, not handed over yet; owned */
    size_t object_at;
};

static void store_free(struct store *store)
{
    if (store == NULL) {
        return;
    }
    for (size_t i = 0; i < store->class_count; i++) {
        hsm_handles_done(&store->found[i]);
    }
    prov_key_free(store->key);
    hsm_uri_done(&store->uri);
    prov_search_done(&store->wanted);
    free(store);
}

static void *store_open(void *provctx, const char *uri)
{
    if (!hsm_uri_is(uri)) {
        return NULL; /* not for us: OpenSSL tries other loaders */
    }
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return NULL;
    }
    store->prov = provctx;
    if (hsm_uri_parse(uri, &store->uri, &store->bad_uri)) {
        err_clear(&store->bad_uri);
    }
    return store;
}

static const OSSL_PARAM *settable_ctx_params(void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL),
        PROV_SEARCH_PARAMS,
        OSSL_PARAM_END,
    };

    return params;
}

static int set_ctx_params(void *loaderctx, const OSSL_PARAM params[])
{
    struct store *store = loaderctx;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);

    return (p == NULL || OSSL_PARAM_get_int(p, &store->expect) == 1) &&
           prov_search_set(&store->wanted, params);
}

/* Classes to look for, by what the application expects and by the URI's type=. */
static void choose_classes(struct store *store)
{
    static const struct {
        int expect;
        enum hsm_uri_type type;
        CK_OBJECT_CLASS class;
    } table[] = {
        {OSSL_STORE_INFO_PKEY, HSM_URI_PRIVATE, CKO_PRIVATE_KEY},
        {OSSL_STORE_INFO_PUBKEY, HSM_URI_PUBLIC, CKO_PUBLIC_KEY},
        {OSSL_STORE_INFO_CERT, HSM_URI_CERT, CKO_CERTIFICATE},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        bool expected = store->expect == 0 || store->expect == table[i].expect;
        bool typed = store->uri.type == HSM_URI_ANY || store->uri.type == table[i].type;
        bool searched =
            !prov_search_is_for_certs(&store->wanted) || table[i].class == CKO_CERTIFICATE;
        if (expected && typed && searched) {
            store->classes[store->class_count++] = table[i].class;
        }
    }
}

/* Only private keys need a login; a listing of everything wants them, too. */
static bool login_if_needed(struct store *store, struct prov_pin *asking, struct err *err)
{
    struct hsm_pin pin = prov_pin_rules(asking);

    return store->classes[0] != CKO_PRIVATE_KEY || hsm_login(store->token, &pin, err);
}

/*
 * What OSSL_STORE_find() asks for. The token compares names byte by byte: if it finds none, all
 * certificates are looked at. Several are no error here.
 */
static bool search_wanted(struct store *store, struct hsm_session *session, CK_OBJECT_CLASS class,
                          struct hsm_handles *out, struct err *err)
{
    struct attrs narrow = ATTRS_INIT;
    struct attrs wide = ATTRS_INIT;
    const char *alias = store->wanted.alias;

    if (alias != NULL && store->uri.object != NULL && !str_equal(alias, store->uri.object)) {
        return true;
    }
    if (alias != NULL && store->uri.object == NULL &&
        !hsm_uri_set(&store->uri.object, alias, err)) {
        return false;
    }
    hsm_uri_to_template(&store->uri, class, &narrow);
    prov_search_to_template(&store->wanted, &narrow);
    if (!hsm_find(session, &narrow, out, err)) {
        return false;
    }
    if (out->count > 0 || !prov_search_is_for_certs(&store->wanted)) {
        return true;
    }
    hsm_handles_done(out);
    hsm_uri_to_template(&store->uri, class, &wide);
    return hsm_find(session, &wide, out, err);
}

static bool search_class(struct store *store, struct hsm_session *session, CK_OBJECT_CLASS class,
                         struct hsm_handles *out, struct err *err)
{
    return prov_search_is_set(&store->wanted)
               ? search_wanted(store, session, class, out, err)
               : prov_locate_objects(session, &store->uri, class, out, err);
}

/* A store that is read, and how the application that reads it asks for a PIN. */
struct reading {
    struct store *store;
    struct prov_pin *asking;
};

/* What nearly every program does: it loads one private key by its name. */
static bool wants_one_key(const struct store *store)
{
    return store->class_count == 1 && store->classes[0] == CKO_PRIVATE_KEY &&
           hsm_uri_names_object(&store->uri) && !prov_search_is_set(&store->wanted);
}

/* prov_locate_fn */
static bool search(void *ctx, struct hsm_token *token, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    const struct reading *reading = ctx;
    struct store *store = reading->store;
    size_t total = 0;

    if (!login_if_needed(store, reading->asking, err) ||
        !hsm_session_take(token, false, &session, err)) {
        return false;
    }
    if (wants_one_key(store)) {
        return prov_locate_private(&session, reading->asking, &store->key, err) &&
               (store->key != NULL ||
                prov_locate_no_kind(token, &store->uri, CKO_PRIVATE_KEY, err));
    }
    store->epoch = hsm_token_objects_epoch(token);
    for (size_t i = 0; i < store->class_count; i++) {
        hsm_handles_done(&store->found[i]);
        if (!search_class(store, &session, store->classes[i], &store->found[i], err)) {
            return false;
        }
        total += store->found[i].count;
    }
    if (total == 0 && !prov_search_is_set(&store->wanted)) {
        const char *what = store->class_count == 1 ? prov_class_word(store->classes[0]) : "object";
        return hsm_key_none_found(token, &store->uri, what, err);
    }
    return true;
}

static bool prepare(struct store *store, struct prov_pin *asking, struct err *err)
{
    store->searched = true;
    if (store->bad_uri.code != E_NONE) {
        *err = store->bad_uri;
        return false;
    }
    choose_classes(store);
    if (store->class_count == 0 &&
        (store->uri.type == HSM_URI_ANY || prov_search_is_set(&store->wanted))) {
        return true; /* a CRL, say: there are none in tokens, and that is no error */
    }
    if (store->class_count == 0) {
        return err_set(err, E_OBJECT_MISSING, "the URI has type=%s, and something else is wanted",
                       hsm_uri_type_name(store->uri.type));
    }
    struct reading reading = {.store = store, .asking = asking};
    return prov_locate_token(asking, &store->token, err) &&
           prov_locate_with(store->token, search, &reading, err);
}

/* Moves to the next object that was found. False at the end. */
static bool next_object(struct store *store, CK_OBJECT_CLASS *class, CK_OBJECT_HANDLE *handle)
{
    while (store->class_at < store->class_count) {
        if (store->object_at < store->found[store->class_at].count) {
            *class = store->classes[store->class_at];
            *handle = store->found[store->class_at].list[store->object_at++];
            return true;
        }
        store->class_at++;
        store->object_at = 0;
    }
    return false;
}

/*
 * The first key. Our key management is hidden meanwhile, so that OpenSSL meets the default
 * provider's first when it is asked for this kind of key; it cannot take a private one. That goes
 * for either order of the providers: a module that uses OpenSSL itself may have emptied the cache
 * of answers since the default provider's were in it. True if it took the key.
 */
static bool introduce(struct prov_ctx *ctx, struct prov_key **key, const char *data_type,
                      OSSL_CALLBACK *cb, void *cb_arg)
{
    atomic_store(&ctx->shows_keymgmt, false);
    (void)ERR_set_mark();
    bool taken = prov_key_hand_over(key, data_type, cb, cb_arg); /* a public key may be */
    (void)ERR_pop_to_mark();
    if (taken) {
        atomic_store(&ctx->shows_keymgmt, true);
    } else {
        prov_key_introduce(ctx, cb, cb_arg);
    }
    return taken;
}

/* Other threads wait: they would find no key management. */
static bool introduce_once(struct prov_ctx *ctx, struct prov_key **key, const char *data_type,
                           OSSL_CALLBACK *cb, void *cb_arg)
{
    bool taken = false;

    prov_ctx_lock_first_key(ctx);
    if (!ctx->introduced) {
        taken = introduce(ctx, key, data_type, cb, cb_arg);
        ctx->introduced = true;
    }
    prov_ctx_unlock_first_key(ctx);
    return taken;
}

/* Takes the key over. */
static bool give_key(struct store *store, struct prov_key *key, OSSL_CALLBACK *cb, void *cb_arg)
{
    const char *type = prov_key_type(key);
    bool ok = introduce_once(store->prov, &key, type, cb, cb_arg) ||
              prov_key_hand_over(&key, type, cb, cb_arg);

    prov_key_free(key); /* NULL if keymgmt's load took it over */
    return ok;
}

static bool give_cert(X509 *x509, OSSL_CALLBACK *cb, void *cb_arg)
{
    int type = OSSL_OBJECT_CERT;
    unsigned char *der = NULL;
    int len = i2d_X509(x509, &der);

    if (len <= 0) {
        return false;
    }
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der, (size_t)len),
        OSSL_PARAM_END,
    };
    bool ok = cb(params, cb_arg) == 1;
    OPENSSL_free(der);
    return ok;
}

enum given { GIVEN, SKIPPED, BROKEN };

/*
 * Whether the handles that were found still stand for what was found. After a restart of the token,
 * say, the same number may be another object, and a key that is read then counts as a current one.
 */
static bool is_current(struct store *store, unsigned epoch, struct err *err)
{
    if (epoch == store->epoch) {
        return true;
    }
    store->failed = true; /* what is left would fail alike */
    return err_set(err, E_TOKEN, "%s: the token's objects changed while they were listed",
                   hsm_token_name(&store->token->info));
}

/* Loads one object and hands it over. Objects that are of no kind we know are skipped in a list,
 * and an error where that very object was asked for. */
static enum given give_one(struct store *store, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE handle,
                           OSSL_CALLBACK *cb, void *cb_arg, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct prov_pin pin = {.prov = store->prov, .uri = &store->uri};

    if (!hsm_session_take(store->token, false, &session, err) ||
        !is_current(store, hsm_token_objects_epoch(store->token), err)) {
        return BROKEN;
    }
    if (class == CKO_CERTIFICATE) {
        AUTO(hsm_cert) struct hsm_cert cert = {0};
        if (!hsm_cert_load(&session, handle, &cert, err)) {
            return BROKEN;
        }
        if (cert.x509 == NULL || !prov_search_matches(&store->wanted, cert.x509)) {
            return SKIPPED;
        }
        return give_cert(cert.x509, cb, cb_arg) ? GIVEN : BROKEN;
    }
    struct prov_key *key = NULL;
    if (!prov_locate_load(&session, &pin, class, handle, &key, err)) {
        return BROKEN;
    }
    hsm_session_give(&session);
    if (key == NULL && hsm_uri_names_object(&store->uri) && !prov_search_is_set(&store->wanted)) {
        (void)prov_locate_no_kind(store->token, &store->uri, class, err);
        return BROKEN;
    }
    if (key == NULL) {
        return SKIPPED;
    }
    if (!is_current(store, key->hsm.epoch, err)) {
        prov_key_free(key);
        return BROKEN;
    }
    return give_key(store, key, cb, cb_arg) ? GIVEN : BROKEN;
}

static int store_load(void *loaderctx, OSSL_CALLBACK *object_cb, void *object_cbarg,
                      OSSL_PASSPHRASE_CALLBACK *pw_cb, void *pw_cbarg)
{
    struct store *store = loaderctx;
    struct prov_pin asking = {
        .prov = store->prov, .uri = &store->uri, .callback = pw_cb, .callback_arg = pw_cbarg};
    struct err err = ERR_INIT;
    CK_OBJECT_CLASS class = 0;
    CK_OBJECT_HANDLE handle = 0;

    if (!store->searched && !prepare(store, &asking, &err)) {
        store->failed = true;
        prov_raise(store->prov, &err);
        return 0;
    }
    if (!store->failed && store->key != NULL) {
        struct prov_key *key = TAKE(store->key);
        return give_key(store, key, object_cb, object_cbarg) ? 1 : 0;
    }
    while (!store->failed && next_object(store, &class, &handle)) {
        switch (give_one(store, class, handle, object_cb, object_cbarg, &err)) {
        case GIVEN:
            return 1;
        case SKIPPED:
            break;
        case BROKEN:
            if (err.code != E_NONE) {
                prov_raise(store->prov, &err);
            }
            return 0;
        }
    }
    return 0;
}

static int store_eof(void *loaderctx)
{
    const struct store *store = loaderctx;

    if (store->failed) {
        return 1;
    }
    if (!store->searched || store->key != NULL) {
        return 0;
    }
    for (size_t i = store->class_at; i < store->class_count; i++) {
        size_t from = i == store->class_at ? store->object_at : 0;
        if (from < store->found[i].count) {
            return 0;
        }
    }
    return 1;
}

static int store_close(void *loaderctx)
{
    store_free(loaderctx);
    return 1;
}

/* For a keymgmt of another provider: it gets what may leave the token, the public half. */
static int export_object(void *loaderctx UNUSED, const void *reference, size_t reference_sz,
                         OSSL_CALLBACK *export_cb, void *export_cbarg)
{
    struct prov_key *key = NULL;

    if (reference == NULL || reference_sz != sizeof(key)) {
        return 0;
    }
    memcpy(&key, reference, sizeof(key));
    if (key == NULL || prov_key_is_private(key)) {
        return 0; /* then OpenSSL turns to our own keymgmt */
    }
    return prov_key_export_public(key, export_cb, export_cbarg);
}

const OSSL_DISPATCH prov_store[] = {
    {OSSL_FUNC_STORE_OPEN, (void (*)(void))store_open},
    {OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, (void (*)(void))settable_ctx_params},
    {OSSL_FUNC_STORE_SET_CTX_PARAMS, (void (*)(void))set_ctx_params},
    {OSSL_FUNC_STORE_LOAD, (void (*)(void))store_load},
    {OSSL_FUNC_STORE_EOF, (void (*)(void))store_eof},
    {OSSL_FUNC_STORE_CLOSE, (void (*)(void))store_close},
    {OSSL_FUNC_STORE_EXPORT_OBJECT, (void (*)(void))export_object},
    {0, NULL},
};
