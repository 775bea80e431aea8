/* Client identities and trusted certificates in Java keystores. */
#include "keystore/ks.h"

#include "base/file.h"
#include "base/str.h"
#include "keystore/jks.h"
#include "x509/x509.h"

#include <openssl/err.h>
#include <string.h>
#include <strings.h>

DEFINE_AUTO(p8, PKCS8_PRIV_KEY_INFO *, PKCS8_PRIV_KEY_INFO_free)

enum { FILE_MAX = 4 << 20 };

static bool matches(const struct keystore_source *source UNUSED, const uint8_t *data, size_t len)
{
    return jks_is(data, len);
}

/* Java compares aliases without regard to case. */
static bool is_called(const struct jks_entry *entry, const char *alias)
{
    return entry->alias.len == strlen(alias) &&
           strncasecmp((const char *)entry->alias.data, alias, entry->alias.len) == 0;
}

static void list_keys(const struct jks *jks, struct buf *out)
{
    const char *between = "'";

    for (size_t i = 0; i < jks->count; i++) {
        if (jks->entries[i].is_key) {
            buf_add_str(out, between);
            str_add_quotable(out, (const char *)jks->entries[i].alias.data,
                             jks->entries[i].alias.len, 64);
            buf_add_str(out, "'");
            between = ", '";
        }
    }
}

static bool choose_key(const struct jks *jks, const char *alias, const char *path,
                       const struct jks_entry **out, struct err *err)
{
    AUTO(buf) struct buf names = BUF_INIT(2048);
    size_t keys = 0;
    size_t hits = 0;

    for (size_t i = 0; i < jks->count; i++) {
        const struct jks_entry *entry = &jks->entries[i];
        keys += entry->is_key ? 1 : 0;
        if (entry->is_key && (alias == NULL || is_called(entry, alias))) {
            *out = entry;
            hits++;
        }
    }
    if (hits == 1) {
        return true;
    }
    list_keys(jks, &names);
    if (keys == 0) {
        return err_set(err, E_KEYSTORE, "%s: there is no private key in it", path);
    }
    if (hits == 0) {
        return err_set(err, E_KEYSTORE, "%s: there is no key with alias '%s'; there are: %s", path,
                       alias, buf_str(&names));
    }
    return err_set(err, E_KEYSTORE, "%s: there are several keys (%s); name one with 'client_alias'",
                   path, buf_str(&names));
}

/* The passwords of a file and of its key. */
struct passwords {
    struct secret file, key; /* key unset: it is the file's */
};

static void passwords_done(struct passwords *passwords)
{
    secret_done(&passwords->file);
    secret_done(&passwords->key);
}

DEFINE_AUTO_DONE(passwords, struct passwords, passwords_done)

static bool read_key(const struct jks_entry *entry, const struct passwords *passwords,
                     const char *path, EVP_PKEY **out, struct err *err)
{
    AUTO(secret) struct secret plain = SECRET_INIT;
    bool own = secret_is_set(&passwords->key);
    bool fits = false;

    if (!jks_unlock(&entry->key, own ? &passwords->key : &passwords->file, &fits, &plain, err)) {
        return err_wrap(err, "%s", path);
    }
    if (!fits) {
        return err_set(err, E_KEYSTORE,
                       own ? "%s: the password that 'client_key_password_source' gives is not that "
                             "of the key"
                           : "%s: the key has another password than the file "
                             "('client_key_password_source' says where it comes from)",
                       path);
    }
    const unsigned char *at = (const unsigned char *)secret_expose(&plain);
    AUTO(p8)
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)plain.len);
    *out = info != NULL ? EVP_PKCS82PKEY(info) : NULL;
    return *out != NULL ||
           err_set_ssl(err, E_KEYSTORE, "%s: its key is of no kind that is known here", path);
}

static bool add_cert(const struct jks_span *der, const char *path, STACK_OF(X509) * out,
                     struct err *err)
{
    const unsigned char *at = der->data;
    AUTO(x509) X509 *cert = d2i_X509(NULL, &at, (long)der->len);

    if (cert == NULL || at != der->data + der->len) {
        return err_set_ssl(err, E_KEYSTORE, "%s: one of its certificates is damaged", path);
    }
    if (sk_X509_push(out, cert) <= 0) {
        return err_nomem(err);
    }
    cert = NULL; /* the stack's now */
    return true;
}

static bool open_entry(const struct jks_entry *entry, const struct passwords *passwords,
                       const char *path, struct keystore_identity *out, struct err *err)
{
    AUTO(pkey) EVP_PKEY *key = NULL;
    AUTO(x509_stack) STACK_OF(X509) *certs = sk_X509_new_null();

    if (certs == NULL) {
        return err_nomem(err);
    }
    if (!read_key(entry, passwords, path, &key, err)) {
        return false;
    }
    for (size_t i = 0; i < entry->cert_count; i++) {
        if (!add_cert(&entry->certs[i], path, certs, err)) {
            return false;
        }
    }
    return ks_match(key, certs, NULL, path, out, err);
}

static bool check_password(const struct jks *jks, const struct secret *password, const char *path,
                           struct err *err)
{
    bool fits = false;

    if (!jks_check(jks, password, &fits, err)) {
        return err_wrap(err, "%s", path);
    }
    return fits || err_set(err, E_KEYSTORE,
                           "%s: the password does not open it, or the file was changed", path);
}

static bool open_jks(struct keystore *keystore, const struct keystore_source *source,
                     struct keystore_identity *out, struct err *err)
{
    const char *path = source->key != NULL ? source->key : source->cert;
    AUTO(buf) struct buf data = BUF_INIT(FILE_MAX);
    AUTO(passwords) struct passwords passwords = {.file = SECRET_INIT, .key = SECRET_INIT};
    AUTO(jks) struct jks jks = {.entries = NULL};
    const struct jks_entry *entry = NULL;

    if (!file_read(path, &data, err) ||
        !ks_password(keystore, source, path, &passwords.file, err)) {
        return false;
    }
    if (!jks_parse((const uint8_t *)buf_str(&data), data.len, &jks, err)) {
        return err_wrap(err, "%s", path);
    }
    if (!secret_is_set(&passwords.file)) {
        return err_set(err, E_KEYSTORE, "%s: it needs a password ('client_password_source')", path);
    }
    (void)ERR_set_mark();
    bool ok = check_password(&jks, &passwords.file, path, err) &&
              choose_key(&jks, source->alias, path, &entry, err) &&
              ks_key_password(keystore, source, path, &passwords.key, err) &&
              open_entry(entry, &passwords, path, out, err);
    (void)ERR_pop_to_mark();
    return ok;
}

bool ks_jks_trusted(const uint8_t *data, size_t len, const struct secret *password,
                    const char *path, STACK_OF(X509) * out, struct err *err)
{
    AUTO(jks) struct jks jks = {.entries = NULL};

    if (!jks_parse(data, len, &jks, err)) {
        return err_wrap(err, "%s", path);
    }
    if (secret_is_set(password) && !check_password(&jks, password, path, err)) {
        return false;
    }
    for (size_t i = 0; i < jks.count; i++) {
        if (!jks.entries[i].is_key && !add_cert(&jks.entries[i].certs[0], path, out, err)) {
            return false;
        }
    }
    return true;
}

const struct keystore_format ks_jks = {
    .name = "JKS", .type = KEYSTORE_JKS, .matches = matches, .open = open_jks};
