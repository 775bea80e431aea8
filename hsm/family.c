#include "hsm/family.h"

#include <stdlib.h>
#include <string.h>

void hsm_family_done(struct hsm_family *family)
{
    hsm_key_done(&family->key);
    hsm_handles_done(&family->publics);
    hsm_certs_done(&family->certs);
}

/* Objects of one name, sorted by what they are. */
struct sorted {
    struct hsm_handles privates, publics, certs;
};

static void sorted_done(struct sorted *sorted)
{
    hsm_handles_done(&sorted->privates);
    hsm_handles_done(&sorted->publics);
    hsm_handles_done(&sorted->certs);
}

DEFINE_AUTO_DONE(sorted, struct sorted, sorted_done)

static bool add_handle(struct hsm_handles *handles, CK_OBJECT_HANDLE handle, struct err *err)
{
    void *grown = realloc(handles->list, (handles->count + 1) * sizeof(handle));

    if (grown == NULL) {
        return err_nomem(err);
    }
    handles->list = grown;
    handles->list[handles->count++] = handle;
    return true;
}

static bool sort_one(struct hsm_session *session, const struct hsm_uri *uri,
                     CK_OBJECT_HANDLE handle, struct sorted *out, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_CLASS, CKA_LABEL};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    CK_ULONG class = CK_UNAVAILABLE_INFORMATION;

    if (!hsm_read(session, handle, types, ARRAY_LEN(types), &values, err)) {
        return false;
    }
    (void)attr_values_ulong(&values, CKA_CLASS, &class);
    const struct attr_value *label = attr_values_find(&values, CKA_LABEL);
    bool named = uri->object == NULL || (label != NULL && label->len == strlen(uri->object) &&
                                         memcmp(label->data, uri->object, label->len) == 0);
    if (class == CKO_PRIVATE_KEY) {
        return !named || add_handle(&out->privates, handle, err);
    }
    return class == CKO_PUBLIC_KEY    ? add_handle(&out->publics, handle, err)
           : class == CKO_CERTIFICATE ? add_handle(&out->certs, handle, err)
                                      : true;
}

/* Everything with an id; of the private keys, those that have the URI's label if it has one. */
static bool sort_by_id(struct hsm_session *session, const struct hsm_uri *uri,
                       const struct hsm_id *id, struct sorted *out, struct err *err)
{
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    attrs_add_bool(&template, CKA_TOKEN, true);
    attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        if (!sort_one(session, uri, found.list[i], out, err)) {
            return false;
        }
    }
    return true;
}

/* Some private keys do not show their public half: then the one public object of their id has it.
 */
static bool borrow_public(struct hsm_session *session, const struct sorted *sorted,
                          struct hsm_key *key, struct err *err)
{
    for (size_t i = 0; i < sorted->publics.count && !key->public.known; i++) {
        AUTO(hsm_key) struct hsm_key public = {0};
        if (!hsm_key_load(session, sorted->publics.list[i], CKO_PUBLIC_KEY, false, &public, err)) {
            return false;
        }
        if (public.public.known && public.spec.type == key->spec.type &&
            public.spec.curve == key->spec.curve) {
            key->spec = public.spec;
            key->public = public.public;
            memset(&public.public, 0, sizeof(public.public));
        }
    }
    return true;
}

/* And where there is none, a certificate has. */
static void borrow_from_certificates(const struct hsm_certs *certs, struct hsm_key *key)
{
    for (size_t i = 0; i < certs->count && !key->public.known; i++) {
        AUTO(hsm_public) struct hsm_public public = {.known = false};
        struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};
        if (certs->list[i].x509 != NULL &&
            hsm_public_from_x509(certs->list[i].x509, &spec, &public) &&
            spec.type == key->spec.type && spec.curve == key->spec.curve) {
            key->spec = spec;
            key->public = public;
            memset(&public, 0, sizeof(public));
        }
    }
}

