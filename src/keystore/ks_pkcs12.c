#include "keystore/ks.h"

#include "base/file.h"
#include "base/str.h"
#include "x509/x509.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <string.h>

DEFINE_AUTO(pkcs12, PKCS12 *, PKCS12_free)
DEFINE_AUTO(p8, PKCS8_PRIV_KEY_INFO *, PKCS8_PRIV_KEY_INFO_free)

enum { FILE_MAX = 4 << 20, KEYS_MAX = 32, NESTING_MAX = 4, TRUSTED_MAX = 4096 };

/* A password as OpenSSL takes it: NULL is none at all, which differs from the empty one. */
struct pass {
    const char *text;
    int len;
};

/* A key, and what its bag says of it; both may be NULL. */
struct entry {
    EVP_PKEY *key;
    char *alias;
    ASN1_STRING *key_id;
};

/* What was found in the file. Certificates carry their bag's alias and key id themselves. */
struct content {
    struct entry keys[KEYS_MAX];
    size_t key_count;
    STACK_OF(X509) * certs;
    STACK_OF(X509) * marked; /* those that Java trusts; borrowed from certs */
    int certs_max;           /* 0: as in any bundle */
};

static void content_done(struct content *content)
{
    for (size_t i = 0; i < content->key_count; i++) {
        EVP_PKEY_free(content->keys[i].key);
        OPENSSL_free(content->keys[i].alias);
        ASN1_STRING_free(content->keys[i].key_id);
    }
    sk_X509_free(content->marked);
    x509_stack_free(content->certs);
    *content = (struct content){.certs_max = content->certs_max};
}

DEFINE_AUTO_DONE(content, struct content, content_done)

static bool is_of_key(X509 *cert, EVP_PKEY *key)
{
    (void)ERR_set_mark();
    bool is = X509_check_private_key(cert, key) == 1;
    (void)ERR_pop_to_mark();
    return is;
}

static bool matches(const struct keystore_source *source UNUSED, const uint8_t *data, size_t len)
{
    return data != NULL && len > 2 && data[0] == 0x30;
}

/* The bag's localKeyID, borrowed; NULL if it has none. */
static const ASN1_STRING *key_id_of(const PKCS12_SAFEBAG *bag)
{
    const ASN1_TYPE *value = PKCS12_SAFEBAG_get0_attr(bag, NID_localKeyID);

    return value != NULL && value->type == V_ASN1_OCTET_STRING ? value->value.octet_string : NULL;
}

static bool add_key(struct content *content, PKCS12_SAFEBAG *bag, const PKCS8_PRIV_KEY_INFO *info)
{
    EVP_PKEY *key = info != NULL ? EVP_PKCS82PKEY(info) : NULL;
    const ASN1_STRING *key_id = key_id_of(bag);

    if (key == NULL || content->key_count == KEYS_MAX) {
        EVP_PKEY_free(key);
        return false;
    }
    content->keys[content->key_count++] = (struct entry){
        .key = key,
        .alias = PKCS12_get_friendlyname(bag),
        .key_id = key_id != NULL ? ASN1_STRING_dup(key_id) : NULL,
    };
    return true;
}

/* Java's mark of a certificate that it trusts: attribute trustedKeyUsage. */
static bool is_marked(const PKCS12_SAFEBAG *bag)
{
    static const char trusted_key_usage[] = "2.16.840.1.113894.746875.1.1";
    const STACK_OF(X509_ATTRIBUTE) *attributes = PKCS12_SAFEBAG_get0_attrs(bag);
    char name[64];

    for (int i = 0; i < X509at_get_attr_count(attributes); i++) {
        ASN1_OBJECT *object = X509_ATTRIBUTE_get0_object(X509at_get_attr(attributes, i));
        if (OBJ_obj2txt(name, sizeof(name), object, 1) > 0 && str_equal(name, trusted_key_usage)) {
            return true;
        }
    }
    return false;
}

static bool add_cert(struct content *content, PKCS12_SAFEBAG *bag)
{
    int most = content->certs_max > 0 ? content->certs_max : X509_BUNDLE_MAX;
    X509 *cert = PKCS12_SAFEBAG_get1_cert(bag);
    const ASN1_STRING *key_id = key_id_of(bag);
    int len = 0;

    if (cert == NULL) {
        return true; /* a CRL, or a certificate that is none */
    }
    unsigned char *alias = (unsigned char *)PKCS12_get_friendlyname(bag);
    if (alias != NULL) {
        len = (int)strlen((char *)alias);
        (void)X509_alias_set1(cert, alias, len);
        OPENSSL_free(alias);
    }
    if (key_id != NULL) {
        (void)X509_keyid_set1(cert, ASN1_STRING_get0_data(key_id), ASN1_STRING_length(key_id));
    }
    if (sk_X509_num(content->certs) >= most || sk_X509_push(content->certs, cert) <= 0) {
        X509_free(cert);
        return false;
    }
    return !is_marked(bag) || sk_X509_push(content->marked, cert) > 0;
}

