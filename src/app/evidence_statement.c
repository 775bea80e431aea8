#include "app/evidence.h"

#include "base/clock.h"
#include "base/str.h"
#include "hsm/module.h"
#include "hsm/slot.h"
#include "version.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* How a code signing key may be shown to be in hardware without the device's word for it (CA/B
 * Forum Code Signing Requirements, 6.2.7.4.2). */
static const char *const other_methods[] = {
    "the CA ships the device with the key made in it",
    "generation with a library and a device that the CA prescribes",
    "an IT audit that names the hardware crypto module",
    "the cloud provider's report about the protection of the key",
    "generation witnessed by an auditor",
    "a signing service that keeps the key",
};

/* Texts come from tokens: what is no UTF-8 is made readable. */
static bool put(json *object, const char *name, const char *text)
{
    AUTO(buf) struct buf safe = BUF_INIT(4096);

    if (str_is_utf8((const uint8_t *)text, strlen(text))) {
        return json_add_string(object, name, text);
    }
    str_add_quotable(&safe, text, strlen(text), 512);
    return json_add_string(object, name, buf_str(&safe));
}

bool evidence_hash_bytes(const void *data, size_t len, char out[static APP_HASH_TEXT],
                         struct err *err)
{
    AUTO(buf) struct buf hex = BUF_INIT(APP_HASH_TEXT);
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned hash_len = 0;

    if (EVP_Digest(data, len, hash, &hash_len, EVP_sha256(), NULL) != 1) {
        return err_set_ssl(err, E_INTERNAL, "hashing evidence");
    }
    str_add_hex(&hex, hash, hash_len, '\0');
    (void)snprintf(out, APP_HASH_TEXT, "%s", buf_str(&hex));
    return true;
}

bool evidence_hash(const json *value, char out[static APP_HASH_TEXT], struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(EVIDENCE_FILE_MAX);

    return json_print_sorted(value, false, &text, err) &&
           evidence_hash_bytes(buf_str(&text), text.len, out, err);
}

static json *tool(void)
{
    AUTO(json) json *made = json_new_object();

    if (!json_add_string(made, "name", "p11enroll") ||
        !json_add_string(made, "version", P11ENROLL_VERSION)) {
        return NULL;
    }
    return TAKE(made);
}

static bool put_version(json *object, const char *name, CK_VERSION version)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%u.%u", version.major, version.minor);
    return json_add_string(object, name, text);
}

static json *token(const struct hsm_token *of, const struct hsm_token_limits *limits)
{
    AUTO(json) json *made = json_new_object();

    if (!put(made, "label", of->info.label) || !put(made, "manufacturer", of->info.manufacturer) ||
        !put(made, "model", of->info.model) || !put(made, "serial", of->info.serial) ||
        !put_version(made, "firmware_version", limits->firmware) ||
        !put_version(made, "hardware_version", limits->hardware)) {
        return NULL;
    }
    return TAKE(made);
}

