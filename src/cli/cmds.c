/*
 * THE list of commands: a map of the program. One row per command; parser, help, completion and the
 * manual's test all read it.
 */
#include "cli/cli.h"

#define GENERAL CONFIG_NEED(CONFIG_GENERAL)
#define TOKEN CONFIG_NEED(CONFIG_TOKEN)
#define CA CONFIG_NEED(CONFIG_CA)
#define PROFILE CONFIG_NEED(CONFIG_PROFILE)
#define NOTHING 0U

#define AT(type, field) offsetof(struct type, field)
#define OPTS(table, type) table, ARRAY_LEN(table), sizeof(struct type)
#define NO_OPTS NULL, 0, 0

/* clang-format off */
static const struct opt token_init_opts[] = {
    {"label", 0, OPT_TEXT, "TEXT", AT(opts_token_init, label), "name of the token (required)"},
    {"so-pin-source", 0, OPT_TEXT, "SOURCE", AT(opts_token_init, so_pin_source),
     "where the security officer's PIN comes from (default: prompt)"},
    {"erase", 0, OPT_FLAG, NULL, AT(opts_token_init, erase),
     "initialise a token that is in use: all its keys are destroyed"},
};

static const struct opt token_pin_opts[] = {
    {"new-pin-source", 0, OPT_TEXT, "SOURCE", AT(opts_token_pin, new_pin_source),
     "where the new user PIN comes from (default: prompt)"},
    {"so-pin-source", 0, OPT_TEXT, "SOURCE", AT(opts_token_pin, so_pin_source),
     "where the security officer's PIN comes from (default: prompt)"},
    {"new-so-pin-source", 0, OPT_TEXT, "SOURCE", AT(opts_token_pin, new_so_pin_source),
     "where the security officer's new PIN comes from (default: prompt)"},
};

static const struct opt token_test_opts[] = {
    {"yes", 0, OPT_FLAG, NULL, AT(opts_token_test, yes), "make test keys although nobody is at the terminal"},
};

static const struct opt key_generate_opts[] = {
    {"label", 0, OPT_TEXT, "TEXT", AT(opts_key_generate, label), "label of the key (default: by the policy's pattern)"},
    {"name", 'n', OPT_TEXT, "NAME", AT(opts_key_generate, name), "what {name} in the policy's pattern stands for"},
    {"policy", 0, OPT_TEXT, "NAME", AT(opts_key_generate, policy),
     "what the key must be: tls-server, code-signing, client-auth, or one of the configuration (default: the profile's)"},
    {"type", 0, OPT_TEXT, "TYPE", AT(opts_key_generate, type),
     "rsa:2048, rsa:3072, rsa:4096, ec:P-256, ec:P-384, ec:P-521, ed25519 or ed448 (default: the profile's, else the policy's)"},
    {"id", 0, OPT_TEXT, "HEX", AT(opts_key_generate, id), "CKA_ID of the key (default: 16 random bytes)"},
    {"evidence", 0, OPT_TEXT, "FILE", AT(opts_key_generate, evidence), "collect evidence of the new key into that file"},
};

static const struct opt key_show_opts[] = {
    {"policy", 0, OPT_TEXT, "NAME", AT(opts_key_show, policy), "the policy to judge it by (default: the profile's)"},
};

static const struct opt key_public_opts[] = {
    {"out", 'o', OPT_TEXT, "FILE", AT(opts_key_public, out_path), "where the PEM goes (default: stdout)"},
};

static const struct opt key_rename_opts[] = {
    {"label", 0, OPT_TEXT, "TEXT", AT(opts_key_rename, label), "the new label (required)"},
};

static const struct opt key_delete_opts[] = {
    {"yes", 0, OPT_FLAG, NULL, AT(opts_key_delete, yes), "do it; without, what would be lost is printed"},
    {"with-certificates", 0, OPT_FLAG, NULL, AT(opts_key_delete, with_certificates),
     "destroy the key's certificates as well"},
};

static const struct opt key_pem_opts[] = {
    {"out", 'o', OPT_TEXT, "FILE", AT(opts_key_pem, out_path), "where the file goes (default: stdout)"},
    {"name-module", 0, OPT_FLAG, NULL, AT(opts_key_pem, name_module), "name the PKCS#11 module in it"},
    {"name-pin-source", 0, OPT_FLAG, NULL, AT(opts_key_pem, name_pin_source), "name in it where the PIN comes from"},
};

static const struct opt key_evidence_opts[] = {
    {"out", 'o', OPT_TEXT, "FILE", AT(opts_key_evidence, out_path), "where the evidence goes (default: stdout)"},
    {"attestation", 0, OPT_TEXT, "FILE", AT(opts_key_evidence, attestation),
     "the device's attestation, made with its vendor's tool (default: what the token shows)"},
    {"policy", 0, OPT_TEXT, "NAME", AT(opts_key_evidence, policy), "the policy to judge the key by (default: the profile's)"},
    {"require-attestation", 0, OPT_FLAG, NULL, AT(opts_key_evidence, require_attestation),
     "fail if the device does not attest the key"},
    {"attestation-out", 0, OPT_TEXT, "FILE", AT(opts_key_evidence, attestation_out),
     "write the attestation in its vendor's form"},
    {"payload-out", 0, OPT_TEXT, "FILE", AT(opts_key_evidence, payload_out),
     "write the attestation as Sectigo takes it with a code signing order"},
};

