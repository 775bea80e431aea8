/*
 * The proof of possession: a signature over a text that people can read and that says what it is
 * for. A certificate request, a certificate and a revocation list begin with a byte 0x30, the
 * signed part of a TLS 1.3 handshake with 64 spaces, of a TLS 1.2 one with random bytes of both
 * sides or a message type below 0x20, of SSH with a length: none begins like this text, so the
 * signature is good for nothing else.
 */
#include "app/evidence.h"

#include "base/str.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <string.h>

static const char purpose[] =
    "p11enroll proof of possession of a private key, version 1\n"
    "This text is signed to show that the signer has the key, and for nothing else.\n"
    "It is no certificate request, no certificate, no handshake and no consent.\n";

/* Text from outside, so that the challenge has its lines and nothing else has an effect. */
static void add_line(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "%s: ", name);
    str_percent_encode(out, (const uint8_t *)value, strlen(value), ":");
    buf_add_str(out, "\n");
}

bool evidence_challenge(const json *statement, const char *statement_sha256, const char *nonce,
                        struct buf *out, struct err *err)
{
    const char *serial = NULL;
    const char *hash = NULL;
    const char *created = NULL;

    if (!json_get_string(json_member(statement, "token"), "serial", &serial, err) ||
        !json_get_string(json_member(statement, "key"), "public_key_sha256", &hash, err) ||
        !json_get_string(statement, "created", &created, err)) {
        return false;
    }
    buf_add_str(out, purpose);
    add_line(out, "Token serial", serial);
    add_line(out, "Public key SHA-256", hash);
    add_line(out, "Statement SHA-256", statement_sha256);
    add_line(out, "Time", created);
    add_line(out, "Nonce", nonce);
    return buf_ok(out) || err_set(err, E_EVIDENCE, "the text to sign is too long");
}

/* How keys sign: one row per kind. */
static const struct scheme {
    const char *type; /* of EVP_PKEY */
    int max_bits;     /* of the key; 0: any */
    const char *name;
    const char *digest; /* NULL: a part of the algorithm */
} schemes[] = {
    {"RSA", 0, "rsa-pkcs1-sha256", "SHA256"},
    {"RSA-PSS", 0, "rsa-pss-sha256", "SHA256"},
    {"EC", 256, "ecdsa-sha256", "SHA256"},
    {"EC", 384, "ecdsa-sha384", "SHA384"},
    {"EC", 0, "ecdsa-sha512", "SHA512"},
    {"ED25519", 0, "ed25519", NULL},
    {"ED448", 0, "ed448", NULL},
};

static const struct scheme *scheme_of(const EVP_PKEY *key)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (EVP_PKEY_is_a(key, schemes[i].type) == 1 &&
            (schemes[i].max_bits == 0 || EVP_PKEY_get_bits(key) <= schemes[i].max_bits)) {
            return &schemes[i];
        }
    }
    return NULL;
}

static bool sign(EVP_PKEY *key, const struct scheme *scheme, const struct buf *challenge,
                 struct buf *out, struct err *err)
{
    AUTO(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[EVIDENCE_SIGNATURE_MAX];
    size_t len = sizeof(signature);

    if (ctx == NULL) {
        return err_nomem(err);
    }
    if (EVP_DigestSignInit_ex(ctx, NULL, scheme->digest, NULL, NULL, key, NULL) != 1 ||
        EVP_DigestSign(ctx, signature, &len, (const uint8_t *)buf_str(challenge), challenge->len) !=
            1) {
        return err_set_ssl(err, E_TOKEN, "signing the proof of possession with %s", scheme->name);
    }
    return hsm_add_base64(signature, len, out, err);
}

static bool new_nonce(struct buf *out, struct err *err)
{
    uint8_t nonce[EVIDENCE_NONCE_BYTES];

    if (RAND_bytes(nonce, sizeof(nonce)) != 1) {
        return err_set_ssl(err, E_INTERNAL, "no random bytes for the proof of possession");
    }
    str_add_hex(out, nonce, sizeof(nonce), '\0');
    return true;
}

bool evidence_prove(EVP_PKEY *key, const json *statement, const char *statement_sha256, json **out,
                    struct err *err)
{
    AUTO(json) json *made = json_new_object();
    AUTO(buf) struct buf challenge = BUF_INIT(EVIDENCE_CHALLENGE_MAX);
    AUTO(buf) struct buf nonce = BUF_INIT(2 * EVIDENCE_NONCE_BYTES);
    AUTO(buf) struct buf signature = BUF_INIT(2 * EVIDENCE_SIGNATURE_MAX);
    const struct scheme *scheme = scheme_of(key);

