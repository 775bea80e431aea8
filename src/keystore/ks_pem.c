#include "keystore/ks.h"

#include "base/file.h"
#include "base/str.h"
#include "x509/x509.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <string.h>

DEFINE_AUTO(bio, BIO *, BIO_free_all)

enum { FILE_MAX = 1 << 20 };

static bool matches(const struct keystore_source *source UNUSED, const uint8_t *data, size_t len)
{
    static const char begin[] = "-----BEGIN ";

    return data != NULL && memmem(data, len, begin, strlen(begin)) != NULL;
}

struct asking {
    const struct secret *password;
    bool asked;
};

static int give_password(char *buffer, int size, int writing UNUSED, void *user)
{
    struct asking *asking = user;
    const struct secret *password = asking->password;

    asking->asked = true;
    if (!secret_is_set(password) || size < 0 || password->len > (size_t)size) {
        return -1;
    }
    memcpy(buffer, password->data, password->len);
    return (int)password->len;
}

static bool read_key(struct keystore *keystore, const struct keystore_source *source,
                     const char *path, EVP_PKEY **out, struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(FILE_MAX);
    AUTO(secret) struct secret password = SECRET_INIT;
    struct asking asking = {.password = &password};

    if (!file_read(path, &text, err) || !ks_password(keystore, source, path, &password, err)) {
        return false;
    }
    AUTO(bio) BIO *mem = BIO_new_mem_buf(buf_str(&text), (int)text.len);
    *out = mem != NULL ? PEM_read_bio_PrivateKey(mem, NULL, give_password, &asking) : NULL;
    if (text.data != NULL) {
        explicit_bzero(text.data, text.len);
    }
    if (*out != NULL) {
        return true;
    }
    if (asking.asked) {
        return err_set_ssl(err, E_KEYSTORE, "%s: the key is encrypted and %s", path,
                           secret_is_set(&password) ? "the password does not open it"
                                                    : "no password is given "
                                                      "('client_password_source')");
    }
    return err_set_ssl(err, E_KEYSTORE, "%s: there is no private key in it", path);
}

static bool open_pem(struct keystore *keystore, const struct keystore_source *source,
                     struct keystore_identity *out, struct err *err)
{
    const char *key_path = source->key != NULL ? source->key : source->cert;
    const char *cert_path = source->cert != NULL ? source->cert : source->key;
    AUTO(pkey) EVP_PKEY *key = NULL;
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;

    if (!read_key(keystore, source, key_path, &key, err)) {
        return false;
    }
    if (!x509_bundle_read(cert_path, &certs, err)) {
        err->code = err->code == E_PROTOCOL ? E_KEYSTORE : err->code;
        return false;
    }
    return ks_match(key, certs, NULL, cert_path, out, err);
}

const struct keystore_format ks_pem = {
    .name = "PEM", .type = KEYSTORE_PEM, .matches = matches, .open = open_pem};
