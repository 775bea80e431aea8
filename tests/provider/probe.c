/*
 * An ordinary user of libcrypto and libssl, for what openssl(1) cannot be asked: what stays in the
 * error queue, and what single functions answer. Prints "name=result" and then the errors.
 *
 *   p11probe pair URI CERT.pem     compares the key with its certificate, in every way
 *   p11probe trial URI CERT.pem    the same for a key whose public half is not known
 *   p11probe compare URI CERT.pem  X509_check_private_key() twice, and nothing else
 *   p11probe threads URI CERT.pem  X509_check_private_key() in several threads at once
 *   p11probe generate URI          software keys before and after a key was loaded
 *   p11probe sign URI PROPERTIES   signs with a property query
 *   p11probe finalise URI          a last call with too little room, and again
 *   p11probe oneshot URI           messages in one go: again, with too little room, and fed before
 *   p11probe param URI NAME        one parameter of the key
 *   p11probe dup URI               a duplicate signs after the original is gone
 *   p11probe params URI            what callers ask of a key, as numbers
 *   p11probe stream URI            a one-shot signature given piece by piece
 *   p11probe variant URI NAME [CONTEXT]   an EdDSA signature of that instance, as a parameter says
 *   p11probe message URI NAME      the signature algorithm NAME on a message, as since OpenSSL 3.4
 *   p11probe expect URI TYPE       loads with OSSL_STORE_expect()
 *   p11probe mixed URI FILE.pem    a token key, a software key from a file, then new software keys
 *   p11probe public URI            the public half, asked for by several threads at once
 *   p11probe fork URI              forks in a search for the public half; both want it
 *   p11probe peer URI PEER         agrees with another key of the token on a secret
 *   p11probe outlive URI CONFIG    a key that is freed after its library context was
 *   p11probe ordinary URI CONFIG   the same with the key freed first
 *   p11probe first URI             loads one object of a listing and closes it
 *   p11probe file URI FILE.pem     reads a key from a PEM file as servers do, and for TLS
 *   p11probe make URI EC:P-256 [USAGE]   generates a key in the token, and software keys after it
 *   p11probe make-after URI EC:P-256 LOADED   the same after another key was loaded
 *   p11probe agree URI             agrees on a secret, and uses software keys meanwhile
 *   p11probe long URI [KIND]       signs five million bytes piece by piece; KIND: copies, abandon,
 * repad p11probe padding URI           decrypts what has right and what has wrong PKCS#1 v1.5
 * padding
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/store.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static EVP_PKEY *generate_pss(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    EVP_PKEY *key = NULL;

    if (EVP_PKEY_keygen_init(ctx) == 1) {
        (void)EVP_PKEY_generate(ctx, &key);
    }
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *generate_like(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "EC")        ? EVP_EC_gen("P-256")
           : EVP_PKEY_is_a(key, "ED25519") ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
           : EVP_PKEY_is_a(key, "ED448")   ? EVP_PKEY_Q_keygen(NULL, NULL, "ED448")
           : EVP_PKEY_is_a(key, "RSA-PSS") ? generate_pss()
                                           : EVP_RSA_gen(2048);
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
    EVP_PKEY *other = generate_like(key);
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

static int is_edwards(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
}

static int generate_and_sign(const char *what, EVP_PKEY *key)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t len = sizeof(signature);
    const char *digest = key != NULL && is_edwards(key) ? NULL : "SHA256";
    int ok = key != NULL && EVP_DigestSignInit_ex(md, NULL, digest, NULL, NULL, key, NULL) == 1 &&
             EVP_DigestSign(md, signature, &len, (const unsigned char *)"x", 1) == 1 &&
             EVP_MD_CTX_reset(md) == 1 &&
             EVP_DigestVerifyInit_ex(md, NULL, digest, NULL, NULL, key, NULL) == 1 &&
             EVP_DigestVerify(md, signature, len, (const unsigned char *)"x", 1) == 1;

    EVP_MD_CTX_free(md);
    say(what, ok);
    return ok;
}

/* What one key signs, the other verifies. */
static int sign_and_verify(EVP_PKEY *signer, EVP_PKEY *verifier)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const char *digest = is_edwards(signer) ? NULL : "SHA256";
    unsigned char signature[512];
    size_t len = sizeof(signature);
    int ok = EVP_DigestSignInit_ex(md, NULL, digest, NULL, NULL, signer, NULL) == 1 &&
             EVP_DigestSign(md, signature, &len, (const unsigned char *)"x", 1) == 1 &&
             EVP_MD_CTX_reset(md) == 1 &&
             EVP_DigestVerifyInit_ex(md, NULL, digest, NULL, NULL, verifier, NULL) == 1 &&
             EVP_DigestVerify(md, signature, len, (const unsigned char *)"x", 1) == 1;

    EVP_MD_CTX_free(md);
    return ok;
}

