/*
 * The command line: cmds.c is the map of the program, opt.c turns tables into parser and help, each
 * cmd_*.c has the commands of one noun.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "app/app.h"
#include "base/compiler.h"
#include "base/err.h"
#include "config/config.h"
#include "keystore/keystore.h"
#include "out/out.h"

#include <openssl/core.h>
#include <stdbool.h>
#include <stddef.h>

/* What main() provides: the parts that belong to the process. */
struct cli_env {
    OSSL_provider_init_fn *provider_init;
    /* Prepares the token layer with the process-wide settings of the configuration. state_dir:
     * where it remembers tokens and wrong PINs; NULL: nowhere. */
    bool (*setup_tokens)(const struct config_general *general, const char *state_dir,
                         struct err *err);
    const volatile bool *stop;
};

/* Runs the command line; returns the exit status. */
int cli_main(const struct cli_env *env, int argc, char **argv);

/* Options */

enum opt_kind { OPT_FLAG, OPT_TEXT, OPT_LIST };

struct cli_list {
    const char **items;
    size_t count;
};

/* One option: where its value goes (an offset into the command's options struct) and what it means.
 */
struct opt {
    const char *name;
    char letter; /* 0: none */
    enum opt_kind kind;
    const char *argument; /* NULL for flags */
    size_t offset;
    const char *help;
};

/* Options that every command has. */
struct cli_common {
    const char *config_path;
    const char *profile, *ca, *token;
    bool json, quiet, verbose, help;
    bool try_pin_again;
    const char *log_level;
    const char *log_file;
};

struct cli;

enum { CLI_ANY_NUMBER = 1 << 20 }; /* of operands */

/* One command. */
struct cmd {
    const char *noun;
    const char *verb; /* NULL: the noun is the whole command */
    const char *summary;
    const char *operands; /* "URI"; NULL: none */
    size_t operands_min, operands_max;
    const struct opt *opts;
    size_t opt_count;
    size_t opts_size;
    unsigned settings; /* CONFIG_NEED bits: whose settings are options of this command */
    unsigned need;     /* CONFIG_NEED bits: what must be chosen unambiguously */
    bool (*run)(struct cli *cli, struct err *err);
};

extern const struct cmd cli_cmds[];
extern const size_t cli_cmd_count;

struct cli {
    const struct cli_env *env;
    const struct cmd *cmd;
    struct cli_common common;
    void *opts; /* the command's options struct */
    const char **operands;
    size_t operand_count;

    struct config *config;
    struct config_selection selection;
    struct out out;
    struct clock clock;
    struct secret_policy secrets;
    struct keystore *keystore; /* made when first needed */
    char *state_dir;
    struct app app;

    /* progress on stderr */
    bool tty;
    bool line_open;
    int shown_state;

    int64_t order_id;  /* that was printed, for what to do next; 0: none */
    int plugin_status; /* of a command that is a plugin: its exit status */
};

/* opt.c */
const struct opt *cli_common_opts(size_t *count);
bool cli_parse(struct cli *cli, int argc, char **argv, struct err *err) NODISCARD;
void cli_help_all(FILE *file);
bool cli_help_own(FILE *file, const char *name) NODISCARD; /* help, completion; false: another */
void cli_help_noun(FILE *file, const char *noun);
void cli_help_cmd(FILE *file, const struct cmd *cmd);
void cli_completion(FILE *file);
const struct cmd *cli_find(const char *noun, const char *verb);
bool cli_is_noun(const char *noun);

/* prompt.c: a secret_prompt_fn that asks on the terminal; ctx is the stop flag. */
bool cli_prompt(void *ctx, const char *what, struct secret *out, struct err *err);

/* Lets the terminal echo again if a prompt is open; for a signal handler that ends the process. */
void cli_prompt_restore(void);

/* progress.c: how an order is going, for people on stderr. */
void cli_progress(void *ctx, const struct order *order, int64_t elapsed_ms, int64_t wait_ms);
void cli_progress_end(struct cli *cli);

