#include "hsm/keygen_impl.h"

#include "base/str.h"
#include "hsm/object.h"

#include <stdio.h>
#include <string.h>

struct cleanup {
    size_t destroyed;
    size_t left;      /* would not go */
    size_t untouched; /* nobody knows who made it */
};

static void destroy_one(struct hsm_session *session, CK_OBJECT_HANDLE handle, struct cleanup *count)
{
    struct err ignored = ERR_INIT;

    if (hsm_destroy(session, handle, &ignored)) {
        count->destroyed++;
    } else {
        count->left++;
    }
}

/* The very objects that were made, as long as their handles still stand for our id. */
static bool destroy_made(struct hsm_session *session, const struct hsm_id *id,
                         const struct hsm_made *made, struct cleanup *count, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_ID};

    for (size_t i = 0; i < ARRAY_LEN(made->handles); i++) {
        AUTO(attr_values) struct attr_values values = {.count = 0};
        if (!hsm_read(session, made->handles[i], types, ARRAY_LEN(types), &values, err)) {
            return false;
        }
        const struct attr_value *v = attr_values_find(&values, CKA_ID);
        if (v != NULL && v->len == id->len && memcmp(v->data, id->data, id->len) == 0) {
            destroy_one(session, made->handles[i], count);
        } else {
            count->left++;
        }
    }
    return true;
}

/* Whatever carries the id, if nobody but us can have made it. */
static bool destroy_by_id(struct hsm_session *session, const struct hsm_id *id, bool is_ours,
                          struct cleanup *count, struct err *err)
{
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    if (!is_ours) {
        count->untouched = found.count;
        return true;
    }
    for (size_t i = 0; i < found.count; i++) {
        destroy_one(session, found.list[i], count);
    }
    return true;
}

static bool clean_up(struct hsm_token *token, const struct hsm_key_name *name,
                     const struct hsm_made *made, struct cleanup *count)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct err ignored = ERR_INIT;

    return hsm_session_take_fresh(token, true, &session, &ignored) &&
           (made->known ? destroy_made(&session, name->id, made, count, &ignored)
                        : destroy_by_id(&session, name->id, name->id_is_random, count, &ignored));
}

bool hsm_keygen_undo(struct hsm_token *token, const struct hsm_key_name *name,
                     const struct hsm_made *made, struct err *err)
{
    AUTO(buf) struct buf hex = BUF_INIT(2 * HSM_ID_MAX);
    struct cleanup count = {0};
    size_t used = strlen(err->msg);
    char *end = err->msg + used;
    size_t room = sizeof(err->msg) - used;

    str_add_hex(&hex, name->id->data, name->id->len, '\0');
    bool cleaned = clean_up(token, name, made, &count);
    if (!cleaned) {
        (void)snprintf(end, room,
                       "; whether a key was left behind could not be found out: it would "
                       "have id %s",
                       buf_str(&hex));
    } else if (count.left > 0) {
        (void)snprintf(end, room,
                       "; what was made could not be destroyed and is still on the "
                       "token with id %s",
                       buf_str(&hex));
    } else if (count.untouched > 0) {
        (void)snprintf(end, room,
                       "; there is something with id %s on the token now, which this or another "
                       "program made; it was left alone",
                       buf_str(&hex));
    } else if (count.destroyed > 0) {
        (void)snprintf(end, room, "; the key that had been made (id %s) was destroyed again",
                       buf_str(&hex));
    }
    return false;
}
