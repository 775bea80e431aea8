#include "hsm/family.h"

#include "base/str.h"
#include "hsm/ckr.h"

#include <stdlib.h>
#include <string.h>

/* What is done to all objects of a key together. */

static bool destroy_listed(struct hsm_session *session, const struct hsm_handles *handles,
                           const char *what, struct err *err)
{
    for (size_t i = 0; i < handles->count; i++) {
        if (!hsm_destroy(session, handles->list[i], err)) {
            return err_wrap(err, "%s", what);
        }
    }
    return true;
}

static bool destroy_certs(struct hsm_session *session, const struct hsm_family *family,
                          struct err *err)
{
    for (size_t i = 0; i < family->certs.count; i++) {
        if (!hsm_destroy(session, family->certs.list[i].handle, err)) {
            return err_wrap(err, "the key is destroyed, and its certificate is not");
        }
    }
    return true;
}

/* How many private and public keys have the family's id: in a session that did not take part. */
static bool count_left(struct hsm_token *token, const struct hsm_family *family, size_t *out,
                       struct err *err)
{
    static const CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_CERTIFICATE};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;

    if (!hsm_session_take_fresh(token, false, &session, err)) {
        return false;
    }
    for (size_t c = 0; c < ARRAY_LEN(classes); c++) {
        struct attrs template = ATTRS_INIT;
        AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
        attrs_add_ulong(&template, CKA_CLASS, classes[c]);
        attrs_add_bool(&template, CKA_TOKEN, true);
        if (family->key.id.set) {
            attrs_add_bytes(&template, CKA_ID, family->key.id.data, family->key.id.len);
        } else {
            attrs_add_string(&template, CKA_LABEL, family->key.label);
        }
        if (!hsm_find(&session, &template, &found, err)) {
            return false;
        }
        out[c] = found.count;
    }
    return true;
}

static bool destroy_all(struct hsm_token *token, const struct hsm_family *family,
                        bool with_certificates, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;

    return hsm_session_take(token, true, &session, err) &&
           destroy_listed(&session, &family->publics, "the public half", err) &&
           (family->key.handle == 0 ||
            (hsm_destroy(&session, family->key.handle, err) ||
             err_wrap(err, family->publics.count > 0
                               ? "the public half is destroyed, and the private one is not"
                               : "the private key"))) &&
           (!with_certificates || destroy_certs(&session, family, err));
}

bool hsm_family_destroy(struct hsm_token *token, const struct hsm_family *family,
                        bool with_certificates, struct err *err)
{
    size_t before[3];
    size_t after[3];

    if (token->info.write_protected) {
        return err_set(err, E_TOKEN, "%s is write-protected", hsm_token_name(&token->info));
    }
    if (!count_left(token, family, before, err) ||
        !destroy_all(token, family, with_certificates, err)) {
        return false;
    }
    if (!count_left(token, family, after, err)) {
        return err_wrap(err, "looking whether the key is gone");
    }
    size_t privates = family->key.handle == 0 ? 0 : 1;
    size_t certs = with_certificates ? family->certs.count : 0;
    return (before[0] - after[0] == privates && before[1] - after[1] == family->publics.count &&
            before[2] - after[2] == certs) ||
           err_set(err, E_TOKEN, "%s said that the objects are destroyed, and they are still there",
                   hsm_token_name(&token->info));
}

/* Every object of the family, for what is done to each. */
static CK_OBJECT_HANDLE member(const struct hsm_family *family, size_t i)
{
    if (i == 0) {
        return family->key.handle;
    }
    i--;
    return i < family->publics.count ? family->publics.list[i]
                                     : family->certs.list[i - family->publics.count].handle;
}

static size_t member_count(const struct hsm_family *family)
{
    return 1 + family->publics.count + family->certs.count;
}

static bool is_member(const struct hsm_family *family, CK_OBJECT_HANDLE handle)
{
    for (size_t i = 0; i < member_count(family); i++) {
        if (member(family, i) == handle) {
            return true;
        }
    }
    return false;
}

/* A label is to mean one key: nothing else that is a key or a certificate may have it. */
static bool is_free(struct hsm_session *session, const struct hsm_family *family, const char *label,
                    struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_CLASS};
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    attrs_add_bool(&template, CKA_TOKEN, true);
    attrs_add_string(&template, CKA_LABEL, label);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        AUTO(attr_values) struct attr_values values = {.count = 0};
        CK_ULONG class = CKO_DATA;
        if (is_member(family, found.list[i])) {
            continue;
        }
        if (!hsm_read(session, found.list[i], types, ARRAY_LEN(types), &values, err)) {
            return false;
        }
        (void)attr_values_ulong(&values, CKA_CLASS, &class);
        if (class == CKO_PRIVATE_KEY || class == CKO_PUBLIC_KEY || class == CKO_CERTIFICATE) {
            return err_set(err, E_OBJECT_EXISTS,
                           "%s has another %s labelled '%s' already; choose another label",
                           hsm_token_name(&session->token->info),
                           class == CKO_CERTIFICATE ? "certificate" : "key", label);
        }
    }
    return true;
}