static int trial(const char *uri, const char *path)
{
    FILE *file = fopen(path, "r");
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = must_load(uri);
    EVP_PKEY *swapped = must_load(uri);
    EVP_PKEY *other = generate_like(key);
    unsigned char *der = NULL;

    if (cert == NULL) {
        return 1;
    }
    (void)fclose(file);
    ERR_clear_error();
    EVP_PKEY *public = X509_get0_pubkey(cert);
    say("public-before", i2d_PUBKEY(key, NULL) > 0);
    say("token-other", EVP_PKEY_eq(key, other) == 1);
    say("other-token", EVP_PKEY_eq(other, key) == 1);
    say("software-still-signs", sign_and_verify(other, other));
    say("x509", X509_check_private_key(cert, key));
    say("token-software", EVP_PKEY_eq(swapped, public));
    say("public-after", i2d_PUBKEY(key, &der) > 0);
    say("token-signs", sign_and_verify(key, public));
    say("token-verifies", sign_and_verify(key, key));
    say("again", X509_check_private_key(cert, key));
    OPENSSL_free(der);
    EVP_PKEY_free(other);
    EVP_PKEY_free(swapped);
    EVP_PKEY_free(key);
    X509_free(cert);
    return 0;
}

static int compare(const char *uri, const char *path)
{
    FILE *file = fopen(path, "r");
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = must_load(uri);

    if (cert == NULL) {
        return 1;
    }
    (void)fclose(file);
    ERR_clear_error();
    say("x509", X509_check_private_key(cert, key));
    say("again", X509_check_private_key(cert, key));
    EVP_PKEY_free(key);
    X509_free(cert);
    return 0;
}

struct shared {
    X509 *cert;
    EVP_PKEY *key;
};

static void *check_in_thread(void *arg)
{
    struct shared *shared = arg;
    size_t good = 0;

    for (int i = 0; i < 20; i++) {
        good += X509_check_private_key(shared->cert, shared->key) == 1;
        good += sign_and_verify(shared->key, shared->key) == 1;
    }
    return (void *)good;
}

static int threads(const char *uri, const char *path)
{
    FILE *file = fopen(path, "r");
    struct shared shared = {.cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL,
                            .key = must_load(uri)};
    pthread_t ids[8];
    size_t good = 0;

    if (shared.cert == NULL) {
        return 1;
    }
    (void)fclose(file);
    for (size_t i = 0; i < 8; i++) {
        if (pthread_create(&ids[i], NULL, check_in_thread, &shared) != 0) {
            return 1;
        }
    }
    for (size_t i = 0; i < 8; i++) {
        void *result = NULL;
        (void)pthread_join(ids[i], &result);
        good += (size_t)result;
    }
    say("good", (int)good);
    EVP_PKEY_free(shared.key);
    X509_free(shared.cert);
    return 0;
}

