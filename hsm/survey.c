#include "hsm/survey.h"

#include "hsm/cert_impl.h"
#include "hsm/object.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

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

/* A private key that does not show its public half has that of its neighbours. */
static void complete(struct hsm_survey *s, struct hsm_item *key)
{
    for (size_t i = s->privates; i < s->count && !key->known; i++) {
        const struct hsm_item *other = &s->list[i];
        if (other->known && !other->attestation && hsm_id_equal(&other->id, &key->id)) {
            memcpy(key->digest, other->digest, sizeof(key->digest));
            key->known = true;
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
        complete(&s, &s.list[i]);
    }
    for (size_t i = s.privates; i < s.count; i++) {
        s.list[i].key = key_of(&s, &s.list[i]);
    }
    *out = s;
    s = (struct hsm_survey){.count = 0};
    return true;
}