static const struct opt evidence_verify_opts[] = {
    {"roots", 0, OPT_TEXT, "FILE", AT(opts_evidence_verify, roots),
     "PEM roots of the device's maker, to which its attestation must lead"},
    {"device", 0, OPT_TEXT, "FORM", AT(opts_evidence_verify, device),
     "whose roots they are: yubikey-piv, luna-pkc or yubihsm2 (default: the form in the file)"},
    {"csr", 0, OPT_TEXT, "FILE", AT(opts_evidence_verify, csr), "a certificate request that must be for the key"},
    {"cert", 'c', OPT_TEXT, "FILE", AT(opts_evidence_verify, cert), "a certificate that must be for the key"},
};

static const struct opt csr_create_opts[] = {
    {"name", 'n', OPT_LIST, "NAME", AT(opts_csr_create, names),
     "DNS name, IP address or e-mail address; may be given several times, or several with commas between"},
    {"subject", 0, OPT_TEXT, "DN", AT(opts_csr_create, subject), "CN=...,O=... (default: CN=first name)"},
    {"out", 'o', OPT_TEXT, "FILE", AT(opts_csr_create, out_path), "where the request goes (default: stdout)"},
};

static const struct opt enroll_opts[] = {
    {"name", 'n', OPT_LIST, "NAME", AT(opts_enroll, names),
     "name the certificate is for; may be given several times, or several with commas between; the first becomes the CN "
     "(default: the profile's names)"},
    {"cn", 0, OPT_TEXT, "NAME", AT(opts_enroll, cn), "the first name, as a word of its own"},
    {"names-from", 0, OPT_TEXT, "FILE", AT(opts_enroll, names_from), "the names in this certificate request (PEM) as well"},
    {"key", 'k', OPT_TEXT, "URI", AT(opts_enroll, key), "use this key instead of making a new one"},
    {"again", 0, OPT_FLAG, NULL, AT(opts_enroll, again),
     "order although there is an order or a valid certificate for these names (and pay for another)"},
    {"cert-out", 0, OPT_TEXT, "FILE", AT(opts_enroll, cert_out), "write the certificate as PEM"},
    {"chain-out", 0, OPT_TEXT, "FILE", AT(opts_enroll, chain_out), "write its issuers as PEM"},
};

static const struct opt order_list_opts[] = {
    {"open", 0, OPT_FLAG, NULL, AT(opts_order_list, open), "only orders that are not finished"},
    {"limit", 0, OPT_TEXT, "NUMBER", AT(opts_order_list, limit), "at most that many (default: 50)"},
};

static const struct opt order_wait_opts[] = {
    {"all", 0, OPT_FLAG, NULL, AT(opts_order_wait, all), "all open orders that were sent to the CA"},
    {"cert-out", 0, OPT_TEXT, "FILE", AT(opts_order_wait, cert_out), "write the certificate as PEM; for one order alone"},
    {"chain-out", 0, OPT_TEXT, "FILE", AT(opts_order_wait, chain_out), "write its issuers as PEM; for one order alone"},
};

static const struct opt order_request_opts[] = {
    {"out", 'o', OPT_TEXT, "FILE", AT(opts_order_request, out_path), "where the text goes (default: stdout)"},
    {"decline", 0, OPT_FLAG, NULL, AT(opts_order_request, decline), "the text that declines the order"},
};

static const struct opt order_decide_opts[] = {
    {"key", 'k', OPT_TEXT, "URI", AT(opts_order_decide, key), "sign with this key of the token"},
    {"cert", 'c', OPT_TEXT, "FILE", AT(opts_order_decide, cert), "its certificate (default: the one beside the key)"},
    {"signature", 0, OPT_TEXT, "FILE", AT(opts_order_decide, signature),
     "a detached CMS signature over the text of 'order request', PEM or DER"},
    {"message", 'm', OPT_TEXT, "TEXT", AT(opts_order_decide, message), "a sentence for the journal; it is not signed"},
};

static const struct opt order_approvals_opts[] = {
    {"dir", 0, OPT_TEXT, "DIR", AT(opts_order_approvals, dir),
     "write texts, signatures and certificates there, for checks with other programs"},
};

static const struct opt order_resolve_opts[] = {
    {"is", 0, OPT_TEXT, "ID", AT(opts_order_resolve, is), "the CA has it, under this number or id: go on with it"},
    {"not-ordered", 0, OPT_FLAG, NULL, AT(opts_order_resolve, not_ordered), "the CA does not have it: close it"},
    {"send-again", 0, OPT_FLAG, NULL, AT(opts_order_resolve, send_again), "with --not-ordered: it may be sent again instead"},
    {"reason", 0, OPT_TEXT, "TEXT", AT(opts_order_resolve, reason), "with --not-ordered: how that is known (required)"},
    {"yes", 0, OPT_FLAG, NULL, AT(opts_order_resolve, yes), "with --not-ordered: do it; without, the CA is asked and nothing changed"},
};

static const struct opt order_result_opts[] = {
    {"cert-out", 0, OPT_TEXT, "FILE", AT(opts_order_result, cert_out), "write the certificate as PEM"},
    {"chain-out", 0, OPT_TEXT, "FILE", AT(opts_order_result, chain_out), "write its issuers as PEM"},
};