static int encrypt_and_decrypt(EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    unsigned char secret[512];
    unsigned char plain[512];
    size_t len = sizeof(secret);
    size_t plain_len = sizeof(plain);
    int ok = EVP_PKEY_encrypt_init(ctx) == 1 &&
             EVP_PKEY_encrypt(ctx, secret, &len, (const unsigned char *)"x", 1) == 1 &&
             EVP_PKEY_decrypt_init(ctx) == 1 &&
             EVP_PKEY_decrypt(ctx, plain, &plain_len, secret, len) == 1 && plain_len == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static int agree_on_secret(EVP_PKEY *key, EVP_PKEY *peer)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    unsigned char secret[66];
    size_t len = sizeof(secret);
    int ok = EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
             EVP_PKEY_derive(ctx, secret, &len) == 1;

    EVP_PKEY_CTX_free(ctx);
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
    say("rsa-decrypts-after", encrypt_and_decrypt(rsa));
    say("ec-agrees-after", agree_on_secret(ec2, ec2));
    generate_and_sign("token", token);
    EVP_PKEY *like = generate_like(token);
    generate_and_sign("like-after", like);
    EVP_PKEY_free(like);
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

static void verify_message(const char *what, EVP_PKEY *key, const char *message,
                           const unsigned char *signature, size_t len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    say(what, EVP_DigestVerifyInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
                  EVP_DigestVerify(md, signature, len, (const unsigned char *)message,
                                   strlen(message)) == 1);
    EVP_MD_CTX_free(md);
}

static int sign_message(EVP_MD_CTX *md, const char *message, unsigned char *out, size_t *len)
{
    return EVP_DigestSign(md, out, len, (const unsigned char *)message, strlen(message));
}

static int oneshot(const char *uri)
{
    EVP_PKEY *key = must_load(uri);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char signature[1024];
    size_t len = sizeof(signature);

    say("init", EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL));
    say("size", sign_message(md, "first", NULL, &len));
    say("first", sign_message(md, "first", signature, &len));
    verify_message("verify-first", key, "first", signature, len);
    len = 10;
    say("short", sign_message(md, "second", signature, &len));
    len = sizeof(signature);
    say("second", sign_message(md, "second", signature, &len));
    verify_message("verify-second", key, "second", signature, len);
    EVP_MD_CTX_reset(md);
    len = sizeof(signature);
    say("fed-init", EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL));
    say("fed-update", EVP_DigestSignUpdate(md, "ab", 2));
    say("fed", sign_message(md, "c", signature, &len));
    verify_message("verify-fed", key, "abc", signature, len);
    len = sizeof(signature);
    say("after-fed", sign_message(md, "d", signature, &len));
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

static int dup_key(const char *uri)
{
    EVP_PKEY *key = must_load(uri);
    EVP_PKEY *copy = EVP_PKEY_dup(key);

    say("dup", copy != NULL);
    say("dup-eq", EVP_PKEY_eq(key, copy));
    EVP_PKEY_free(key);
    generate_and_sign("dup-sign", copy);
    EVP_PKEY_free(copy);
    return 0;
}

/* What OpenSSL's own programs and libraries ask by name; the length of each answer, 0: none. */
static void named_params(const EVP_PKEY *key)
{
    static const char *const strings[] = {"group",        "encoding",       "field-type",
                                          "point-format", "default-digest", "mandatory-digest"};
    static const char *const octets[] = {"pub", "encoded-pub-key"};
    static const char *const numbers[] = {"n", "e", "qx", "qy"};
    unsigned char bytes[1024];
    char text[80];

    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        int ok = EVP_PKEY_get_utf8_string_param(key, strings[i], text, sizeof(text), NULL);
        printf("%s-%s=%d\n", strings[i], ok == 1 ? text : "", ok == 1);
    }
    for (size_t i = 0; i < sizeof(octets) / sizeof(octets[0]); i++) {
        size_t len = 0;
        int ok = EVP_PKEY_get_octet_string_param(key, octets[i], bytes, sizeof(bytes), &len);
        printf("%s=%d\n", octets[i], ok == 1 ? (int)len : 0);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        BIGNUM *number = NULL;
        int ok = EVP_PKEY_get_bn_param(key, numbers[i], &number);
        printf("%s=%d\n", numbers[i], ok == 1 && !BN_is_zero(number));
        BN_free(number);
    }
}

/* Equal for a software key and a token key of the same kind. */
static int params(const char *uri)
{
    static const char *const types[] = {"RSA",   "RSA-PSS", "EC",  "ED25519",
                                        "ED448", "X25519",  "X448"};
    EVP_PKEY *key = must_load(uri);
    unsigned char *encoded = NULL;
    unsigned char raw[256];
    char digest[80] = "";
    char group[80] = "";
    size_t len = sizeof(raw);

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char what[32];
        snprintf(what, sizeof(what), "is-%s", types[i]);
        say(what, EVP_PKEY_is_a(key, types[i]));
    }
    say("bits", EVP_PKEY_get_bits(key));
    say("security-bits", EVP_PKEY_get_security_bits(key));
    say("size", EVP_PKEY_get_size(key));
    printf("raw=%d\n", EVP_PKEY_get_raw_public_key(key, raw, &len));
    printf("raw-length=%zu\n", len);
    printf("encoded=%zu\n", EVP_PKEY_get1_encoded_public_key(key, &encoded));
    OPENSSL_free(encoded);
    printf("digest=%d\n", EVP_PKEY_get_default_digest_name(key, digest, sizeof(digest)));
    printf("digest-%s=1\n", digest);
    printf("group=%d\n", EVP_PKEY_get_group_name(key, group, sizeof(group), NULL));
    printf("group-%s=1\n", group);
    printf("field=%d\n", EVP_PKEY_get_field_type(key));
    printf("form=%d\n", EVP_PKEY_get_ec_point_conv_form(key));
    named_params(key);
    ERR_clear_error();
    EVP_PKEY_free(key);
    return 0;
}