/* How many orders are going, in a line that is rewritten in place: on a terminal alone, and not for
 * programs that read JSON. */
bool cli_shows_waiting(const struct cli *cli);
void cli_show_waiting(void *ctx, const struct app_waiting *waiting);

/* Fills cli->app (with the keystore); for commands that tell a story. */
bool cli_app(struct cli *cli, struct err *err) NODISCARD;

/* Opens the order journal; out NULL: only whether there is a place for it. E_CONFIG, E_JOURNAL. */
bool cli_journal(struct cli *cli, struct journal **out, struct err *err) NODISCARD;

/* cmd_journal.c: the same for commands that only read it: it may be one that cannot be written. */
bool cli_journal_to_read(struct cli *cli, struct journal **out, struct err *err) NODISCARD;

/* Writes a PEM file that the user asked for; the file is public. */
bool cli_write_public(const char *path, const char *text, struct err *err) NODISCARD;

/* cmd_alert.c: whether a command has the exit statuses of Nagios plugins, 0 to 3; and what it
 * prints when it failed. */
bool cli_is_plugin(const struct cmd *cmd);
void cli_plugin_failed(struct out *out, const struct err *err);

/* The commands, by noun. */
bool cmd_token_list(struct cli *cli, struct err *err);
bool cmd_token_info(struct cli *cli, struct err *err);
bool cmd_token_accept(struct cli *cli, struct err *err);
bool cmd_token_test(struct cli *cli, struct err *err);
bool cmd_token_pin(struct cli *cli, struct err *err);
bool cmd_token_init(struct cli *cli, struct err *err);
bool cmd_key_generate(struct cli *cli, struct err *err);
bool cmd_key_list(struct cli *cli, struct err *err);
bool cmd_key_show(struct cli *cli, struct err *err);
bool cmd_key_find(struct cli *cli, struct err *err);
bool cmd_key_public(struct cli *cli, struct err *err);
bool cmd_key_rename(struct cli *cli, struct err *err);
bool cmd_key_delete(struct cli *cli, struct err *err);
bool cmd_key_pem(struct cli *cli, struct err *err);
bool cmd_key_evidence(struct cli *cli, struct err *err);
bool cmd_evidence_verify(struct cli *cli, struct err *err);
bool cmd_csr_create(struct cli *cli, struct err *err);
bool cmd_enroll(struct cli *cli, struct err *err);
bool cmd_order_list(struct cli *cli, struct err *err);
bool cmd_order_show(struct cli *cli, struct err *err);
bool cmd_order_wait(struct cli *cli, struct err *err);
bool cmd_order_collect(struct cli *cli, struct err *err);
bool cmd_order_adopt(struct cli *cli, struct err *err);
bool cmd_order_abandon(struct cli *cli, struct err *err);
bool cmd_order_resolve(struct cli *cli, struct err *err);
bool cmd_order_request(struct cli *cli, struct err *err);
bool cmd_order_approve(struct cli *cli, struct err *err);
bool cmd_order_decline(struct cli *cli, struct err *err);
bool cmd_order_approvals(struct cli *cli, struct err *err);
bool cmd_order_renew(struct cli *cli, struct err *err);
bool cmd_order_replace(struct cli *cli, struct err *err);
bool cmd_request_list(struct cli *cli, struct err *err);
bool cmd_request_approve(struct cli *cli, struct err *err);
bool cmd_request_decline(struct cli *cli, struct err *err);
bool cmd_request_update(struct cli *cli, struct err *err);
bool cmd_cert_bind(struct cli *cli, struct err *err);
bool cmd_cert_undo(struct cli *cli, struct err *err);
bool cmd_cert_list(struct cli *cli, struct err *err);
bool cmd_cert_show(struct cli *cli, struct err *err);
bool cmd_cert_export(struct cli *cli, struct err *err);
bool cmd_cert_remove(struct cli *cli, struct err *err);
bool cmd_cert_check(struct cli *cli, struct err *err);
bool cmd_cert_emit(struct cli *cli, struct err *err);
bool cmd_revoke(struct cli *cli, struct err *err);
bool cmd_inventory_list(struct cli *cli, struct err *err);
bool cmd_domain_list(struct cli *cli, struct err *err);
bool cmd_domain_show(struct cli *cli, struct err *err);
bool cmd_dcv_list(struct cli *cli, struct err *err);
bool cmd_dcv_status(struct cli *cli, struct err *err);
bool cmd_dcv_start(struct cli *cli, struct err *err);
bool cmd_dcv_submit(struct cli *cli, struct err *err);
bool cmd_dcv_recheck(struct cli *cli, struct err *err);
bool cmd_dcv_clear(struct cli *cli, struct err *err);
bool cmd_dcv_order(struct cli *cli, struct err *err);
bool cmd_dcv_publish(struct cli *cli, struct err *err);
bool cmd_inventory_sync(struct cli *cli, struct err *err);
bool cmd_inventory_find(struct cli *cli, struct err *err);
bool cmd_inventory_match(struct cli *cli, struct err *err);
bool cmd_journal_check(struct cli *cli, struct err *err);
bool cmd_journal_backup(struct cli *cli, struct err *err);
bool cmd_journal_export(struct cli *cli, struct err *err);
bool cmd_alert(struct cli *cli, struct err *err);
bool cmd_products(struct cli *cli, struct err *err);
bool cmd_check(struct cli *cli, struct err *err);
bool cmd_org_list(struct cli *cli, struct err *err);
bool cmd_org_show(struct cli *cli, struct err *err);
bool cmd_account_acme(struct cli *cli, struct err *err);
bool cmd_config_keys(struct cli *cli, struct err *err);
bool cmd_version(struct cli *cli, struct err *err);