static bool add_bags(struct content *content, const STACK_OF(PKCS12_SAFEBAG) * bags,
                     const struct pass *password, int depth);

static bool add_bag(struct content *content, PKCS12_SAFEBAG *bag, const struct pass *password,
                    int depth)
{
    switch (PKCS12_SAFEBAG_get_nid(bag)) {
    case NID_keyBag:
        return add_key(content, bag, PKCS12_SAFEBAG_get0_p8inf(bag));
    case NID_pkcs8ShroudedKeyBag: {
        AUTO(p8)
        PKCS8_PRIV_KEY_INFO *info = PKCS12_decrypt_skey(bag, password->text, password->len);
        return add_key(content, bag, info);
    }
    case NID_certBag:
        return add_cert(content, bag);
    case NID_safeContentsBag:
        return depth < NESTING_MAX &&
               add_bags(content, PKCS12_SAFEBAG_get0_safes(bag), password, depth + 1);
    default:
        return true;
    }
}

static bool add_bags(struct content *content, const STACK_OF(PKCS12_SAFEBAG) * bags,
                     const struct pass *password, int depth)
{
    for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++) {
        if (!add_bag(content, sk_PKCS12_SAFEBAG_value(bags, i), password, depth)) {
            return false;
        }
    }
    return true;
}

static bool read_safe(struct content *content, PKCS7 *safe, const struct pass *password)
{
    STACK_OF(PKCS12_SAFEBAG) *bags = NULL;

    if (PKCS7_type_is_data(safe)) {
        bags = PKCS12_unpack_p7data(safe);
    } else if (PKCS7_type_is_encrypted(safe)) {
        bags = PKCS12_unpack_p7encdata(safe, password->text, password->len);
    } else {
        return true;
    }
    bool ok = bags != NULL && add_bags(content, bags, password, 0);
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    return ok;
}

static bool read_content(PKCS12 *p12, const struct pass *password, struct content *content)
{
    STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(p12);
    bool ok = safes != NULL;

    content->certs = sk_X509_new_null();
    content->marked = sk_X509_new_null();
    ok = ok && content->certs != NULL && content->marked != NULL;
    for (int i = 0; ok && i < sk_PKCS7_num(safes); i++) {
        ok = read_safe(content, sk_PKCS7_value(safes, i), password);
    }
    sk_PKCS7_pop_free(safes, PKCS7_free);
    return ok;
}

/* Whether the alias stands on a certificate of the key. */
static bool has_cert_called(const struct content *content, EVP_PKEY *key, const char *alias)
{
    for (int i = 0; i < sk_X509_num(content->certs); i++) {
        X509 *cert = sk_X509_value(content->certs, i);
        int len = 0;
        const unsigned char *name = X509_alias_get0(cert, &len);
        if (name != NULL && (size_t)len == strlen(alias) && memcmp(name, alias, (size_t)len) == 0 &&
            is_of_key(cert, key)) {
            return true;
        }
    }
    return false;
}

static void list_aliases(const struct content *content, struct buf *out)
{
    for (size_t i = 0; i < content->key_count; i++) {
        const char *alias = content->keys[i].alias != NULL ? content->keys[i].alias : "(none)";
        buf_add_str(out, i > 0 ? ", '" : "'");
        str_add_quotable(out, alias, strlen(alias), 64);
        buf_add_str(out, "'");
    }
}

enum alias_on { ON_KEY, ON_CERT };

/*
 * Counts the keys that bear the alias (NULL: all) on their own bag or on a certificate. A key that
 * is there several times, as an entry for each of its certificates, is one key.
 */
static size_t find_keys(const struct content *content, const char *alias, enum alias_on where,
                        const struct entry **found)
{
    size_t hits = 0;

    for (size_t i = 0; i < content->key_count; i++) {
        const struct entry *entry = &content->keys[i];
        bool is = alias == NULL     ? true
                  : where == ON_KEY ? str_equal(entry->alias, alias)
                                    : has_cert_called(content, entry->key, alias);
        if (is && (hits == 0 || EVP_PKEY_eq(entry->key, (*found)->key) != 1)) {
            *found = entry;
            hits++;
        }
    }
    return hits;
}

static bool choose_key(const struct content *content, const char *alias, const char *path,
                       const struct entry **out, struct ks_tie *tie, struct err *err)
{
    AUTO(buf) struct buf aliases = BUF_INIT(2048);
    size_t hits = find_keys(content, alias, ON_KEY, out);

    *tie = (struct ks_tie){.alias = alias, .key_named = hits > 0};
    if (hits == 0 && alias != NULL) {
        hits = find_keys(content, alias, ON_CERT, out);
    }
    if (hits == 1) {
        /* The ids of several entries for one key point at different certificates. */
        tie->key_id = alias != NULL || content->key_count == 1 ? (*out)->key_id : NULL;
        return true;
    }
    if (content->key_count == 0) {
        return err_set(err, E_KEYSTORE, "%s: there is no private key in it", path);
    }
    list_aliases(content, &aliases);
    if (hits == 0) {
        return err_set(err, E_KEYSTORE, "%s: there is no key with alias '%s'; there are: %s", path,
                       alias, buf_str(&aliases));
    }
    return err_set(err, E_KEYSTORE, "%s: there are several keys (%s); name one with 'client_alias'",
                   path, buf_str(&aliases));
}

