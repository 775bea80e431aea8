#include "config/sections.h"

#include "base/secret_source.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

typedef bool set_fn(void *field, const char *value, struct err *err);

static bool set_text(void *field, const char *value, struct err *err)
{
    /* options are set anew at each choice of sections, and what is open borrows the texts */
    if (*(char **)field != NULL && str_equal(*(char **)field, value)) {
        return true;
    }
    char *copy = str_dup(value);

    if (copy == NULL) {
        return err_nomem(err);
    }
    free(*(char **)field);
    *(char **)field = copy;
    return true;
}

static bool set_source(void *field, const char *value, struct err *err)
{
    return secret_source_check(value, err) && set_text(field, value, err);
}

static bool set_bool(void *field, const char *value, struct err *err)
{
    return str_to_bool(value, field) ||
           err_set(err, E_USAGE, "'%.40s' is neither yes nor no", value);
}

/* A text that is yes or no. */
static bool set_yes(void *field, const char *value, struct err *err)
{
    bool yes = false;

    return set_bool(&yes, value, err) && set_text(field, value, err);
}

static bool set_number(void *field, const char *value, struct err *err)
{
    uint64_t number = 0;

    if (!str_to_u64(value, INT32_MAX, &number)) {
        return err_set(err, E_USAGE, "'%.40s' is not a number", value);
    }
    *(int64_t *)field = (int64_t)number;
    return true;
}

static bool set_connections(void *field, const char *value, struct err *err)
{
    int number = 0;

    if (!str_to_int(value, 1, 64, &number)) {
        return err_set(err, E_USAGE, "'%.40s' is not a number from 1 to 64", value);
    }
    *(int64_t *)field = number;
    return true;
}

static bool set_span(void *field, const char *value, struct err *err)
{
    return str_to_seconds(value, field) ||
           err_set(err, E_USAGE, "'%.40s' is not a span of time like 90s, 15m, 2h or 7d", value);
}

static bool set_span_not_0(void *field, const char *value, struct err *err)
{
    return set_span(field, value, err) &&
           (*(int64_t *)field > 0 ||
            err_set(err, E_USAGE, "'%.40s' leaves no time at all; name a span like 60s", value));
}

/* "same" is -1: as another setting says. */
static bool set_span_or_same(void *field, const char *value, struct err *err)
{
    if (str_equal(value, "same")) {
        *(int64_t *)field = -1;
        return true;
    }
    return set_span(field, value, err);
}

/* "never" is -1. */
static bool set_span_or_never(void *field, const char *value, struct err *err)
{
    if (str_equal(value, "never")) {
        *(int64_t *)field = -1;
        return true;
    }
    return set_span(field, value, err);
}

static bool set_word(int *field, const char *const words[], size_t count, const char *value,
                     struct err *err)
{
    AUTO(buf) struct buf all = BUF_INIT(256);

