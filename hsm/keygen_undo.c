#include "hsm/keygen_impl.h"

#include "base/str.h"
#include "hsm/object.h"

#include <stdio.h>
#include <string.h>

enum { IDS_MAX = 4 };

struct cleanup {
    size_t destroyed;
    size_t left;                /* would not go */
    size_t untouched;           /* nobody knows who made it */
    struct hsm_id ids[IDS_MAX]; /* that the objects have, each once */
    size_t id_count;
};

static bool is_same(const struct hsm_id *a, const struct hsm_id *b)
{
    return a->set && b->set && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void note_id(struct cleanup *count, const struct hsm_id *id)
{
    for (size_t i = 0; i < count->id_count; i++) {
        if (is_same(&count->ids[i], id)) {
            return;
        }
    }
    if (id->set && count->id_count < IDS_MAX) {
        count->ids[count->id_count++] = *id;
    }
}

static void destroy_one(struct hsm_session *session, CK_OBJECT_HANDLE handle, struct cleanup *count)
{
    struct err ignored = ERR_INIT;

    if (hsm_destroy(session, handle, &ignored)) {
        count->destroyed++;
    } else {
        count->left++;
    }
}

/* The very objects that were made, as long as their handles still stand for an id that we gave. */
static bool destroy_made(struct hsm_session *session, const struct hsm_id *id,
                         const struct hsm_made *made, struct cleanup *count, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_ID};

    for (size_t i = 0; i < ARRAY_LEN(made->handles); i++) {
        AUTO(attr_values) struct attr_values values = {.count = 0};
        AUTO(str) char *label = NULL;
        struct hsm_id is;
        if (!hsm_read(session, made->handles[i], types, ARRAY_LEN(types), &values, err) ||
            !hsm_object_name(&values, &is, &label, err)) {
            return false;
        }
        note_id(count, &is);
        if (is_same(&is, id) || is_same(&is, &made->changed)) {
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

/* "id 61ab", "ids 61ab and 77f0": what the objects have, or else what they were to have. */
static void add_ids(const struct cleanup *count, const struct hsm_id *id, struct buf *out)
{
    size_t ids = count->id_count > 0 ? count->id_count : 1;

    buf_add_str(out, ids > 1 ? "ids " : "id ");
    for (size_t i = 0; i < ids; i++) {
        const struct hsm_id *it = count->id_count > 0 ? &count->ids[i] : id;
        buf_add_str(out, i > 0 ? " and " : "");
        str_add_hex(out, it->data, it->len, '\0');
    }
}

/* What became of the key, as the end of a sentence; "" if there was none. */
static void describe(bool cleaned, const struct cleanup *count, const char *ids, struct buf *out)
{
    if (!cleaned) {
        buf_addf(out, "; whether a key was left behind could not be found out: it would have %s",
                 ids);
    } else if (count->left > 0) {
        buf_addf(out, "; what was made could not be destroyed and is still on the token with %s",
                 ids);
    } else if (count->untouched > 0) {
        buf_addf(out,
                 "; there is something with %s on the token now, which this or another program "
                 "made; it was left alone",
                 ids);
    } else if (count->destroyed > 0) {
        buf_addf(out, "; the key that had been made (%s) was destroyed again", ids);
    }
}

bool hsm_keygen_undo(struct hsm_token *token, const struct hsm_key_name *name,
                     const struct hsm_made *made, struct err *err)
{
    AUTO(buf) struct buf ids = BUF_INIT(IDS_MAX * (2 * HSM_ID_MAX + 8));
    AUTO(buf) struct buf text = BUF_INIT(IDS_MAX * (2 * HSM_ID_MAX + 8) + 256);
    struct cleanup count = {0};
    size_t used = strlen(err->msg);

    bool cleaned = clean_up(token, name, made, &count);
    if (!cleaned) { /* they may have either */
        note_id(&count, name->id);
        note_id(&count, &made->changed);
    }
    add_ids(&count, name->id, &ids);
    describe(cleaned, &count, buf_str(&ids), &text);
    (void)snprintf(err->msg + used, sizeof(err->msg) - used, "%s", buf_str(&text));
    return false;
}
