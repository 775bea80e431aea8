/*
 * Settings: p11enroll.conf (INI), and the same settings as options.
 *
 * One table (keys.c) lists every key: its section, its type, its default, its help and the option
 * that sets it for one run. Sections are [p11enroll], [ca:NAME], [token:NAME], [profile:NAME] and
 * [policy:NAME]; a profile names its CA, its token and its policy. An unknown section or key is an
 * error, as is a value that is not understood.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_section {
    CONFIG_GENERAL,
    CONFIG_CA,
    CONFIG_TOKEN,
    CONFIG_PROFILE,
    CONFIG_POLICY,
    CONFIG_SECTIONS
};

enum config_role { CONFIG_ROLE_USER, CONFIG_ROLE_SO };
enum config_auth { CONFIG_AUTH_CERT, CONFIG_AUTH_PASSWORD, CONFIG_AUTH_OAUTH };
enum config_poll { CONFIG_POLL_STEPS, CONFIG_POLL_BACKOFF };
enum config_kind { CONFIG_KIND_SSL, CONFIG_KIND_DEVICE, CONFIG_KIND_SMIME };
enum config_san { CONFIG_SAN_AUTO, CONFIG_SAN_ALWAYS, CONFIG_SAN_NEVER };
/* Kinds of files with keys or certificates; AUTO: as their bytes say. */
enum config_store { CONFIG_STORE_AUTO, CONFIG_STORE_PEM, CONFIG_STORE_PKCS12, CONFIG_STORE_JKS };
/* How a proxy is logged in to; ANY: the best that it offers. */
enum config_proxy_auth { CONFIG_PROXY_ANY, CONFIG_PROXY_BASIC, CONFIG_PROXY_DIGEST };
enum config_collect { CONFIG_COLLECT_QUERY, CONFIG_COLLECT_PATH };
enum config_status { CONFIG_STATUS_AUTO, CONFIG_STATUS_ASK, CONFIG_STATUS_COLLECT };

/* Where certificates of a token's keys are put. */
enum config_certificates { CONFIG_CERTS_TOKEN, CONFIG_CERTS_DETACHED };

struct config_general {
    char *state_dir;
    char *lock_dir;
    char *ca, *token, *profile; /* the sections used when none is named */
    char *alert_levels, *alert_waiting, *alert_sources;
    char *alert_mail, *alert_mail_from, *alert_sendmail;
    char *alert_webhook, *alert_webhook_trust, *alert_webhook_token_source, *alert_webhook_proxy;
    char *alert_metrics;
    int64_t token_timeout_s; /* one limit for every kind of token call; 0: limits by kind */
    int64_t renew_early_ov_s, renew_early_ev_s;
    int64_t alert_expired_s, alert_repeat_s, alert_timeout_s;
    bool allow_env_secrets;
};

/* Whether somebody has to approve an order here before it is sent; what is NULL or 0 is not set. */
struct config_approval {
    char *rule;      /* "auto", "required" */
    char *rule_for;  /* for which orders: "ev, wildcard" */
    char *approvers; /* "user:alice, /etc/approvers/bob.pem" */
    int64_t count;   /* of approvers that have to agree */
    int64_t time_s;  /* within which */
    char *late;      /* what happens then: "decline", "report" */
    char *own;       /* "yes": who ordered may approve */
};