    for (size_t i = 0; i < count; i++) {
        if (str_equal(words[i], value)) {
            *field = (int)i;
            return true;
        }
        buf_addf(&all, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    return err_set(err, E_USAGE, "'%.40s' is none of %s", value, buf_str(&all));
}

#define WORDS(name, ...)                                                                           \
    static bool name(void *field, const char *value, struct err *err)                              \
    {                                                                                              \
        static const char *const words[] = {__VA_ARGS__};                                          \
        return set_word(field, words, ARRAY_LEN(words), value, err);                               \
    }

WORDS(set_auth, "cert", "password", "oauth")
WORDS(set_role, "user", "so")
WORDS(set_poll, "steps", "backoff")
WORDS(set_store, "auto", "pem", "pkcs12", "jks")
WORDS(set_proxy_auth, "any", "basic", "digest")
WORDS(set_san, "auto", "always", "never")
WORDS(set_kind, "ssl", "device", "smime")
WORDS(set_collect, "query", "path")
WORDS(set_status, "auto", "ask", "collect")
WORDS(set_certificates, "token", "detached")

static bool set_chain(void *field, const char *value, struct err *err)
{
    static const char *const words[] = {"token", "none"};
    int at = 0;

    return set_word(&at, words, ARRAY_LEN(words), value, err) && set_text(field, value, err);
}

static bool set_more_usage(void *field, const char *value, struct err *err)
{
    static const char *const words[] = {"refuse", "accept"};
    int at = 0;

    return set_word(&at, words, ARRAY_LEN(words), value, err) && set_text(field, value, err);
}

static bool set_id(void *field, const char *value, struct err *err)
{
    static const char *const words[] = {"any", "random", "sha1", "ski", "given"};
    int at = 0;

    return set_word(&at, words, ARRAY_LEN(words), value, err) && set_text(field, value, err);
}

static bool set_approval(void *field, const char *value, struct err *err)
{
    static const char *const words[] = {"auto", "required"};
    int at = 0;

    return set_word(&at, words, ARRAY_LEN(words), value, err) && set_text(field, value, err);
}

static bool set_late(void *field, const char *value, struct err *err)
{
    static const char *const words[] = {"decline", "report"};
    int at = 0;

    return set_word(&at, words, ARRAY_LEN(words), value, err) && set_text(field, value, err);
}

static bool set_tls(void *field, const char *value, struct err *err)
{
    if (str_equal(value, "1.2") || str_equal(value, "1.3")) {
        *(int *)field = str_equal(value, "1.2") ? 12 : 0;
        return true;
    }
    return err_set(err, E_USAGE, "'%.40s' is neither 1.2 nor 1.3", value);
}

struct row {
    struct config_key key;
    set_fn *set;
    size_t offset;
};

#define GENERAL(f) offsetof(struct config_general, f)
#define CA(f) offsetof(struct config_ca, f)
#define TOKEN(f) offsetof(struct config_token, f)
#define PROFILE(f) offsetof(struct config_profile, f)
#define POLICY(f) offsetof(struct config_policy, f)

/* clang-format off */
static const struct row rows[] = {
    {{CONFIG_GENERAL, "state_dir", "state-dir", "DIR", NULL,
      "where the order journal is kept; default /var/lib/p11enroll for root, else ~/.local/state/p11enroll"},
     set_text, GENERAL(state_dir)},
    {{CONFIG_GENERAL, "lock_dir", "lock-dir", "DIR", NULL,
      "where the token locks are kept; default /run/lock/p11enroll"},
     set_text, GENERAL(lock_dir)},
    {{CONFIG_GENERAL, "ca", NULL, "NAME", NULL, "the CA section used when none is named"},
     set_text, GENERAL(ca)},
    {{CONFIG_GENERAL, "token", NULL, "NAME", NULL, "the token section used when none is named"},
     set_text, GENERAL(token)},
    {{CONFIG_GENERAL, "profile", NULL, "NAME", NULL, "the profile used when none is named"},
     set_text, GENERAL(profile)},
    {{CONFIG_GENERAL, "allow_env_secrets", NULL, "BOOL", "no",
      "accept env:NAME as the source of a PIN or password"},
     set_bool, GENERAL(allow_env_secrets)},
    {{CONFIG_GENERAL, "token_timeout", "token-timeout", "SPAN", "0",
      "longest time a call into a PKCS#11 module may take; 0: limits by kind of call"},
     set_span, GENERAL(token_timeout_s)},
    {{CONFIG_GENERAL, "renew_early_ov", NULL, "SPAN", "3d",
      "how much earlier than a third of its lifetime before its end an OV certificate is due for renewal"},
     set_span, GENERAL(renew_early_ov_s)},
    {{CONFIG_GENERAL, "renew_early_ev", NULL, "SPAN", "7d", "the same for an EV certificate"},
     set_span, GENERAL(renew_early_ev_s)},
    {{CONFIG_GENERAL, "alert_levels", NULL, "LIST", "30, 14, 7",
      "days that are left of a certificate when 'alert' tells, commas between; the last one is critical"},
     set_text, GENERAL(alert_levels)},
    {{CONFIG_GENERAL, "alert_waiting", NULL, "LIST", "3d, 7d",
      "how long an order waits when 'alert' tells, commas between; the last one is critical"},
     set_text, GENERAL(alert_waiting)},
    {{CONFIG_GENERAL, "alert_expired", NULL, "SPAN", "14d", "how long a certificate that has expired is told"},
     set_span, GENERAL(alert_expired_s)},
    {{CONFIG_GENERAL, "alert_repeat", NULL, "SPAN", "0",
      "after what time an alert is delivered again at the same level; 0: never"},
     set_span, GENERAL(alert_repeat_s)},
    {{CONFIG_GENERAL, "alert_sources", NULL, "LIST", NULL,
      "where 'alert' looks, commas between: journal, inventory, token; default: all three"},
     set_text, GENERAL(alert_sources)},
    {{CONFIG_GENERAL, "alert_mail", NULL, "LIST", NULL, "mail addresses that alerts go to, commas between"},
     set_text, GENERAL(alert_mail)},
    {{CONFIG_GENERAL, "alert_mail_from", NULL, "ADDRESS", NULL, "whom that mail is from (default: as the mail program likes)"},
     set_text, GENERAL(alert_mail_from)},
    {{CONFIG_GENERAL, "alert_sendmail", NULL, "FILE", "/usr/sbin/sendmail", "the program that takes that mail on its standard input"},
     set_text, GENERAL(alert_sendmail)},
    {{CONFIG_GENERAL, "alert_webhook", NULL, "URL", NULL, "https:// URL that alerts are sent to as JSON"},
     set_text, GENERAL(alert_webhook)},
    {{CONFIG_GENERAL, "alert_webhook_trust", NULL, "FILE", NULL, "PEM roots of its server; default: the system's"},
     set_text, GENERAL(alert_webhook_trust)},
    {{CONFIG_GENERAL, "alert_webhook_token_source", NULL, "SOURCE", NULL,
      "where a token for it comes from (Authorization: Bearer)"},
     set_source, GENERAL(alert_webhook_token_source)},
    {{CONFIG_GENERAL, "alert_webhook_proxy", NULL, "URL", NULL, "http://host:port on the way to it"},
     set_text, GENERAL(alert_webhook_proxy)},
    {{CONFIG_GENERAL, "alert_metrics", NULL, "FILE", NULL,
      "text file for Prometheus, in the directory that node_exporter reads: NAME.prom"},
     set_text, GENERAL(alert_metrics)},
    {{CONFIG_GENERAL, "alert_timeout", NULL, "SPAN", "60s", "longest time for one delivery; not 0"},
     set_span_not_0, GENERAL(alert_timeout_s)},

    {{CONFIG_CA, "type", NULL, "WORD", "scm", 
      "kind of CA: scm (Sectigo Certificate Manager), or scm-enrollment (its Enrollment API)"},
     set_text, CA(type)},
    {{CONFIG_CA, "url", "ca-url", "URL", "https://cert-manager.com", "https://host[:port] of the CA"},
     set_text, CA(url)},
    {{CONFIG_CA, "api_path", "api-path", "PATH", "/api", "path in front of every resource"},
     set_text, CA(api_path)},
    {{CONFIG_CA, "private_prefix", "private-prefix", "PATH", "/private",
      "what stands before api_path when logging in with a client certificate"},
     set_text, CA(private_prefix)},
    {{CONFIG_CA, "api_version", "api-version", "WORD", "v1", "version segment of the SSL resources"},
     set_text, CA(api_version)},
    {{CONFIG_CA, "auth", "auth", "cert|password|oauth", "cert", "how to log in"},
     set_auth, CA(auth)},
    {{CONFIG_CA, "customer_uri", "customer-uri", "WORD", NULL, "last part of the tenant's portal URL"},
     set_text, CA(customer_uri)},
    {{CONFIG_CA, "login", "login", "NAME", NULL, "name of the API administrator"},
     set_text, CA(login)},
    {{CONFIG_CA, "password_source", "password-source", "SOURCE", NULL, "where the password comes from"},
     set_source, CA(password_source)},
    {{CONFIG_CA, "client_id", "client-id", "ID", NULL, "OAuth: the API key's client id"},
     set_text, CA(client_id)},
    {{CONFIG_CA, "client_secret_source", "client-secret-source", "SOURCE", NULL,
      "OAuth: where the API key's secret comes from"},
     set_source, CA(client_secret_source)},
    {{CONFIG_CA, "token_url", "token-url", "URL", NULL,
      "OAuth: where tokens are had (default: Sectigo's server, or the one that the CA names)"},
     set_text, CA(token_url)},
    {{CONFIG_CA, "token_hosts", "token-hosts", "LIST", "auth.sso.sectigo.com",
      "OAuth: hosts that the CA may name for that, with commas between"},
     set_text, CA(token_hosts)},
    {{CONFIG_CA, "client_cert", "client-cert", "FILE|URI", NULL,
      "client certificate: PKCS#12, JKS, PEM, or a pkcs11: URI (default: the certificate beside client_key)"},
     set_text, CA(client_cert)},
    {{CONFIG_CA, "client_key", "client-key", "FILE|URI", NULL,
      "its key: PEM file or pkcs11: URI (default: in the client_cert file)"},
     set_text, CA(client_key)},
    {{CONFIG_CA, "client_alias", "client-alias", "NAME", NULL,
      "entry of the PKCS#12 or JKS file, by its alias"},
     set_text, CA(client_alias)},
    {{CONFIG_CA, "client_password_source", "client-password-source", "SOURCE", NULL,
      "password of the PKCS#12 or JKS file or the encrypted PEM key"},
     set_source, CA(client_password_source)},
    {{CONFIG_CA, "client_key_password_source", "client-key-password-source", "SOURCE", NULL,
      "password of the key in a JKS file, if it has another than the file"},
     set_source, CA(client_key_password_source)},
    {{CONFIG_CA, "client_type", "client-type", "auto|pem|pkcs12|jks", "auto",
      "what the client certificate's file is; auto: as its bytes say"},
     set_store, CA(client_type)},
    {{CONFIG_CA, "client_token", "client-token", "NAME", NULL,
      "token section for a client_key in a token (default: the profile's token)"},
     set_text, CA(client_token)},
    {{CONFIG_CA, "org_id", "org-id", "NUMBER", "0", "organization or department that orders"},
     set_number, CA(org_id)},
    {{CONFIG_CA, "trust", "ca-trust", "FILE", NULL,
      "roots that may vouch for the CA's server: PEM, PKCS#12 or JKS; default: the system's"},
     set_text, CA(trust)},
    {{CONFIG_CA, "trust_type", "trust-type", "auto|pem|pkcs12|jks", "auto",
      "what the file with the roots is; auto: as its bytes say"},
     set_store, CA(trust_type)},
    {{CONFIG_CA, "trust_password_source", "trust-password-source", "SOURCE", NULL,
      "password of the PKCS#12 or JKS file with the roots"},
     set_source, CA(trust_password_source)},
    {{CONFIG_CA, "proxy", "proxy", "URL", NULL, "http://host:port; the environment is not consulted"},
     set_text, CA(proxy)},
    {{CONFIG_CA, "proxy_user", "proxy-user", "NAME", NULL, "user name at the proxy"},
     set_text, CA(proxy_user)},
    {{CONFIG_CA, "proxy_password_source", "proxy-password-source", "SOURCE", NULL, "password at the proxy"},
     set_source, CA(proxy_password_source)},
    {{CONFIG_CA, "proxy_auth", "proxy-auth", "any|basic|digest", "any",
      "how to log in to the proxy; any: with the best that it offers"},
     set_proxy_auth, CA(proxy_auth)},
    {{CONFIG_CA, "no_proxy", "no-proxy", "LIST", NULL,
      "hosts, domains and networks that are reached without the proxy, with commas between"},
     set_text, CA(no_proxy)},
    {{CONFIG_CA, "connections", "connections", "NUMBER", "8",
      "most connections to the CA at a time, when many orders are waited for (1 to 64)"},
     set_connections, CA(connections)},
    {{CONFIG_CA, "http2", NULL, "BOOL", "yes", "speak HTTP/2 where the server offers it, for reads"},
     set_bool, CA(http2)},
    {{CONFIG_CA, "tls_max", "tls-max", "1.2|1.3", "1.3", "newest TLS version to offer (1.2 is the oldest)"},
     set_tls, CA(tls_max)},
    {{CONFIG_CA, "connect_timeout", "connect-timeout", "SPAN", "15s", "longest time for a connection"},
     set_span, CA(connect_timeout_s)},
    {{CONFIG_CA, "timeout", "timeout", "SPAN", "60s", "longest time for one request"},
     set_span, CA(timeout_s)},
    {{CONFIG_CA, "poll", "poll", "steps|backoff", "steps",
      "waiting between status requests: 5s 15s 45s 2m 5m, or min(base^n, max)"},
     set_poll, CA(poll)},
    {{CONFIG_CA, "poll_deadline", "deadline", "SPAN", "10m",
      "how long a command waits for a certificate that machines work on (steps); 0: ask once"},
     set_span, CA(poll_deadline_s)},
    {{CONFIG_CA, "people_deadline", "people-deadline", "SPAN|same", "same",
      "how long a command waits for a person's approval or validation (steps); 0: ask once; same: as poll_deadline"},
     set_span_or_same, CA(people_deadline_s)},
    {{CONFIG_CA, "absence_after", "absence-after", "SPAN|never", "1h",
      "how long a CA may show nothing of an order whose answer was lost until it is sent once more"},
     set_span_or_never, CA(absence_after_s)},
    {{CONFIG_CA, "backoff_base", "backoff-base", "SPAN", "2s", "base of the backoff schedule, in seconds"},
     set_span, CA(backoff_base_s)},
    {{CONFIG_CA, "backoff_max", "backoff-max", "SPAN", "32s", "longest wait of the backoff schedule"},
     set_span, CA(backoff_max_s)},
    {{CONFIG_CA, "backoff_attempts", "backoff-attempts", "NUMBER", "5",
      "number of status requests of the backoff schedule"},
     set_number, CA(backoff_attempts)},
    {{CONFIG_CA, "poll_scale", "poll-scale", "PERCENT", "100",
      "percent by which every wait between status requests is stretched (or, for a sandbox, shrunk)"},
     set_number, CA(poll_scale_percent)},
    {{CONFIG_CA, "collect_form", "collect-form", "query|path", "query",
      "collect/ID?format=F, or collect/ID/F"},
     set_collect, CA(collect_form)},
    {{CONFIG_CA, "status_form", NULL, "auto|ask|collect", "auto",
      "Enrollment API: how the status of an order is learnt: by asking, or by collecting"},
     set_status, CA(status_form)},
    {{CONFIG_CA, "order_fields", NULL, "LIST", "product, term, names, comments, requester, custom",
      "Enrollment API: what an order carries beside the request, if it is set; or none"},
     set_text, CA(order_fields)},
    {{CONFIG_CA, "public_trust", NULL, "BOOL", "yes",
      "certificates are for everybody, so no Ed25519 or Ed448 key is made or sent; no: a private CA"},
     set_bool, CA(public_trust)},
    {{CONFIG_CA, "dcv_method", NULL, "METHOD", "cname",
      "how 'dcv publish' validates domains: cname, txt, http or https"},
     set_text, CA(dcv_method)},
    {{CONFIG_CA, "dcv_hook", NULL, "FILE", NULL, "the program that publishes what the CA wants to see, and removes it"},
     set_text, CA(dcv_hook)},
    {{CONFIG_CA, "dcv_cleanup_hook", NULL, "FILE", NULL, "the program that removes it, if it is another one"},
     set_text, CA(dcv_cleanup_hook)},
    {{CONFIG_CA, "dcv_hook_style", NULL, "STYLE", "p11enroll",
      "how it is called: p11enroll, uacme, dehydrated, certbot or lego"},
     set_text, CA(dcv_hook_style)},
    {{CONFIG_CA, "dcv_hook_quoted", NULL, "BOOL", "no",
      "it is given what a TXT record says as that stands in a zone file: in quotes, with backslashes"},
     set_bool, CA(dcv_hook_quoted)},
    {{CONFIG_CA, "dcv_hook_env", NULL, "LIST", NULL,
      "variables for it: NAME=VALUE, or NAME for what it is here; ';' between"},
     set_text, CA(dcv_hook_env)},
    {{CONFIG_CA, "dcv_hook_timeout", NULL, "SPAN", "2m", "longest time that one call of it may take"},
     set_span, CA(dcv_hook_timeout_s)},
    {{CONFIG_CA, "dns_servers", NULL, "LIST", NULL,
      "name servers that must show the record: ADDRESS[:PORT], commas between (default: all of the zone's own)"},
     set_text, CA(dns_servers)},
    {{CONFIG_CA, "web_server", NULL, "HOST:PORT", NULL,
      "web server that must show the file (default: where the domain's name leads)"},
     set_text, CA(web_server)},
    {{CONFIG_CA, "web_trust", NULL, "FILE", NULL,
      "roots for its certificate with the method https, PEM (default: the system's)"},
     set_text, CA(web_trust)},
    {{CONFIG_CA, "product", NULL, "ID|NAME", NULL, "certificate profile at the CA, for profiles that name none"},
     set_text, CA(product)},
    {{CONFIG_CA, "term", NULL, "DAYS", NULL, "validity, for profiles that name none"},
     set_number, CA(term_days)},
    {{CONFIG_CA, "policy", NULL, "NAME", NULL, "what a new key must be, for profiles that name no policy"},
     set_text, CA(policy)},
    {{CONFIG_CA, "requester", NULL, "EMAIL", NULL, "external requester, for profiles that name none"},
     set_text, CA(requester)},
    {{CONFIG_CA, "catalog", NULL, "LIST", NULL,
      "the products that may be ordered, by number or name; others are refused before a key is made; default: all"},
     set_text, CA(catalog)},
    {{CONFIG_CA, "eab_kid", NULL, "ID", NULL,
      "ACME: identifier of the key that binds a client to the ACME account (account acme --eab-config writes it)"},
     set_text, CA(eab_kid)},
    {{CONFIG_CA, "eab_key_source", NULL, "SOURCE", NULL, "ACME: where that HMAC key comes from (base64url)"},
     set_source, CA(eab_key_source)},
    {{CONFIG_CA, "approval", NULL, "auto|required", NULL,
      "whether somebody here has to approve an order before it is sent, for profiles that do not say; default: auto"},
     set_approval, CA(approval.rule)},
    {{CONFIG_CA, "approval_for", NULL, "LIST", NULL,
      "which orders: always, ev, wildcard, product:ID|NAME, name:PATTERN; default: always"},
     set_text, CA(approval.rule_for)},
    {{CONFIG_CA, "approvers", NULL, "LIST", NULL,
      "who may approve: PEM certificates, sha256:FINGERPRINT, user:NAME; NAME=certificate says whose it is"},
     set_text, CA(approval.approvers)},
    {{CONFIG_CA, "approvals", NULL, "NUMBER", NULL, "how many approvers have to agree; default: 1"},
     set_number, CA(approval.count)},
    {{CONFIG_CA, "approval_time", NULL, "SPAN", NULL, "within what time; default: any"},
     set_span, CA(approval.time_s)},
    {{CONFIG_CA, "approval_late", NULL, "decline|report", NULL,
      "what happens after that time: the order is declined, or only reported; default: decline"},
     set_late, CA(approval.late)},
    {{CONFIG_CA, "approve_own", NULL, "BOOL", NULL, "who made an order may approve it; default: no"},
     set_yes, CA(approval.own)},

    {{CONFIG_TOKEN, "module", "module", "FILE", NULL, "the PKCS#11 module (shared library)"},
     set_text, TOKEN(module)},
    {{CONFIG_TOKEN, "init_args", "module-init-args", "TEXT", NULL,
      "argument for C_Initialize, for the few modules that take one"},
     set_text, TOKEN(init_args)},
    {{CONFIG_TOKEN, "quirks", NULL, "WORDS", NULL,
      "what to leave out for a faulty module: no-finalise, no-copy, no-allowed-mechanisms, "
      "general-error-for-attributes, no-usage-denials, local-unknown"},
     set_text, TOKEN(quirks)},
    {{CONFIG_TOKEN, "uri", "token-uri", "URI", NULL,
      "which token: pkcs11:token=LABEL[;serial=...] (default: the only one)"},
     set_text, TOKEN(uri)},
    {{CONFIG_TOKEN, "pin_source", "pin-source", "SOURCE", NULL, "where the user PIN comes from (default: prompt)"},
     set_source, TOKEN(pin_source)},
    {{CONFIG_TOKEN, "generate_as", NULL, "user|so", "user",
      "who generates keys: some tokens let only the security officer do it"},
     set_role, TOKEN(generate_as)},
    {{CONFIG_TOKEN, "write_certificates_as", NULL, "user|so", "user", "who writes certificates to the token"},
     set_role, TOKEN(write_certificates_as)},
    {{CONFIG_TOKEN, "so_pin_source", NULL, "SOURCE", NULL,
      "where the security officer's PIN comes from, for these two (default: prompt)"},
     set_source, TOKEN(so_pin_source)},
    {{CONFIG_TOKEN, "certificates", NULL, "token|detached", "token",
      "where certificates go: onto the token, or into files (for tokens that keep none)"},
     set_certificates, TOKEN(certificates)},
    {{CONFIG_TOKEN, "detached_dir", NULL, "DIR", NULL,
      "where the files go if certificates are detached: DIR/NAME, with the certificate's first name"},
     set_text, TOKEN(detached_dir)},
    {{CONFIG_TOKEN, "max_certificate_size", NULL, "NUMBER", "0",
      "bytes that a certificate on the token may have; 0: any number"},
     set_number, TOKEN(max_certificate_size)},
    {{CONFIG_TOKEN, "attest_first", NULL, "BOOL", "no",
      "refuse to write a certificate before the device's attestation of the key was collected"},
     set_bool, TOKEN(attest_first)},

    {{CONFIG_PROFILE, "ca", NULL, "NAME", NULL, "the profile's CA section"},
     set_text, PROFILE(ca)},
    {{CONFIG_PROFILE, "token", NULL, "NAME", NULL, "the profile's token section"},
     set_text, PROFILE(token)},
    {{CONFIG_PROFILE, "kind", "kind", "ssl|device|smime", "ssl",
      "kind of certificate: of a server, a device, or a person (S/MIME)"},
     set_kind, PROFILE(kind)},
    {{CONFIG_PROFILE, "product", "product", "ID|NAME", NULL, "certificate profile at the CA (see 'p11enroll products')"},
     set_text, PROFILE(product)},
    {{CONFIG_PROFILE, "names", NULL, "LIST", NULL,
      "names for 'enroll' without --name, with commas between; the first becomes the CN"},
     set_text, PROFILE(names)},
    {{CONFIG_PROFILE, "term", "term", "DAYS", "0", "validity; 0: the product's default, only or shortest term"},
     set_number, PROFILE(term_days)},
    {{CONFIG_PROFILE, "policy", "policy", "NAME", NULL,
      "what a new key must be: tls-server, code-signing, client-auth, or a section [policy:NAME]; "
      "default: a key that signs and stays in the token"},
     set_text, PROFILE(policy)},
    {{CONFIG_PROFILE, "key_type", "key-type", "TYPE", NULL,
      "rsa:2048, rsa:3072, rsa:4096, ec:P-256, ec:P-384, ec:P-521, ed25519 or ed448; "
      "default: the first of the policy, else rsa:3072"},
     set_text, PROFILE(key_type)},
    {{CONFIG_PROFILE, "label", "label", "TEXT", NULL,
      "label of a new key; {name}: first name, {date}: day, {id}: begin of the key id, {order}: order number; "
      "default: the policy's, else {name}-{date}-{id}"},
     set_text, PROFILE(label)},
    {{CONFIG_PROFILE, "subject", "subject", "DN", NULL, "subject of the request (default: CN=first name)"},
     set_text, PROFILE(subject)},
    {{CONFIG_PROFILE, "issuer_roots", "issuer-roots", "FILE", NULL,
      "PEM roots that an issued certificate must lead to"},
     set_text, PROFILE(issuer_roots)},
    {{CONFIG_PROFILE, "chain", "chain", "token|none", "token",
      "whether issuers are written to the token beside the certificate"},
     set_chain, PROFILE(chain)},
    {{CONFIG_PROFILE, "san", "san", "auto|always|never", "auto",
      "whether names are sent to the CA beside the request (auto: if there are others than the CN)"},
     set_san, PROFILE(san)},
    {{CONFIG_PROFILE, "evidence_dir", "evidence-dir", "DIR", NULL,
      "where evidence about each key goes before its first use; without it no certificate is bound"},
     set_text, PROFILE(evidence_dir)},
    {{CONFIG_PROFILE, "require_attestation", "require-attestation", "BOOL", "no",
      "whether that evidence has to have an attestation by the device"},
     set_bool, PROFILE(require_attestation)},
    {{CONFIG_PROFILE, "external_requester", "external-requester", "EMAIL", NULL, "is told by the CA about the order"},
     set_text, PROFILE(external_requester)},
    {{CONFIG_PROFILE, "comments", "comments", "TEXT", NULL, "goes into the order beside our own mark"},
     set_text, PROFILE(comments)},
    {{CONFIG_PROFILE, "custom_fields", "custom-fields", "LIST", NULL, "NAME=VALUE;NAME=VALUE, as the CA account demands"},
     set_text, PROFILE(custom_fields)},
    {{CONFIG_PROFILE, "optional_fields", "optional-fields", "LIST", NULL,
      "of devices: NAME=VALUE;NAME=VALUE, more of the subject and of its names (serialNumber, dnsName, ...)"},
     set_text, PROFILE(optional_fields)},
    {{CONFIG_PROFILE, "org_id", NULL, "NUMBER", NULL, "organization or department that orders; default: the CA's"},
     set_number, PROFILE(org_id)},
    {{CONFIG_PROFILE, "approval", NULL, "auto|required", NULL,
      "whether somebody here has to approve an order before it is sent; default: as in the CA section"},
     set_approval, PROFILE(approval.rule)},
    {{CONFIG_PROFILE, "approval_for", NULL, "LIST", NULL,
      "which orders: always, ev, wildcard, product:ID|NAME, name:PATTERN; default: always"},
     set_text, PROFILE(approval.rule_for)},
    {{CONFIG_PROFILE, "approvers", NULL, "LIST", NULL,
      "who may approve: PEM certificates, sha256:FINGERPRINT, user:NAME; NAME=certificate says whose it is"},
     set_text, PROFILE(approval.approvers)},
    {{CONFIG_PROFILE, "approvals", NULL, "NUMBER", NULL, "how many approvers have to agree; default: 1"},
     set_number, PROFILE(approval.count)},
    {{CONFIG_PROFILE, "approval_time", NULL, "SPAN", NULL, "within what time; default: any"},
     set_span, PROFILE(approval.time_s)},
    {{CONFIG_PROFILE, "approval_late", NULL, "decline|report", NULL,
      "what happens after that time: the order is declined, or only reported; default: decline"},
     set_late, PROFILE(approval.late)},
    {{CONFIG_PROFILE, "approve_own", NULL, "BOOL", NULL, "who made an order may approve it; default: no"},
     set_yes, PROFILE(approval.own)},
    {{CONFIG_PROFILE, "person", "person", "NAME", NULL, "first and last name of whom an S/MIME certificate is for"},
     set_text, PROFILE(person)},

    {{CONFIG_POLICY, "type", NULL, "TYPES", NULL,
      "kinds of keys that are allowed, the first is the default; rsa:3072+ is RSA of 3072 bits or more"},
     set_text, POLICY(type)},
    {{CONFIG_POLICY, "usage", NULL, "WORDS", NULL, "what the key may do: sign, decrypt, derive; default: sign"},
     set_text, POLICY(usage)},
    {{CONFIG_POLICY, "sensitive", NULL, "BOOL", NULL, "the key is never shown in the clear; default: yes"},
     set_yes, POLICY(sensitive)},
    {{CONFIG_POLICY, "extractable", NULL, "BOOL", NULL, "the key may be taken out, wrapped; default: no"},
     set_yes, POLICY(extractable)},
    {{CONFIG_POLICY, "always_authenticate", NULL, "BOOL", NULL, "the token wants a PIN for each use; default: no"},
     set_yes, POLICY(always_authenticate)},
    {{CONFIG_POLICY, "modifiable", NULL, "BOOL", NULL,
      "the key's attributes may be changed later; default: as the token likes"},
     set_yes, POLICY(modifiable)},
    {{CONFIG_POLICY, "copyable", NULL, "BOOL", NULL, "the key may be copied; default: as the token likes"},
     set_yes, POLICY(copyable)},
    {{CONFIG_POLICY, "allowed_mechanisms", NULL, "WORDS", NULL,
      "mechanisms that the key is for, like CKM_ECDSA or 0x1041; default: as the token likes"},
     set_text, POLICY(allowed_mechanisms)},
    {{CONFIG_POLICY, "more_usage", NULL, "WORD", NULL,
      "a key that the token allows more than was asked for: refuse or accept; default: refuse"},
     set_more_usage, POLICY(more_usage)},
    {{CONFIG_POLICY, "id", NULL, "WORD", NULL,
      "the key's CKA_ID: random, sha1 of the public key, ski (RFC 5280), given, or any; default: any"},
     set_id, POLICY(id)},
    {{CONFIG_POLICY, "label", NULL, "TEXT", NULL, "pattern of the key's label, as in a profile; labels must fit it"},
     set_text, POLICY(label)},
};
/* clang-format on */

const struct config_key *config_key_at(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i].key : NULL;
}

const struct config_key *config_find_key(enum config_section section, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].key.section == section && str_equal(rows[i].key.name, name)) {
            return &rows[i].key;
        }
    }
    return NULL;
}

