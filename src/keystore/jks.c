#include "keystore/jks.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

DEFINE_AUTO(md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_AUTO(x509_sig, X509_SIG *, X509_SIG_free)

enum { MAGIC = 0xFEEDFEED, MAGIC_JCEKS = 0xCECECECE, SHA1_LEN = 20, ENTRY_MIN = 18 };
enum { KIND_KEY = 1, KIND_TRUSTED = 2 };

/* What is left of the file; a read past its end fails, and so do all after it. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static struct jks_span take(struct reader *r, size_t len)
{
    struct jks_span span = {r->at, len};

    if (r->failed || len > r->left) {
        r->failed = true;
        return (struct jks_span){NULL, 0};
    }
    r->at += len;
    r->left -= len;
    return span;
}

static uint32_t take_number(struct reader *r, size_t bytes)
{
    struct jks_span span = take(r, bytes);
    uint32_t value = 0;

    for (size_t i = 0; i < span.len; i++) {
        value = value << 8 | span.data[i];
    }
    return value;
}

static struct jks_span take_text(struct reader *r)
{
    return take(r, take_number(r, 2));
}

static uint32_t magic_of(const uint8_t *data, size_t len)
{
    struct reader r = {.at = data, .left = len};

    return data != NULL ? take_number(&r, 4) : 0;
}

bool jks_is(const uint8_t *data, size_t len)
{
    return magic_of(data, len) == MAGIC;
}

bool jks_is_jceks(const uint8_t *data, size_t len)
{
    return magic_of(data, len) == MAGIC_JCEKS;
}

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, E_KEYSTORE, "the JKS file is damaged: %s", what);
}

static bool is_x509(const struct jks_span *type)
{
    static const char *const names[] = {"X.509", "X509"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (type->len == strlen(names[i]) && memcmp(type->data, names[i], type->len) == 0) {
            return true;
        }
    }
    return false;
}

static bool take_cert(struct reader *r, uint32_t version, struct jks_entry *entry, struct err *err)
{
    if (version == 2) {
        struct jks_span type = take_text(r);
        if (!r->failed && !is_x509(&type)) {
            return err_set(err, E_KEYSTORE, "the JKS file has a certificate that is not X.509");
        }
    }
    entry->certs[entry->cert_count++] = take(r, take_number(r, 4));
    return !r->failed || damaged(err, "a certificate goes past its end");
}

static bool take_entry(struct reader *r, uint32_t version, struct jks_entry *entry, struct err *err)
{
    uint32_t kind = take_number(r, 4);
    uint32_t certs = 1;

    *entry = (struct jks_entry){.is_key = kind == KIND_KEY};
    if (!r->failed && kind != KIND_KEY && kind != KIND_TRUSTED) {
        return damaged(err, "an entry is neither a key nor a certificate");
    }
    entry->alias = take_text(r);
    (void)take(r, 8); /* when it was made */
    if (entry->is_key) {
        entry->key = take(r, take_number(r, 4));
        certs = take_number(r, 4);
    }
    if (r->failed) {
        return damaged(err, "an entry goes past its end");
    }
    if (certs > JKS_CHAIN_MAX) {
        return damaged(err, "a key has too many certificates");
    }
    for (uint32_t i = 0; i < certs; i++) {
        if (!take_cert(r, version, entry, err)) {
            return false;
        }
    }
    return true;
}

static bool take_entries(struct reader *r, uint32_t version, struct jks *out, struct err *err)
{
    uint32_t count = take_number(r, 4);

    if (r->failed || count > JKS_ENTRIES_MAX || count > r->left / ENTRY_MIN) {
        return damaged(err, "it says that it has more entries than fit");
    }
    out->entries = calloc(count > 0 ? count : 1, sizeof(*out->entries));
    if (out->entries == NULL) {
        return err_nomem(err);
    }
    for (; out->count < count; out->count++) {
        if (!take_entry(r, version, &out->entries[out->count], err)) {
            return false;
        }
    }
    return r->left == SHA1_LEN || damaged(err, "there are bytes behind its entries, or missing");
}

void jks_done(struct jks *jks)
{
    free(jks->entries);
    *jks = (struct jks){.entries = NULL};
}

bool jks_parse(const uint8_t *data, size_t len, struct jks *out, struct err *err)
{
    AUTO(jks) struct jks jks = {.entries = NULL};
    struct reader r = {.at = data, .left = len};
    uint32_t magic = take_number(&r, 4);
    uint32_t version = take_number(&r, 4);

    if (r.failed || magic != MAGIC) {
        return err_set(err, E_KEYSTORE, "these bytes are no JKS file");
    }
    if (version != 1 && version != 2) {
        return err_set(err, E_KEYSTORE, "JKS files of version %lu are not known",
                       (unsigned long)version);
    }
    if (!take_entries(&r, version, &jks, err)) {
        return false;
    }
    jks.body = (struct jks_span){data, len - SHA1_LEN};
    jks.digest = (struct jks_span){data + len - SHA1_LEN, SHA1_LEN};
    *out = jks;
    jks = (struct jks){.entries = NULL};
    return true;
}

/* One character of UTF-8; 0 at the end or where it is none. */
static uint32_t next_char(const uint8_t **at, const uint8_t *end)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = *at;

    if (p == end) {
        return 0;
    }
    size_t len = p[0] < 0x80         ? 1
                 : p[0] >> 5 == 0x06 ? 2
                 : p[0] >> 4 == 0x0e ? 3
                 : p[0] >> 3 == 0x1e ? 4
                                     : 0;
    if (len == 0 || (size_t)(end - p) < len) {
        return 0;
    }
    uint32_t code = len == 1 ? p[0] : p[0] & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (p[i] & 0x3fU);
    }
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        return 0;
    }
    *at = p + len;
    return code;
}