static int stream(const char *uri)
{
    EVP_PKEY *key = must_load(uri);
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    say("init", EVP_DigestSignInit_ex(md, NULL, NULL, NULL, NULL, key, NULL));
    say("update", EVP_DigestSignUpdate(md, "x", 1));
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    return 0;
}

/* More than is kept of a message. */
static int update_long(EVP_MD_CTX *md)
{
    static unsigned char piece[100000];
    int ok = 1;

    for (int i = 0; i < 50 && ok == 1; i++) {
        ok = EVP_DigestSignUpdate(md, piece, sizeof(piece));
    }
    return ok;
}

static int verify_long(EVP_MD_CTX *md, EVP_PKEY *key, const unsigned char *value, size_t len,
                       size_t message_len)
{
    unsigned char *message = calloc(1, message_len);

    EVP_MD_CTX_reset(md);
    int ok = EVP_DigestVerifyInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
             EVP_DigestVerify(md, value, len, message, message_len) == 1;
    free(message);
    return ok;
}

static int sign_long(const char *uri, const char *kind)
{
    EVP_PKEY *key = must_load(uri);
    EVP_PKEY_CTX *ctx = NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    unsigned char value[1024];
    size_t len = sizeof(value);

    say("init", EVP_DigestSignInit_ex(md, &ctx, "SHA256", NULL, NULL, key, NULL));
    say("update", update_long(md));
    if (strcmp(kind, "copies") == 0) {
        say("copy", EVP_MD_CTX_copy_ex(copy, md));
        say("copy-update", EVP_DigestSignUpdate(copy, "", 1)); /* its NUL */
        say("late-update", EVP_DigestSignUpdate(md, "x", 1));
        EVP_MD_CTX_reset(md);
        generate_and_sign("other", key);
        say("copy-final", EVP_DigestSignFinal(copy, value, &len));
        say("copy-verify", verify_long(md, key, value, len, 5000001));
    } else if (strcmp(kind, "abandon") == 0) {
        EVP_MD_CTX_reset(md);
        generate_and_sign("other", key);
    } else {
        if (strcmp(kind, "repad") == 0) {
            say("repad", EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING));
        }
        say("final", EVP_DigestSignFinal(md, value, &len));
        say("again", EVP_DigestSignFinal(md, value, &(size_t){sizeof(value)}));
        say("verify", verify_long(md, key, value, len, 5000000));
    }
    EVP_MD_CTX_free(copy);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    return 0;
}

static int variant(const char *uri, const char *instance, const char *context)
{
    EVP_PKEY *key = must_load(uri);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char signature[1024];
    size_t len = sizeof(signature);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("instance", (char *)(uintptr_t)instance, 0),
        OSSL_PARAM_construct_octet_string("context-string", (char *)(uintptr_t)context,
                                          strlen(context)),
        OSSL_PARAM_construct_end(),
    };

    say("init", EVP_DigestSignInit_ex(md, NULL, NULL, NULL, NULL, key, params));
    say("sign", EVP_DigestSign(md, signature, &len, (const unsigned char *)"x", 1));
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    return 0;
}

static int message(const char *uri, const char *name)
{
    EVP_PKEY *key = must_load(uri);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, "provider=p11enroll");