static bool cannot_decrypt(const char *path, struct err *err)
{
    return err_set_ssl(err, E_KEYSTORE,
                       "%s: its contents cannot be decrypted (files with RC2 can be rewritten "
                       "with 'openssl pkcs12 -legacy')",
                       path);
}

static bool has_mac_of(PKCS12 *p12, const struct pass *pass)
{
    return PKCS12_mac_present(p12) == 0 || PKCS12_verify_mac(p12, pass->text, pass->len) == 1;
}

/* A file without a password has none or the empty one; both exist, and only trying tells. */
static bool read_without_password(PKCS12 *p12, const char *path, const char *setting,
                                  struct content *content, struct err *err)
{
    static const struct pass candidates[] = {{NULL, 0}, {"", 0}};
    bool mac_ok = false;

    for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
        if (!has_mac_of(p12, &candidates[i])) {
            continue;
        }
        mac_ok = true;
        if (read_content(p12, &candidates[i], content)) {
            return true;
        }
        content_done(content);
    }
    return mac_ok ? cannot_decrypt(path, err)
                  : err_set(err, E_KEYSTORE, "%s: it needs a password ('%s')", path, setting);
}

static bool read_with_password(PKCS12 *p12, const struct secret *password, const char *path,
                               struct content *content, struct err *err)
{
    struct pass pass = {secret_expose(password), (int)password->len};

    if (!has_mac_of(p12, &pass)) {
        return err_set(err, E_KEYSTORE, "%s: the password does not open it", path);
    }
    return read_content(p12, &pass, content) || cannot_decrypt(path, err);
}

/* setting: the one that the file's password comes from, for messages. */
static bool open_content(const struct buf *data, const struct secret *password, const char *path,
                         const char *setting, struct content *content, struct err *err)
{
    const unsigned char *p = (const unsigned char *)buf_str(data);
    AUTO(pkcs12) PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)data->len);

    if (p12 == NULL) {
        return err_set_ssl(err, E_KEYSTORE, "%s is no PKCS#12 file", path);
    }
    (void)ERR_set_mark();
    bool ok = secret_is_set(password) ? read_with_password(p12, password, path, content, err)
                                      : read_without_password(p12, path, setting, content, err);
    (void)ERR_pop_to_mark();
    return ok;
}

static bool is_of_a_key(const struct content *content, X509 *cert)
{
    for (size_t i = 0; i < content->key_count; i++) {
        if (is_of_key(cert, content->keys[i].key)) {
            return true;
        }
    }
    return false;
}

bool ks_pkcs12_trusted(const uint8_t *data, size_t len, const struct secret *password,
                       const char *path, STACK_OF(X509) * out, struct err *err)
{
    AUTO(buf) struct buf bytes = BUF_INIT(FILE_MAX);
    AUTO(content) struct content content = {.certs_max = TRUSTED_MAX};

    buf_add(&bytes, data, len);
    if (!open_content(&bytes, password, path, "trust_password_source", &content, err)) {
        return false;
    }
    bool marks = sk_X509_num(content.marked) > 0;
    STACK_OF(X509) *from = marks ? content.marked : content.certs;
    for (int i = 0; i < sk_X509_num(from); i++) {
        X509 *cert = sk_X509_value(from, i);
        if (!marks && is_of_a_key(&content, cert)) {
            continue;
        }
        if (X509_up_ref(cert) != 1 || sk_X509_push(out, cert) <= 0) {
            return err_nomem(err);
        }
    }
    return true;
}

static bool open_pkcs12(struct keystore *keystore, const struct keystore_source *source,
                        struct keystore_identity *out, struct err *err)
{
    const char *path = source->key != NULL ? source->key : source->cert;
    AUTO(buf) struct buf data = BUF_INIT(FILE_MAX);
    AUTO(secret) struct secret password = SECRET_INIT;
    AUTO(content) struct content content = {.key_count = 0};
    const struct entry *chosen = NULL;
    struct ks_tie tie = {.alias = NULL};

    if (!file_read(path, &data, err) || !ks_password(keystore, source, path, &password, err)) {
        return false;
    }
    if (!open_content(&data, &password, path, "client_password_source", &content, err)) {
        return false;
    }
    return choose_key(&content, source->alias, path, &chosen, &tie, err) &&
           ks_match(chosen->key, content.certs, &tie, path, out, err);
}

const struct keystore_format ks_pkcs12 = {
    .name = "PKCS#12", .type = KEYSTORE_PKCS12, .matches = matches, .open = open_pkcs12};
