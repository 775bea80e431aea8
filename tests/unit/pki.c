#include "unit/pki.h"

#include "unit/unit.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* For tests alone; it has never protected anything. */
static const char rsa_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC6Rmgc4lAlHECw\n"
                              "FU+gJIxzkkBxIm6a7Os/XwQICAAED6T4GoGB24Cn7QXiRe8MP7a92G8sa7DQ32Lp\n"
                              "cHpXbJAhXGgBHQX7S11O6tVQb+7unmHXuGYQLm97V5KapJuLchapkakzzpl8WDLg\n"
                              "r84DNK7dTMXdwrA9npbQ6LDAU6ttUbx/owx3QUI7dLozh7Yr7nBbYXcColwOF8Up\n"
                              "lCoq8fWAl80UcGyXDKK7lwcm2PJCFq6jFVpZ+o+2MTAmyMO6OedyXFMO7EKvIp8o\n"
                              "0GW7Xj5SfxnoDhKhPXqpFq2QChd66q473MsVOZvVO2HJSdzec2Cks2pGFdd4ibkc\n"
                              "fNNLmQWTAgMBAAECggEAAZkQcp77tWaMvTj/Srjd6/QR4+ynmFX2nkXJVvitpRIh\n"
                              "ecUWiKaLlHd7AGSrR9E83R7nnBiDENVYNkCf5fLydiSD7fq0tcNusZK1X0Pwc4fz\n"
                              "JHEpvvk3w2l72tkVTmgRL5sBs+eXm/KBjTllnWYv6jS9J092zs78/GcfjQhVYJsn\n"
                              "xTueTZ/zoD1foODdJXEVCd/lH4Cqi+uxbwns1bHrK1uUIeMYb4Xmiik+VQWsZYxz\n"
                              "MWKRu3BPBVdAiXTcf/qU486IYQagkdhfttgPDEO489mg5/p1nh7XWLrH4aEA2Fh5\n"
                              "A7ZnCtiBAcERhv9kS3N7jdq4UBhOUpQaBRrejjhqoQKBgQD9PoCGfCBFsPLhpmDZ\n"
                              "hCRPAW3mVsrGJTGhMl62HUAG21ghoUk8phnUyhAXwdHc3us6/jnVyvxdeVoZlei5\n"
                              "NB6sYhFdiqFmptaxeKW9vciP4Q6Br2WJoiv56uWfthrHWTTIbZVa/y/fUSKu+rRk\n"
                              "rrFaE83oKPKGurZ8Yrcs8fGAywKBgQC8TVbc2CUk32ZeDYNarFNuSKf/clh+39so\n"
                              "qb4IXu1BjBoKtj9puqEHEvnD5+i7BCfcif20Cuth13O+rweRqmPHnYBCm9wm+UCB\n"
                              "qxDbthE+7B90wIPQKLWWy7UtfydNQyd3OGfAAh86Kj9c3YR8644XIX1vqIs1O+Am\n"
                              "A+qUjNzdWQKBgCSc27IV0gihW4waJNhtzV4Kw9vQYoKhL/qxMJY9xlr3bVd3XQJC\n"
                              "tWtZR1hX8kJvjCy8QppRPYk6GTenv7y+90xO5VnTyB/yMQn5emTjQlLi49kGBbUP\n"
                              "WDJKrqYXiumVURdFGJnOWRp9PXl0z43a39M5F8Tf3qhx6B41m2wJErRfAoGBAK8Q\n"
                              "sEtOYOoxELkskwy/3ilQP3CM3J3IfbcGaPjbWHVyTdvbqIUh0AgFqlRqzcLhkDXH\n"
                              "zSmQZVpntuJ3U/Anm/DAC7jhswJBBaoIYvoCAXKgkHY5bdMfpgP2jBEqgF2iq5R5\n"
                              "ymuHDYVENfieskh5r3bt2fLvncz2R+TQC03k0IqxAoGAPEnicWjDNY6tlCgHlvHT\n"
                              "ClhxHzNsDrfKCCQJm1Lxfro1NL+R9WOC2vhGDbq/119UgrOCakAyluheOsyb0RSV\n"
                              "KBM1qOcdgzZYDuPReeLT16LuWyq+e1q49fLWrWj62+P/n7rPTdt5boHY/3YMKvzD\n"
                              "7u9hFYbv1yD8rFbdE4+RF/c=\n"
                              "-----END PRIVATE KEY-----\n";

EVP_PKEY *pki_ec(const char *group)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", group);

    assert_non_null(key);
    return key;
}