#if OPENSSL_VERSION_PREREQ(3, 4)
    EVP_SIGNATURE *algorithm = EVP_SIGNATURE_fetch(NULL, name, "provider=p11enroll");
    unsigned char signature[1024];
    size_t len = sizeof(signature);

    say("sign-init", EVP_PKEY_sign_message_init(ctx, algorithm, NULL));
    say("sign", EVP_PKEY_sign(ctx, signature, &len, (const unsigned char *)"x", 1));
    say("verify-init", EVP_PKEY_verify_message_init(ctx, algorithm, NULL));
    say("verify", EVP_PKEY_verify(ctx, signature, len, (const unsigned char *)"x", 1));
    say("other", EVP_PKEY_verify(ctx, signature, len, (const unsigned char *)"y", 1));
    EVP_SIGNATURE_free(algorithm);
#else
    (void)name;
#endif
    EVP_PKEY_CTX_free(ctx);
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

static int public_by_threads(const char *uri)
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

enum { MEANWHILE_US = 400000, PATIENCE_S = 20 };

/* The token takes its time for the search (the shim's rule), so that the fork comes meanwhile. */
static int fork_in_search(const char *uri)
{
    EVP_PKEY *key = must_load(uri);
    pthread_t thread;
    void *answer = NULL;
    int status = -1;

    if (pthread_create(&thread, NULL, ask_public, key) != 0) {
        return 1;
    }
    (void)usleep(MEANWHILE_US);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(PATIENCE_S);
        _exit(ask_public(key) != NULL ? 0 : 1);
    }
    (void)waitpid(child, &status, 0);
    say("child", WIFEXITED(status) && WEXITSTATUS(status) == 0);
    say("parent", pthread_join(thread, &answer) == 0 && answer != NULL);
    EVP_PKEY_free(key);
    return 0;
}

static int peer(const char *uri, const char *peer_uri)
{
    EVP_PKEY *key = must_load(uri);
    EVP_PKEY *other = must_load(peer_uri);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    unsigned char secret[66];
    size_t len = sizeof(secret);

    say("peer", EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer_ex(ctx, other, 0) == 1);
    say("derive", EVP_PKEY_derive(ctx, secret, &len));
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(other);
    EVP_PKEY_free(key);
    return 0;
}

static EVP_PKEY *load_in(OSSL_LIB_CTX *libctx, const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL ? OSSL_STORE_load(store) : NULL;
    EVP_PKEY *key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;

    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return key;
}

static int sign_in(OSSL_LIB_CTX *libctx, EVP_PKEY *key)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t len = sizeof(signature);
    int ok = EVP_DigestSignInit_ex(md, NULL, "SHA256", libctx, NULL, key, NULL) == 1 &&
             EVP_DigestSign(md, signature, &len, (const unsigned char *)"x", 1) == 1;

    EVP_MD_CTX_free(md);
    return ok;
}

/* With key_last, what garbage collectors make of it; the providers are unloaded as well. */
static int with_library_context(const char *uri, const char *config, bool key_last)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

    say("config", OSSL_LIB_CTX_load_config(libctx, config));
    EVP_PKEY *key = load_in(libctx, uri);
    OSSL_PROVIDER *more = OSSL_PROVIDER_load(libctx, "p11enroll");
    say("sign", key != NULL && sign_in(libctx, key));
    say("unload", OSSL_PROVIDER_unload(more));
    if (!key_last) {
        EVP_PKEY_free(key);
    }
    OSSL_LIB_CTX_free(libctx);
    if (key_last) {
        EVP_PKEY_free(key);
    }
    say("freed", 1);
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

/* Whether it is the default provider's key. */
static int is_software(EVP_PKEY *key)
{
    int is =
        key != NULL && strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "default") == 0;

    EVP_PKEY_free(key);
    return is;
}

