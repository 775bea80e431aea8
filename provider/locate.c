#include "provider/locate.h"

#include "base/str.h"
#include "hsm/revive.h"

const char *prov_class_word(CK_OBJECT_CLASS class)
{
    return class == CKO_PRIVATE_KEY  ? "private key"
           : class == CKO_PUBLIC_KEY ? "public key"
                                     : "certificate";
}

bool prov_locate_token(const struct prov_pin *pin, struct hsm_token **out, struct err *err)
{
    const char *module_path = pin->uri->module_path;
    bool is_configured = prov_ctx_is_configured_module(pin->prov, module_path);
    struct hsm_target target = {
        .module_path = module_path != NULL ? module_path : pin->prov->module_path,
        .init_args = is_configured ? pin->prov->init_args : NULL,
        .quirks = is_configured ? pin->prov->quirks : 0,
        .uri = pin->uri,
    };

    if (!prov_ctx_check(pin->prov, err) || !hsm_token_open(&target, out, err)) {
        return false;
    }
    hsm_token_limit_sessions(*out, pin->prov->max_sessions);
    hsm_token_refuse_copies(*out, !pin->prov->copies_keys);
    return true;
}

bool prov_locate_objects(struct hsm_session *session, const struct hsm_uri *uri,
                         CK_OBJECT_CLASS class, struct hsm_handles *out, struct err *err)
{
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    hsm_uri_to_template(uri, class, &template);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    if (class != CKO_CERTIFICATE && found.count > 1 && hsm_uri_names_object(uri)) {
        return hsm_key_several_found(session, uri, &found, prov_class_word(class), err);
    }
    *out = found;
    found = (struct hsm_handles)HSM_HANDLES_INIT;
    return true;
}

/* Makes our key of one that was read. *out stays NULL if it is of a kind that we do not know. */
static bool make_key(struct hsm_session *session, const struct prov_pin *pin, struct hsm_key *key,
                     struct prov_key **out, struct err *err)
{
    *out = NULL;
    if (hsm_key_evp_type(key) == NULL) {
        return true;
    }
    /* Without its public half not even the size of such a key is known. */
    if (key->spec.type == HSM_KEY_RSA && !key->public.known &&
        !hsm_key_find_public(session, key, err)) {
        return false;
    }
    *out = prov_key_new(pin->prov, key);
    if (*out == NULL || !prov_key_set_origin(*out, pin->uri)) {
        prov_key_free(*out);
        *out = NULL;
        return err_nomem(err);
    }
    return true;
}

bool prov_locate_no_kind(const struct hsm_token *token, const struct hsm_uri *uri,
                         CK_OBJECT_CLASS class, struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(HSM_URI_MAX);

    hsm_uri_format(uri, &text);
    return err_set(err, E_OBJECT_MISSING, "%s: the %s that matches %s is of no supported kind",
                   hsm_token_name(&token->info), prov_class_word(class), buf_str(&text));
}

bool prov_locate_load(struct hsm_session *session, const struct prov_pin *pin,
                      CK_OBJECT_CLASS class, CK_OBJECT_HANDLE handle, struct prov_key **out,
                      struct err *err)
{
    AUTO(hsm_key) struct hsm_key key = {0};

    return hsm_key_load(session, handle, class, false, &key, err) &&
           make_key(session, pin, &key, out, err);
}

bool prov_locate_private(struct hsm_session *session, const struct prov_pin *pin,
                         struct prov_key **out, struct err *err)
{
    AUTO(hsm_key) struct hsm_key key = {0};

    return hsm_key_find_pair(session, pin->uri, &key, err) &&
           make_key(session, pin, &key, out, err);
}

static bool only_one(struct hsm_session *session, const struct hsm_uri *uri, CK_OBJECT_CLASS class,
                     CK_OBJECT_HANDLE *handle, struct err *err)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    if (!prov_locate_objects(session, uri, class, &found, err)) {
        return false;
    }
    if (found.count == 0) {
        return hsm_key_none_found(session->token, uri, prov_class_word(class), err);
    }
    if (found.count > 1) {
        return hsm_key_several_found(session, uri, &found, prov_class_word(class), err);
    }
    *handle = found.list[0];
    return true;
}

bool prov_locate_with(struct hsm_token *token, prov_locate_fn *find, void *ctx, struct err *err)
{
    unsigned epoch = hsm_token_sessions_epoch(token);

    if (find(ctx, token, err)) {
        return true;
    }
    if (!hsm_token_has_changed(token, epoch)) {
        return false;
    }
    err_clear(err); /* its server was restarted since the last time, say */
    return find(ctx, token, err);
}

/* The search for one key. */
struct wanted {
    struct prov_pin *pin;
    CK_OBJECT_CLASS class;
    struct prov_key *key;
};

static bool find_key(void *ctx, struct hsm_token *token, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct wanted *wanted = ctx;
    struct hsm_pin rules = prov_pin_rules(wanted->pin);
    CK_OBJECT_HANDLE handle = 0;

    if ((wanted->class == CKO_PRIVATE_KEY && !hsm_login(token, &rules, err)) ||
        !hsm_session_take(token, false, &session, err)) {
        return false;
    }
    if (wanted->class == CKO_PRIVATE_KEY && hsm_uri_names_object(wanted->pin->uri)) {
        return prov_locate_private(&session, wanted->pin, &wanted->key, err);
    }
    return only_one(&session, wanted->pin->uri, wanted->class, &handle, err) &&
           prov_locate_load(&session, wanted->pin, wanted->class, handle, &wanted->key, err);
}

bool prov_locate_key(struct prov_pin *pin, CK_OBJECT_CLASS class, struct prov_key **out,
                     struct err *err)
{
    struct wanted wanted = {.pin = pin, .class = class};
    struct hsm_token *token = NULL;

    if (!prov_locate_token(pin, &token, err) || !prov_locate_with(token, find_key, &wanted, err)) {
        return false;
    }
    struct prov_key *key = wanted.key;
    if (key == NULL) {
        return prov_locate_no_kind(token, pin->uri, class, err);
    }
    *out = key;
    return true;
}
