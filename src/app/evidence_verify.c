#include "app/evidence.h"

#include "base/file.h"
#include "base/str.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The file in parts; what could not be read is NULL or empty. */
struct reading {
    struct app_evidence_verdict *verdict;
    json *doc;
    const json *statement, *possession, *key, *device; /* inside doc */
    char statement_sha256[APP_HASH_TEXT];
    struct buf spki;
    EVP_PKEY *pkey;
    const struct hsm_form *form; /* of the attestation; NULL: there is none */
    bool is_attested;            /* the attestation was read and is of the key */
    struct buf raw;
    struct hsm_attested attested;
};

static void reading_done(struct reading *r)
{
    json_free(r->doc);
    buf_done(&r->spki);
    EVP_PKEY_free(r->pkey);
    buf_done(&r->raw);
    hsm_attested_done(&r->attested);
}

DEFINE_AUTO_DONE(reading, struct reading, reading_done)

static void add(struct reading *r, const char *name, const char *title,
                enum app_check_result result, const char *fmt, ...) PRINTF_LIKE(5, 6);

static void add(struct reading *r, const char *name, const char *title,
                enum app_check_result result, const char *fmt, ...)
{
    struct app_evidence_verdict *v = r->verdict;
    va_list args;

    if (v->count == APP_CHECKS_MAX) {
        return;
    }
    struct app_evidence_check *check = &v->checks[v->count++];
    check->name = name;
    check->title = title;
    check->result = result;
    va_start(args, fmt);
    (void)vsnprintf(check->detail, sizeof(check->detail), fmt, args);
    va_end(args);
    v->failed += result == APP_CHECK_FAILED ? 1 : 0;
    v->unchecked += result == APP_CHECK_NOT ? 1 : 0;
}

static void take(const json *object, const char *name, char *out, size_t size)
{
    const char *text = NULL;

    if (json_find_string(object, name, &text)) {
        (void)snprintf(out, size, "%s", text);
    }
}

static void describe(struct reading *r)
{
    struct app_evidence_verdict *v = r->verdict;
    const json *token = json_member(r->statement, "token");
    char label[64] = "";
    char serial[64] = "";

    take(r->key, "label", v->label, sizeof(v->label));
    take(r->key, "type", v->key_type, sizeof(v->key_type));
    take(r->key, "public_key_sha256", v->public_key_sha256, sizeof(v->public_key_sha256));
    take(r->statement, "created", v->created, sizeof(v->created));
    take(token, "label", label, sizeof(label));
    take(token, "serial", serial, sizeof(serial));
    (void)snprintf(v->token, sizeof(v->token), "%s (serial %s)", label, serial);
}

static bool read_document(struct reading *r, const uint8_t *data, size_t len, struct err *err)
{
    if (!evidence_document(data, len, &r->doc, err)) {
        return false;
    }
    r->statement = json_member(r->doc, "statement");
    r->possession = json_member(r->doc, "possession");
    r->key = json_member(r->statement, "key");
    r->device = json_member(r->statement, "device_attests");
    describe(r);
    return true;
}

static void check_statement(struct reading *r)
{
    const char *given = NULL;
    struct err err = ERR_INIT;
    static const char name[] = "statement", title[] = "Statement unchanged";

    if (!json_is_object(r->statement)) {
        add(r, name, title, APP_CHECK_FAILED, "there is no statement");
    } else if (!evidence_hash(r->statement, r->statement_sha256, &err) ||
               !json_get_string(r->doc, "statement_sha256", &given, &err)) {
        add(r, name, title, APP_CHECK_FAILED, "%.300s", err.msg);
    } else if (!str_equal(given, r->statement_sha256)) {
        add(r, name, title, APP_CHECK_FAILED, "its SHA-256 is %s, and the file says another",
            r->statement_sha256);
    } else {
        (void)snprintf(r->verdict->statement_sha256, APP_HASH_TEXT, "%s", r->statement_sha256);
        add(r, name, title, APP_CHECK_OK, "SHA-256 %s", r->statement_sha256);
    }
}