struct config_ca {
    char *name;
    char *type;
    char *url;
    char *api_path;
    char *private_prefix;
    char *api_version;
    int auth;        /* enum config_auth */
    int client_type; /* enum config_store; so is the next */
    int trust_type;
    int proxy_auth; /* enum config_proxy_auth */
    char *customer_uri;
    char *login;
    char *password_source;
    char *client_id;
    char *client_secret_source;
    char *token_url;
    char *token_hosts;
    char *client_cert;
    char *client_key;
    char *client_alias;
    char *client_password_source;
    char *client_key_password_source; /* of a key in a JKS file; NULL: the file's */
    char *client_token;
    int64_t org_id;
    char *product; /* for profiles that name none; so are the next three */
    int64_t term_days;
    char *policy;
    char *requester;
    char *catalog; /* the products that may be ordered; NULL: all */
    char *eab_kid; /* the pair of an ACME account */
    char *eab_key_source;
    struct config_approval approval;
    char *trust;
    char *trust_password_source;
    char *proxy;
    char *proxy_user;
    char *proxy_password_source;
    char *no_proxy;
    int64_t connections; /* at a time */
    int64_t connect_timeout_s, timeout_s;
    int64_t poll_deadline_s;
    int64_t people_deadline_s; /* -1: as poll_deadline_s */
    int64_t absence_after_s;   /* -1: never */
    int64_t backoff_base_s, backoff_max_s;
    int64_t backoff_attempts;
    int64_t poll_scale_percent;
    char *dcv_method; /* what the next ones are about: domain validation */
    char *dcv_hook, *dcv_cleanup_hook, *dcv_hook_style, *dcv_hook_env;
    int64_t dcv_hook_timeout_s;
    char *dns_servers, *web_server; /* to look whether it is published; NULL: the real ones */
    char *web_trust;                /* roots for that; NULL: the system's */
    char *order_fields;
    int tls_max;
    int poll;              /* enum config_poll */
    int collect_form;      /* enum config_collect */
    int status_form;       /* enum config_status */
    bool dcv_hook_quoted;  /* TXT records are handed over as in zone files */
    bool http2;            /* where the server offers it */
    bool public_trust;     /* what it issues is for everybody: no kinds of keys that few accept */
    bool org_id_is_option; /* named on the command line, so the profile's does not count */
};

struct config_token {
    char *name;
    char *module;
    char *init_args;
    char *quirks;
    char *uri;
    char *pin_source;
    int generate_as;           /* enum config_role */
    int write_certificates_as; /* enum config_role */
    char *so_pin_source;
    bool try_pin_again;        /* only on the command line */
    bool pin_source_is_option; /* named on the command line, for whatever token that names */
    int certificates;          /* enum config_certificates */
    char *detached_dir;
    int64_t max_certificate_size;
    bool attest_first;
};

struct config_profile {
    char *name;
    char *ca;
    char *token;
    int kind; /* enum config_kind */
    char *product;
    char *names;
    int64_t term_days;
    char *policy;   /* NULL: that of a signing key */
    char *key_type; /* NULL: as the policy says */
    char *label;    /* NULL: as the policy says */
    char *subject;
    char *issuer_roots;
    char *chain;
    int san; /* enum config_san */
    char *evidence_dir;
    bool require_attestation;
    char *external_requester;
    char *comments;
    char *custom_fields;
    char *optional_fields; /* of devices */
    int64_t org_id;        /* 0: the CA's */
    struct config_approval approval;
    char *person;
    bool issuer_roots_is_option; /* named on the command line */
};

/* What keys must be. The values are understood by whoever makes keys; here they are texts. */
struct config_policy {
    char *name;
    char *type;
    char *usage;
    char *sensitive, *extractable;
    char *always_authenticate;
    char *modifiable, *copyable;
    char *allowed_mechanisms;
    char *more_usage;
    char *id;
    char *label;
};

/* The label of a new key where neither profile nor policy says one. */
#define CONFIG_LABEL "{name}-{date}-{id}"

struct config; /* everything that was read */

/* One row of the table, for help, the manual's test and the option parser. */
struct config_key {
    enum config_section section;
    const char *name;
    const char *option;   /* without "--"; NULL: only in the file */
    const char *argument; /* what stands behind it: "FILE" */
    const char *preset;   /* the default as text; NULL: unset */
    const char *help;
};

/* The i-th row; NULL past the end. */
const struct config_key *config_key_at(size_t i);

/*
 * Reads a file. path NULL: the first of $XDG_CONFIG_HOME/p11enroll/p11enroll.conf (or
 * ~/.config/...) and /etc/p11enroll/p11enroll.conf that exists, or nothing at all. E_CONFIG with
 * file and line, E_IO.
 */
