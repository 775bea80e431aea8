#include "hsm/names.h"

#include "hsm/object.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

DEFINE_AUTO(md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)

enum { DIGEST_BYTES = 16, FIRST_SIZE = 64 };

/* What is kept of a name: enough of its SHA-256 that no two meet. All zero: a free place. */
struct hsm_name_digest {
    uint8_t bytes[DIGEST_BYTES];
};

static const struct hsm_name_digest free_place;

static bool is_same(const struct hsm_name_digest *a, const struct hsm_name_digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

/* An id and a label with the same bytes are two names. */
static bool digest_of(char kind, const void *data, size_t len, struct hsm_name_digest *out)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    AUTO(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, &kind, 1) != 1 || EVP_DigestUpdate(ctx, data, len) != 1 ||
        EVP_DigestFinal_ex(ctx, hash, NULL) != 1) {
        return false;
    }
    memcpy(out->bytes, hash, DIGEST_BYTES);
    return true;
}

/* Where the digest is, or would go. The table is never full. */
static struct hsm_name_digest *place_of(struct hsm_name_digest *slots, size_t size,
                                        const struct hsm_name_digest *digest)
{
    size_t at = 0;

    memcpy(&at, digest->bytes, sizeof(at));
    for (at %= size;; at = (at + 1) % size) {
        if (is_same(&slots[at], &free_place) || is_same(&slots[at], digest)) {
            return &slots[at];
        }
    }
}

static bool grow(struct hsm_names *names)
{
    size_t size = names->size == 0 ? FIRST_SIZE : 2 * names->size;
    struct hsm_name_digest *slots = calloc(size, sizeof(*slots));

    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < names->size; i++) {
        if (!is_same(&names->slots[i], &free_place)) {
            *place_of(slots, size, &names->slots[i]) = names->slots[i];
        }
    }
    free(names->slots);
    names->slots = slots;
    names->size = size;
    return true;
}

static bool has(const struct hsm_names *names, char kind, const void *data, size_t len)
{
    struct hsm_name_digest digest;

    /* A name that cannot be looked up counts as used: nothing is made then. */
    return names->size > 0 && (!digest_of(kind, data, len, &digest) ||
                               is_same(place_of(names->slots, names->size, &digest), &digest));
}

static bool add(struct hsm_names *names, char kind, const void *data, size_t len, struct err *err)
{
    struct hsm_name_digest digest;

    if (!digest_of(kind, data, len, &digest)) {
        return err_set_ssl(err, E_INTERNAL, "hashing a name");
    }
    if (2 * (names->used + 1) > names->size && !grow(names)) {
        return err_nomem(err);
    }
    struct hsm_name_digest *place = place_of(names->slots, names->size, &digest);
    if (!is_same(place, &digest)) {
        *place = digest;
        names->used++;
    }
    return true;
}

void hsm_names_done(struct hsm_names *names)
{
    free(names->slots);
    *names = (struct hsm_names)HSM_NAMES_INIT;
}

bool hsm_names_has_id(const struct hsm_names *names, const struct hsm_id *id)
{
    return has(names, 'i', id->data, id->len);
}

bool hsm_names_has_label(const struct hsm_names *names, const char *label)
{
    return has(names, 'l', label, strlen(label));
}

bool hsm_names_add_id(struct hsm_names *names, const struct hsm_id *id, struct err *err)
{
    return add(names, 'i', id->data, id->len, err);
}

bool hsm_names_add_label(struct hsm_names *names, const char *label, struct err *err)
{
    return add(names, 'l', label, strlen(label), err);
}

static bool add_object(struct hsm_session *session, CK_OBJECT_HANDLE handle,
                       struct hsm_names *names, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_CLASS, CKA_ID, CKA_LABEL};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    CK_ULONG class = CK_UNAVAILABLE_INFORMATION;

    if (!hsm_read(session, handle, types, ARRAY_LEN(types), &values, err)) {
        return false;
    }
    const struct attr_value *id = attr_values_find(&values, CKA_ID);
    const struct attr_value *label = attr_values_find(&values, CKA_LABEL);
    (void)attr_values_ulong(&values, CKA_CLASS, &class);
    if (id != NULL && id->len > 0 && !add(names, 'i', id->data, id->len, err)) {
        return false;
    }
    return class != CKO_PRIVATE_KEY || label == NULL || label->len == 0 ||
           add(names, 'l', label->data, label->len, err);
}

bool hsm_names_load(struct hsm_session *session, struct hsm_names *out, struct err *err)
{
    struct attrs everything = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    *out = (struct hsm_names)HSM_NAMES_INIT;
    if (!hsm_find(session, &everything, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        if (!add_object(session, found.list[i], out, err)) {
            return err_wrap(err, "reading the names on %s", hsm_token_name(&session->token->info));
        }
    }
    return true;
}
