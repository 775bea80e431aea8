#include "app/evidence.h"

#include "base/file.h"
#include "base/str.h"
#include "hsm/access.h"
#include "hsm/keygen.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void facts_done(struct evidence_facts *facts)
{
    hsm_claims_done(&facts->claims);
    hsm_attested_done(&facts->attested);
    buf_done(&facts->attestation);
    OPENSSL_free(facts->spki);
}

DEFINE_AUTO_DONE(evidence_facts, struct evidence_facts, facts_done)

void app_evidence_init(struct app_evidence *evidence)
{
    memset(evidence, 0, sizeof(*evidence));
    buf_init(&evidence->document, EVIDENCE_FILE_MAX);
    buf_init(&evidence->attestation, HSM_ATTESTATION_MAX);
    buf_init(&evidence->payload, 2 * HSM_ATTESTATION_MAX);
}

void app_evidence_done(struct app_evidence *evidence)
{
    buf_done(&evidence->document);
    buf_done(&evidence->attestation);
    buf_done(&evidence->payload);
}

static bool open_key(struct app *app, const char *uri, struct hsm_opened *opened,
                     struct hsm_session *session, struct hsm_key *key, struct err *err)
{
    struct keystore_token t = app_token(app->selection.token);
    struct hsm_access access;

    keystore_access(&t, &app->secrets, &access);
    /* What was there before the key was made must not answer for the module. */
    return hsm_access_open(&access, uri, true, opened, err) &&
           hsm_session_take_fresh(opened->token, false, session, err) &&
           hsm_key_find(session, &opened->uri, CKO_PRIVATE_KEY, true, key, err);
}

static bool read_spki(const struct hsm_key *key, struct evidence_facts *facts, struct err *err)
{
    AUTO(pkey) EVP_PKEY *public = NULL;

    if (!hsm_key_public_evp(key, &public, err)) {
        return false;
    }
    int len = i2d_PUBKEY(public, &facts->spki);
    if (len <= 0) {
        return err_set_ssl(err, E_INTERNAL, "a public key cannot be encoded");
    }
    facts->spki_len = (size_t)len;
    return true;
}

/* From the file that was given, else from the token. */
static bool get_attestation(struct hsm_session *session, const struct hsm_key *key,
                            const struct app_evidence_request *request,
                            struct evidence_facts *facts, struct err *err)
{
    struct buf *raw = &facts->attestation;

    if (request->attestation_path == NULL) {
        return hsm_attestation_collect(session, key, &facts->form, raw, err);
    }
    if (!file_read(request->attestation_path, raw, err)) {
        return false;
    }
    if (raw->len == 0) {
        return err_set(err, E_EVIDENCE, "%s is empty", request->attestation_path);
    }
    facts->form = hsm_form_of(raw->data, raw->len);
    return true;
}

/* An attestation that can be read has to be of this key. */
static bool read_attestation(const struct app_evidence_request *request,
                             struct evidence_facts *facts, struct err *err)
{
    const struct hsm_key *key = facts->key;
    const char *why = NULL;

    if (facts->form == NULL) {
        return !request->need_attestation ||
               err_set(err, E_EVIDENCE,
                       "%s shows no attestation of key '%s'; if the device has one, make it with "
                       "the vendor's tool and give it with --attestation",
                       hsm_token_name(&key->token->info), key->label);
    }
    if (!hsm_attestation_parse(facts->form, facts->attestation.data, facts->attestation.len,
                               &facts->attested, err)) {
        return false;
    }
    if (facts->form->parse != NULL &&
        !hsm_attested_is_of(&facts->attested, facts->spki, facts->spki_len)) {
        return err_set(err, E_EVIDENCE, "the attestation by a %s is of another key than '%s' on %s",
                       facts->form->device, key->label, hsm_token_name(&key->token->info));
    }
    return !request->need_attestation || hsm_attests(facts->form, &facts->attested, &why) ||
           err_set(err, E_EVIDENCE,
                   "the attestation of key '%s' on %s by a %s is not the one that is required: %s",
                   key->label, hsm_token_name(&key->token->info), facts->form->device, why);
}

/* The policy that is named, or the profile's, or what is asked of every key. */
static bool judge(struct app *app, struct hsm_session *session,
                  const struct app_evidence_request *request, struct evidence_facts *facts,
                  struct err *err)
{
    const char *name =
        request->policy != NULL ? request->policy : config_key_policy(&app->selection);
    AUTO(buf) struct buf text = BUF_INIT(POLICY_TEXT_MAX);
    struct keystore_policy named;

    if (!app_policy(app->config, name, &text, &named, err) ||
        !hsm_rules_read(named.name, named.text, &facts->rules, err)) {
        return false;
    }
    struct hsm_policy policy = hsm_rules_policy_of(&facts->rules, &facts->key->spec);
    return hsm_key_verdict(session, facts->key, &policy, &facts->verdict, err);
}

static bool gather(struct app *app, struct hsm_session *session,
                   const struct app_evidence_request *request, struct evidence_facts *facts,
                   struct err *err)
{
    const struct hsm_key *key = facts->key;

