#include "cli/key.h"

#include "base/log.h"
#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/keygen.h"
#include "hsm/object.h"
#include "hsm/rules.h"
#include "hsm/weak.h"
#include "x509/x509.h"

#include <stdio.h>
#include <string.h>

bool cli_key_uri(const struct hsm_key *key, struct buf *out, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    if (!hsm_key_uri(key, &uri, err)) {
        return false;
    }
    hsm_uri_format(&uri, out);
    return buf_ok(out) || err_nomem(err);
}

bool cli_print_key(struct cli *cli, const struct hsm_key *key, struct err *err)
{
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    AUTO(buf) struct buf id = BUF_INIT(2 * HSM_ID_MAX);

    if (!cli_key_uri(key, &uri, err)) {
        return false;
    }
    str_add_hex(&id, key->id.data, key->id.len, '\0');
    out_text(&cli->out, "label", "Label", key->label);
    out_text(&cli->out, "id", "Id", buf_str(&id));
    out_text(&cli->out, "type", "Type", hsm_key_spec_name(&key->spec));
    out_text(&cli->out, "uri", "URI", buf_str(&uri));
    return true;
}

static void print_verdict(struct cli *cli, const struct hsm_rules *rules,
                          const struct hsm_verdict *verdict)
{
    out_group(&cli->out, "module_claims", "The module claims:");
    out_bool(&cli->out, "sensitive", "Sensitive", verdict->sensitive);
    out_bool(&cli->out, "extractable", "Extractable", verdict->extractable);
    out_bool(&cli->out, "local", "Made in the token", verdict->local);
    out_bool(&cli->out, "always_sensitive", "Always sensitive", verdict->always_sensitive);
    out_bool(&cli->out, "never_extractable", "Never extractable", verdict->never_extractable);
    out_group_end(&cli->out);
    out_text(&cli->out, "policy_name", "Policy", rules->name[0] != '\0' ? rules->name : NULL);
    out_text(&cli->out, "policy", rules->name[0] != '\0' ? "Policy is" : "Signing-key policy",
             verdict->ok ? "kept" : "violated");
    out_text(&cli->out, "policy_violations", "Violations",
             verdict->ok ? NULL : verdict->violations);
    out_text(&cli->out, "policy_notes", "Tolerated", verdict->notes[0] ? verdict->notes : NULL);
    out_text(&cli->out, "policy_weakness", "Weaker than usual",
             hsm_policy_is_weak(&rules->policy) ? "this policy lets the private key leave the token"
                                                : NULL);
}

/* The policy of that name (NULL: the profile's, if it has one). */
static bool read_rules(const struct cli *cli, const char *name, struct hsm_rules *rules,
                       struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(POLICY_TEXT_MAX);
    struct keystore_policy policy;

    return app_policy(cli->config, name != NULL ? name : config_key_policy(&cli->selection), &text,
                      &policy, err) &&
           hsm_rules_read(policy.name, policy.text, rules, err);
}

static bool parse_id(const char *hex, struct hsm_id *id, struct err *err)
{
    AUTO(buf) struct buf bytes = BUF_INIT(HSM_ID_MAX);

    if (!str_from_hex(hex, &bytes) || bytes.len == 0) {
        return err_set(err, E_USAGE, "--id: '%.60s' is not a hexadecimal number", hex);
    }
    memcpy(id->data, bytes.data, bytes.len);
    id->len = bytes.len;
    id->set = true;
    return true;
}

static bool write_evidence(struct cli *cli, const struct hsm_key *key,
                           const struct hsm_keygen_report *report, struct err *err)
{
    const struct opts_key_generate *opts = cli->opts;
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);

    if (opts->evidence == NULL) {
        return true;
    }
    if (!cli_key_uri(key, &uri, err)) {
        return false;
    }
    struct app_evidence_request request = {
        .key_uri = buf_str(&uri), .policy = opts->policy, .dropped = report->left_out};
    return cli_evidence_write(cli, &request, opts->evidence, err);
}

/* The id that is given, or a random one; and whether the rules want it so. */
static bool choose_id(const struct hsm_rules *rules, const char *hex, struct hsm_id *id,
                      struct err *err)
{
    if (hex == NULL) {
        return rules->id != HSM_ID_GIVEN
                   ? hsm_new_id(id, err)
                   : err_set(err, E_USAGE, "%s wants an id to be given: --id is missing",
                             hsm_rules_title(rules));
    }
    return (rules->id == HSM_ID_ANY || rules->id == HSM_ID_GIVEN ||
            err_set(err, E_POLICY, "%s does not let an id be given; leave --id out",
                    hsm_rules_title(rules))) &&
           parse_id(hex, id, err);
}

/* The label that is given, or one by the policy's pattern. */
static bool choose_label(struct cli *cli, const struct hsm_rules *rules, const struct hsm_id *id,
                         struct buf *out, struct err *err)
{
    const struct opts_key_generate *opts = cli->opts;
    char date[CLOCK_TEXT_SIZE];

