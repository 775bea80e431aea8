#include "hsm/cert.h"

#include "hsm/object.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct hsm_indexed_key {
    uint8_t id[HSM_DIGEST_LEN]; /* hash of the id */
    bool known;
    uint8_t public[HSM_DIGEST_LEN];
};

DEFINE_AUTO(md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)

static bool hash_part(EVP_MD_CTX *ctx, const void *data, size_t len)
{
    const uint8_t size[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                             (uint8_t)len};

    return EVP_DigestUpdate(ctx, size, sizeof(size)) == 1 && EVP_DigestUpdate(ctx, data, len) == 1;
}

bool hsm_public_digest(const struct hsm_key_spec *spec, const struct hsm_public *public,
                       uint8_t out[static HSM_DIGEST_LEN])
{
    AUTO(md_ctx) EVP_MD_CTX *ctx = NULL;
    const char *curve = spec->curve != NULL ? spec->curve->group : "";
    const int type = (int)spec->type;

    if (!public->known) {
        return false;
    }
    ctx = EVP_MD_CTX_new();
    return ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
           hash_part(ctx, &type, sizeof(type)) && hash_part(ctx, curve, strlen(curve)) &&
           hash_part(ctx, public->modulus, public->modulus_len) &&
           hash_part(ctx, public->exponent, public->exponent_len) &&
           hash_part(ctx, public->point, public->point_len) &&
           EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

bool hsm_cert_digest(const struct hsm_cert *cert, uint8_t out[static HSM_DIGEST_LEN])
{
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};

    return cert->x509 != NULL && hsm_public_from_x509(cert->x509, &spec, &public) &&
           hsm_public_digest(&spec, &public, out);
}

static bool hash_id(const struct hsm_id *id, uint8_t out[static HSM_DIGEST_LEN])
{
    return EVP_Digest(id->data, id->len, out, NULL, EVP_sha256(), NULL) == 1;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, HSM_DIGEST_LEN);
}

void hsm_key_index_done(struct hsm_key_index *index)
{
    free(index->list);
    *index = (struct hsm_key_index){.count = 0};
}

static bool read_keys(struct hsm_session *session, const struct hsm_uri *uri, bool want_public,
                      struct hsm_key_index *out, struct err *err)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    AUTO(hsm_key_index) struct hsm_key_index index = {.count = 0};
    struct attrs template = ATTRS_INIT;

    hsm_uri_to_template(uri, CKO_PRIVATE_KEY, &template);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    index.list = calloc(found.count + 1, sizeof(struct hsm_indexed_key));
    if (index.list == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < found.count; i++) {
        AUTO(hsm_key) struct hsm_key key = {0};
        struct hsm_indexed_key *entry = &index.list[index.count];
        if (!hsm_key_load(session, found.list[i], CKO_PRIVATE_KEY, want_public, &key, err)) {
            return false;
        }
        if (key.id.set && hash_id(&key.id, entry->id)) {
            entry->known = hsm_public_digest(&key.spec, &key.public, entry->public);
            index.count++;
        }
    }
    qsort(index.list, index.count, sizeof(struct hsm_indexed_key), by_id);
    *out = index;
    index = (struct hsm_key_index){.count = 0};
    return true;
}

bool hsm_key_index(struct hsm_session *session, struct hsm_key_index *out, struct err *err)
{
    struct hsm_uri all = {.type = HSM_URI_PRIVATE};

    return read_keys(session, &all, false, out, err);
}

bool hsm_key_index_for(struct hsm_session *session, const struct hsm_id *id,
                       struct hsm_key_index *out, struct err *err)
{
    struct hsm_uri uri = {.type = HSM_URI_PRIVATE, .id = *id};

    *out = (struct hsm_key_index){.count = 0};
    return !id->set || read_keys(session, &uri, true, out, err);
}

enum hsm_match hsm_key_index_match(const struct hsm_key_index *index, const struct hsm_cert *cert)
{
    struct hsm_indexed_key wanted;
    enum hsm_match match = HSM_MATCH_NONE;
    size_t from = 0;
    size_t to = index->count;

    memset(&wanted, 0, sizeof(wanted));
    if (!cert->id.set || !hash_id(&cert->id, wanted.id)) {
        return HSM_MATCH_NONE;
    }
    wanted.known = hsm_cert_digest(cert, wanted.public);
    while (from < to) { /* the first that is not smaller */
        size_t middle = from + (to - from) / 2;
        if (by_id(&index->list[middle], &wanted) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    for (; from < index->count && by_id(&index->list[from], &wanted) == 0; from++) {
        const struct hsm_indexed_key *key = &index->list[from];
        match = HSM_MATCH_OTHER;
        if (!key->known ||
            (wanted.known && memcmp(key->public, wanted.public, HSM_DIGEST_LEN) == 0)) {
            return HSM_MATCH_YES;
        }
    }
    return match;
}