    facts->now_s = clock_wall_s(app->clock);
    facts->dropped = request->dropped;
    return read_spki(key, facts, err) && hsm_claims_read(session, key, &facts->claims, err) &&
           hsm_secret_try(session, key, &facts->secret, err) &&
           judge(app, session, request, facts, err) &&
           get_attestation(session, key, request, facts, err) &&
           read_attestation(request, facts, err);
}

/* The public half may be borrowed from an object of the key's id that is another key's. */
static bool check_proof(const struct evidence_facts *facts, const json *possession, struct err *err)
{
    const unsigned char *der = facts->spki;
    AUTO(pkey) EVP_PKEY *public = d2i_PUBKEY(NULL, &der, (long)facts->spki_len);

    if (public == NULL) {
        return err_set_ssl(err, E_INTERNAL, "a public key cannot be decoded");
    }
    return evidence_check_proof(public, possession, err) ||
           err_wrap(err,
                    "what stands under the id of key '%s' on %s as its public half is not its own "
                    "('p11enroll cert check' names the object)",
                    facts->key->label, hsm_token_name(&facts->key->token->info));
}

/* The whole file: the statement, its hash, and the signature over both. */
static bool write_document(EVP_PKEY *pkey, const struct evidence_facts *facts,
                           struct app_evidence *out, struct err *err)
{
    AUTO(json) json *document = json_new_object();
    AUTO(json) json *statement = NULL;
    AUTO(json) json *possession = NULL;

    if (!evidence_statement(facts, &statement, err) ||
        !evidence_hash(statement, out->statement_sha256, err) ||
        !evidence_prove(pkey, statement, out->statement_sha256, &possession, err) ||
        !check_proof(facts, possession, err)) {
        return false;
    }
    if (!json_add_int(document, "p11enroll_evidence", EVIDENCE_VERSION) ||
        !json_add(document, "statement", TAKE(statement)) ||
        !json_add_string(document, "statement_sha256", out->statement_sha256) ||
        !json_add(document, "possession", TAKE(possession))) {
        return err_nomem(err);
    }
    if (!json_print_sorted(document, true, &out->document, err)) {
        return false;
    }
    buf_add_str(&out->document, "\n");
    return buf_ok(&out->document) || err_nomem(err);
}

/* What Sectigo takes; that there is nothing is no failure here. */
static void make_payload(const struct evidence_facts *facts, struct app_evidence *out)
{
    const struct hsm_form *form = facts->form;
    struct err why = ERR_INIT;

    if (form == NULL) {
        (void)snprintf(out->payload_why, sizeof(out->payload_why),
                       "nothing attests the key, so there is nothing to send");
    } else if (form->payload == NULL) {
        (void)snprintf(out->payload_why, sizeof(out->payload_why),
                       "the form that Sectigo takes of a %s is not known", form->device);
    } else if (!form->payload(facts->attestation.data, facts->attestation.len, &facts->attested,
                              &out->payload, &why)) {
        buf_reset(&out->payload);
        (void)snprintf(out->payload_why, sizeof(out->payload_why), "%.500s", why.msg);
    }
}

static bool describe(const struct evidence_facts *facts, struct app_evidence *out, struct err *err)
{
    (void)snprintf(out->label, sizeof(out->label), "%s", facts->key->label);
    (void)snprintf(out->key_type, sizeof(out->key_type), "%s",
                   hsm_key_spec_name(&facts->key->spec));
    (void)snprintf(out->policy, sizeof(out->policy), "%s", hsm_rules_title(&facts->rules));
    out->policy_kept = facts->verdict.ok;
    (void)snprintf(out->violations, sizeof(out->violations), "%s", facts->verdict.violations);
    out->secret_refused = facts->secret.refused;
    (void)snprintf(out->secret_answer, sizeof(out->secret_answer), "%s", facts->secret.answer);
    if (facts->form != NULL) {
        out->form = facts->form->name;
        out->device = facts->form->device;
        out->attestation_checked = facts->form->parse != NULL;
        (void)hsm_attests(facts->form, &facts->attested, &out->no_proof);
        buf_add(&out->attestation, facts->attestation.data, facts->attestation.len);
    }
    for (size_t i = 0; i < facts->attested.fact_count && i < APP_FACTS_MAX; i++) {
        struct app_fact *fact = &out->facts[out->fact_count++];
        fact->name = facts->attested.facts[i].name;
        (void)snprintf(fact->value, sizeof(fact->value), "%s", facts->attested.facts[i].value);
    }
    return evidence_hash_bytes(facts->spki, facts->spki_len, out->public_key_sha256, err);
}

bool app_evidence_collect(struct app *app, const struct app_evidence_request *request,
                          struct app_evidence *out, struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(keystore_key) struct keystore_key signer = {.pkey = NULL};
    AUTO(evidence_facts)
    struct evidence_facts facts = {.key = &key, .attestation = BUF_INIT(HSM_ATTESTATION_MAX)};

    if (!open_key(app, request->key_uri, &opened, &session, &key, err) ||
        !gather(app, &session, request, &facts, err)) {
        return err_wrap(err, "collecting evidence");
    }
    hsm_session_give(&session);
    if (!keystore_find(app->keystore, &token, request->key_uri, &signer, err) ||
        !write_document(signer.pkey, &facts, out, err) || !describe(&facts, out, err)) {
        return err_wrap(err, "collecting evidence");
    }
    make_payload(&facts, out);
    return true;
}
