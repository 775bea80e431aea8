#include "hsm/object.h"

#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/revive.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIND_BATCH = 256, OBJECTS_MAX = 1 << 22, FIRST_ROOM = 640 };

void hsm_handles_done(struct hsm_handles *handles)
{
    free(handles->list);
    *handles = (struct hsm_handles)HSM_HANDLES_INIT;
}

static bool find_failed(struct hsm_session *session, CK_RV rv, const char *what, struct err *err)
{
    (void)hsm_token_note(session->token, session->epoch, rv);
    (void)ckr_set(err, rv, what);
    return err_wrap(err, "%s", hsm_token_name(&session->token->info));
}

static bool collect(struct hsm_session *session, bool all, struct hsm_handles *out, struct err *err)
{
    const struct cryptoki *ck = hsm_session_cryptoki(session);
    size_t cap = 0;

    for (;;) {
        CK_ULONG got = 0;
        if (out->count + FIND_BATCH > cap) {
            cap = cap == 0 ? FIND_BATCH : cap * 2;
            CK_OBJECT_HANDLE *grown = reallocarray(out->list, cap, sizeof(*grown));
            if (grown == NULL || cap > OBJECTS_MAX) {
                out->list = grown != NULL ? grown : out->list;
                return err_nomem(err);
            }
            out->list = grown;
        }
        CK_RV rv = ck_find_objects(ck, session->handle, out->list + out->count, FIND_BATCH, &got);
        if (rv != CKR_OK) {
            return find_failed(session, rv, "C_FindObjects", err);
        }
        if (got > FIND_BATCH) {
            return err_set(err, E_TOKEN, "C_FindObjects returned more objects than asked for");
        }
        out->count += got;
        /* A short batch is not the end for every module, an empty one is. */
        if (got == 0 || !all) {
            return true;
        }
    }
}

static bool find(struct hsm_session *session, struct attrs *template, bool all,
                 struct hsm_handles *out, struct err *err)
{
    const struct cryptoki *ck = hsm_session_cryptoki(session);
    CK_RV rv = ck_find_objects_init(ck, session->handle, template->list, template->count);

    *out = (struct hsm_handles)HSM_HANDLES_INIT;
    if (rv != CKR_OK) {
        return find_failed(session, rv, "C_FindObjectsInit", err);
    }
    bool ok = collect(session, all, out, err);
    (void)ck_find_objects_final(ck, session->handle);
    if (!ok) {
        hsm_handles_done(out);
    }
    return ok;
}

bool hsm_find(struct hsm_session *session, struct attrs *template, struct hsm_handles *out,
              struct err *err)
{
    return find(session, template, true, out, err);
}

bool hsm_find_some(struct hsm_session *session, struct attrs *template, struct hsm_handles *out,
                   struct err *err)
{
    return find(session, template, false, out, err);
}

/* Types whose value may be longer than FIRST_ROOM; the others are absent if they did not fit. */
static bool may_be_long(CK_ATTRIBUTE_TYPE type)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
        CKA_VALUE, CKA_SUBJECT, CKA_ISSUER, CKA_LABEL, CKA_MODULUS, CKA_PUBLIC_KEY_INFO, CKA_ID};

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (types[i] == type) {
            return true;
        }
    }
    return false;
}

static bool is_attribute_answer(CK_RV rv)
{
    return rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
           rv == CKR_BUFFER_TOO_SMALL;
}

ANALYZER_LOSES_OWNER
static bool keep(struct attr_value *value, const void *data, size_t len, struct err *err)
{
    value->data = malloc(len + 1);
    if (value->data == NULL) {
        return err_nomem(err);
    }
    memcpy(value->data, data, len);
    value->data[len] = 0;
    value->len = len;
    value->present = true;
    return true;
}
ANALYZER_LOSES_OWNER_END

static bool read_failed(struct hsm_session *session, CK_RV rv, struct err *err)
{
    (void)hsm_token_note(session->token, session->epoch, rv);
    (void)ckr_set(err, rv, "C_GetAttributeValue");
    return err_wrap(err, "%s", hsm_token_name(&session->token->info));
}

/* One attribute by itself: its length, then its value. */
static bool read_one(struct hsm_session *session, CK_OBJECT_HANDLE object, struct attr_value *value,
                     struct err *err)
{
    const struct cryptoki *ck = hsm_session_cryptoki(session);
    CK_ATTRIBUTE a = {.type = value->type, .pValue = NULL, .ulValueLen = 0};
    CK_RV rv = ck_get_attribute_value(ck, session->handle, object, &a, 1);