/* The public key, which libcrypto has to write as it stands in the file. */
static bool read_key(struct reading *r, struct err *err)
{
    const char *given = NULL;
    char hash[APP_HASH_TEXT];
    unsigned char *der = NULL;

    if (!evidence_decode(r->key, "spki", &r->spki, err) ||
        !json_get_string(r->key, "public_key_sha256", &given, err) ||
        !evidence_hash_bytes(r->spki.data, r->spki.len, hash, err)) {
        return false;
    }
    if (!str_equal(given, hash)) {
        return err_set(err, E_EVIDENCE, "the SHA-256 of the public key is not the one in the file");
    }
    const unsigned char *p = r->spki.data;
    AUTO(pkey) EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)r->spki.len);
    int len = key != NULL ? i2d_PUBKEY(key, &der) : 0;
    bool same =
        len > 0 && (size_t)len == r->spki.len && memcmp(der, r->spki.data, (size_t)len) == 0;
    OPENSSL_free(der);
    ERR_clear_error();
    if (!same) {
        return err_set(err, E_EVIDENCE, "the public key in the file is none, or not in DER");
    }
    r->pkey = TAKE(key);
    return true;
}

/* What the file calls the key is what it is. */
static bool is_called_right(const struct reading *r, struct err *err)
{
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};
    const char *type = NULL;
    int64_t bits = 0;

    if (!json_get_string(r->key, "type", &type, err) || !json_get_int(r->key, "bits", &bits, err)) {
        return false;
    }
    return (hsm_public_from_spki(r->spki.data, r->spki.len, &spec, &public) && bits == spec.bits &&
            str_equal(type, hsm_key_spec_name(&spec))) ||
           err_set(err, E_EVIDENCE, "it is no '%.40s' key of %lld bits", type, (long long)bits);
}

static void check_key(struct reading *r)
{
    struct err err = ERR_INIT;

    if (read_key(r, &err) && is_called_right(r, &err)) {
        add(r, "public_key", "Public key", APP_CHECK_OK, "SHA-256 %s",
            r->verdict->public_key_sha256);
    } else {
        add(r, "public_key", "Public key", APP_CHECK_FAILED, "%.300s", err.msg);
    }
}

static void check_challenge(struct reading *r)
{
    AUTO(buf) struct buf expected = BUF_INIT(EVIDENCE_CHALLENGE_MAX);
    static const char name[] = "challenge", title[] = "Text that was signed";
    struct err err = ERR_INIT;
    const char *given = NULL;
    const char *nonce = NULL;

    if (!json_get_string(r->possession, "challenge", &given, &err) ||
        !json_get_string(r->possession, "nonce", &nonce, &err) ||
        !evidence_challenge(r->statement, r->statement_sha256, nonce, &expected, &err)) {
        add(r, name, title, APP_CHECK_FAILED, "%.300s", err.msg);
    } else if (!str_equal(buf_str(&expected), given)) {
        add(r, name, title, APP_CHECK_FAILED, "it is not the one for this statement");
    } else if (strlen(nonce) < 2 * (size_t)EVIDENCE_NONCE_BYTES) {
        add(r, name, title, APP_CHECK_FAILED, "its nonce is too short");
    } else {
        add(r, name, title, APP_CHECK_OK, "it names the statement, the key and the token");
    }
}

static void check_possession(struct reading *r)
{
    static const char name[] = "possession", title[] = "Proof of possession";
    struct err err = ERR_INIT;

    if (r->pkey == NULL) {
        add(r, name, title, APP_CHECK_FAILED, "there is no public key to check it with");
    } else if (!evidence_check_proof(r->pkey, r->possession, &err)) {
        add(r, name, title, APP_CHECK_FAILED, "%.300s", err.msg);
    } else {
        add(r, name, title, APP_CHECK_OK, "signed with the private key");
    }
}