static const struct opt order_collect_opts[] = {
    {"cert-out", 0, OPT_TEXT, "FILE", AT(opts_order_result, cert_out), "write the certificate as PEM"},
    {"chain-out", 0, OPT_TEXT, "FILE", AT(opts_order_result, chain_out), "write its issuers as PEM"},
    {"format", 0, OPT_TEXT, "FORMAT", AT(opts_order_result, format),
     "only fetch what the CA gives in that format: x509, x509CO, x509IO, x509IOR, x509R, base64, bin, pem, pemco or pemia"},
    {"out", 'o', OPT_TEXT, "FILE", AT(opts_order_result, out_path), "with --format: where it goes"},
};

static const struct opt order_renew_opts[] = {
    {"ca-order", 0, OPT_TEXT, "NUMBER", AT(opts_reissue, ca_order), "the certificate with that number at the CA"},
    {"new-key", 0, OPT_FLAG, NULL, AT(opts_reissue, new_key), "with a new key (default: the key that it has)"},
    {"key", 'k', OPT_TEXT, "URI", AT(opts_reissue, key), "with this key"},
    {"again", 0, OPT_FLAG, NULL, AT(opts_reissue, again), "although it was renewed already (and pay for another)"},
    {"cert-out", 0, OPT_TEXT, "FILE", AT(opts_reissue, cert_out), "write the certificate as PEM"},
    {"chain-out", 0, OPT_TEXT, "FILE", AT(opts_reissue, chain_out), "write its issuers as PEM"},
};

static const struct opt order_replace_opts[] = {
    {"ca-order", 0, OPT_TEXT, "NUMBER", AT(opts_reissue, ca_order), "the certificate with that number at the CA"},
    {"reason", 0, OPT_TEXT, "TEXT", AT(opts_reissue, reason), "a sentence for the CA on why (required)"},
    {"new-key", 0, OPT_FLAG, NULL, AT(opts_reissue, new_key), "with a new key (default: the key that it has)"},
    {"key", 'k', OPT_TEXT, "URI", AT(opts_reissue, key), "with this key"},
    {"name", 'n', OPT_LIST, "NAME", AT(opts_reissue, names),
     "all names of the new certificate, the CN first; several times, or with commas between (default: those it has)"},
    {"again", 0, OPT_FLAG, NULL, AT(opts_reissue, again), "although a replacement is under way"},
    {"cert-out", 0, OPT_TEXT, "FILE", AT(opts_reissue, cert_out), "write the certificate as PEM"},
    {"chain-out", 0, OPT_TEXT, "FILE", AT(opts_reissue, chain_out), "write its issuers as PEM"},
};

static const struct opt request_list_opts[] = {
    {"status", 0, OPT_TEXT, "WORD", AT(opts_request, status), "what is in that state at the CA (default: Requested)"},
};

static const struct opt request_decide_opts[] = {
    {"message", 'm', OPT_TEXT, "TEXT", AT(opts_request, message), "what the requester is told (required)"},
};

static const struct opt request_update_opts[] = {
    {"set-comments", 0, OPT_TEXT, "TEXT", AT(opts_request, set_comments), "comments; of any certificate, in any state"},
    {"set-external-requester", 0, OPT_TEXT, "EMAIL", AT(opts_request, set_requester), "who is told by the CA"},
    {"set-custom-fields", 0, OPT_TEXT, "LIST", AT(opts_request, set_fields), "all custom fields: NAME=VALUE;NAME=VALUE"},
    {"set-term", 0, OPT_TEXT, "DAYS", AT(opts_request, set_term), "term of a request that is not approved"},
    {"set-product", 0, OPT_TEXT, "ID", AT(opts_request, set_product), "profile of a request that is not approved"},
    {"name", 'n', OPT_LIST, "NAME", AT(opts_request, names), "all names of a request that is not approved, the CN first"},
    {"csr", 0, OPT_TEXT, "FILE", AT(opts_request, csr), "another certificate request, PEM; for the same key if the order is ours"},
};

static const struct opt revoke_opts[] = {
    {"reason", 0, OPT_TEXT, "REASON", AT(opts_revoke, reason),
     "unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation (required)"},
    {"comment", 0, OPT_TEXT, "TEXT", AT(opts_revoke, comment), "a sentence for the CA (default: the reason)"},
    {"ca-order", 0, OPT_TEXT, "NUMBER", AT(opts_revoke, ca_order), "the certificate with that number at the CA"},
    {"serial", 0, OPT_TEXT, "HEX", AT(opts_revoke, serial), "the certificate with that serial number"},
    {"yes", 0, OPT_FLAG, NULL, AT(opts_revoke, yes), "revoke it; without, what would be revoked is shown"},
};

static const struct opt inventory_list_opts[] = {
    {"kind", 0, OPT_TEXT, "KIND", AT(opts_inventory_list, kind),
     "certificates of servers, devices or persons: ssl, device or smime (default: the profile's)"},
    {"common-name", 0, OPT_TEXT, "NAME", AT(opts_inventory_list, common_name), "only this common name"},
    {"name", 'n', OPT_TEXT, "NAME", AT(opts_inventory_list, name),
     "only certificates with this alternative name; of persons: with this e-mail address"},
    {"status", 0, OPT_TEXT, "WORD", AT(opts_inventory_list, status), "only this status, as the CA calls it: Issued, Revoked, ..."},
    {"serial", 0, OPT_TEXT, "HEX", AT(opts_inventory_list, serial), "only this serial number"},
    {"requester", 0, OPT_TEXT, "NAME", AT(opts_inventory_list, requester), "only what this account requested"},
    {"org", 0, OPT_TEXT, "NUMBER", AT(opts_inventory_list, org), "only this organization or department"},
    {"details", 0, OPT_FLAG, NULL, AT(opts_inventory_list, details),
     "ask for status, product and dates as well (a request for each certificate)"},
    {"limit", 0, OPT_TEXT, "NUMBER", AT(opts_inventory_list, limit), "at most that many (default: all)"},
    {"format", 0, OPT_TEXT, "FORMAT", AT(opts_inventory_list, format), "table, csv or jsonl (default: table)"},
    {"source", 0, OPT_TEXT, "SOURCE", AT(opts_inventory_list, source),
     "list, report or auto: the report has everything in few requests, if the account may (default: list)"},
};