    if (scheme == NULL) {
        return err_set(err, E_USAGE, "the key is none that signs, so there is no proof of it");
    }
    if (!new_nonce(&nonce, err) ||
        !evidence_challenge(statement, statement_sha256, buf_str(&nonce), &challenge, err) ||
        !sign(key, scheme, &challenge, &signature, err)) {
        return false;
    }
    if (!json_add_string(made, "algorithm", scheme->name) ||
        !json_add_string(made, "challenge", buf_str(&challenge)) ||
        !json_add_string(made, "nonce", buf_str(&nonce)) ||
        !json_add_string(made, "signature", buf_str(&signature))) {
        return err_nomem(err);
    }
    *out = TAKE(made);
    return true;
}

bool evidence_check_proof(EVP_PKEY *key, const json *possession, struct err *err)
{
    AUTO(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    AUTO(buf) struct buf signature = BUF_INIT(EVIDENCE_SIGNATURE_MAX);
    const struct scheme *scheme = scheme_of(key);
    const char *algorithm = NULL;
    const char *challenge = NULL;

    if (ctx == NULL) {
        return err_nomem(err);
    }
    if (!json_get_string(possession, "algorithm", &algorithm, err) ||
        !json_get_string(possession, "challenge", &challenge, err) ||
        !evidence_decode(possession, "signature", &signature, err)) {
        return false;
    }
    if (scheme == NULL || !str_equal(scheme->name, algorithm)) {
        return err_set(err, E_EVIDENCE, "the key does not sign with the algorithm '%.40s'",
                       algorithm);
    }
    bool ok = EVP_DigestVerifyInit_ex(ctx, NULL, scheme->digest, NULL, NULL, key, NULL) == 1 &&
              EVP_DigestVerify(ctx, signature.data, signature.len, (const uint8_t *)challenge,
                               strlen(challenge)) == 1;
    ERR_clear_error();
    return ok || err_set(err, E_EVIDENCE, "the signature is not by the key over the challenge");
}

bool evidence_decode(const json *object, const char *name, struct buf *out, struct err *err)
{
    const char *text = NULL;

    if (!json_get_string(object, name, &text, err)) {
        return false;
    }
    size_t len = strlen(text);
    size_t pad = str_ends_with(text, "==") ? 2 : str_ends_with(text, "=") ? 1 : 0;
    if (len == 0 || len % 4 != 0 || len / 4 * 3 > out->max + 2 ||
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
            len - pad) {
        return err_set(err, E_EVIDENCE, "the field '%s' is no Base64 of a possible length", name);
    }
    AUTO(mem) void *data = malloc(len / 4 * 3);
    if (data == NULL) {
        return err_nomem(err);
    }
    int decoded = EVP_DecodeBlock(data, (const uint8_t *)text, (int)len);
    if (decoded < 0 || (size_t)decoded < pad) {
        return err_set(err, E_EVIDENCE, "the field '%s' is no Base64", name);
    }
    buf_add(out, data, (size_t)decoded - pad);
    return buf_ok(out) || err_set(err, E_EVIDENCE, "the field '%s' is too long", name);
}