static bool set_label(struct hsm_session *session, CK_OBJECT_HANDLE handle, const char *label,
                      struct err *err)
{
    struct attrs change = ATTRS_INIT;

    attrs_add_string(&change, CKA_LABEL, label);
    CK_RV rv = ck_set_attribute_value(hsm_session_cryptoki(session), session->handle, handle,
                                      change.list, change.count);
    if (rv != CKR_OK) {
        (void)ckr_set(err, rv, "C_SetAttributeValue");
        return err_wrap(err, "%s does not change the label", hsm_token_name(&session->token->info));
    }
    return true;
}

static bool has_label(struct hsm_session *session, CK_OBJECT_HANDLE handle, const char *label,
                      struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_LABEL};
    AUTO(attr_values) struct attr_values values = {.count = 0};

    if (!hsm_read(session, handle, types, ARRAY_LEN(types), &values, err)) {
        return false;
    }
    const struct attr_value *v = attr_values_find(&values, CKA_LABEL);
    return (v != NULL && v->len == strlen(label) && memcmp(v->data, label, v->len) == 0) ||
           err_set(err, E_TOKEN, "%s said that the label is changed, and it is not",
                   hsm_token_name(&session->token->info));
}

static bool read_back(struct hsm_token *token, const struct hsm_family *family, const char *label,
                      struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;

    if (!hsm_session_take_fresh(token, false, &session, err)) {
        return false;
    }
    for (size_t i = 0; i < member_count(family); i++) {
        if (!has_label(&session, member(family, i), label, err)) {
            return false;
        }
    }
    return true;
}

/* The labels as they are now: a public key or a certificate may have one of its own. */
struct labels {
    char **list;
    size_t count;
};

static void labels_done(struct labels *labels)
{
    for (size_t i = 0; i < labels->count; i++) {
        free(labels->list[i]);
    }
    free(labels->list);
}

DEFINE_AUTO_DONE(labels, struct labels, labels_done)

static bool read_labels(struct hsm_session *session, const struct hsm_family *family,
                        struct labels *out, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_LABEL};
    size_t members = member_count(family);

    out->list = calloc(members, sizeof(*out->list));
    if (out->list == NULL) {
        return err_nomem(err);
    }
    for (; out->count < members; out->count++) {
        AUTO(attr_values) struct attr_values values = {.count = 0};
        struct hsm_id id;
        if (!hsm_read(session, member(family, out->count), types, ARRAY_LEN(types), &values, err) ||
            !hsm_object_name(&values, &id, &out->list[out->count], err)) {
            return false;
        }
    }
    return true;
}

/* Gives the first of them their labels back. How many did not take it. */
static size_t take_back(struct hsm_session *session, const struct hsm_family *family,
                        const struct labels *before, size_t changed)
{
    struct err ignored = ERR_INIT;
    size_t stuck = 0;

    for (size_t i = 0; i < changed; i++) {
        stuck += set_label(session, member(family, i), before->list[i], &ignored) ? 0 : 1;
    }
    return stuck;
}

static bool give_label(struct hsm_session *session, const struct hsm_family *family,
                       const char *label, size_t *changed, struct err *err)
{
    for (*changed = 0; *changed < member_count(family); ++*changed) {
        if (!set_label(session, member(family, *changed), label, err)) {
            return false;
        }
    }
    return read_back(session->token, family, label, err);
}

bool hsm_family_rename(struct hsm_token *token, const struct hsm_family *family, const char *label,
                       struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(labels) struct labels before = {.count = 0};
    size_t changed = 0;

    if (token->info.write_protected) {
        return err_set(err, E_TOKEN, "%s is write-protected", hsm_token_name(&token->info));
    }
    if (!hsm_session_take(token, true, &session, err) || !is_free(&session, family, label, err) ||
        !read_labels(&session, family, &before, err)) {
        return false;
    }
    if (give_label(&session, family, label, &changed, err)) {
        return true;
    }
    size_t stuck = take_back(&session, family, &before, changed);
    return stuck == 0 ? err_wrap(err, "key '%s' keeps its label", family->key.label)
                      : err_wrap(err,
                                 "key '%s': %zu of its %zu objects may have the new label '%s' "
                                 "now, and do not take the old one back",
                                 family->key.label, stuck, member_count(family), label);
}