/* Option tables and their structs, by noun. */
struct opts_token_init {
    const char *label, *so_pin_source;
    bool erase;
};
struct opts_token_pin {
    const char *new_pin_source, *so_pin_source, *new_so_pin_source;
};
struct opts_token_test {
    bool yes;
};
struct opts_key_generate {
    const char *label, *type, *id, *policy, *name, *evidence;
};
struct opts_key_show {
    const char *policy;
};
struct opts_key_public {
    const char *out_path;
};
struct opts_key_rename {
    const char *label;
};
struct opts_key_delete {
    bool yes, with_certificates;
};
struct opts_key_pem {
    const char *out_path;
    bool name_module, name_pin_source;
};
struct opts_key_evidence {
    const char *out_path, *attestation, *attestation_out, *payload_out, *policy;
    bool require_attestation;
};
struct opts_evidence_verify {
    const char *roots, *device, *csr, *cert;
};
struct opts_csr_create {
    struct cli_list names;
    const char *subject, *out_path;
};
struct opts_enroll {
    struct cli_list names;
    const char *key, *cert_out, *chain_out, *cn, *names_from;
    bool again;
};
struct opts_order_list {
    bool open;
    const char *limit;
};
struct opts_order_result {
    const char *cert_out, *chain_out;
    const char *format, *out_path; /* collect */
};
struct opts_order_resolve {
    const char *is, *reason;
    bool not_ordered, send_again, yes;
};
struct opts_reissue {
    struct cli_list names;
    const char *ca_order, *key, *reason, *cert_out, *chain_out;
    bool new_key, again;
};
struct opts_request {
    struct cli_list names;
    const char *status, *message, *csr;
    const char *set_term, *set_product, *set_comments, *set_requester, *set_fields;
};
struct opts_order_request {
    const char *out_path;
    bool decline;
};
struct opts_order_decide {
    const char *key, *cert, *signature, *message;
};
struct opts_order_approvals {
    const char *dir;
};
struct opts_order_wait {
    bool all;
    const char *cert_out, *chain_out;
};
struct opts_revoke {
    const char *reason, *comment, *ca_order, *serial;
    bool yes;
};
struct opts_inventory_list {
    const char *common_name, *name, *status, *serial, *requester, *org, *limit, *format, *source;
    const char *kind;
    bool details;
};
struct opts_domain_list {
    const char *name, *state, *status, *org, *limit, *format;
    bool details;
};
struct opts_dcv_list {
    const char *domain, *status, *order_status, *org, *department, *expires_in, *limit, *format;
};
struct opts_dcv_one {
    const char *method, *email;
    bool yes;
};
struct opts_dcv_order {
    const char *ca_order;
    bool recheck;
};
struct opts_dcv_publish {
    const char *from, *method, *hook, *cleanup_hook, *style, *dns_servers, *web_server,
        *renew_before;
    bool again;
};