    value->sensitive = rv == CKR_ATTRIBUTE_SENSITIVE;
    if (!is_attribute_answer(rv)) {
        return read_failed(session, rv, err);
    }
    if (rv != CKR_OK || a.ulValueLen == CK_UNAVAILABLE_INFORMATION) {
        return true;
    }
    if (a.ulValueLen > ATTR_VALUE_MAX) {
        return err_set(err, E_TOKEN, "%s claims to have %lu bytes", attr_name(a.type),
                       (unsigned long)a.ulValueLen);
    }
    AUTO(mem) void *room = malloc(a.ulValueLen + 1);
    if (room == NULL) {
        return err_nomem(err);
    }
    a.pValue = room;
    CK_ULONG room_len = a.ulValueLen;
    rv = ck_get_attribute_value(ck, session->handle, object, &a, 1);
    if (rv != CKR_OK) {
        return is_attribute_answer(rv) || read_failed(session, rv, err);
    }
    if (a.ulValueLen > room_len) {
        return err_set(err, E_TOKEN, "C_GetAttributeValue gave %s another length than it announced",
                       attr_name(a.type));
    }
    return keep(value, room, a.ulValueLen, err);
}

/* Of other keys nobody need ask for the modulus again. */
static bool may_be_rsa(const CK_ATTRIBUTE *list, size_t count)
{
    CK_ULONG type = CKK_RSA;

    for (size_t i = 0; i < count; i++) {
        if (list[i].type == CKA_KEY_TYPE && list[i].ulValueLen == sizeof(type)) {
            memcpy(&type, list[i].pValue, sizeof(type));
        }
    }
    return type == CKK_RSA;
}

/* Sorts the answer of the common call into values; those that must be asked again are left for
 * read_one(). */
static bool sort_answer(const CK_ATTRIBUTE *list, size_t count, CK_RV rv, struct attr_values *out,
                        bool *again, struct err *err)
{
    bool is_rsa = may_be_rsa(list, count);

    for (size_t i = 0; i < count; i++) {
        struct attr_value *value = &out->list[i];
        again[i] = false;
        if (list[i].ulValueLen <= FIRST_ROOM) {
            if (!keep(value, list[i].pValue, list[i].ulValueLen, err)) {
                return false;
            }
        } else if (list[i].type != CKA_MODULUS || is_rsa) {
            /* One return code stands for all: only asking one by one tells which it means. */
            value->sensitive = rv == CKR_ATTRIBUTE_SENSITIVE;
            again[i] = may_be_long(list[i].type);
        }
    }
    return true;
}

bool hsm_read(struct hsm_session *session, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE_TYPE *types,
              size_t count, struct attr_values *out, struct err *err)
{
    CK_ATTRIBUTE list[ATTRS_MAX];
    bool again[ATTRS_MAX];

    assert(count > 0 && count <= ATTRS_MAX);
    memset(out, 0, sizeof(*out));
    AUTO(mem) void *room = calloc(count, FIRST_ROOM);
    if (room == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        out->list[i].type = types[i];
        /* NSS 3.87 takes more room than a number needs for too little. */
        list[i] =
            (CK_ATTRIBUTE){.type = types[i],
                           .pValue = (char *)room + i * FIRST_ROOM,
                           .ulValueLen = attr_is_number(types[i]) ? sizeof(CK_ULONG) : FIRST_ROOM};
        again[i] = true;
    }
    out->count = count;
    CK_RV rv = ck_get_attribute_value(hsm_session_cryptoki(session), session->handle, object, list,
                                      (CK_ULONG)count);
    if (ckr_is_stale(rv) || rv == CKR_OBJECT_HANDLE_INVALID) {
        return read_failed(session, rv, err);
    }
    bool ok = !is_attribute_answer(rv) || sort_answer(list, count, rv, out, again, err);
    for (size_t i = 0; ok && i < count; i++) {
        ok = !again[i] || read_one(session, object, &out->list[i], err);
    }
    if (!ok) {
        attr_values_done(out);
    }
    return ok;
}

void hsm_uri_to_template(const struct hsm_uri *uri, CK_OBJECT_CLASS class, struct attrs *template)
{
    attrs_add_ulong(template, CKA_CLASS, class);
    hsm_uri_to_template_any(uri, template);
}

void hsm_uri_to_template_any(const struct hsm_uri *uri, struct attrs *template)
{
    attrs_add_bool(template, CKA_TOKEN, true);
    if (uri->id.set) {
        attrs_add_bytes(template, CKA_ID, uri->id.data, uri->id.len);
    }
    if (uri->object != NULL) {
        attrs_add_string(template, CKA_LABEL, uri->object);
    }
}

bool hsm_object_name(const struct attr_values *values, struct hsm_id *id, char **label,
                     struct err *err)
{
    const struct attr_value *v = attr_values_find(values, CKA_ID);

    memset(id, 0, sizeof(*id));
    if (v != NULL && v->len <= HSM_ID_MAX) {
        memcpy(id->data, v->data, v->len);
        id->len = v->len;
        id->set = v->len > 0;
    }
    v = attr_values_find(values, CKA_LABEL);
    *label = v != NULL ? str_ndup((const char *)v->data, v->len) : str_dup("");
    return *label != NULL || err_nomem(err);
}

bool hsm_destroy(struct hsm_session *session, CK_OBJECT_HANDLE object, struct err *err)
{
    CK_RV rv = ck_destroy_object(hsm_session_cryptoki(session), session->handle, object);

    if (rv != CKR_OK) {
        (void)ckr_set(err, rv, "C_DestroyObject");
        return err_wrap(err, "%s", hsm_token_name(&session->token->info));
    }
    return true;
}
