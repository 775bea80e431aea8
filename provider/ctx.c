#include "provider/ctx.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/quirks.h"
#include "hsm/slot.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

DEFINE_AUTO(md, EVP_MD *, EVP_MD_free)

void prov_ctx_free(struct prov_ctx *ctx)
{
    if (ctx == NULL) {
        return;
    }
    for (size_t i = 0; i < PROV_DIGESTS; i++) {
        EVP_MD_free(atomic_load(&ctx->digests[i]));
    }
    prov_child_free(ctx->child);
    OPENSSL_clear_free(atomic_load(&ctx->rejection), PROV_REJECTION_BYTES);
    (void)pthread_mutex_destroy(&ctx->first_key);
    free(ctx->module_path);
    free(ctx->init_args);
    free(ctx->pin_source);
    secret_done(&ctx->pin);
    if (ctx->token != NULL) {
        hsm_uri_done(ctx->token);
        free(ctx->token);
    }
    free(ctx);
}

/* A provider that was active before us, as the core tells it. */
struct seen {
    OSSL_FUNC_provider_name_fn *name;
    bool has_default;
};

static int see_provider(const OSSL_CORE_HANDLE *provider, void *arg)
{
    struct seen *seen = arg;

    seen->has_default = seen->has_default || str_equal(seen->name(provider), "default");
    return 1;
}

static int forget_provider(const OSSL_CORE_HANDLE *provider UNUSED, void *arg UNUSED)
{
    return 1;
}

static int ignore_properties(const char *properties UNUSED, void *arg UNUSED)
{
    return 1;
}

/* True if the default provider is active already. Asking our own child library context would not
 * tell: where it has no provider at all it takes "default" by itself. */
static bool default_came_first(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in)
{
    OSSL_FUNC_provider_register_child_cb_fn *look = NULL;
    OSSL_FUNC_provider_deregister_child_cb_fn *end = NULL;
    struct seen seen = {.name = NULL};

    for (; in->function_id != 0; in++) {
        if (in->function_id == OSSL_FUNC_PROVIDER_REGISTER_CHILD_CB) {
            look = OSSL_FUNC_provider_register_child_cb(in);
        } else if (in->function_id == OSSL_FUNC_PROVIDER_DEREGISTER_CHILD_CB) {
            end = OSSL_FUNC_provider_deregister_child_cb(in);
        } else if (in->function_id == OSSL_FUNC_PROVIDER_NAME) {
            seen.name = OSSL_FUNC_provider_name(in);
        }
    }
    if (look == NULL || end == NULL || seen.name == NULL ||
        look(handle, see_provider, forget_provider, ignore_properties, &seen) != 1) {
        return false;
    }
    end(handle);
    return seen.has_default;
}

static void take_core_functions(struct prov_ctx *ctx, const OSSL_DISPATCH *in)
{
    for (; in->function_id != 0; in++) {
        switch (in->function_id) {
        case OSSL_FUNC_CORE_GET_PARAMS:
            ctx->core_get_params = OSSL_FUNC_core_get_params(in);
            break;
        case OSSL_FUNC_CORE_NEW_ERROR:
            ctx->core_new_error = OSSL_FUNC_core_new_error(in);
            break;
        case OSSL_FUNC_CORE_SET_ERROR_DEBUG:
            ctx->core_set_error_debug = OSSL_FUNC_core_set_error_debug(in);
            break;
        case OSSL_FUNC_CORE_VSET_ERROR:
            ctx->core_vset_error = OSSL_FUNC_core_vset_error(in);
            break;
        case OSSL_FUNC_BIO_READ_EX:
            ctx->core_bio_read = OSSL_FUNC_BIO_read_ex(in);
            break;
        default:
            break;
        }
    }
}

/* A setting that cannot be read is told when the first URI is loaded: nobody listens before. */
static void read_bool(struct prov_ctx *ctx, const char *name, const char *text, bool *out)
{
    if (text != NULL && !str_to_bool(text, out)) {
        (void)err_set(&ctx->bad_setting, E_CONFIG, "%s = %.20s is neither yes nor no", name, text);
    }
}