static const struct opt inventory_sync_opts[] = {
    {"kind", 0, OPT_TEXT, "KIND", AT(opts_inventory_sync, kind),
     "certificates of servers, devices or persons: ssl, device or smime (default: the profile's)"},
    {"source", 0, OPT_TEXT, "SOURCE", AT(opts_inventory_sync, source),
     "list, report or auto: the report if the account may, else the list (default: auto)"},
    {"details", 0, OPT_FLAG, NULL, AT(opts_inventory_sync, details),
     "ask for the details of what is new or has changed (a request for each certificate)"},
    {"certificates", 0, OPT_FLAG, NULL, AT(opts_inventory_sync, certificates),
     "fetch issued certificates whose key is not known (a request for each, once)"},
};

static const struct opt inventory_match_opts[] = {
    {"kind", 0, OPT_TEXT, "KIND", AT(opts_inventory_match, kind),
     "certificates of servers, devices or persons alone: ssl, device or smime (default: all that were read)"},
};

static const struct opt inventory_find_opts[] = {
    {"kind", 0, OPT_TEXT, "KIND", AT(opts_inventory_find, kind),
     "certificates of servers, devices or persons: ssl, device or smime (default: the profile's)"},
    {"ca-order", 0, OPT_TEXT, "NUMBER", AT(opts_inventory_find, ca_order), "the certificate with that number at the CA"},
    {"serial", 0, OPT_TEXT, "HEX", AT(opts_inventory_find, serial), "certificates with that serial number"},
    {"name", 'n', OPT_TEXT, "NAME", AT(opts_inventory_find, name), "certificates with that alternative or common name"},
    {"dn", 0, OPT_TEXT, "DN", AT(opts_inventory_find, dn), "certificates with that subject: CN=...,O=..."},
    {"live", 0, OPT_FLAG, NULL, AT(opts_inventory_find, live), "ask the CA, not what was stored"},
};

static const struct opt account_acme_opts[] = {
    {"name", 'n', OPT_TEXT, "NAME", AT(opts_account_acme, name), "list: only accounts of that name"},
    {"server", 0, OPT_TEXT, "NAME", AT(opts_account_acme, server),
     "create: the ACME server by the CA's name for it (required); list: only that server's"},
    {"validation", 0, OPT_TEXT, "KIND", AT(opts_account_acme, validation), "create, list: DV, OV or EV"},
    {"validation-id", 0, OPT_TEXT, "ID", AT(opts_account_acme, validation_id),
     "create: the validation of the organization to build on"},
    {"eab-out", 0, OPT_TEXT, "FILE", AT(opts_account_acme, eab_out),
     "create, show: write the pair for external account binding, readable for its owner alone"},
    {"eab-config", 0, OPT_TEXT, "NAME", AT(opts_account_acme, eab_config),
     "create, show: write it into the section [ca:NAME] of the configuration, its key into a file beside that"},
    {"show-secret", 0, OPT_FLAG, NULL, AT(opts_account_acme, show_secret), "create, show: print the HMAC key"},
    {"yes", 0, OPT_FLAG, NULL, AT(opts_account_acme, yes), "delete, deactivate: do it; --eab-config: replace a pair"},
};

static const struct opt domain_list_opts[] = {
    {"name", 'n', OPT_TEXT, "NAME", AT(opts_domain_list, name), "only domains with this name (or part of it, as the CA likes)"},
    {"state", 0, OPT_TEXT, "WORD", AT(opts_domain_list, state), "only active or inactive ones"},
    {"status", 0, OPT_TEXT, "WORD", AT(opts_domain_list, status), "only those whose delegation is requested or approved"},
    {"org", 0, OPT_TEXT, "NUMBER", AT(opts_domain_list, org), "only this organization's or department's"},
    {"details", 0, OPT_FLAG, NULL, AT(opts_domain_list, details),
     "ask for delegation and validation as well (a request for each domain)"},
    {"limit", 0, OPT_TEXT, "NUMBER", AT(opts_domain_list, limit), "at most that many (default: all)"},
    {"format", 0, OPT_TEXT, "FORMAT", AT(opts_domain_list, format), "table, csv or jsonl (default: table)"},
};

static const struct opt dcv_list_opts[] = {
    {"domain", 0, OPT_TEXT, "NAME", AT(opts_dcv_list, domain), "only domains with this name (or part of it, as the CA likes)"},
    {"status", 0, OPT_TEXT, "WORD", AT(opts_dcv_list, status), "only this state, as the CA calls it: Validated, 'Not validated', Expired"},
    {"order-status", 0, OPT_TEXT, "WORD", AT(opts_dcv_list, order_status),
     "only this state of the validation under way: Submitted, Rejected, ..."},
    {"org", 0, OPT_TEXT, "NUMBER", AT(opts_dcv_list, org), "only this organization's"},
    {"department", 0, OPT_TEXT, "NUMBER", AT(opts_dcv_list, department), "only this department's"},
    {"expires-in", 0, OPT_TEXT, "DAYS", AT(opts_dcv_list, expires_in), "only validations that expire within so many days"},
    {"limit", 0, OPT_TEXT, "NUMBER", AT(opts_dcv_list, limit), "at most that many (default: all)"},
    {"format", 0, OPT_TEXT, "FORMAT", AT(opts_dcv_list, format), "table, csv or jsonl (default: table)"},
};

