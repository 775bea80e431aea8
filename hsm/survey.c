#include "hsm/survey.h"

#include "base/str.h"
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
    hsm_index_done(&survey->ids);
    hsm_index_done(&survey->digests);
    hsm_index_done(&survey->labels);
    hsm_index_done(&survey->subjects);
    hsm_index_done(&survey->issuers);
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
    item->spec = key.spec;
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

/* Finding */

static uint64_t hash_name(const X509_NAME *name)
{
    int ok = 0;

    return X509_NAME_hash_ex(name, NULL, NULL, &ok); /* equal names are equal in it */
}

struct hsm_item *hsm_survey_by_id(const struct hsm_survey *survey, const struct hsm_id *id,
                                  size_t *at)
{
    size_t i = 0;

    while (id->set && hsm_index_next(&survey->ids, hsm_index_hash(id->data, id->len), at, &i)) {
        if (hsm_id_equal(&survey->list[i].id, id)) {
            return &survey->list[i];
        }
    }
    return NULL;
}

struct hsm_item *hsm_survey_by_digest(const struct hsm_survey *survey,
                                      const uint8_t digest[static HSM_DIGEST_LEN], size_t *at)
{
    uint64_t hash = hsm_index_hash(digest, HSM_DIGEST_LEN);
    size_t i = 0;

    while (hsm_index_next(&survey->digests, hash, at, &i)) {
        if (memcmp(survey->list[i].digest, digest, HSM_DIGEST_LEN) == 0) {
            return &survey->list[i];
        }
    }
    return NULL;
}

struct hsm_item *hsm_survey_by_label(const struct hsm_survey *survey, const char *label, size_t *at)
{
    uint64_t hash = hsm_index_hash(label, strlen(label));
    size_t i = 0;

    while (hsm_index_next(&survey->labels, hash, at, &i)) {
        if (str_equal(survey->list[i].label, label)) {
            return &survey->list[i];
        }
    }
    return NULL;
}

struct hsm_item *hsm_survey_by_subject(const struct hsm_survey *survey, const X509_NAME *name,
                                       size_t *at)
{
    size_t i = 0;

    return hsm_index_next(&survey->subjects, hash_name(name), at, &i) ? &survey->list[i] : NULL;
}

struct hsm_item *hsm_survey_by_issuer(const struct hsm_survey *survey, const X509_NAME *name,
                                      size_t *at)
{
    size_t i = 0;

    return hsm_index_next(&survey->issuers, hash_name(name), at, &i) ? &survey->list[i] : NULL;
}

static bool index_names(struct hsm_survey *s, size_t i)
{
    const struct hsm_item *item = &s->list[i];

    return (!item->id.set ||
            hsm_index_add(&s->ids, hsm_index_hash(item->id.data, item->id.len), i)) &&
           (!hsm_item_is_cert(item) ||
            hsm_index_add(&s->labels, hsm_index_hash(item->label, strlen(item->label)), i));
}

static bool index_digest(struct hsm_survey *s, size_t i)
{
    const struct hsm_item *item = &s->list[i];

    return !item->known ||
           hsm_index_add(&s->digests, hsm_index_hash(item->digest, HSM_DIGEST_LEN), i);
}

static bool index_all(struct hsm_survey *s, struct err *err)
{
    size_t certs = s->count - s->privates - s->publics;

    if (!hsm_index_init(&s->ids, s->count, err) || !hsm_index_init(&s->digests, s->count, err) ||
        !hsm_index_init(&s->labels, certs, err) || !hsm_index_init(&s->subjects, certs, err) ||
        !hsm_index_init(&s->issuers, certs, err)) {
        return false;
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct hsm_item *item = &s->list[i];
        bool is_cert = hsm_item_is_cert(item);
        if (!index_names(s, i) || !index_digest(s, i) ||
            (is_cert &&
             (!hsm_index_add(&s->subjects, hash_name(X509_get_subject_name(item->x509)), i) ||
              !hsm_index_add(&s->issuers, hash_name(X509_get_issuer_name(item->x509)), i)))) {
            return err_nomem(err);
        }
    }
    return true;
}

void hsm_survey_note_change(struct hsm_survey *survey, const struct hsm_item *item)
{
    (void)index_names(survey, (size_t)(item - survey->list));
}

/* Matching */

/* What may be a private key's other half: everything else whose half is known. */
static bool is_half(const struct hsm_item *item)
{
    return item->class != CKO_PRIVATE_KEY && item->known && !item->attestation;
}

/* The private key now has that half, and what has it, too, is its own. */
static bool take_half(struct hsm_survey *s, struct hsm_item *key, const struct hsm_item *from)
{
    struct hsm_item *other = NULL;
    size_t at = 0;

    memcpy(key->digest, from->digest, sizeof(key->digest));
    key->known = true;
    if (!index_digest(s, (size_t)(key - s->list))) {
        return false;
    }
    while ((other = hsm_survey_by_digest(s, key->digest, &at)) != NULL) {
        if (is_half(other) && other->key == NULL) {
            other->key = key;
        }
    }
    return true;
}

/* A private key that shows no modulus does not tell its size. */
static bool is_of_kind(const struct hsm_item *public, const struct hsm_item *key)
{
    return public->spec.type == key->spec.type && public->spec.curve == key->spec.curve;
}