const struct config_key *config_find_option(const char *option)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].key.option != NULL && str_equal(rows[i].key.option, option)) {
            return &rows[i].key;
        }
    }
    return NULL;
}

/* The key is the first member of its row. */
static const struct row *row_of(const struct config_key *key)
{
    return (const struct row *)(const void *)key;
}

bool config_set(void *section, const struct config_key *key, const char *value, struct err *err)
{
    const struct row *row = row_of(key);

    return row->set((char *)section + row->offset, value, err);
}

bool config_set_defaults(enum config_section section, void *data, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct config_key *key = &rows[i].key;
        if (key->section == section && key->preset != NULL &&
            !config_set(data, key, key->preset, err)) {
            return err_wrap(err, "default of '%s'", key->name);
        }
    }
    return true;
}

static bool is_text(const struct row *row)
{
    return row->set == set_text || row->set == set_source || row->set == set_chain ||
           row->set == set_yes || row->set == set_more_usage || row->set == set_id ||
           row->set == set_approval || row->set == set_late;
}

const char *config_text_of(const struct config_key *key, const void *section)
{
    const struct row *row = row_of(key);

    return is_text(row) ? *(char *const *)(const void *)((const char *)section + row->offset)
                        : NULL;
}

void config_free_fields(enum config_section section, void *data)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].key.section == section && is_text(&rows[i])) {
            free(*(char **)(void *)((char *)data + rows[i].offset));
        }
    }
}
