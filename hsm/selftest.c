#include "hsm/selftest.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/keygen.h"
#include "hsm/object.h"
#include "hsm/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES = 6 };

bool hsm_selftest_begin(struct hsm_selftest *test, struct hsm_token *token, struct err *err)
{
    AUTO(buf) struct buf hex = BUF_INIT(64);
    struct hsm_id random;

    *test = (struct hsm_selftest){.token = token};
    if (!hsm_new_id(&random, err)) {
        return false;
    }
    str_add_hex(&hex, random.data, LABEL_BYTES, '\0');
    (void)snprintf(test->label, sizeof(test->label), "p11enroll-test-%s", buf_str(&hex));
    return true;
}

bool hsm_selftest_id(struct hsm_selftest *test, struct hsm_id *id, struct err *err)
{
    if (test->id_count == HSM_SELFTEST_IDS) {
        return err_set(err, E_INTERNAL, "a self-test has %d objects at most", HSM_SELFTEST_IDS);
    }
    if (!hsm_new_id(id, err)) {
        return false;
    }
    test->ids[test->id_count++] = *id;
    return true;
}

static CK_MECHANISM_TYPE maker_of(const struct hsm_key_spec *spec)
{
    switch (spec->type) {
    case HSM_KEY_RSA:
        return CKM_RSA_PKCS_KEY_PAIR_GEN;
    case HSM_KEY_ED:
        return CKM_EC_EDWARDS_KEY_PAIR_GEN;
    case HSM_KEY_EC:
    case HSM_KEY_MONTGOMERY:
    case HSM_KEY_OTHER:
        break;
    }
    return CKM_EC_KEY_PAIR_GEN;
}

bool hsm_selftest_offers(const struct hsm_token *token, const struct hsm_key_spec *spec, char *why,
                         size_t why_size)
{
    CK_MECHANISM_TYPE type = maker_of(spec);
    CK_MECHANISM_TYPE *list = NULL;
    struct err err = ERR_INIT;
    struct hsm_mechanism mechanism;
    size_t count = 0;

    if (!hsm_token_mechanisms(token, &list, &count, &err)) {
        return true; /* nobody knows; the call will tell */
    }
    bool is_listed = hsm_mechanism_listed(list, count, type);
    free(list);
    if (!is_listed) {
        (void)snprintf(why, why_size, "the token does not list %s", hsm_mechanism_name(type));
        return false;
    }
    hsm_token_mechanism(token, type, &mechanism);
    unsigned long bits = (unsigned long)spec->bits;
    /* Some count in bytes: a limit below any sensible size in bits says nothing. */
    if (mechanism.max_size >= 160 && (bits > mechanism.max_size || bits < mechanism.min_size)) {
        (void)snprintf(why, why_size, "the token makes such keys with %lu to %lu bits",
                       mechanism.min_size, mechanism.max_size);
        return false;
    }
    return true;
}

bool hsm_selftest_sessions(struct hsm_token *token, size_t wanted, size_t *opened, struct err *err)
{
    struct hsm_session sessions[HSM_SESSIONS_KEPT];
    bool ok = true;

    *opened = 0;
    while (ok && *opened < wanted && *opened < ARRAY_LEN(sessions)) {
        sessions[*opened] = (struct hsm_session)HSM_SESSION_INIT;
        ok = hsm_session_take_fresh(token, true, &sessions[*opened], err);
        *opened += ok ? 1 : 0;
    }
    for (size_t i = *opened; i > 0; i--) {
        hsm_session_give(&sessions[i - 1]);
    }
    return ok;
}

/* Objects of the token of that class (CK_UNAVAILABLE_INFORMATION: of any) with that id; the copies
 * that are made of keys while they are used are none. */
static bool find_id(struct hsm_session *session, CK_OBJECT_CLASS class, const struct hsm_id *id,
                    struct hsm_handles *out, struct err *err)
{
    struct attrs template = ATTRS_INIT;

    if (class != CK_UNAVAILABLE_INFORMATION) {
        attrs_add_ulong(&template, CKA_CLASS, class);
    }
    attrs_add_bool(&template, CKA_TOKEN, true);
    attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    return hsm_find(session, &template, out, err);
}