/* Nobody tells of settings that OpenSSL hands to nobody; the likeliest are those of p11enroll.conf.
 */
static void refuse_other_spellings(struct prov_ctx *ctx)
{
    static const char *const names[][2] = {
        {"module_path", "module-path"},   {"init_args", "module-init-args"},
        {"pin_source", "pin-source"},     {"allow_env_secrets", "allow-env-secrets"},
        {"keep_pin", "keep-pin"},         {"copy_keys", "copy-keys"},
        {"max_sessions", "max-sessions"},
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *value = NULL;
        OSSL_PARAM params[] = {OSSL_PARAM_utf8_ptr(names[i][0], &value, 0), OSSL_PARAM_END};
        if (ctx->core_get_params(ctx->handle, params) == 1 && value != NULL) {
            (void)err_set(&ctx->bad_setting, E_CONFIG, "there is no setting '%s' here; it is '%s'",
                          names[i][0], names[i][1]);
        }
    }
}

/* The peer takes both forms under one name: a PIN, or "file:" and where it is. */
static void read_pin(struct prov_ctx *ctx, const char *source, const char *pin)
{
    if (source != NULL && pin != NULL) {
        (void)err_set(&ctx->bad_setting, E_CONFIG, "there is a PIN and a pin-source");
    } else if (pin != NULL && !str_starts_with(pin, "file:")) {
        if (!secret_set(&ctx->pin, pin, strlen(pin), &ctx->bad_setting)) {
            return;
        }
    } else {
        ctx->pin_source = str_dup(source != NULL ? source : pin);
    }
}

static void read_token(struct prov_ctx *ctx, const char *text)
{
    if (text == NULL) {
        return;
    }
    ctx->token = calloc(1, sizeof(*ctx->token));
    if (ctx->token == NULL) {
        (void)err_nomem(&ctx->bad_setting);
    } else if (!hsm_uri_parse(text, ctx->token, &ctx->bad_setting)) {
        (void)err_wrap(&ctx->bad_setting, "token");
    } else if (!hsm_uri_names_token(ctx->token)) {
        (void)err_set(&ctx->bad_setting, E_CONFIG, "token = %.80s names no token", text);
    }
}

/* The keys of our section. The second name of a row is what the peer pkcs11-provider calls it. */
static bool read_configuration(struct prov_ctx *ctx)
{
    char *module[2] = {NULL, NULL};
    char *args[2] = {NULL, NULL};
    char *pin_source = NULL;
    char *pin[2] = {NULL, NULL};
    char *token = NULL;
    char *env = NULL;
    char *keep = NULL;
    char *copy = NULL;
    char *sessions = NULL;
    char *quirks = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_ptr("module-path", &module[0], 0),
        OSSL_PARAM_utf8_ptr("pkcs11-module-path", &module[1], 0),
        OSSL_PARAM_utf8_ptr("module-init-args", &args[0], 0),
        OSSL_PARAM_utf8_ptr("pkcs11-module-init-args", &args[1], 0),
        OSSL_PARAM_utf8_ptr("pin-source", &pin_source, 0),
        OSSL_PARAM_utf8_ptr("pin", &pin[0], 0),
        OSSL_PARAM_utf8_ptr("pkcs11-module-token-pin", &pin[1], 0),
        OSSL_PARAM_utf8_ptr("token", &token, 0),
        OSSL_PARAM_utf8_ptr("allow-env-secrets", &env, 0),
        OSSL_PARAM_utf8_ptr("keep-pin", &keep, 0),
        OSSL_PARAM_utf8_ptr("copy-keys", &copy, 0),
        OSSL_PARAM_utf8_ptr("max-sessions", &sessions, 0),
        OSSL_PARAM_utf8_ptr("quirks", &quirks, 0),
        OSSL_PARAM_END,
    };

    if (ctx->core_get_params == NULL || ctx->core_get_params(ctx->handle, params) != 1) {
        return true; /* no section: everything comes from the URI */
    }
    refuse_other_spellings(ctx);
    ctx->module_path = str_dup(module[0] != NULL ? module[0] : module[1]);
    ctx->init_args = str_dup(args[0] != NULL ? args[0] : args[1]);
    read_pin(ctx, pin_source, pin[0] != NULL ? pin[0] : pin[1]);
    read_token(ctx, token);
    read_bool(ctx, "allow-env-secrets", env, &ctx->allow_env_secrets);
    read_bool(ctx, "keep-pin", keep, &ctx->keeps_pin);
    read_bool(ctx, "copy-keys", copy, &ctx->copies_keys);
    if (!hsm_quirks_parse(quirks, &ctx->quirks, &ctx->bad_setting)) {
        ctx->quirks = 0;
    }
    int most = 0;
    if (sessions != NULL && !str_to_int(sessions, 2, HSM_SESSIONS_LIMIT, &most)) {
        (void)err_set(&ctx->bad_setting, E_CONFIG, "max-sessions = %.20s is no number from 2 to %d",
                      sessions, HSM_SESSIONS_LIMIT);
    }
    ctx->max_sessions = (unsigned)most;
    return true;
}