static bool add_unit(struct secret *out, uint32_t unit, struct err *err)
{
    uint8_t bytes[2] = {(uint8_t)(unit >> 8), (uint8_t)unit};
    bool ok = secret_append(out, bytes, sizeof(bytes), err);

    OPENSSL_cleanse(bytes, sizeof(bytes));
    return ok;
}

/* The password as Java hashes it: UTF-16BE. */
static bool to_utf16(const struct secret *password, struct secret *out, struct err *err)
{
    const uint8_t *at = (const uint8_t *)secret_expose(password);
    const uint8_t *end = at + password->len;

    if (!secret_set(out, "", 0, err)) {
        return false;
    }
    while (at < end) {
        uint32_t code = next_char(&at, end);
        if (code == 0) {
            return err_set(err, E_KEYSTORE, "the password is not UTF-8");
        }
        bool ok = code < 0x10000 ? add_unit(out, code, err)
                                 : add_unit(out, 0xd800 + ((code - 0x10000) >> 10), err) &&
                                       add_unit(out, 0xdc00 + ((code - 0x10000) & 0x3ff), err);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* SHA-1 of the password and up to two pieces. */
static bool digest(const struct secret *utf16, const void *a, size_t a_len, const void *b,
                   size_t b_len, uint8_t out[static SHA1_LEN], struct err *err)
{
    AUTO(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    return (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1 &&
            EVP_DigestUpdate(ctx, secret_expose(utf16), utf16->len) == 1 &&
            EVP_DigestUpdate(ctx, a, a_len) == 1 && EVP_DigestUpdate(ctx, b, b_len) == 1 &&
            EVP_DigestFinal_ex(ctx, out, NULL) == 1) ||
           err_set_ssl(err, E_KEYSTORE, "SHA-1, which JKS files need, is not to be had");
}

bool jks_check(const struct jks *jks, const struct secret *password, bool *fits, struct err *err)
{
    static const char whitener[] = "Mighty Aphrodite";
    AUTO(secret) struct secret utf16 = SECRET_INIT;
    uint8_t hash[SHA1_LEN];

    if (!to_utf16(password, &utf16, err) ||
        !digest(&utf16, whitener, strlen(whitener), jks->body.data, jks->body.len, hash, err)) {
        return false;
    }
    *fits = CRYPTO_memcmp(hash, jks->digest.data, SHA1_LEN) == 0;
    return true;
}

/* The octets that Sun's protection made: salt, key XOR a stream of digests, check. */
static bool protected_octets(const struct jks_span *key, struct jks_span *out, X509_SIG **holder,
                             struct err *err)
{
    static const char sun[] = "1.3.6.1.4.1.42.2.17.1.1";
    const unsigned char *at = key->data;
    const X509_ALGOR *how = NULL;
    const ASN1_OBJECT *object = NULL;
    const ASN1_OCTET_STRING *octets = NULL;
    char name[64] = "";

    *holder = d2i_X509_SIG(NULL, &at, (long)key->len);
    if (*holder == NULL || at != key->data + key->len) {
        return err_set_ssl(err, E_KEYSTORE, "a key of the JKS file is damaged");
    }
    X509_SIG_get0(*holder, &how, &octets);
    X509_ALGOR_get0(&object, NULL, NULL, how);
    (void)OBJ_obj2txt(name, sizeof(name), object, 1);
    if (strcmp(name, sun) != 0) {
        return err_set(err, E_KEYSTORE, "the key is encrypted with %s, which JKS does not use",
                       name);
    }
    *out = (struct jks_span){ASN1_STRING_get0_data(octets), (size_t)ASN1_STRING_length(octets)};
    return out->len > 2 * (size_t)SHA1_LEN || damaged(err, "a key is too short");
}

/* XOR with SHA-1(password, salt), SHA-1(password, that), ... */
static bool decrypt(const struct secret *utf16, const struct jks_span *octets, struct secret *out,
                    struct err *err)
{
    const uint8_t *in = octets->data + SHA1_LEN;
    size_t left = octets->len - 2 * SHA1_LEN;
    uint8_t hash[SHA1_LEN];
    uint8_t plain[SHA1_LEN];
    bool ok = secret_set(out, "", 0, err);

    memcpy(hash, octets->data, sizeof(hash)); /* the salt */
    while (ok && left > 0) {
        size_t n = left < sizeof(hash) ? left : sizeof(hash);
        ok = digest(utf16, hash, sizeof(hash), NULL, 0, hash, err);
        for (size_t i = 0; ok && i < n; i++) {
            plain[i] = in[i] ^ hash[i];
        }
        ok = ok && secret_append(out, plain, n, err);
        in += n;
        left -= n;
    }
    OPENSSL_cleanse(hash, sizeof(hash));
    OPENSSL_cleanse(plain, sizeof(plain));
    return ok;
}

bool jks_unlock(const struct jks_span *key, const struct secret *password, bool *fits,
                struct secret *out, struct err *err)
{
    AUTO(x509_sig) X509_SIG *holder = NULL;
    AUTO(secret) struct secret utf16 = SECRET_INIT;
    struct jks_span octets = {NULL, 0};
    uint8_t check[SHA1_LEN];

    if (!protected_octets(key, &octets, &holder, err) || !to_utf16(password, &utf16, err) ||
        !decrypt(&utf16, &octets, out, err) ||
        !digest(&utf16, secret_expose(out), out->len, NULL, 0, check, err)) {
        return false;
    }
    const uint8_t *wanted = octets.data + octets.len - SHA1_LEN;
    *fits = CRYPTO_memcmp(check, wanted, SHA1_LEN) == 0;
    return true;
}