static EVP_PKEY *generate_in_token(const char *uri, const char *algorithm, const char *option,
                                   const char *value, const char *usage)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, "provider=p11enroll");
    EVP_PKEY *key = NULL;

    say("init", ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1);
    say("option", EVP_PKEY_CTX_ctrl_str(ctx, option, value));
    if (uri[0] != '\0') {
        say("uri", EVP_PKEY_CTX_ctrl_str(ctx, "pkcs11_uri", uri));
    }
    if (usage != NULL) {
        say("usage", EVP_PKEY_CTX_ctrl_str(ctx, "pkcs11_key_usage", usage));
    }
    say("made", EVP_PKEY_generate(ctx, &key) == 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static int make(const char *uri, const char *kind, const char *usage)
{
    bool ec = strncmp(kind, "EC:", 3) == 0;
    EVP_PKEY *key =
        generate_in_token(uri, ec ? "EC" : "RSA", ec ? "ec_paramgen_curve" : "rsa_keygen_bits",
                          strchr(kind, ':') + 1, usage);

    if (key != NULL) {
        generate_and_sign("sign", key);
        say("size", EVP_PKEY_get_bits(key));
    }
    say("software-ec", is_software(EVP_EC_gen("P-256")));
    say("software-q", is_software(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384")));
    say("software-rsa", is_software(EVP_RSA_gen(2048)));
    EVP_PKEY_free(key);
    return 0;
}

enum { SECRET = 66 };

/* Tries to make a token key of a software one. */
static int import(EVP_PKEY *key, int selection)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", "provider=p11enroll");
    OSSL_PARAM *params = NULL;
    EVP_PKEY *made = NULL;
    int ok = ctx != NULL && EVP_PKEY_todata(key, selection, &params) == 1 &&
             EVP_PKEY_fromdata_init(ctx) == 1 &&
             EVP_PKEY_fromdata(ctx, &made, selection, params) == 1;

    OSSL_PARAM_free(params);
    EVP_PKEY_free(made);
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static EVP_PKEY *public_half(EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    const unsigned char *p = der;
    EVP_PKEY *public = d2i_PUBKEY(NULL, &p, len);

    OPENSSL_free(der);
    return public;
}

static int verify_with(EVP_PKEY *public, EVP_PKEY *signer)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const unsigned char *data = (const unsigned char *)"x";
    unsigned char signature[512];
    size_t len = sizeof(signature);
    int ok = EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, signer, NULL) == 1 &&
             EVP_DigestSign(md, signature, &len, data, 1) == 1 && EVP_MD_CTX_reset(md) == 1 &&
             EVP_DigestVerifyInit_ex(md, NULL, "SHA256", NULL, NULL, public, NULL) == 1 &&
             EVP_DigestVerify(md, signature, len, data, 1) == 1;

    EVP_MD_CTX_free(md);
    return ok;
}

static int agree(const char *uri)
{
    EVP_PKEY *key = must_load(uri);
    EVP_PKEY *peer = EVP_EC_gen("P-256");
    EVP_PKEY *public = public_half(peer);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    unsigned char secrets[2][SECRET];
    size_t len[2] = {SECRET, SECRET};

    say("peer", EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, public) == 1);
    say("derive", EVP_PKEY_derive(ctx, secrets[0], &len[0]));
    say("again", EVP_PKEY_derive(ctx, secrets[1], &len[1]));
    say("same", len[0] == len[1] && memcmp(secrets[0], secrets[1], len[0]) == 0);
    EVP_PKEY_CTX *copy = EVP_PKEY_CTX_dup(ctx);
    say("copy", copy != NULL && EVP_PKEY_derive(copy, secrets[1], &len[1]) == 1 &&
                    memcmp(secrets[0], secrets[1], len[0]) == 0);
    EVP_PKEY_CTX_free(copy);
    EVP_PKEY *other = EVP_EC_gen("P-256"); /* a TLS handshake would do that now */
    EVP_PKEY_CTX *software = EVP_PKEY_CTX_new(other, NULL);
    say("software", EVP_PKEY_derive_init(software) == 1 &&
                        EVP_PKEY_derive_set_peer(software, public) == 1 &&
                        EVP_PKEY_derive(software, secrets[1], &len[1]) == 1);
    EVP_PKEY_CTX_free(software);
    generate_and_sign("software-signs", other);
    generate_and_sign("peer-signs", peer);
    say("peer-verifies", verify_with(public, peer));
    say("equal", EVP_PKEY_eq(public, key));
    say("other-equal", EVP_PKEY_eq(public, peer));
    int pair = EVP_PKEY_derive_set_peer(ctx, other);
    ERR_clear_error();
    say("pair", pair == 1);
    EVP_PKEY_CTX_free(ctx);
    int imported = import(peer, EVP_PKEY_PUBLIC_KEY);
    ERR_clear_error();
    say("import", imported);
    EVP_PKEY_free(other);
    EVP_PKEY_free(public);
    EVP_PKEY_free(peer);
    EVP_PKEY_free(key);
    return 0;
}

enum { BLOCK = 256 };

