#include "hsm/family.h"

#include "base/str.h"
#include "hsm/survey.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* The one id of all objects that the URI means. */
static bool id_of_rest(struct hsm_session *session, const struct hsm_uri *uri, struct hsm_id *out,
                       struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_ID};
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    hsm_uri_to_template_any(uri, &template);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        AUTO(attr_values) struct attr_values values = {.count = 0};
        AUTO(str) char *label = NULL;
        struct hsm_id id;
        if (!hsm_read(session, found.list[i], types, ARRAY_LEN(types), &values, err) ||
            !hsm_object_name(&values, &id, &label, err)) {
            return false;
        }
        if (id.set && out->set && !hsm_id_equal(&id, out)) {
            return hsm_key_several_found(session, uri, &found, "object", err);
        }
        *out = id.set ? id : *out;
    }
    return out->set || hsm_key_none_found(session->token, uri, "private key", err);
}

/* Whether it may be what is left of a deleted key: no certificate of the device, nor of a CA. */
static bool may_be_rest(const struct hsm_item *item)
{
    return item->class == CKO_PUBLIC_KEY ||
           (item->x509 != NULL && !item->attestation && X509_check_ca(item->x509) == 0);
}

static void add_name(struct buf *out, const struct hsm_item *item)
{
    buf_add_str(out, "'");
    str_add_quotable(out, item->label, strlen(item->label), 64);
    buf_add_str(out, "' (id ");
    str_add_hex(out, item->id.data, item->id.len, '\0');
    buf_add_str(out, ")");
}

static bool is_of_living(const struct hsm_token *token, const struct hsm_item *item,
                         struct err *err)
{
    AUTO(buf) struct buf name = BUF_INIT(512);
    AUTO(buf) struct buf key = BUF_INIT(512);

    add_name(&name, item);
    add_name(&key, item->key);
    return err_set(err, E_OBJECT_EXISTS,
                   "the %s %s on %s is not left of a deleted key: it belongs to the private key "
                   "%s, which is there",
                   item->class == CKO_CERTIFICATE ? "certificate" : "public key", buf_str(&name),
                   hsm_token_name(&token->info), buf_str(&key));
}

/* What belongs to it moves from the item. */
static bool take_item(struct hsm_item *item, struct hsm_family *out, struct err *err)
{
    if (item->class == CKO_CERTIFICATE) {
        struct hsm_cert *cert = &out->certs.list[out->certs.count++];
        *cert = (struct hsm_cert){.handle = item->handle, .id = item->id};
        cert->label = TAKE(item->label);
        cert->x509 = TAKE(item->x509);
        return true;
    }
    CK_OBJECT_HANDLE *grown =
        reallocarray(out->publics.list, out->publics.count + 1, sizeof(CK_OBJECT_HANDLE));
    if (grown == NULL) {
        return err_nomem(err);
    }
    out->publics.list = grown;
    out->publics.list[out->publics.count++] = item->handle;
    return true;
}

static bool take_rest(const struct hsm_token *token, struct hsm_survey *survey,
                      struct hsm_family *out, struct err *err)
{
    out->certs.list = calloc(survey->count + 1, sizeof(*out->certs.list));
    if (out->certs.list == NULL) {
        return err_nomem(err);
    }
    for (size_t i = survey->privates; i < survey->count; i++) {
        struct hsm_item *item = &survey->list[i];
        if (!hsm_id_equal(&item->id, &out->key.id)) {
            continue;
        }
        if (!may_be_rest(item)) {
            out->strangers++;
            continue;
        }
        if (item->key != NULL) {
            return is_of_living(token, item, err);
        }
        if (!take_item(item, out, err)) {
            return false;
        }
    }
    return true;
}

bool hsm_family_find_rest(struct hsm_session *session, const struct hsm_uri *uri,
                          struct hsm_family *out, struct err *err)
{
    AUTO(hsm_survey) struct hsm_survey survey = {.count = 0};
    struct hsm_id id = {.set = false};

    memset(out, 0, sizeof(*out));
    if (!id_of_rest(session, uri, &id, err) || !hsm_survey(session, &survey, err)) {
        return false;
    }
    for (size_t i = 0; i < survey.privates; i++) {
        if (hsm_id_equal(&survey.list[i].id, &id)) {
            return hsm_key_none_found(session->token, uri, "private key", err);
        }
    }
    out->key.token = session->token;
    out->key.id = id;
    return take_rest(session->token, &survey, out, err);
}
