#include "hsm/survey.h"

#include "hsm/cert_impl.h"
#include "hsm/object.h"
#include "hsm/proof.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS_MAX = 200 };

DEFINE_AUTO(pkey, EVP_PKEY *, EVP_PKEY_free)

void hsm_survey_done(struct hsm_survey *survey)
{
    for (size_t i = 0; i < survey->count; i++) {
        free(survey->list[i].label);
        X509_free(survey->list[i].x509);
    }
    free(survey->list);
    *survey = (struct hsm_survey){.count = 0};
}

static bool load_key(struct hsm_session *session, struct hsm_item *item, struct err *err)
{
    AUTO(hsm_key) struct hsm_key key = {0};

    if (!hsm_key_load(session, item->handle, item->class, false, &key, err)) {
        return false;
    }
    item->id = key.id;
    item->label = TAKE(key.label);
    item->known = hsm_public_digest(&key.spec, &key.public, item->digest);
    return true;
}

static bool load_cert(struct hsm_session *session, struct hsm_item *item, struct err *err)
{
    AUTO(hsm_cert) struct hsm_cert cert = {0};

    if (!hsm_cert_load(session, item->handle, &cert, err)) {
        return false;
    }
    item->id = cert.id;
    item->attestation = hsm_cert_is_attestation(&cert);
    item->known = hsm_cert_digest(&cert, item->digest);
    if (cert.x509 != NULL && !item->attestation) {
        bool same = true;
        if (!hsm_cert_has_names(session, &cert, true, &same, err)) {
            return false;
        }
        item->names_differ = !same;
    }
    item->label = TAKE(cert.label);
    item->x509 = TAKE(cert.x509);
    return true;
}

/* Reads all objects of a class behind those that are there. */
static bool add_class(struct hsm_session *session, CK_OBJECT_CLASS class, struct hsm_survey *s,
                      struct err *err)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct hsm_uri all = {.type = HSM_URI_ANY};
    struct attrs template = ATTRS_INIT;

    hsm_uri_to_template(&all, class, &template);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    struct hsm_item *grown =
        reallocarray(s->list, s->count + found.count + 1, sizeof(struct hsm_item));
    if (grown == NULL) {
        return err_nomem(err);
    }
    s->list = grown;
    for (size_t i = 0; i < found.count; i++) {
        struct hsm_item *item = &s->list[s->count];
        *item = (struct hsm_item){.class = class, .handle = found.list[i]};
        if (!(class == CKO_CERTIFICATE ? load_cert(session, item, err)
                                       : load_key(session, item, err))) {
            free(item->label);
            return false;
        }
        s->count++;
    }
    return true;
}

static void take_half(struct hsm_item *key, const struct hsm_item *from)
{
    memcpy(key->digest, from->digest, sizeof(key->digest));
    key->known = true;
}

/* A private key that does not show its public half has that of the public object with its id. */
static void complete(const struct hsm_survey *s, struct hsm_item *key, size_t from, size_t to)
{
    for (size_t i = from; i < to && !key->known; i++) {
        const struct hsm_item *other = &s->list[i];
        if (other->known && !other->attestation && hsm_id_equal(&other->id, &key->id)) {
            take_half(key, other);
        }
    }
}

static const struct hsm_item *key_of(const struct hsm_survey *s, const struct hsm_item *item)
{
    const struct hsm_item *found = NULL;

    for (size_t i = 0; item->known && i < s->privates; i++) {
        const struct hsm_item *key = &s->list[i];
        if (!key->known || memcmp(key->digest, item->digest, sizeof(key->digest)) != 0) {
            continue;
        }
        /* The same key may be there twice: the one that fits already goes first. */
        if (found == NULL || hsm_id_equal(&key->id, &item->id)) {
            found = key;
        }
    }
    return found;
}

static void match_all(struct hsm_survey *s)
{
    for (size_t i = s->privates; i < s->count; i++) {
        if (s->list[i].key == NULL) {
            s->list[i].key = key_of(s, &s->list[i]);
        }
    }
}

/* The public key of an item in software; NULL if there is none. EVP_PKEY_free() it. */
static EVP_PKEY *public_of(struct hsm_session *session, const struct hsm_item *item)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    EVP_PKEY *made = NULL;
    struct err ignored = ERR_INIT;

    if (item->x509 != NULL) {
        return X509_get_pubkey(item->x509);
    }
    return hsm_key_load(session, item->handle, item->class, false, &key, &ignored) &&
                   key.public.known && hsm_key_public_evp(&key, &made, &ignored)
               ? made
               : NULL;
}

/* Tries the public halves that no key has been found for, by one signature. */
static bool try_halves(struct hsm_session *session, struct hsm_survey *s, struct hsm_item *item)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_proof proof;
    struct err ignored = ERR_INIT;

    if (!hsm_key_load(session, item->handle, CKO_PRIVATE_KEY, false, &key, &ignored) ||
        !hsm_proof_sign(&key, &proof, &ignored)) {
        return false;
    }
    for (size_t i = s->privates; i < s->count && !item->known; i++) {
        const struct hsm_item *other = &s->list[i];
        if (other->key != NULL || !other->known || other->attestation) {
            continue;
        }
        AUTO(pkey) EVP_PKEY *public = public_of(session, other);
        if (public != NULL && hsm_proof_is_of(&proof, public)) {
            take_half(item, other);
        }
    }
    return true;
}

static bool has_unmatched(const struct hsm_survey *s)
{
    for (size_t i = s->privates; i < s->count; i++) {
        if (s->list[i].known && s->list[i].key == NULL && !s->list[i].attestation) {
            return true;
        }
    }
    return false;
}

/* Private keys whose public half nobody shows: a signature tells, or else a certificate's id. */
static void settle(struct hsm_session *session, struct hsm_survey *s)
{
    size_t trials = 0;

    for (size_t i = 0; i < s->privates; i++) {
        struct hsm_item *key = &s->list[i];
        if (key->known || !has_unmatched(s)) {
            continue;
        }
        if (trials++ >= TRIALS_MAX || !try_halves(session, s, key)) {
            complete(s, key, s->privates + s->publics, s->count);
        }
        match_all(s);
    }
}

bool hsm_survey(struct hsm_session *session, struct hsm_survey *out, struct err *err)
{
    AUTO(hsm_survey) struct hsm_survey s = {.count = 0};

    if (!add_class(session, CKO_PRIVATE_KEY, &s, err)) {
        return false;
    }
    s.privates = s.count;
    if (!add_class(session, CKO_PUBLIC_KEY, &s, err)) {
        return false;
    }
    s.publics = s.count - s.privates;
    if (!add_class(session, CKO_CERTIFICATE, &s, err)) {
        return false;
    }
    for (size_t i = 0; i < s.privates; i++) {
        complete(&s, &s.list[i], s.privates, s.privates + s.publics);
    }
    match_all(&s);
    settle(session, &s);
    *out = s;
    s = (struct hsm_survey){.count = 0};
    return true;
}
