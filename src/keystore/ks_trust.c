/* Whom a server's certificate may come from: PEM, PKCS#12 or a Java keystore. */
#include "keystore/ks.h"

#include "base/file.h"
#include "base/str.h"
#include "keystore/jks.h"
#include "x509/x509.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

DEFINE_AUTO(bio, BIO *, BIO_free_all)

enum { FILE_MAX = 4 << 20, ROOTS_MAX = 4096 };

static void free_infos(STACK_OF(X509_INFO) * infos)
{
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
}

DEFINE_AUTO(infos, STACK_OF(X509_INFO) *, free_infos)

/* Also "TRUSTED CERTIFICATE", with what OpenSSL notes in it. */
static bool read_pem(const uint8_t *data, size_t len, const struct secret *password UNUSED,
                     const char *path, STACK_OF(X509) * out, struct err *err)
{
    AUTO(bio) BIO *mem = BIO_new_mem_buf(data, (int)len);
    AUTO(infos)
    STACK_OF(X509_INFO) *infos = mem != NULL ? PEM_X509_INFO_read_bio(mem, NULL, NULL, NULL) : NULL;

    if (infos == NULL) {
        return err_set_ssl(err, E_CONFIG, "%s cannot be read as PEM", path);
    }
    for (int i = 0; i < sk_X509_INFO_num(infos); i++) {
        X509_INFO *info = sk_X509_INFO_value(infos, i);
        if (info->x509 != NULL && sk_X509_push(out, info->x509) > 0) {
            info->x509 = NULL; /* the stack's now */
        }
    }
    return true;
}

struct trust_format {
    enum keystore_type type;
    bool (*read)(const uint8_t *data, size_t len, const struct secret *password, const char *path,
                 STACK_OF(X509) * out, struct err *err);
};

static const struct trust_format formats[] = {
    {KEYSTORE_PEM, read_pem},
    {KEYSTORE_PKCS12, ks_pkcs12_trusted},
    {KEYSTORE_JKS, ks_jks_trusted},
};

enum keystore_type ks_type_of(const uint8_t *data, size_t len)
{
    static const char begin[] = "-----BEGIN ";

    if (jks_is(data, len)) {
        return KEYSTORE_JKS;
    }
    if (memmem(data, len, begin, strlen(begin)) != NULL) {
        return KEYSTORE_PEM;
    }
    return len > 2 && data[0] == 0x30 ? KEYSTORE_PKCS12 : KEYSTORE_AUTO;
}

const char *ks_type_name(enum keystore_type type)
{
    switch (type) {
    case KEYSTORE_AUTO:
        break;
    case KEYSTORE_PEM:
        return "PEM";
    case KEYSTORE_PKCS12:
        return "PKCS#12";
    case KEYSTORE_JKS:
        return "JKS";
    }
    return "none of PEM, PKCS#12 and JKS";
}

bool ks_check_type(enum keystore_type wanted, const uint8_t *data, size_t len, const char *path,
                   const char *setting, struct err *err)
{
    enum keystore_type is = ks_type_of(data, len);

    if (jks_is_jceks(data, len)) {
        return err_set(err, E_KEYSTORE,
                       "%s is a JCEKS file, which is not read; 'keytool -importkeystore "
                       "-deststoretype pkcs12' makes a PKCS#12 file of it",
                       path);
    }
    if (is == KEYSTORE_AUTO) {
        return err_set(err, E_KEYSTORE, "%s is %s", path, ks_type_name(is));
    }
    return wanted == KEYSTORE_AUTO || wanted == is ||
           err_set(err, E_KEYSTORE, "%s is %s, and '%s' says %s", path, ks_type_name(is), setting,
                   ks_type_name(wanted));
}

static bool add_roots(STACK_OF(X509) * roots, const char *path, X509_STORE *store, struct err *err)
{
    if (sk_X509_num(roots) == 0) {
        return err_set(err, E_CONFIG, "%s has no certificate to trust", path);
    }
    if (sk_X509_num(roots) > ROOTS_MAX) {
        return err_set(err, E_CONFIG, "%s has more than %d certificates", path, ROOTS_MAX);
    }
    for (int i = 0; i < sk_X509_num(roots); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(roots, i)) != 1) {
            return err_set_ssl(err, E_CONFIG, "%s: certificate %d cannot be used", path, i + 1);
        }
    }
    return true;
}

static bool read_roots(struct keystore *keystore, const struct keystore_trust *trust,
                       STACK_OF(X509) * roots, struct err *err)
{
    AUTO(buf) struct buf data = BUF_INIT(FILE_MAX);
    AUTO(secret) struct secret password = SECRET_INIT;
    struct keystore_source source = {.password_source = trust->password_source};

    if (!file_read(trust->path, &data, err)) {
        return false;
    }
    const uint8_t *bytes = (const uint8_t *)buf_str(&data);
    if (!ks_check_type(trust->type, bytes, data.len, trust->path, "trust_type", err) ||
        !ks_password(keystore, &source, trust->path, &password, err)) {
        return false;
    }
    enum keystore_type is = ks_type_of(bytes, data.len);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (formats[i].type == is) {
            return formats[i].read(bytes, data.len, &password, trust->path, roots, err);
        }
    }
    return err_set(err, E_INTERNAL, "a format without a reader");
}

bool keystore_trust_open(struct keystore *keystore, const struct keystore_trust *trust,
                         X509_STORE **out, struct err *err)
{
    AUTO(x509_store) X509_STORE *store = X509_STORE_new();
    AUTO(x509_stack) STACK_OF(X509) *roots = sk_X509_new_null();

    if (store == NULL || roots == NULL) {
        return err_nomem(err);
    }
    (void)ERR_set_mark();
    bool ok = read_roots(keystore, trust, roots, err) && add_roots(roots, trust->path, store, err);
    (void)ERR_pop_to_mark();
    if (!ok) {
        return err_wrap(err, "trust store");
    }
    /* An issuing CA in it is enough, as in other programs. */
    (void)X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    *out = TAKE(store);
    return true;
}