EVP_PKEY *pki_rsa(void)
{
    BIO *mem = BIO_new_mem_buf(rsa_pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(mem, NULL, NULL, NULL);

    BIO_free_all(mem);
    assert_non_null(key);
    return key;
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = value != NULL ? X509V3_EXT_conf_nid(NULL, NULL, nid, value) : NULL;

    if (value != NULL) {
        assert_non_null(ext);
        assert_int_equal(X509_add_ext(cert, ext, -1), 1);
        X509_EXTENSION_free(ext);
    }
}

static void set_name(X509_NAME *name, const char *cn)
{
    if (cn != NULL) {
        assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                                    (const unsigned char *)cn, -1, -1, 0),
                         1);
    }
}

X509 *pki_cert(const struct pki_spec *spec)
{
    X509 *cert = X509_new();
    int64_t from = spec->not_before != 0 ? spec->not_before : PKI_NOW - PKI_DAY;
    int64_t to = spec->not_after != 0 ? spec->not_after : PKI_NOW + 365 * PKI_DAY;

    assert_non_null(cert);
    assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), spec->serial != 0 ? spec->serial : 1);
    set_name(X509_get_subject_name(cert), spec->cn);
    if (spec->issuer != NULL) {
        X509_set_issuer_name(cert, X509_get_subject_name(spec->issuer));
    } else {
        set_name(X509_get_issuer_name(cert), spec->cn);
    }
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to));
    assert_int_equal(X509_set_pubkey(cert, spec->key), 1);
    add_extension(cert, NID_basic_constraints, spec->ca ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(cert, NID_subject_alt_name, spec->san);
    add_extension(cert, NID_ext_key_usage, spec->eku);
    EVP_PKEY *signer = spec->signer != NULL ? spec->signer : spec->key;
    assert_true(X509_sign(cert, signer, EVP_sha256()) > 0);
    return cert;
}

static const char *bio_text(BIO *mem)
{
    char *data = NULL;
    long len = BIO_get_mem_data(mem, &data);
    const char *text = tmp_printf("%.*s", (int)len, data);

    BIO_free_all(mem);
    return text;
}

const char *pki_pem(X509 *cert)
{
    BIO *mem = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_X509(mem, cert), 1);
    return bio_text(mem);
}

const char *pki_key_pem(EVP_PKEY *key, const char *password)
{
    BIO *mem = BIO_new(BIO_s_mem());
    const EVP_CIPHER *cipher = password != NULL ? EVP_aes_256_cbc() : NULL;
    int len = password != NULL ? (int)strlen(password) : 0;

    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(mem, key, cipher, password, len, NULL, NULL), 1);
    return bio_text(mem);
}

const uint8_t *pki_der(X509 *cert, size_t *len)
{
    unsigned char *der = NULL;
    int size = i2d_X509(cert, &der);

    assert_true(size > 0);
    *len = (size_t)size;
    const uint8_t *kept = tmp_bytes(der, *len);
    OPENSSL_free(der);
    return kept;
}

void pki_chain(struct pki_chain *chain)
{
    chain->root_key = pki_ec("prime256v1");
    chain->middle_key = pki_ec("prime256v1");
    chain->leaf_key = pki_ec("prime256v1");
    chain->root =
        pki_cert(&(struct pki_spec){.cn = "Root", .ca = true, .serial = 1, .key = chain->root_key});
    chain->middle = pki_cert(&(struct pki_spec){.cn = "Middle",
                                                .ca = true,
                                                .serial = 2,
                                                .key = chain->middle_key,
                                                .issuer = chain->root,
                                                .signer = chain->root_key});
    chain->leaf = pki_cert(&(struct pki_spec){.cn = "www.example.org",
                                              .san = "DNS:www.example.org",
                                              .serial = 3,
                                              .key = chain->leaf_key,
                                              .issuer = chain->middle,
                                              .signer = chain->middle_key});
}

void pki_chain_done(struct pki_chain *chain)
{
    EVP_PKEY_free(chain->root_key);
    EVP_PKEY_free(chain->middle_key);
    EVP_PKEY_free(chain->leaf_key);
    X509_free(chain->root);
    X509_free(chain->middle);
    X509_free(chain->leaf);
}

STACK_OF(X509) * pki_stack(X509 *first, ...)
{
    STACK_OF(X509) *stack = sk_X509_new_null();
    va_list args;

    assert_non_null(stack);
    va_start(args, first);
    for (X509 *cert = first; cert != NULL; cert = va_arg(args, X509 *)) {
        assert_int_equal(X509_up_ref(cert), 1);
        assert_true(sk_X509_push(stack, cert) > 0);
    }
    va_end(args);
    return stack;
}