bool prov_ctx_new(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, struct prov_ctx **out)
{
    struct prov_ctx *ctx = calloc(1, sizeof(*ctx));

    if (ctx == NULL) {
        return false;
    }
    ctx->handle = handle;
    atomic_init(&ctx->rejection, NULL);
    (void)pthread_mutex_init(&ctx->first_key, NULL);
    atomic_init(&ctx->process, (int)getpid());
    ctx->copies_keys = true;
    take_core_functions(ctx, in);
    ctx->default_came_first = default_came_first(handle, in);
    atomic_init(&ctx->shows_keymgmt, ctx->default_came_first);
    ctx->child = prov_child_new(handle, in);
    if (ctx->child == NULL || !read_configuration(ctx)) {
        prov_ctx_free(ctx);
        return false;
    }
    *out = ctx;
    return true;
}

bool prov_ctx_is_configured_module(const struct prov_ctx *ctx, const char *module_path)
{
    if (module_path == NULL || ctx->module_path == NULL ||
        str_equal(module_path, ctx->module_path)) {
        return true;
    }
    AUTO(str) char *wanted = realpath(module_path, NULL);
    AUTO(str) char *configured = realpath(ctx->module_path, NULL);
    return wanted != NULL && str_equal(wanted, configured);
}

bool prov_ctx_shows_keymgmt(struct prov_ctx *ctx)
{
    prov_ctx_lock_first_key(ctx);
    bool shows = atomic_load(&ctx->shows_keymgmt);
    prov_ctx_unlock_first_key(ctx);
    return shows;
}

void prov_ctx_lock_first_key(struct prov_ctx *ctx)
{
    int process = (int)getpid();
    int known = atomic_load(&ctx->process);

    if (known != process && atomic_compare_exchange_strong(&ctx->process, &known, process)) {
        (void)pthread_mutex_init(&ctx->first_key, NULL); /* whoever held it is not in this child */
    }
    pthread_mutex_lock(&ctx->first_key);
}

void prov_ctx_unlock_first_key(struct prov_ctx *ctx)
{
    pthread_mutex_unlock(&ctx->first_key);
}

struct search {
    const struct prov_ctx *ctx;
    bool found;
};

static int is_it_us(OSSL_PROVIDER *provider, void *arg)
{
    struct search *search = arg;

    search->found = search->found || OSSL_PROVIDER_get0_provider_ctx(provider) == search->ctx;
    return 1;
}

OSSL_LIB_CTX *prov_ctx_libctx(struct prov_ctx *ctx)
{
    if (ctx->where == PROV_WHERE_UNKNOWN) {
        struct search search = {.ctx = ctx};
        ERR_set_mark();
        (void)OSSL_PROVIDER_do_all(NULL, is_it_us, &search);
        ERR_pop_to_mark();
        ctx->where = search.found ? PROV_WHERE_DEFAULT : PROV_WHERE_ELSEWHERE;
    }
    return ctx->where == PROV_WHERE_DEFAULT ? NULL : prov_child_libctx(ctx->child);
}