static const struct opt dcv_start_opts[] = {
    {"method", 'm', OPT_TEXT, "METHOD", AT(opts_dcv_one, method), "cname, txt, http, https or email (required)"},
};

static const struct opt dcv_submit_opts[] = {
    {"method", 'm', OPT_TEXT, "METHOD", AT(opts_dcv_one, method),
     "cname, txt, http, https or email (default: email with --email, else the one that was started)"},
    {"email", 0, OPT_TEXT, "ADDRESS", AT(opts_dcv_one, email), "whom the CA shall write to, one of those that 'dcv start' lists"},
};

static const struct opt dcv_clear_opts[] = {
    {"yes", 0, OPT_FLAG, NULL, AT(opts_dcv_one, yes), "do it; without, what would be given up is shown"},
};

static const struct opt dcv_order_opts[] = {
    {"ca-order", 0, OPT_TEXT, "NUMBER", AT(opts_dcv_order, ca_order), "the order with that number at the CA"},
    {"recheck", 0, OPT_FLAG, NULL, AT(opts_dcv_order, recheck), "have the CA look again before"},
};

static const struct opt dcv_publish_opts[] = {
    {"from", 0, OPT_TEXT, "FILE", AT(opts_dcv_publish, from), "and the domains that stand there, one a line"},
    {"method", 'm', OPT_TEXT, "METHOD", AT(opts_dcv_publish, method), "cname, txt, http or https (default: 'dcv_method')"},
    {"hook", 0, OPT_TEXT, "FILE", AT(opts_dcv_publish, hook), "the program that publishes and removes (default: 'dcv_hook')"},
    {"cleanup-hook", 0, OPT_TEXT, "FILE", AT(opts_dcv_publish, cleanup_hook), "the one that removes, if it is another"},
    {"style", 0, OPT_TEXT, "STYLE", AT(opts_dcv_publish, style),
     "how it is called: p11enroll, uacme, dehydrated, certbot or lego (default: 'dcv_hook_style')"},
    {"dns-servers", 0, OPT_TEXT, "LIST", AT(opts_dcv_publish, dns_servers),
     "ask these instead of the zone's own name servers: ADDRESS[:PORT], commas between"},
    {"web-server", 0, OPT_TEXT, "HOST:PORT", AT(opts_dcv_publish, web_server), "look for files there, whatever the domain's address"},
    {"renew-before", 0, OPT_TEXT, "DAYS", AT(opts_dcv_publish, renew_before),
     "leave domains alone that are validated for longer than that (default: 30)"},
    {"again", 0, OPT_FLAG, NULL, AT(opts_dcv_publish, again), "validate those as well"},
};

static const struct opt alert_opts[] = {
    {"dry-run", 0, OPT_FLAG, NULL, AT(opts_alert, dry_run), "look and tell here; deliver nothing, remember nothing"},
    {"levels", 0, OPT_TEXT, "LIST", AT(opts_alert, levels), "days that are left, commas between (default: 'alert_levels')"},
    {"sources", 0, OPT_TEXT, "LIST", AT(opts_alert, sources),
     "where to look: journal, inventory, token (default: 'alert_sources')"},
};

static const struct opt cert_bind_opts[] = {
    {"key", 'k', OPT_TEXT, "URI", AT(opts_cert_bind, key), "the private key (required)"},
    {"cert", 'c', OPT_TEXT, "FILE", AT(opts_cert_bind, cert), "the certificate, PEM, DER or PKCS#7 (required)"},
    {"cert-chain", 0, OPT_TEXT, "FILE", AT(opts_cert_bind, cert_chain), "its issuers, if they are not in the same file"},
    {"keep-old", 0, OPT_FLAG, NULL, AT(opts_cert_bind, keep_old), "leave earlier certificates of the key on the token"},
    {"no-chain-check", 0, OPT_FLAG, NULL, AT(opts_cert_bind, no_chain_check),
     "bind without checking the chain, although roots are configured"},
    {"detached", 0, OPT_TEXT, "DIR", AT(opts_cert_bind, detached),
     "into files: certificate, chain, and a file that stands for the key; nothing is written to the token"},
    {"name-module", 0, OPT_FLAG, NULL, AT(opts_cert_bind, name_module), "name the PKCS#11 module in that file"},
    {"name-pin-source", 0, OPT_FLAG, NULL, AT(opts_cert_bind, name_pin_source),
     "name in that file where the PIN comes from"},
    {"attested", 0, OPT_FLAG, NULL, AT(opts_cert_bind, attested),
     "the device's attestation of the key was collected (see 'attest_first')"},
    {"emit", 0, OPT_TEXT, "KIND", AT(opts_cert_bind, emit), "then print what a program needs, as 'cert emit' does"},
    {"dir", 0, OPT_TEXT, "DIR", AT(opts_cert_bind, dir), "with --emit: where files for the program go"},
};

static const struct opt cert_show_opts[] = {
    {"serial", 0, OPT_TEXT, "HEX", AT(opts_cert_one, serial), "the one with that serial number, if several match"},
};