struct plaintext {
    unsigned char bytes[BLOCK];
    size_t len;
};

/* A block that begins with 00 and `second`, encrypted as it is. */
static void encrypt_block(EVP_PKEY *key, int second, int fill, unsigned char out[BLOCK])
{
    unsigned char block[BLOCK];
    size_t len = BLOCK;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

    memset(block, fill, sizeof(block));
    block[0] = 0;
    block[1] = (unsigned char)second;
    block[BLOCK - 2] = 0; /* the message is one byte */
    if (EVP_PKEY_encrypt_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1 ||
        EVP_PKEY_encrypt(ctx, out, &len, block, sizeof(block)) != 1) {
        exit(1);
    }
    EVP_PKEY_CTX_free(ctx);
}

static int decrypt_block(EVP_PKEY *key, const unsigned char in[BLOCK], struct plaintext *out)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

    out->len = sizeof(out->bytes);
    int ok = EVP_PKEY_decrypt_init(ctx) == 1 &&
             EVP_PKEY_decrypt(ctx, out->bytes, &out->len, in, BLOCK) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static int is_same(const struct plaintext *a, const struct plaintext *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static int padding(const char *uri)
{
    EVP_PKEY *key = must_load(uri);
    unsigned char right[BLOCK];
    unsigned char wrong[BLOCK];
    unsigned char other[BLOCK];
    struct plaintext a;
    struct plaintext b;

    encrypt_block(key, 2, 0x55, right);
    encrypt_block(key, 3, 0x55, wrong);
    encrypt_block(key, 3, 0x66, other);
    say("right", decrypt_block(key, right, &a) && a.len == 1 && a.bytes[0] == 0x55);
    say("wrong", decrypt_block(key, wrong, &a));
    say("again", decrypt_block(key, wrong, &b));
    say("same", is_same(&a, &b));
    say("other", decrypt_block(key, other, &b));
    say("other-same", is_same(&a, &b));
    EVP_PKEY_free(key);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    const char *more = argc > 3 ? argv[3] : "";

    return strcmp(what, "pair") == 0       ? pair(argv[2], more)
           : strcmp(what, "trial") == 0    ? trial(argv[2], more)
           : strcmp(what, "compare") == 0  ? compare(argv[2], more)
           : strcmp(what, "threads") == 0  ? threads(argv[2], more)
           : strcmp(what, "generate") == 0 ? generate(argv[2])
           : strcmp(what, "sign") == 0     ? sign(argv[2], more)
           : strcmp(what, "finalise") == 0 ? finalise(argv[2])
           : strcmp(what, "oneshot") == 0  ? oneshot(argv[2])
           : strcmp(what, "param") == 0    ? param(argv[2], more)
           : strcmp(what, "dup") == 0      ? dup_key(argv[2])
           : strcmp(what, "params") == 0   ? params(argv[2])
           : strcmp(what, "stream") == 0   ? stream(argv[2])
           : strcmp(what, "variant") == 0  ? variant(argv[2], more, argc > 4 ? argv[4] : "")
           : strcmp(what, "message") == 0  ? message(argv[2], more)
           : strcmp(what, "make-after") == 0 && argc > 4
               ? (EVP_PKEY_free(must_load(argv[4])), make(argv[2], more, NULL))
           : strcmp(what, "make") == 0     ? make(argv[2], more, argc > 4 ? argv[4] : NULL)
           : strcmp(what, "agree") == 0    ? agree(argv[2])
           : strcmp(what, "padding") == 0  ? padding(argv[2])
           : strcmp(what, "expect") == 0   ? expect(argv[2], atoi(more))
           : strcmp(what, "mixed") == 0    ? mixed(argv[2], more)
           : strcmp(what, "public") == 0   ? public_by_threads(argv[2])
           : strcmp(what, "long") == 0     ? sign_long(argv[2], more)
           : strcmp(what, "fork") == 0     ? fork_in_search(argv[2])
           : strcmp(what, "peer") == 0     ? peer(argv[2], more)
           : strcmp(what, "first") == 0    ? first(argv[2])
           : strcmp(what, "outlive") == 0  ? with_library_context(argv[2], more, true)
           : strcmp(what, "ordinary") == 0 ? with_library_context(argv[2], more, false)
           : strcmp(what, "file") == 0     ? file(more)
                                           : 2;
}