/* The hash of a file that is read in parts; false if it cannot be read. */
static bool hash_file(const char *path, char out[static APP_HASH_TEXT])
{
    AUTO(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    AUTO(buf) struct buf hex = BUF_INIT(APP_HASH_TEXT);
    uint8_t data[16384];
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned hash_len = 0;
    size_t got = 0;
    FILE *file = fopen(path, "rbe");
    bool ok = file != NULL && ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

    while (ok && (got = fread(data, 1, sizeof(data), file)) > 0) {
        ok = EVP_DigestUpdate(ctx, data, got) == 1;
    }
    ok = ok && ferror(file) == 0 && EVP_DigestFinal_ex(ctx, hash, &hash_len) == 1;
    if (file != NULL) {
        (void)fclose(file);
    }
    str_add_hex(&hex, hash, hash_len, '\0');
    (void)snprintf(out, APP_HASH_TEXT, "%s", buf_str(&hex));
    return ok;
}

static json *module(const struct hsm_module *of)
{
    AUTO(json) json *made = json_new_object();
    const char *path = hsm_module_path(of);
    const char *slash = strrchr(path, '/');
    char hash[APP_HASH_TEXT];

    if (!put(made, "file", slash != NULL ? slash + 1 : path) ||
        !put(made, "says", hsm_module_description(of)) ||
        (hash_file(path, hash) && !json_add_string(made, "file_sha256", hash))) {
        return NULL;
    }
    return TAKE(made);
}

static json *key(const struct evidence_facts *facts, struct err *err)
{
    AUTO(json) json *made = json_new_object();
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(buf) struct buf uri_text = BUF_INIT(HSM_URI_MAX);
    AUTO(buf) struct buf id = BUF_INIT(2 * HSM_ID_MAX);
    AUTO(buf) struct buf spki = BUF_INIT(2 * EVIDENCE_SPKI_MAX);
    char hash[APP_HASH_TEXT];

    if (!hsm_key_uri(facts->key, &uri, err) ||
        !evidence_hash_bytes(facts->spki, facts->spki_len, hash, err) ||
        !hsm_add_base64(facts->spki, facts->spki_len, &spki, err)) {
        return NULL;
    }
    hsm_uri_format(&uri, &uri_text);
    str_add_hex(&id, facts->key->id.data, facts->key->id.len, '\0');
    if (!put(made, "label", facts->key->label) || !put(made, "id", buf_str(&id)) ||
        !put(made, "uri", buf_str(&uri_text)) ||
        !put(made, "type", hsm_key_spec_name(&facts->key->spec)) ||
        !json_add_int(made, "bits", facts->key->spec.bits) ||
        !json_add_string(made, "spki", buf_str(&spki)) ||
        !json_add_string(made, "public_key_sha256", hash)) {
        (void)err_nomem(err);
        return NULL;
    }
    return TAKE(made);
}

static bool put_claim(json *object, const struct hsm_claim *claim)
{
    AUTO(json) json *made = NULL;

    if (claim->why[0] == '\0') {
        return claim->is_flag ? json_add_bool(object, claim->name, claim->flag)
                              : put(object, claim->name, claim->text);
    }
    made = json_new_object();
    return json_add_string(made, "not_shown", claim->why) &&
           json_add(object, claim->name, TAKE(made));
}

static json *claims(const struct evidence_facts *facts)
{
    AUTO(json) json *made = json_new_object();
    AUTO(json) json *attributes = json_new_object();
    AUTO(json) json *secret = json_new_object();

    for (size_t i = 0; i < facts->claims.count; i++) {
        if (!put_claim(attributes, &facts->claims.list[i])) {
            return NULL;
        }
    }
    if (!json_add_string(secret, "attribute", facts->secret.attribute) ||
        !json_add_string(secret, "answer", facts->secret.answer) ||
        !json_add_bool(secret, "refused", facts->secret.refused) ||
        !json_add(made, "attributes", TAKE(attributes)) ||
        !json_add(made, "secret_value", TAKE(secret))) {
        return NULL;
    }
    return TAKE(made);
}

static json *policy(const struct evidence_facts *facts)
{
    AUTO(json) json *made = json_new_object();

    const char *name = facts->rules.name;

    if (!put(made, "name", name[0] != '\0' ? name : "signing key") ||
        !json_add_bool(made, "kept", facts->verdict.ok) ||
        (!facts->verdict.ok && !put(made, "violations", facts->verdict.violations)) ||
        (facts->verdict.notes[0] != '\0' && !put(made, "tolerated", facts->verdict.notes)) ||
        (facts->dropped != NULL && !put(made, "dropped_attributes", facts->dropped))) {
        return NULL;
    }
    return TAKE(made);
}

static json *no_attestation(void)
{
    AUTO(json) json *made = json_new_object();
    AUTO(json) json *methods = json_new_array();

    for (size_t i = 0; i < ARRAY_LEN(other_methods); i++) {
        if (!json_append_string(methods, other_methods[i])) {
            return NULL;
        }
    }
    if (!json_add_bool(made, "attested", false) ||
        !json_add_string(made, "reason",
                         "the token shows no attestation of this key and no file with one was "
                         "given; what remains is the module's word") ||
        !json_add(made, "other_methods", TAKE(methods))) {
        return NULL;
    }
    return TAKE(made);
}

static json *attested_facts(const struct hsm_attested *attested)
{
    AUTO(json) json *made = json_new_object();

    for (size_t i = 0; i < attested->fact_count; i++) {
        if (!put(made, attested->facts[i].name, attested->facts[i].value)) {
            return NULL;
        }
    }
    return TAKE(made);
}

bool evidence_attestation(const struct hsm_form *form, const struct buf *attestation,
                          const struct hsm_attested *attested, json **out, struct err *err)
{
    AUTO(json) json *made = form != NULL ? json_new_object() : no_attestation();
    AUTO(buf) struct buf raw = BUF_INIT(2 * HSM_ATTESTATION_MAX);
    const uint8_t *data = (const uint8_t *)buf_str(attestation);
    char hash[APP_HASH_TEXT];

    if (!evidence_hash_bytes(data, attestation->len, hash, err) ||
        !hsm_add_base64(data, attestation->len, &raw, err)) {
        return false;
    }
    if (form != NULL &&
        (!json_add_bool(made, "attested", true) || !json_add_string(made, "form", form->name) ||
         !json_add_string(made, "device", form->device) ||
         !json_add_string(made, "proves", form->proves) ||
         !json_add_bool(made, "read", form->parse != NULL) ||
         !json_add(made, "facts", attested_facts(attested)) ||
         !json_add_string(made, "raw", buf_str(&raw)) ||
         !json_add_string(made, "raw_sha256", hash))) {
        return err_nomem(err);
    }
    *out = TAKE(made);
    return *out != NULL || err_nomem(err);
}

bool evidence_statement(const struct evidence_facts *facts, json **out, struct err *err)
{
    AUTO(json) json *made = json_new_object();
    AUTO(json) json *attestation = NULL;
    struct hsm_token *of = facts->key->token;
    struct hsm_token_limits limits;
    char created[CLOCK_TEXT_SIZE];

    if (!hsm_token_limits(of, &limits, err) ||
        !evidence_attestation(facts->form, &facts->attestation, &facts->attested, &attestation,
                              err)) {
        return false;
    }
    clock_format(facts->now_s, created);
    /* json_add() fails for a part that could not be built */
    if (!json_add_string(made, "created", created) || !json_add(made, "tool", tool()) ||
        !json_add(made, "token", token(of, &limits)) ||
        !json_add(made, "module", module(of->module)) || !json_add(made, "key", key(facts, err)) ||
        !json_add(made, "module_claims", claims(facts)) ||
        !json_add(made, "policy", policy(facts)) ||
        !json_add(made, "device_attests", TAKE(attestation))) {
        return err->code != E_NONE ? false : err_nomem(err);
    }
    *out = TAKE(made);
    return true;
}