static void check_claims(struct reading *r)
{
    const json *policy = json_member(r->statement, "policy");
    const json *secret = json_member(json_member(r->statement, "module_claims"), "secret_value");
    const char *violations = "the file does not say whether the policy was kept";
    const char *answer = "nothing";
    bool kept = false;
    bool refused = false;

    (void)json_find_string(policy, "violations", &violations);
    if (json_find_bool(policy, "kept", &kept) && kept) {
        add(r, "policy", "Module claims the policy", APP_CHECK_OK,
            "this is the module's word, and no proof");
    } else {
        add(r, "policy", "Module claims the policy", APP_CHECK_FAILED, "%.300s", violations);
    }
    (void)json_find_bool(secret, "refused", &refused);
    (void)json_find_string(secret, "answer", &answer);
    add(r, "secret_value", "Module keeps the secret", refused ? APP_CHECK_OK : APP_CHECK_FAILED,
        "asked for the secret value it said %.100s", answer);
}

/* A failure if roots were given, because then it is wanted. */
static void check_attestation(struct reading *r, bool wanted)
{
    static const char name[] = "attestation", title[] = "Device attests the key";
    const enum app_check_result missing = wanted ? APP_CHECK_FAILED : APP_CHECK_NOT;
    struct err err = ERR_INIT;
    const char *why = NULL;

    if (!evidence_read_device(r->device, &r->form, &r->raw, &r->attested, &err)) {
        add(r, name, title, APP_CHECK_FAILED, "%.300s", err.msg);
    } else if (r->form == NULL) {
        add(r, name, title, missing, "nothing attests this key; what remains is the module's word");
    } else if (r->form->parse == NULL) {
        r->verdict->attestation_kept = hsm_attests(r->form, &r->attested, &why);
        add(r, name, title, missing,
            "an attestation by a %s is only stored here; the vendor's tool checks it",
            r->form->device);
    } else if (r->pkey == NULL || !hsm_attested_is_of(&r->attested, r->spki.data, r->spki.len)) {
        add(r, name, title, APP_CHECK_FAILED, "the attestation by a %s is of another key",
            r->form->device);
    } else if (!hsm_attests(r->form, &r->attested, &why)) {
        add(r, name, title, missing, "the attestation by a %s is no proof: %s", r->form->device,
            why);
    } else {
        r->is_attested = r->verdict->attestation_kept = true;
        add(r, name, title, APP_CHECK_OK, "%s: if its chain holds, %s", r->form->device,
            r->form->proves);
    }
}

static bool check_chain(struct reading *r, const char *roots, const struct hsm_form *maker,
                        int64_t now_s, struct err *err)
{
    static const char name[] = "attestation_chain", title[] = "Chain to the maker's root";
    char why[EVIDENCE_WHY_SIZE] = "";

    if (!r->is_attested) {
        add(r, name, title, APP_CHECK_NOT, "there is no attestation to follow");
        return true;
    }
    if (roots == NULL) {
        add(r, name, title, APP_CHECK_NOT, "no roots were given (--roots)");
        return true;
    }
    if (maker != NULL && maker != r->form) {
        add(r, name, title, APP_CHECK_FAILED,
            "the roots given are those for a %s, and the attestation is of the form of a %s",
            maker->device, r->form->device);
        return true;
    }
    if (!evidence_chain(&r->attested, roots, now_s, why, err)) {
        return false;
    }
    bool ok = why[0] == '\0';
    add(r, name, title, ok ? APP_CHECK_OK : APP_CHECK_FAILED,
        "the attestation %s a root in %.120s%s%.80s%s%s%s", ok ? "leads to" : "does not lead to",
        roots, ok ? "" : ": ", why, maker == NULL ? "; the roots given are taken for a " : "",
        maker == NULL ? r->form->device : "", maker == NULL ? "'s" : "");
    return true;
}

