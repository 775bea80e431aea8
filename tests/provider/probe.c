/*
 * An ordinary user of libcrypto and libssl, for what openssl(1) cannot be asked: what stays in the
 * error queue, and what single functions answer. Prints "name=result" and then the errors.
 *
 *   p11probe pair URI CERT.pem     compares the key with its certificate, in every way
 *   p11probe generate URI          software keys before and after a key was loaded
 *   p11probe sign URI PROPERTIES   signs with a property query
 *   p11probe finalise URI          a last call with too little room, and again
 *   p11probe param URI NAME        one parameter of the key
 *   p11probe expect URI TYPE       loads with OSSL_STORE_expect()
 *   p11probe mixed URI FILE.pem    a token key, a software key from a file, then new software keys
 *   p11probe threads URI           the public half, asked for by several threads at once
 *   p11probe first URI             loads one object of a listing and closes it
 *   p11probe file URI FILE.pem     reads a key from a PEM file as servers do, and for TLS
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/store.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(const char *what, int result)
{
    char text[512];

    printf("%s=%d\n", what, result);
    for (unsigned long code = 0;;) {
        const char *data = NULL;
        int flags = 0;
        code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
        if (code == 0) {
            return;
        }
        ERR_error_string_n(code, text, sizeof(text));
        printf("  error in %s: %s: %s\n", what, text, (flags & ERR_TXT_STRING) != 0 ? data : "");
    }
}

static EVP_PKEY *load(const char *uri, const char *properties)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, NULL, properties, NULL, NULL, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;

    if (store == NULL || OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) != 1) {
        return NULL;
    }
    while (key == NULL && OSSL_STORE_eof(store) == 0) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    say("load", key != NULL);
    return key;
}

static EVP_PKEY *must_load(const char *uri)
{
    EVP_PKEY *key = load(uri, NULL);

    if (key == NULL) {
        exit(1);
    }
    return key;
}

static int pair(const char *uri, const char *path)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    FILE *file = fopen(path, "r");
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = must_load(uri);
    EVP_PKEY *again = must_load(uri);

    if (cert == NULL || ctx == NULL) {
        return 1;
    }
    (void)fclose(file);
    ERR_clear_error();
    say("certificate", SSL_CTX_use_certificate(ctx, cert));
    say("key", SSL_CTX_use_PrivateKey(ctx, key));
    say("check", SSL_CTX_check_private_key(ctx));
    say("x509", X509_check_private_key(cert, key));
    say("software-token", EVP_PKEY_eq(X509_get0_pubkey(cert), key));
    say("token-software", EVP_PKEY_eq(key, X509_get0_pubkey(cert)));
    say("token-token", EVP_PKEY_eq(key, again));
    EVP_PKEY *other = EVP_PKEY_is_a(key, "EC") ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
    say("generate", other != NULL);
    say("token-other", EVP_PKEY_eq(key, other));
    say("other-token", EVP_PKEY_eq(other, key));
    EVP_PKEY_free(other);
    EVP_PKEY_free(again);
    EVP_PKEY_free(key);
    X509_free(cert);
    SSL_CTX_free(ctx);
    return 0;
}

static int generate_and_sign(const char *what, EVP_PKEY *key)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t len = sizeof(signature);
    int ok = key != NULL && EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
             EVP_DigestSign(md, signature, &len, (const unsigned char *)"x", 1) == 1 &&
             EVP_MD_CTX_reset(md) == 1 &&
             EVP_DigestVerifyInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
             EVP_DigestVerify(md, signature, len, (const unsigned char *)"x", 1) == 1;

    EVP_MD_CTX_free(md);
    say(what, ok);
    return ok;
}

static int generate(const char *uri)
{
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    generate_and_sign("ec-before", ec);
    EVP_PKEY *token = must_load(uri);
    EVP_PKEY *ec2 = EVP_EC_gen("P-384");
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    generate_and_sign("ec-after", ec2);
    generate_and_sign("rsa-after", rsa);
    generate_and_sign("ec-before-after", ec);
    generate_and_sign("token", token);
    EVP_PKEY *qualified = load(uri, "provider=p11enroll");
    generate_and_sign("token-qualified", qualified);
    EVP_PKEY_free(qualified);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(ec2);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(token);
    return 0;
}

static int sign(const char *uri, const char *properties)
{
    EVP_PKEY *key = must_load(uri);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char signature[1024];
    size_t len = sizeof(signature);

    say("init", EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, properties, key, NULL));
    say("sign", EVP_DigestSign(md, signature, &len, (const unsigned char *)"x", 1));
    EVP_MD_CTX_free(md);
    if (EVP_PKEY_is_a(key, "RSA")) {
        EVP_PKEY_CTX *pctx = NULL;
        md = EVP_MD_CTX_new();
        len = sizeof(signature);
        say("pss-init", EVP_DigestSignInit_ex(md, &pctx, "SHA256", NULL, properties, key, NULL));
        say("pss-padding", EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING));
        say("pss-mgf1", EVP_PKEY_CTX_set_rsa_mgf1_md_name(pctx, "SHA256", NULL));
        say("pss-sign", EVP_DigestSign(md, signature, &len, (const unsigned char *)"x", 1));
        EVP_MD_CTX_free(md);
    }
    EVP_PKEY_free(key);
    return 0;
}

static int finalise(const char *uri)
{
    EVP_PKEY *key = must_load(uri);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char signature[1024];
    size_t len = 10;

    say("init", EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL));
    EVP_MD_CTX_set_flags(md, EVP_MD_CTX_FLAG_FINALISE);
    say("update", EVP_DigestSignUpdate(md, "x", 1));
    say("short", EVP_DigestSignFinal(md, signature, &len));
    len = sizeof(signature);
    say("enough", EVP_DigestSignFinal(md, signature, &len));
    EVP_MD_CTX_reset(md);
    say("verify-init", EVP_DigestVerifyInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL));
    say("verify", EVP_DigestVerify(md, signature, len, (const unsigned char *)"x", 1));
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    return 0;
}

static int param(const char *uri, const char *name)
{
    EVP_PKEY *key = must_load(uri);
    unsigned char value[1024];
    size_t len = 0;

    say(name, EVP_PKEY_get_octet_string_param(key, name, value, sizeof(value), &len));
    EVP_PKEY_free(key);
    return 0;
}

static int expect(const char *uri, int type)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    int count = 0;

    say("expect", OSSL_STORE_expect(store, type));
    while (OSSL_STORE_eof(store) == 0) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        count += info != NULL;
        OSSL_STORE_INFO_free(info);
    }
    say("found", count);
    OSSL_STORE_close(store);
    return 0;
}

static int mixed(const char *uri, const char *path)
{
    FILE *in = fopen(path, "r");
    EVP_PKEY *token = must_load(uri);
    EVP_PKEY *software = in != NULL ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : NULL;

    if (in != NULL) {
        (void)fclose(in);
    }
    generate_and_sign("software", software);
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    generate_and_sign("rsa", rsa);
    generate_and_sign("ec", ec);
    generate_and_sign("token", token);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(software);
    EVP_PKEY_free(token);
    return 0;
}

enum { THREADS = 8 };

static void *ask_public(void *key)
{
    unsigned char value[1024];
    size_t len = 0;

    return EVP_PKEY_get_octet_string_param(key, "pub", value, sizeof(value), &len) == 1 ? key
                                                                                        : NULL;
}

static int threads(const char *uri)
{
    EVP_PKEY *key = must_load(uri);
    pthread_t list[THREADS];
    int good = 0;

    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&list[i], NULL, ask_public, key) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        void *answer = NULL;
        good += pthread_join(list[i], &answer) == 0 && answer != NULL;
    }
    say("good", good);
    EVP_PKEY_free(key);
    return 0;
}

static int first(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL ? OSSL_STORE_load(store) : NULL;

    say("first", info != NULL);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return 0;
}

static int file(const char *path)
{
    FILE *in = fopen(path, "r");
    EVP_PKEY *key = in != NULL ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : NULL;

    if (in != NULL) {
        (void)fclose(in);
    }
    say("read", key != NULL);
    EVP_PKEY_free(key);
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    say("use", SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM));
    SSL_CTX_free(ctx);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    const char *more = argc > 3 ? argv[3] : "";

    return strcmp(what, "pair") == 0       ? pair(argv[2], more)
           : strcmp(what, "generate") == 0 ? generate(argv[2])
           : strcmp(what, "sign") == 0     ? sign(argv[2], more)
           : strcmp(what, "finalise") == 0 ? finalise(argv[2])
           : strcmp(what, "param") == 0    ? param(argv[2], more)
           : strcmp(what, "expect") == 0   ? expect(argv[2], atoi(more))
           : strcmp(what, "mixed") == 0    ? mixed(argv[2], more)
           : strcmp(what, "threads") == 0  ? threads(argv[2])
           : strcmp(what, "first") == 0    ? first(argv[2])
           : strcmp(what, "file") == 0     ? file(more)
                                           : 2;
}