static const struct opt cert_export_opts[] = {
    {"serial", 0, OPT_TEXT, "HEX", AT(opts_cert_one, serial), "the one with that serial number, if several match"},
    {"chain", 0, OPT_FLAG, NULL, AT(opts_cert_one, chain), "and its issuers, as far as the token has them"},
    {"der", 0, OPT_FLAG, NULL, AT(opts_cert_one, der), "DER instead of PEM; needs --out"},
    {"out", 'o', OPT_TEXT, "FILE", AT(opts_cert_one, out_path), "where it goes (default: stdout)"},
};

static const struct opt cert_remove_opts[] = {
    {"serial", 0, OPT_TEXT, "HEX", AT(opts_cert_one, serial), "the one with that serial number, if several match"},
    {"yes", 0, OPT_FLAG, NULL, AT(opts_cert_one, yes), "do it; otherwise only what would be lost is shown"},
};

static const struct opt cert_check_opts[] = {
    {"soon", 0, OPT_TEXT, "SPAN", AT(opts_cert_check, soon), "report what expires within that time (default: 30d)"},
    {"fix", 0, OPT_FLAG, NULL, AT(opts_cert_check, fix),
     "give certificates and public keys the id, and where that is safe the label, of their private key"},
};

static const struct opt cert_emit_opts[] = {
    {"dir", 0, OPT_TEXT, "DIR", AT(opts_cert_emit, dir), "where the files for the program are, or are put"},
};

static const struct opt journal_check_opts[] = {
    {"accept-clock", 0, OPT_FLAG, NULL, AT(opts_journal, accept_clock),
     "write down that the clock is right, although entries are of a later time"},
};

static const struct opt journal_backup_opts[] = {
    {"overwrite", 0, OPT_FLAG, NULL, AT(opts_journal, overwrite), "replace FILE if it is there"},
};

static const struct opt journal_export_opts[] = {
    {"format", 0, OPT_TEXT, "FORMAT", AT(opts_journal, format), "json, jsonl or csv (default: json)"},
    {"history", 0, OPT_FLAG, NULL, AT(opts_journal, history), "with csv: a row for each entry of each order's history"},
    {"out", 'o', OPT_TEXT, "FILE", AT(opts_journal, out_path), "where it goes (default: stdout)"},
};