static void compare_key(struct reading *r, const char *name, const char *title,
                        const uint8_t hash[static X509_SPKI_HASH_LEN])
{
    uint8_t own[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;
    bool same = r->pkey != NULL && x509_spki_hash(r->pkey, own, &err) &&
                memcmp(own, hash, sizeof(own)) == 0;

    add(r, name, title, same ? APP_CHECK_OK : APP_CHECK_FAILED, "%s",
        same ? "it is for this key" : "it is for another key");
}

static bool check_csr(struct reading *r, const char *path, struct err *err)
{
    static const char name[] = "csr", title[] = "Certificate request";
    AUTO(buf) struct buf pem = BUF_INIT(64 * 1024);
    AUTO(x509_req) X509_REQ *csr = NULL;
    uint8_t hash[X509_SPKI_HASH_LEN];

    if (path == NULL) {
        add(r, name, title, APP_CHECK_NOT, "none was given (--csr)");
        return true;
    }
    if (!file_read(path, &pem, err)) {
        return false;
    }
    if (!x509_csr_parse(buf_str(&pem), &csr, err) || !x509_csr_spki_hash(csr, hash, err)) {
        return err_wrap(err, "%s", path);
    }
    compare_key(r, name, title, hash);
    return true;
}

/* Any of the file's certificates: the issuers may stand beside it. */
static bool check_cert(struct reading *r, const char *path, struct err *err)
{
    static const char name[] = "certificate", title[] = "Certificate";
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    uint8_t own[X509_SPKI_HASH_LEN];
    uint8_t hash[X509_SPKI_HASH_LEN] = {0};

    if (path == NULL) {
        add(r, name, title, APP_CHECK_NOT, "none was given (--cert)");
        return true;
    }
    if (!x509_bundle_read(path, &certs, err) ||
        (r->pkey != NULL && !x509_spki_hash(r->pkey, own, err))) {
        return false;
    }
    for (int i = 0; i < sk_X509_num(certs); i++) {
        if (!x509_cert_spki_hash(sk_X509_value(certs, i), hash, err)) {
            return false;
        }
        if (r->pkey != NULL && memcmp(hash, own, sizeof(own)) == 0) {
            break;
        }
    }
    compare_key(r, name, title, hash);
    return true;
}

static void check_inside(struct reading *r, bool attestation_wanted)
{
    check_statement(r);
    check_key(r);
    check_challenge(r);
    check_possession(r);
    check_claims(r);
    check_attestation(r, attestation_wanted);
}

#define READING(of)                                                                                \
    {                                                                                              \
        .verdict = (of), .spki = BUF_INIT(EVIDENCE_SPKI_MAX), .raw = BUF_INIT(HSM_ATTESTATION_MAX) \
    }

bool app_evidence_verify_bytes(const uint8_t *data, size_t len,
                               struct app_evidence_verdict *verdict, struct err *err)
{
    AUTO(reading) struct reading r = READING(verdict);

    memset(verdict, 0, sizeof(*verdict));
    if (!read_document(&r, data, len, err)) {
        return false;
    }
    check_inside(&r, false);
    return true;
}

bool app_evidence_verify(const struct app_evidence_files *files, int64_t now_s,
                         struct app_evidence_verdict *verdict, struct err *err)
{
    AUTO(reading) struct reading r = READING(verdict);
    AUTO(buf) struct buf text = BUF_INIT(EVIDENCE_FILE_MAX);
    const struct hsm_form *maker = NULL;

    memset(verdict, 0, sizeof(*verdict));
    if (!evidence_maker(files, &maker, err) ||
        (files->roots != NULL && !evidence_roots_check(files->roots, err)) ||
        !file_read(files->evidence, &text, err)) {
        return false;
    }
    if (!read_document(&r, (const uint8_t *)buf_str(&text), text.len, err)) {
        return err_wrap(err, "%s", files->evidence);
    }
    check_inside(&r, files->roots != NULL);
    return check_chain(&r, files->roots, maker, now_s, err) && check_csr(&r, files->csr, err) &&
           check_cert(&r, files->cert, err);
}