/* A half of the class that stands under the key's id; NULL: there is none. */
static const struct hsm_item *half_by_id(const struct hsm_survey *s, const struct hsm_item *key,
                                         CK_OBJECT_CLASS class)
{
    const struct hsm_item *other = NULL;
    size_t at = 0;

    while ((other = hsm_survey_by_id(s, &key->id, &at)) != NULL) {
        if (other->class == class && is_half(other) &&
            (class != CKO_PUBLIC_KEY || is_of_kind(other, key))) {
            return other;
        }
    }
    return NULL;
}

/* Whether what stands under the key's id is not of one key: an id that was used twice, say. */
static bool is_doubtful(const struct hsm_survey *s, const struct hsm_item *key,
                        const struct hsm_item *half)
{
    const struct hsm_item *other = NULL;
    size_t at = 0;

    while ((other = hsm_survey_by_id(s, &key->id, &at)) != NULL) {
        if (is_half(other) && memcmp(other->digest, half->digest, HSM_DIGEST_LEN) != 0) {
            return true;
        }
    }
    return false;
}

/* A private key that does not show its public half has that of the public object with its id. */
static bool complete(struct hsm_survey *s, struct hsm_item *key)
{
    const struct hsm_item *half = key->known ? NULL : half_by_id(s, key, CKO_PUBLIC_KEY);

    return half == NULL || is_doubtful(s, key, half) || take_half(s, key, half);
}

static const struct hsm_item *key_of(const struct hsm_survey *s, const struct hsm_item *item)
{
    const struct hsm_item *found = NULL;
    const struct hsm_item *key = NULL;
    size_t at = 0;

    while (item->known && (key = hsm_survey_by_digest(s, item->digest, &at)) != NULL) {
        /* The same key may be there twice: the one that fits already goes first. */
        if (key->class == CKO_PRIVATE_KEY && (found == NULL || hsm_id_equal(&key->id, &item->id))) {
            found = key;
        }
    }
    return found;
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

static bool fits(struct hsm_session *session, const struct hsm_proof *proof,
                 const struct hsm_item *half)
{
    AUTO(pkey) EVP_PKEY *public = public_of(session, half);

    return public != NULL && hsm_proof_is_of(proof, public);
}

/* Which of the halves that no key has been found for is the signature's; NULL: none. Those under
 * the key's id first. */
static const struct hsm_item *half_of_proof(struct hsm_session *session, const struct hsm_survey *s,
                                            const struct hsm_item *key,
                                            const struct hsm_proof *proof)
{
    const struct hsm_item *other = NULL;
    size_t at = 0;

    while ((other = hsm_survey_by_id(s, &key->id, &at)) != NULL) {
        if (is_half(other) && other->key == NULL && fits(session, proof, other)) {
            return other;
        }
    }
    for (size_t i = s->privates; i < s->count; i++) {
        other = &s->list[i];
        if (is_half(other) && other->key == NULL && !hsm_id_equal(&other->id, &key->id) &&
            fits(session, proof, other)) {
            return other;
        }
    }
    return NULL;
}

static bool sign_for(struct hsm_session *session, const struct hsm_item *item,
                     struct hsm_proof *proof)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err ignored = ERR_INIT;

    return hsm_key_load(session, item->handle, CKO_PRIVATE_KEY, false, &key, &ignored) &&
           hsm_proof_sign(&key, proof, &ignored);
}

static bool has_unmatched(const struct hsm_survey *s, size_t *from)
{
    for (; *from < s->count; ++*from) { /* what has a key keeps it */
        if (is_half(&s->list[*from]) && s->list[*from].key == NULL) {
            return true;
        }
    }
    return false;
}

/* Private keys whose public half is not known, or doubtful: a signature tells, or else what has the
 * key's id. */
static bool settle(struct hsm_session *session, struct hsm_survey *s)
{
    size_t trials = 0;
    size_t from = s->privates;

    for (size_t i = 0; i < s->privates; i++) {
        struct hsm_item *key = &s->list[i];
        const struct hsm_item *half = NULL;
        struct hsm_proof proof;
        if (key->known || !has_unmatched(s, &from)) {
            continue;
        }
        if (trials++ < TRIALS_MAX && sign_for(session, key, &proof)) {
            half = half_of_proof(session, s, key, &proof);
        } else {
            half = half_by_id(s, key, CKO_PUBLIC_KEY);
            half = half != NULL ? half : half_by_id(s, key, CKO_CERTIFICATE);
        }
        if (half != NULL && !take_half(s, key, half)) {
            return false;
        }
    }
    return true;
}

static bool match(struct hsm_session *session, struct hsm_survey *s)
{
    for (size_t i = 0; i < s->privates; i++) {
        if (!complete(s, &s->list[i])) {
            return false;
        }
    }
    for (size_t i = s->privates; i < s->count; i++) {
        s->list[i].key = key_of(s, &s->list[i]);
    }
    if (!settle(session, s)) {
        return false;
    }
    for (size_t i = s->privates + s->publics; i < s->count; i++) {
        const struct hsm_item *cert = &s->list[i];
        if (cert->key != NULL && hsm_item_is_cert(cert)) {
            s->list[cert->key - s->list].has_cert = true;
        }
    }
    return true;
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
    if (!add_class(session, CKO_CERTIFICATE, &s, err) || !index_all(&s, err)) {
        return false;
    }
    if (!match(session, &s)) {
        return err_nomem(err);
    }
    *out = s;
    s = (struct hsm_survey){.count = 0};
    return true;
}