const struct cmd cli_cmds[] = {
    {"token", "list", "list the tokens of a module", NULL, 0, 0, NO_OPTS,
     GENERAL | TOKEN, TOKEN, cmd_token_list},
    {"token", "info", "show one token: state, limits, mechanisms", NULL, 0, 0, NO_OPTS,
     GENERAL | TOKEN, TOKEN, cmd_token_info},
    {"token", "init", "initialise a token: label, SO PIN, user PIN", NULL, 0, 0,
     OPTS(token_init_opts, opts_token_init), GENERAL | TOKEN, TOKEN, cmd_token_init},
    {"token", "pin", "change, set or unblock a PIN: change, set, unblock, change-so", "ACTION", 1, 1,
     OPTS(token_pin_opts, opts_token_pin), GENERAL | TOKEN, TOKEN, cmd_token_pin},
    {"token", "accept", "remember the token that is there now as that of its section", NULL, 0, 0, NO_OPTS,
     GENERAL | TOKEN, TOKEN, cmd_token_accept},
    {"token", "test", "try what the token can do with keys that are removed again", NULL, 0, 0,
     OPTS(token_test_opts, opts_token_test), GENERAL | TOKEN, TOKEN, cmd_token_test},

    {"key", "generate", "make a signing key that never leaves the token", NULL, 0, 0,
     OPTS(key_generate_opts, opts_key_generate), GENERAL | TOKEN, TOKEN, cmd_key_generate},
    {"key", "list", "list the private keys of a token", NULL, 0, 0, NO_OPTS,
     GENERAL | TOKEN, TOKEN, cmd_key_list},
    {"key", "show", "show one key: kind, policy, public half, certificate", "URI", 1, 1,
     OPTS(key_show_opts, opts_key_show), GENERAL | TOKEN, TOKEN, cmd_key_show},
    {"key", "find", "list everything that a URI means, and why", "URI", 1, 1, NO_OPTS,
     GENERAL | TOKEN, TOKEN, cmd_key_find},
    {"key", "public", "write the public half of a key as PEM", "URI", 1, 1,
     OPTS(key_public_opts, opts_key_public), GENERAL | TOKEN, TOKEN, cmd_key_public},
    {"key", "rename", "give a key, its public half and its certificates another label", "URI", 1, 1,
     OPTS(key_rename_opts, opts_key_rename), GENERAL | TOKEN, TOKEN, cmd_key_rename},
    {"key", "delete", "destroy a key pair", "URI", 1, 1,
     OPTS(key_delete_opts, opts_key_delete), GENERAL | TOKEN, TOKEN, cmd_key_delete},
    {"key", "pem", "write a PEM file that stands for the key", "URI", 1, 1,
     OPTS(key_pem_opts, opts_key_pem), GENERAL | TOKEN, TOKEN, cmd_key_pem},
    {"key", "evidence", "collect what can be shown about a key, and prove that it is here", "URI", 1, 1,
     OPTS(key_evidence_opts, opts_key_evidence), GENERAL | TOKEN, TOKEN, cmd_key_evidence},

    {"evidence", "verify", "check an evidence file, without token or network", "FILE", 1, 1,
     OPTS(evidence_verify_opts, opts_evidence_verify), NOTHING, NOTHING, cmd_evidence_verify},

    {"csr", "create", "sign a certificate request with a key in a token", "URI", 1, 1,
     OPTS(csr_create_opts, opts_csr_create), GENERAL | TOKEN, TOKEN, cmd_csr_create},

    {"enroll", NULL, "get a certificate: key, request, order, verification, binding", NULL, 0, 0,
     OPTS(enroll_opts, opts_enroll), GENERAL | TOKEN | CA | PROFILE, TOKEN | CA | PROFILE, cmd_enroll},

    {"order", "list", "list the orders of the journal", NULL, 0, 0,
     OPTS(order_list_opts, opts_order_list), GENERAL, NOTHING, cmd_order_list},
    {"order", "show", "show one order and what happened to it", "ORDER", 1, 1, NO_OPTS,
     GENERAL, NOTHING, cmd_order_show},
    {"order", "wait", "continue orders until their certificates are bound", "[ORDER...]", 0, CLI_ANY_NUMBER,
     OPTS(order_wait_opts, opts_order_wait), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_wait},
    {"order", "collect", "ask once whether an order is issued; fetch, verify, bind and print it", "ORDER", 1, 1,
     OPTS(order_collect_opts, opts_order_result), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_collect},
    {"order", "renew", "renew a certificate that the CA issued, with its key or another one", "[ORDER]", 0, 1,
     OPTS(order_renew_opts, opts_reissue), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_renew},
    {"order", "replace", "have a certificate issued anew under the same number at the CA", "[ORDER]", 0, 1,
     OPTS(order_replace_opts, opts_reissue), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_replace},
    {"order", "adopt", "go on with an order whose answer was lost, as the one found at the CA under an id", "ORDER ID", 2, 2,
     OPTS(order_result_opts, opts_order_result), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_adopt},
    {"order", "resolve", "settle an order whose answer was lost: what is known, and what somebody found out", "ORDER", 1, 1,
     OPTS(order_resolve_opts, opts_order_resolve), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_resolve},
    {"order", "abandon", "give up an order that was not sent to the CA", "ORDER", 1, 1, NO_OPTS,
     GENERAL, NOTHING, cmd_order_abandon},

    {"order", "request", "write the text that an approver here signs", "ORDER", 1, 1,
     OPTS(order_request_opts, opts_order_request), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_request},
    {"order", "approve", "approve an order here, so that it may be sent to the CA", "ORDER", 1, 1,
     OPTS(order_decide_opts, opts_order_decide), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_approve},
    {"order", "decline", "decline an order here, for good", "ORDER", 1, 1,
     OPTS(order_decide_opts, opts_order_decide), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_decline},
    {"order", "approvals", "list who may approve an order here, and who did", "ORDER", 1, 1,
     OPTS(order_approvals_opts, opts_order_approvals), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_order_approvals},
    {"request", "list", "list the requests that wait at the CA for somebody's approval", NULL, 0, 0,
     OPTS(request_list_opts, opts_request), GENERAL | TOKEN | CA | PROFILE, CA, cmd_request_list},
    {"request", "approve", "approve a request that waits at the CA", "NUMBER", 1, 1,
     OPTS(request_decide_opts, opts_request), GENERAL | TOKEN | CA | PROFILE, CA, cmd_request_approve},
    {"request", "decline", "decline a request that waits at the CA", "NUMBER", 1, 1,
     OPTS(request_decide_opts, opts_request), GENERAL | TOKEN | CA | PROFILE, CA, cmd_request_decline},
    {"request", "update", "change a request that waits at the CA, or the comments of any certificate", "NUMBER", 1, 1,
     OPTS(request_update_opts, opts_request), GENERAL | TOKEN | CA | PROFILE, CA, cmd_request_update},

    {"journal", "check", "check the order journal: files, database, schema, and what must hold of each order", NULL, 0, 0,
     OPTS(journal_check_opts, opts_journal), GENERAL, NOTHING, cmd_journal_check},
    {"journal", "backup", "copy the order journal while others use it, and check the copy", "FILE", 1, 1,
     OPTS(journal_backup_opts, opts_journal), GENERAL, NOTHING, cmd_journal_backup},
    {"journal", "export", "write all orders with their history", NULL, 0, 0,
     OPTS(journal_export_opts, opts_journal), GENERAL, NOTHING, cmd_journal_export},

    {"cert", "bind", "verify a certificate and bind it to its key in the token", NULL, 0, 0,
     OPTS(cert_bind_opts, opts_cert_bind), GENERAL | TOKEN | PROFILE, TOKEN, cmd_cert_bind},
    {"cert", "undo", "put back what the last bind or removal replaced", "URI", 1, 1, NO_OPTS,
     GENERAL | TOKEN, TOKEN, cmd_cert_undo},
    {"cert", "list", "list the certificates of a token", NULL, 0, 0, NO_OPTS,
     GENERAL | TOKEN, TOKEN, cmd_cert_list},
    {"cert", "show", "show one certificate of a token", "URI", 1, 1,
     OPTS(cert_show_opts, opts_cert_one), GENERAL | TOKEN, TOKEN, cmd_cert_show},
    {"cert", "export", "write a certificate of a token as PEM or DER", "URI", 1, 1,
     OPTS(cert_export_opts, opts_cert_one), GENERAL | TOKEN, TOKEN, cmd_cert_export},
    {"cert", "remove", "remove one certificate from a token", "URI", 1, 1,
     OPTS(cert_remove_opts, opts_cert_one), GENERAL | TOKEN, TOKEN, cmd_cert_remove},
    {"cert", "check", "look for keys and certificates that do not fit together", NULL, 0, 0,
     OPTS(cert_check_opts, opts_cert_check), GENERAL | TOKEN | PROFILE, TOKEN, cmd_cert_check},
    {"cert", "emit", "print what a program needs to use a key: nginx, httpd, haproxy, java or nss", "URI KIND", 2, 2,
     OPTS(cert_emit_opts, opts_cert_emit), GENERAL | TOKEN, TOKEN, cmd_cert_emit},

    {"revoke", NULL, "revoke a certificate at the CA", "[ORDER]", 0, 1,
     OPTS(revoke_opts, opts_revoke), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_revoke},
    {"inventory", "list", "list the certificates that the CA account can see", NULL, 0, 0,
     OPTS(inventory_list_opts, opts_inventory_list), GENERAL | TOKEN | CA, CA, cmd_inventory_list},
    {"inventory", "sync", "store what the CA account can see", NULL, 0, 0,
     OPTS(inventory_sync_opts, opts_inventory_sync), GENERAL | TOKEN | CA, CA, cmd_inventory_sync},
    {"inventory", "find", "find certificates in what was stored", NULL, 0, 0,
     OPTS(inventory_find_opts, opts_inventory_find), GENERAL | TOKEN | CA, CA, cmd_inventory_find},
    {"inventory", "match", "compare what was stored with token and journal", NULL, 0, 0,
     OPTS(inventory_match_opts, opts_inventory_match), GENERAL | TOKEN | CA, TOKEN | CA, cmd_inventory_match},
    {"domain", "list", "list the domains that the CA account can see", NULL, 0, 0,
     OPTS(domain_list_opts, opts_domain_list), GENERAL | TOKEN | CA, CA, cmd_domain_list},
    {"domain", "show", "show one domain: to whom it is delegated, how it is validated", "NAME", 1, 1, NO_OPTS,
     GENERAL | TOKEN | CA, CA, cmd_domain_show},
    {"dcv", "list", "list how the domains are validated, and until when", NULL, 0, 0,
     OPTS(dcv_list_opts, opts_dcv_list), GENERAL | TOKEN | CA, CA, cmd_dcv_list},
    {"dcv", "status", "show how a domain is validated, and what has to be published", "NAME", 1, 1, NO_OPTS,
     GENERAL | TOKEN | CA, CA, cmd_dcv_status},
    {"dcv", "start", "begin to validate a domain; the CA says what to publish", "NAME", 1, 1,
     OPTS(dcv_start_opts, opts_dcv_one), GENERAL | TOKEN | CA, CA, cmd_dcv_start},
    {"dcv", "submit", "tell the CA that it is published", "NAME", 1, 1,
     OPTS(dcv_submit_opts, opts_dcv_one), GENERAL | TOKEN | CA, CA, cmd_dcv_submit},
    {"dcv", "recheck", "have the CA look again", "NAME", 1, 1, NO_OPTS,
     GENERAL | TOKEN | CA, CA, cmd_dcv_recheck},
    {"dcv", "clear", "give up the validation that is under way", "NAME", 1, 1,
     OPTS(dcv_clear_opts, opts_dcv_one), GENERAL | TOKEN | CA, CA, cmd_dcv_clear},
    {"dcv", "order", "show what an order waits for, by domain", "[ORDER]", 0, 1,
     OPTS(dcv_order_opts, opts_dcv_order), GENERAL | TOKEN | CA | PROFILE, NOTHING, cmd_dcv_order},
    {"dcv", "publish", "validate domains: publish through a hook, wait, submit, wait, remove", "[NAME]...", 0, 1000,
     OPTS(dcv_publish_opts, opts_dcv_publish), GENERAL | TOKEN | CA, CA, cmd_dcv_publish},
    {"org", "list", "list the organizations and departments that the CA account sees", NULL, 0, 0, NO_OPTS,
     GENERAL | TOKEN | CA, CA, cmd_org_list},
    {"org", "show", "show one organization, and which orders it may place over the API", "[NUMBER]", 0, 1, NO_OPTS,
     GENERAL | TOKEN | CA, CA, cmd_org_show},
    {"account", "acme", "ACME accounts at the CA: list, create, show, rename, delete, domains, add-domains, "
     "remove-domains, clients, deactivate", "ACTION [ACCOUNT] [WORD ...]", 1, 1002,
     OPTS(account_acme_opts, opts_account_acme), GENERAL | TOKEN | CA, CA, cmd_account_acme},
    {"alert", NULL, "tell of certificates that end soon and orders that wait too long", NULL, 0, 0,
     OPTS(alert_opts, opts_alert), GENERAL | TOKEN, NOTHING, cmd_alert},
    {"products", NULL, "list the certificate profiles that the CA account may order", NULL, 0, 0, NO_OPTS,
     GENERAL | TOKEN | CA, CA, cmd_products},
    {"check", NULL, "test the connection to the CA step by step", NULL, 0, 0, NO_OPTS,
     GENERAL | TOKEN | CA, CA, cmd_check},
    {"config", "keys", "list every setting, its option and its default", NULL, 0, 0, NO_OPTS,
     NOTHING, NOTHING, cmd_config_keys},
    {"version", NULL, "print version and libraries", NULL, 0, 0, NO_OPTS, NOTHING, NOTHING, cmd_version},
};
/* clang-format on */

const size_t cli_cmd_count = ARRAY_LEN(cli_cmds);