static bool find_private(struct hsm_session *session, const struct hsm_id *id,
                         CK_OBJECT_HANDLE *out, struct err *err)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    if (!find_id(session, CKO_PRIVATE_KEY, id, &found, err)) {
        return false;
    }
    if (found.count != 1) {
        return err_set(err, E_TOKEN, "%zu private keys have the id of one", found.count);
    }
    *out = found.list[0];
    return true;
}

bool hsm_selftest_change_id(struct hsm_selftest *test, const struct hsm_id *from, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_session) struct hsm_session fresh = HSM_SESSION_INIT;
    struct attrs change = ATTRS_INIT;
    CK_OBJECT_HANDLE key = 0;
    struct hsm_id to;

    if (!hsm_session_take(test->token, true, &session, err) ||
        !find_private(&session, from, &key, err) || !hsm_selftest_id(test, &to, err)) {
        return false;
    }
    attrs_add_bytes(&change, CKA_ID, to.data, to.len);
    CK_RV rv = ck_set_attribute_value(hsm_session_cryptoki(&session), session.handle, key,
                                      change.list, change.count);
    if (rv != CKR_OK) {
        return ckr_set(err, rv, "C_SetAttributeValue");
    }
    return hsm_session_take_fresh(test->token, false, &fresh, err) &&
           (find_private(&fresh, &to, &key, err) ||
            err_wrap(err, "the token said OK and changed nothing"));
}

bool hsm_selftest_copy(struct hsm_selftest *test, const struct hsm_id *id, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct attrs template = ATTRS_INIT;
    CK_OBJECT_HANDLE key = 0;
    CK_OBJECT_HANDLE copy = 0;

    if (!hsm_session_take(test->token, true, &session, err) ||
        !find_private(&session, id, &key, err)) {
        return false;
    }
    attrs_add_bool(&template, CKA_TOKEN, false);
    const struct cryptoki *ck = hsm_session_cryptoki(&session);
    CK_RV rv = ck_copy_object(ck, session.handle, key, template.list, template.count, &copy);
    if (rv != CKR_OK) {
        return ckr_set(err, rv, "C_CopyObject");
    }
    rv = ck_destroy_object(ck, session.handle, copy);
    return rv == CKR_OK || ckr_set(err, rv, "C_DestroyObject");
}

/* Whether the object's label begins as those of this run do. Issuers and others never do. */
static bool is_ours(const struct hsm_selftest *test, struct hsm_session *session,
                    CK_OBJECT_HANDLE object)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_LABEL};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err ignored = ERR_INIT;
    size_t len = strlen(test->label);

    if (!hsm_read(session, object, types, ARRAY_LEN(types), &values, &ignored)) {
        return false;
    }
    const struct attr_value *label = attr_values_find(&values, CKA_LABEL);
    return label != NULL && label->len >= len && memcmp(label->data, test->label, len) == 0;
}

/* Visits what there is of this run: counts it, and destroys it if asked. */
static bool visit(struct hsm_selftest *test, struct hsm_session *session, bool destroy,
                  size_t *count, struct err *err)
{
    bool ok = true;

    *count = 0;
    for (size_t i = 0; i < test->id_count; i++) {
        AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
        if (!find_id(session, CK_UNAVAILABLE_INFORMATION, &test->ids[i], &found, err)) {
            return false;
        }
        for (size_t j = 0; j < found.count; j++) {
            struct err why = ERR_INIT;
            if (!is_ours(test, session, found.list[j])) {
                continue;
            }
            if (!destroy || hsm_destroy(session, found.list[j], &why)) {
                *count += 1;
            } else if (ok) {
                *err = why;
                ok = false;
            }
        }
    }
    return ok;
}

bool hsm_selftest_clean(struct hsm_selftest *test, size_t *removed, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;

    *removed = 0;
    return test->id_count == 0 || (hsm_session_take(test->token, true, &session, err) &&
                                   visit(test, &session, true, removed, err));
}

bool hsm_selftest_left(struct hsm_selftest *test, size_t *left, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;

    *left = 0;
    return test->id_count == 0 || (hsm_session_take_fresh(test->token, false, &session, err) &&
                                   visit(test, &session, false, left, err));
}