static bool is_public_of(struct hsm_session *session, CK_OBJECT_HANDLE handle,
                         const struct hsm_key *key, bool *out, struct err *err)
{
    AUTO(hsm_key) struct hsm_key public = {0};

    if (!hsm_key_load(session, handle, CKO_PUBLIC_KEY, false, &public, err)) {
        return false;
    }
    *out = hsm_public_equal(&public.spec, &public.public, &key->spec, &key->public);
    return true;
}

static bool is_cert_of(const struct hsm_cert *cert, const struct hsm_key *key)
{
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};

    return cert->x509 != NULL && !hsm_cert_is_attestation(cert) &&
           hsm_public_from_x509(cert->x509, &spec, &public) &&
           hsm_public_equal(&spec, &public, &key->spec, &key->public);
}

static bool load_certs(struct hsm_session *session, const struct hsm_handles *handles,
                       struct hsm_certs *out, struct err *err)
{
    out->list = calloc(handles->count + 1, sizeof(*out->list));
    if (out->list == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < handles->count; i++) {
        if (!hsm_cert_load(session, handles->list[i], &out->list[out->count], err)) {
            return false;
        }
        out->count++;
    }
    return true;
}

/* Leaves those that are of the key. */
static void keep_own_certs(struct hsm_family *family)
{
    size_t kept = 0;

    for (size_t i = 0; i < family->certs.count; i++) {
        if (is_cert_of(&family->certs.list[i], &family->key)) {
            struct hsm_cert own = family->certs.list[i];
            family->certs.list[i] = family->certs.list[kept];
            family->certs.list[kept++] = own;
        }
    }
    for (size_t i = kept; i < family->certs.count; i++) {
        hsm_cert_done(&family->certs.list[i]);
        family->strangers++;
    }
    family->certs.count = kept;
}

static bool gather(struct hsm_session *session, const struct sorted *sorted,
                   struct hsm_family *family, struct err *err)
{
    if (!load_certs(session, &sorted->certs, &family->certs, err) ||
        !borrow_public(session, sorted, &family->key, err)) {
        return false;
    }
    borrow_from_certificates(&family->certs, &family->key);
    keep_own_certs(family);
    for (size_t i = 0; i < sorted->publics.count; i++) {
        bool own = false;
        if (!is_public_of(session, sorted->publics.list[i], &family->key, &own, err) ||
            (own && !add_handle(&family->publics, sorted->publics.list[i], err))) {
            return false;
        }
        family->strangers += own ? 0 : 1;
    }
    return true;
}

/* The URI names an id: everything is found at once. */
static bool find_by_id(struct hsm_session *session, const struct hsm_uri *uri,
                       struct hsm_family *family, struct err *err)
{
    AUTO(sorted) struct sorted sorted = {.privates = HSM_HANDLES_INIT};

    if (!sort_by_id(session, uri, &uri->id, &sorted, err)) {
        return false;
    }
    if (sorted.privates.count != 1) {
        return sorted.privates.count == 0
                   ? hsm_key_none_found(session->token, uri, "private key", err)
                   : hsm_key_several_found(session, uri, &sorted.privates, "private key", err);
    }
    return hsm_key_load(session, sorted.privates.list[0], CKO_PRIVATE_KEY, false, &family->key,
                        err) &&
           gather(session, &sorted, family, err);
}

static bool find_by_label(struct hsm_session *session, const struct hsm_uri *uri,
                          struct hsm_family *family, struct err *err)
{
    AUTO(sorted) struct sorted sorted = {.privates = HSM_HANDLES_INIT};

    return hsm_key_find(session, uri, CKO_PRIVATE_KEY, false, &family->key, err) &&
           (!family->key.id.set || sort_by_id(session, uri, &family->key.id, &sorted, err)) &&
           gather(session, &sorted, family, err);
}

bool hsm_family_find(struct hsm_session *session, const struct hsm_uri *uri, struct hsm_family *out,
                     struct err *err)
{
    memset(out, 0, sizeof(*out));
    return uri->id.set ? find_by_id(session, uri, out, err) : find_by_label(session, uri, out, err);
}
