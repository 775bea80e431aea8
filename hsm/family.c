#include "hsm/family.h"

#include "hsm/proof.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

DEFINE_AUTO(pkey, EVP_PKEY *, EVP_PKEY_free)

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

/* The public halves that stand under the id: of the public objects first, then of the certificates.
 */
struct halves {
    struct hsm_key *list; /* owned */
    size_t count;
};

static void halves_done(struct halves *halves)
{
    for (size_t i = 0; i < halves->count; i++) {
        hsm_key_done(&halves->list[i]);
    }
    free(halves->list);
}

DEFINE_AUTO_DONE(halves, struct halves, halves_done)

static void half_of_cert(struct hsm_session *session, const struct hsm_cert *cert,
                         struct hsm_key *out)
{
    *out = (struct hsm_key){.token = session->token, .spec = {.type = HSM_KEY_OTHER}};
    if (cert->x509 != NULL && !hsm_cert_is_attestation(cert)) {
        (void)hsm_public_from_x509(cert->x509, &out->spec, &out->public);
    }
}

static bool load_halves(struct hsm_session *session, const struct hsm_handles *publics,
                        const struct hsm_certs *certs, struct halves *out, struct err *err)
{
    out->list = calloc(publics->count + certs->count + 1, sizeof(*out->list));
    if (out->list == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < publics->count; i++, out->count++) {
        if (!hsm_key_load(session, publics->list[i], CKO_PUBLIC_KEY, false, &out->list[i], err)) {
            return false;
        }
    }
    for (size_t i = 0; i < certs->count; i++) {
        half_of_cert(session, &certs->list[i], &out->list[out->count++]);
    }
    return true;
}

static bool may_be_of(const struct hsm_key *half, const struct hsm_key *key)
{
    return half->public.known && half->spec.type == key->spec.type &&
           half->spec.curve == key->spec.curve;
}

static bool is_half_of(const struct hsm_key *half, const struct hsm_key *key)
{
    return hsm_public_equal(&half->spec, &half->public, &key->spec, &key->public);
}

static uint8_t *copy_bytes(const uint8_t *data, size_t len)
{
    uint8_t *copy = data != NULL ? malloc(len) : NULL;

    if (copy != NULL) {
        memcpy(copy, data, len);
    }
    return copy;
}

/* Lends the key a half; it goes on belonging to the other one, too. */
static bool lend(const struct hsm_key *half, struct hsm_key *key, struct err *err)
{
    struct hsm_public copy = half->public;

    copy.modulus = copy_bytes(half->public.modulus, half->public.modulus_len);
    copy.exponent = copy_bytes(half->public.exponent, half->public.exponent_len);
    copy.borrowed = true;
    if ((copy.modulus == NULL) != (half->public.modulus == NULL) ||
        (copy.exponent == NULL) != (half->public.exponent == NULL)) {
        hsm_public_done(&copy);
        return err_nomem(err);
    }
    hsm_public_done(&key->public);
    key->spec = half->spec;
    key->public = copy;
    return true;
}

/* Whether halves of more than one key stand under the id: then one of them is a stranger's. */
static bool is_doubtful(const struct halves *halves, const struct hsm_key *key)
{
    for (size_t i = 0; i < halves->count; i++) {
        if (may_be_of(&halves->list[i], key) && !is_half_of(&halves->list[i], key)) {
            return true;
        }
    }
    return false;
}

/* A signature tells which half is the key's; none may be. Where there can be no signature, the
 * first one stays. */
static bool try_halves(const struct halves *halves, struct hsm_key *key, struct err *err)
{
    struct hsm_proof proof;
    struct err ignored = ERR_INIT;

    if (!hsm_proof_sign(key, &proof, &ignored)) {
        return true;
    }
    for (size_t i = 0; i < halves->count; i++) {
        AUTO(pkey) EVP_PKEY *public = NULL;
        if (may_be_of(&halves->list[i], key) &&
            hsm_key_public_evp(&halves->list[i], &public, &ignored) &&
            hsm_proof_is_of(&proof, public)) {
            return lend(&halves->list[i], key, err);
        }
    }
    hsm_public_done(&key->public);
    return true;
}

/* Some private keys do not show their public half: then a public object of their id has it, and
 * where there is none, a certificate has. */
static bool borrow(const struct halves *halves, struct hsm_key *key, struct err *err)
{
    for (size_t i = 0; i < halves->count && !key->public.known; i++) {
        if (may_be_of(&halves->list[i], key) && !lend(&halves->list[i], key, err)) {
            return false;
        }
    }
    return !key->public.borrowed || !is_doubtful(halves, key) || try_halves(halves, key, err);
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
static void keep_own_certs(struct hsm_family *family, const struct hsm_key *halves)
{
    size_t kept = 0;

    for (size_t i = 0; i < family->certs.count; i++) {
        if (is_half_of(&halves[i], &family->key)) {
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
    AUTO(halves) struct halves halves = {.count = 0};

    if (!load_certs(session, &sorted->certs, &family->certs, err) ||
        !load_halves(session, &sorted->publics, &family->certs, &halves, err) ||
        !borrow(&halves, &family->key, err)) {
        return false;
    }
    keep_own_certs(family, halves.list + sorted->publics.count);
    for (size_t i = 0; i < sorted->publics.count; i++) {
        bool own = is_half_of(&halves.list[i], &family->key);
        if (own && !add_handle(&family->publics, sorted->publics.list[i], err)) {
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