    if (opts->label != NULL && opts->label[0] != '\0') {
        buf_add_str(out, opts->label);
        return (buf_ok(out) || err_set(err, E_USAGE, "--label is too long")) &&
               hsm_rules_check_label(rules, opts->label, err);
    }
    if (rules->label[0] == '\0') {
        return err_set(err, E_USAGE, "--label is missing");
    }
    clock_format(clock_wall_s(&cli->clock), date);
    date[10] = '\0';
    struct hsm_label_values values = {.name = opts->name, .date = date, .id = id};
    return hsm_label_expand(rules->label, &values, out, err) ||
           err_wrap(err, "%s; give --label or --name", hsm_rules_title(rules));
}

static void tell_rung(void *ctx UNUSED, const char *left_out UNUSED, const char *sentence)
{
    log_line(LOG_WARN, "key", "%s", sentence);
}

static const struct out_column rung_columns[] = {
    {"answer", "THE TOKEN ANSWERED", 30, false},
    {"left_out", "AND WAS ASKED AGAIN WITHOUT", 0, false},
};

static void print_rungs(struct cli *cli, const struct hsm_policy *policy,
                        const struct hsm_keygen_report *report)
{
    out_text(&cli->out, "left_out", "Not asked for",
             report->left_out[0] != '\0' ? report->left_out : NULL);
    if (report->rung_count == 0 && !cli->common.json) {
        return;
    }
    out_table(&cli->out, "fallbacks", rung_columns, ARRAY_LEN(rung_columns), NULL);
    for (size_t i = 0; i < report->rung_count; i++) {
        AUTO(buf) struct buf names = BUF_INIT(512);
        hsm_policy_group_names(policy, report->rungs[i].left_out, &names);
        const char *cells[] = {ckr_name(report->rungs[i].rv), buf_str(&names)};
        out_row(&cli->out, cells);
    }
    out_table_end(&cli->out);
}

/* What is to be made, before the token is asked for anything. */
static bool plan_key(struct cli *cli, struct hsm_rules *rules, struct hsm_policy *policy,
                     struct hsm_id *id, struct buf *label, struct err *err)
{
    const struct opts_key_generate *opts = cli->opts;
    const char *type = opts->type != NULL ? opts->type : cli->selection.profile->key_type;

    return read_rules(cli, opts->policy, rules, err) &&
           hsm_rules_policy(rules, type, policy, err) && choose_id(rules, opts->id, id, err) &&
           choose_label(cli, rules, id, label, err);
}

bool cmd_key_generate(struct cli *cli, struct err *err)
{
    const struct opts_key_generate *opts = cli->opts;
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(buf) struct buf label = BUF_INIT(HSM_LABEL_MAX);
    struct hsm_rules rules;
    struct hsm_policy policy;
    struct hsm_keygen_report report;
    struct hsm_id id = {.set = false};

    if (!cli_evidence_may_write(opts->evidence, err) ||
        !plan_key(cli, &rules, &policy, &id, &label, err) ||
        !cli_token_open_to(cli, HSM_TO_GENERATE, &opened, err)) {
        return false;
    }
    struct hsm_key_name name = {
        .id = &id, .label = buf_str(&label), .id_is_random = opts->id == NULL};
    struct hsm_keygen_request request = {
        .policy = &policy, .name = &name, .id_rule = rules.id, .on_rung = tell_rung};
    if (hsm_policy_is_weak(&policy)) {
        log_line(LOG_WARN, "key", "%s lets the private key leave the token",
                 hsm_rules_title(&rules));
    }
    if (!hsm_keygen_with(opened.token, &request, &key, &report, err)) {
        struct hsm_access access = cli_access(cli);
        return hsm_access_explain_role(&access, HSM_TO_GENERATE, err);
    }
    if (!cli_print_key(cli, &key, err)) {
        return false;
    }
    print_verdict(cli, &rules, &report.verdict);
    print_rungs(cli, &policy, &report);
    return write_evidence(cli, &key, &report, err);
}

static const struct out_column key_columns[] = {
    {"label", "LABEL", 36, false},
    {"type", "TYPE", 10, false},
    {"id", "ID", 32, false},
    {"uri", NULL, 0, false},
};

static bool list_one(struct cli *cli, struct hsm_session *session, CK_OBJECT_HANDLE handle,
                     struct err *err)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    AUTO(buf) struct buf id = BUF_INIT(2 * HSM_ID_MAX);

    if (!hsm_key_load(session, handle, CKO_PRIVATE_KEY, false, &key, err) ||
        !cli_key_uri(&key, &uri, err)) {
        return false;
    }
    str_add_hex(&id, key.id.data, key.id.len, '\0');
    const char *cells[] = {key.label, hsm_key_spec_name(&key.spec), buf_str(&id), buf_str(&uri)};
    out_row(&cli->out, cells);
    return true;
}