bool config_read(const char *path, struct config **out, struct err *err) NODISCARD;
void config_free(struct config *config);

/* The file that was read; NULL if there was none. */
const char *config_path(const struct config *config);

/* Where a file is looked for if none is named, as a part of a sentence. free() it. */
char *config_places(void);

/* Parses a file's text (for tests and fuzzing); name is for messages. */
bool config_parse(const char *name, const char *text, struct config **out,
                  struct err *err) NODISCARD;

/* edit.c: a setting that is to stand in a file. */
struct config_change {
    const char *key;
    const char *value; /* one line of printable characters */
};

/*
 * Puts settings into the section of a file's text, which is appended to out; everything else stays,
 * comments too. Pure. E_CONFIG: there is no such section, or what comes out is no configuration;
 * E_OBJECT_EXISTS: one of them is there, and nobody asked to replace it; E_USAGE for a value that
 * does not fit.
 */
bool config_edit(const char *text, const char *section, const struct config_change changes[],
                 size_t count, bool replace, struct buf *out, struct err *err) NODISCARD;

/* The same with the file that was read; it keeps its owner and its mode, and is whole at any time.
 * dry: nothing is written, but what stands against it is told. E_IO as well. */
bool config_change_file(const struct config *config, const char *section,
                        const struct config_change changes[], size_t count, bool replace, bool dry,
                        struct err *err) NODISCARD;

/* Relative paths in a file are relative to the file's directory; as options, to the working
 * directory. */

/*
 * Remembers a setting that was given as an option: it overrides the key in whichever section is
 * selected. E_USAGE for a value that is not understood. False with E_NONE never happens.
 */
bool config_override(struct config *config, const char *option, const char *value,
                     struct err *err) NODISCARD;

/* Takes over the remembered settings of another configuration, which has none afterwards. */
void config_move_overrides(struct config *to, struct config *from);

/* Names of sections to use instead of the configured ones; NULL: as configured. */
struct config_choice {
    const char *profile, *ca, *token;
    bool try_pin_again; /* a PIN may be sent whatever became of the last one */
};

/* What one command works with: pointers into the config, with overrides applied. */
struct config_selection {
    const struct config_general *general;
    const struct config_profile *profile;
    const struct config_ca *ca;
    const struct config_token *token;
};

/* effective.c, pure: what holds for a selection; the profile's setting, else that of the CA. */
const char *config_product(const struct config_selection *selection);
int64_t config_term_days(const struct config_selection *selection);
const char *config_key_policy(const struct config_selection *selection);
const char *config_requester(const struct config_selection *selection);
int64_t config_org_id(const struct config_selection *selection);
/* Pointers into the sections; a count of 1 where none is set. */
struct config_approval config_approval(const struct config_selection *selection);

#define CONFIG_NEED(section) (1U << (section))

/*
 * Chooses profile, CA and token: the named ones, else those of the profile, else the defaults, else
 * the only ones; a section that is not there at all is empty, with defaults. `need` has the
 * CONFIG_NEED bits of what the command cannot do without: there, several sections and none named is
 * an error. E_CONFIG.
 */
bool config_select(struct config *config, const struct config_choice *choice, unsigned need,
                   struct config_selection *out, struct err *err) NODISCARD;

/* The name of its section; NULL if no section of a file made it, but options alone. */
const char *config_token_section(const struct config_token *token);

/* The i-th token section, whoever made it; NULL past the end. */
const struct config_token *config_token_at(const struct config *config, size_t i);

/* The token section of that name; E_CONFIG if there is none. */
bool config_token_named(const struct config *config, const char *name,
                        const struct config_token **out, struct err *err) NODISCARD;

/* The policy section of that name; NULL if there is none. */
const struct config_policy *config_policy_named(const struct config *config, const char *name);

/* Appends the settings of a policy that were made, as lines of 'key = value'. */
void config_policy_text(const struct config_policy *policy, struct buf *out);

DEFINE_AUTO(config, struct config *, config_free)

#endif