struct opts_inventory_sync {
    const char *source, *kind;
    bool details, certificates;
};
struct opts_inventory_match {
    const char *kind;
};
struct opts_inventory_find {
    const char *ca_order, *serial, *name, *dn, *kind;
    bool live;
};
struct opts_journal {
    const char *format, *out_path;
    bool accept_clock, overwrite, history;
};
struct opts_alert {
    const char *levels, *sources;
    bool dry_run;
};
struct opts_account_acme {
    const char *name, *server, *validation, *validation_id, *eab_out, *eab_config;
    bool show_secret, yes;
};
struct opts_cert_bind {
    const char *key, *cert, *cert_chain;
    const char *detached, *emit, *dir;
    bool keep_old, no_chain_check, name_module, name_pin_source, attested;
};
struct opts_cert_one {
    const char *serial, *out_path;
    bool chain, der, yes;
};
struct opts_cert_check {
    const char *soon;
    bool fix;
};
struct opts_cert_emit {
    const char *dir;
};

/* cmd_cert_emit.c: what a program needs to use a key and its certificate. */
bool cli_emit_check(const char *kind, const char *dir, bool detached, struct err *err) NODISCARD;
bool cli_emit(struct cli *cli, const char *key_uri, const char *kind, const char *dir,
              struct err *err) NODISCARD;

/* cmd_evidence.c, for a key that is to be made and one that was made just now: whether the file
 * can be written; and the evidence into it. E_OBJECT_EXISTS, E_IO, E_EVIDENCE. */
bool cli_evidence_may_write(const char *path, struct err *err) NODISCARD;
bool cli_evidence_write(struct cli *cli, const struct app_evidence_request *request,
                        const char *path, struct err *err) NODISCARD;

/* cmd_order.c: continues the order of the first operand and prints it. */
bool cli_resume(struct cli *cli, bool once, struct order *order, struct err *err) NODISCARD;

/* listing.c, for commands that list things. A number from 1; text NULL: *out stays. E_USAGE. */
bool cli_read_number(const char *text, const char *option, int64_t *out, struct err *err) NODISCARD;
/* "table", "csv" or "jsonl"; NULL: as it is. E_USAGE. */
bool cli_choose_format(struct cli *cli, const char *format, struct err *err) NODISCARD;
/* "ssl", "device" or "smime"; NULL: the preset. E_USAGE. */
bool cli_read_kind(const char *text, enum ca_kind preset, enum ca_kind *out,
                   struct err *err) NODISCARD;
/* "list", "report" or "auto"; NULL: the preset. E_USAGE. */
bool cli_read_source(const char *text, enum ca_source preset, enum ca_source *out,
                     struct err *err) NODISCARD;

/* The result of an order, as enroll and the order commands print it. */
void cli_print_order(struct cli *cli, const struct order *order);
/* Whether they can be written, asked before anything is ordered. E_IO. */
bool cli_check_results(const char *cert_out, const char *chain_out, struct err *err) NODISCARD;
bool cli_write_results(const struct order *order, const char *cert_out, const char *chain_out,
                       struct err *err) NODISCARD;

#endif