EVP_MD *prov_ctx_digest(struct prov_ctx *ctx, const char *name)
{
    static const char *const names[PROV_DIGESTS] = {"SHA256", "SHA384", "SHA512"};
    size_t i = 0;

    while (i < PROV_DIGESTS && !str_equal_nocase(name, names[i])) {
        i++;
    }
    if (i == PROV_DIGESTS) {
        return EVP_MD_fetch(prov_ctx_libctx(ctx), name, NULL);
    }
    EVP_MD *md = atomic_load(&ctx->digests[i]);
    if (md == NULL) {
        EVP_MD *none = NULL;
        md = EVP_MD_fetch(prov_ctx_libctx(ctx), names[i], NULL);
        if (md != NULL && !atomic_compare_exchange_strong(&ctx->digests[i], &none, md)) {
            EVP_MD_free(md);
            md = none; /* another thread was faster */
        }
    }
    return md != NULL && EVP_MD_up_ref(md) == 1 ? md : NULL;
}

static bool has_digests(OSSL_LIB_CTX *libctx)
{
    ERR_set_mark();
    AUTO(md) EVP_MD *md = EVP_MD_fetch(libctx, "SHA256", NULL);
    ERR_pop_to_mark();
    return md != NULL;
}

bool prov_ctx_check(struct prov_ctx *ctx, struct err *err)
{
    if (ctx->bad_setting.code != E_NONE) {
        *err = ctx->bad_setting;
        return err_wrap(err, "the provider's section in openssl.cnf");
    }
    /* The module runs in this process too, and looks in the default library context. */
    if (!has_digests(prov_ctx_libctx(ctx)) || !has_digests(NULL)) {
        return err_set(err, E_CONFIG,
                       "the provider 'default' is not active beside 'p11enroll'; add it to the "
                       "providers section of openssl.cnf ([default_sect] activate = 1)");
    }
    return true;
}

EVP_MD *prov_ctx_fetch_digest(struct prov_ctx *ctx, const char *name, const char *propq,
                              const char *operation_propq, struct err *err)
{
    const char *query = propq != NULL ? propq : operation_propq;

    (void)ERR_set_mark();
    EVP_MD *md = query == NULL ? prov_ctx_digest(ctx, name)
                               : EVP_MD_fetch(prov_ctx_libctx(ctx), name, query);
    if (md == NULL && propq == NULL && query != NULL) {
        md = prov_ctx_digest(ctx, name);
    }
    (void)ERR_pop_to_mark();
    if (md == NULL) {
        (void)err_set(err, E_USAGE, "there is no digest '%.40s'", name);
    }
    return md;
}

/* No lock is held meanwhile: a child that is forked now would inherit it. */
bool prov_ctx_rejection_secret(struct prov_ctx *ctx, uint8_t out[static PROV_REJECTION_BYTES],
                               struct err *err)
{
    const uint8_t *secret = atomic_load(&ctx->rejection);

    if (secret == NULL) {
        uint8_t *mine = OPENSSL_malloc(PROV_REJECTION_BYTES);
        uint8_t *none = NULL;
        if (mine == NULL ||
            RAND_priv_bytes_ex(prov_ctx_libctx(ctx), mine, PROV_REJECTION_BYTES, 0) != 1) {
            OPENSSL_free(mine);
            return err_set(err, E_INTERNAL, "no random bytes for decryption");
        }
        secret = mine;
        if (!atomic_compare_exchange_strong(&ctx->rejection, &none, mine)) {
            OPENSSL_clear_free(mine, PROV_REJECTION_BYTES);
            secret = none; /* another thread was faster */
        }
    }
    memcpy(out, secret, PROV_REJECTION_BYTES);
    return true;
}