bool cmd_key_list(struct cli *cli, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct attrs template = ATTRS_INIT;

    if (!cli_token_open(cli, NULL, true, &opened, err) ||
        !hsm_session_take(opened.token, false, &session, err)) {
        return false;
    }
    hsm_uri_to_template(&opened.uri, CKO_PRIVATE_KEY, &template);
    if (!hsm_find(&session, &template, &found, err)) {
        return false;
    }
    out_text(&cli->out, "token", NULL, opened.token->info.label);
    out_table(&cli->out, "keys", key_columns, ARRAY_LEN(key_columns),
              "The token has no private key.");
    for (size_t i = 0; i < found.count; i++) {
        if (!list_one(cli, &session, found.list[i], err)) {
            return false;
        }
    }
    out_table_end(&cli->out);
    return true;
}

static const struct out_column cert_columns[] = {
    {"subject", "CERTIFICATE", 40, false},
    {"serial", "SERIAL", 40, false},
    {"not_after", "VALID UNTIL", 20, false},
    {"label", NULL, 0, false},
};

bool cli_print_certificates(struct cli *cli, const struct hsm_certs *certs, const char *when_none,
                            struct err *err)
{
    out_table(&cli->out, "certificates", cert_columns, ARRAY_LEN(cert_columns), when_none);
    for (size_t i = 0; i < certs->count; i++) {
        AUTO(x509_info) struct x509_info info = {.subject = NULL};
        char until[CLOCK_TEXT_SIZE];
        if (certs->list[i].x509 == NULL || !x509_info(certs->list[i].x509, &info, err)) {
            err_clear(err);
            const char *cells[] = {"(not a certificate)", NULL, NULL, certs->list[i].label};
            out_row(&cli->out, cells);
            continue;
        }
        clock_format(info.not_after_s, until);
        const char *cells[] = {info.subject, info.serial, until, certs->list[i].label};
        out_row(&cli->out, cells);
    }
    out_table_end(&cli->out);
    return true;
}

static bool print_public(struct cli *cli, const struct hsm_key *key, struct err *err)
{
    AUTO(pkey) EVP_PKEY *public = NULL;
    AUTO(buf) struct buf hex = BUF_INIT(2 * X509_SPKI_HASH_LEN);
    uint8_t hash[X509_SPKI_HASH_LEN];

    if (!key->public.known || key->spec.type == HSM_KEY_OTHER) {
        out_text(&cli->out, "public_key_sha256", "Public key", NULL);
        return true;
    }
    if (!hsm_key_public_evp(key, &public, err) || !x509_spki_hash(public, hash, err)) {
        return false;
    }
    str_add_hex(&hex, hash, sizeof(hash), '\0');
    out_text(&cli->out, "public_key_sha256", "Public key SHA-256", buf_str(&hex));
    return true;
}

/* Whether the modulus of an RSA key is one of those that are known to be weak. */
static bool print_strength(struct cli *cli, const struct hsm_key *key, struct err *err)
{
    enum hsm_weakness weakness = HSM_NOT_WEAK;

    if (key->spec.type == HSM_KEY_RSA && key->public.known &&
        !hsm_weakness_of(key->public.modulus, key->public.modulus_len, &weakness, err)) {
        return false;
    }
    out_text(&cli->out, "weakness", "WEAK, it has", hsm_weakness_text(weakness));
    return true;
}

bool cmd_key_show(struct cli *cli, struct err *err)
{
    const struct opts_key_show *opts = cli->opts;
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    struct hsm_rules rules;
    struct hsm_verdict verdict;

    if (!read_rules(cli, opts->policy, &rules, err) ||
        !cli_family(cli, &opened, &session, &family, err)) {
        return false;
    }
    struct hsm_policy policy = hsm_rules_policy_of(&rules, &family.key.spec);
    if (!hsm_key_verdict(&session, &family.key, &policy, &verdict, err) ||
        !cli_print_key(cli, &family.key, err) || !print_public(cli, &family.key, err) ||
        !print_strength(cli, &family.key, err)) {
        return false;
    }
    out_bool(&cli->out, "always_authenticate", "PIN for every use", family.key.always_authenticate);
    print_verdict(cli, &rules, &verdict);
    return cli_print_certificates(cli, &family.certs, "No certificate is bound to it.", err);
}

/* There is never a PIN in it. */
bool cmd_key_pem(struct cli *cli, struct err *err)
{
    const struct opts_key_pem *opts = cli->opts;
    struct keystore_token token = app_token(cli->selection.token);
    struct keystore_wrap how = {.name_module = opts->name_module,
                                .name_pin_source = opts->name_pin_source};
    AUTO(keystore_wrapped) struct keystore_wrapped wrapped = {.uri = NULL};

    if (!cli_app(cli, err) ||
        !keystore_wrap(cli->keystore, &token, cli->operands[0], &how, &wrapped, err)) {
        return false;
    }
    if (opts->out_path == NULL) {
        out_block(&cli->out, "pem", wrapped.pem);
        return true;
    }
    if (!cli_write_new(opts->out_path, wrapped.pem, err)) {
        return false;
    }
    out_text(&cli->out, "uri", "URI", wrapped.uri);
    out_text(&cli->out, "pem_file", "File", opts->out_path);
    return true;
}
