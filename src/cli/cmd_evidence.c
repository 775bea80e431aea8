#include "cli/cli.h"

#include "base/file.h"
#include "base/str.h"

#include <string.h>
#include <sys/stat.h>

/* Evidence is not written over: what it says cannot be said a second time of every device. */
static bool is_free(const char *path, struct err *err)
{
    if (path == NULL) {
        return true;
    }
    if (file_exists(path)) {
        return err_set(err, E_OBJECT_EXISTS,
                       "%s exists, and is not written over; move it away first", path);
    }
    return cli_check_results(path, NULL, err);
}

/* Whether two names of files that are not there yet are of one file. */
static bool is_same_place(const char *a, const char *b)
{
    const char *a_slash = strrchr(a, '/');
    const char *b_slash = strrchr(b, '/');
    AUTO(str) char *a_dir = a_slash != NULL ? strndup(a, (size_t)(a_slash - a) + 1) : strdup(".");
    AUTO(str) char *b_dir = b_slash != NULL ? strndup(b, (size_t)(b_slash - b) + 1) : strdup(".");
    struct stat a_is;
    struct stat b_is;

    if (!str_equal(a_slash != NULL ? a_slash + 1 : a, b_slash != NULL ? b_slash + 1 : b)) {
        return false;
    }
    /* what cannot be looked at is not told apart */
    return a_dir == NULL || b_dir == NULL || stat(a_dir, &a_is) != 0 || stat(b_dir, &b_is) != 0 ||
           (a_is.st_dev == b_is.st_dev && a_is.st_ino == b_is.st_ino);
}

/* Each result has a file of its own, none of which is there. */
static bool are_free(const struct opts_key_evidence *opts, struct err *err)
{
    const struct {
        const char *option, *path;
    } parts[] = {{"--out", opts->out_path},
                 {"--attestation-out", opts->attestation_out},
                 {"--payload-out", opts->payload_out}};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!is_free(parts[i].path, err)) {
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (parts[i].path != NULL && parts[k].path != NULL &&
                is_same_place(parts[i].path, parts[k].path)) {
                return err_set(err, E_USAGE, "%s and %s are the same file, %s", parts[k].option,
                               parts[i].option, parts[i].path);
            }
        }
    }
    return true;
}

static bool write_part(const char *path, const struct buf *part, struct err *err)
{
    return path == NULL || file_write_atomic(path, buf_str(part), part->len, 0644, err);
}

bool cli_evidence_may_write(const char *path, struct err *err)
{
    return is_free(path, err);
}

bool cli_evidence_write(struct cli *cli, const struct app_evidence_request *request,
                        const char *path, struct err *err)
{
    AUTO(app_evidence) struct app_evidence evidence;

    app_evidence_init(&evidence);
    if (!cli_app(cli, err) || !app_evidence_collect(&cli->app, request, &evidence, err) ||
        !write_part(path, &evidence.document, err)) {
        return err_wrap(err, "the key was made, and there is no evidence of it");
    }
    out_text(&cli->out, "evidence_file", "Evidence", path);
    out_text(&cli->out, "statement_sha256", "Statement SHA-256", evidence.statement_sha256);
    return true;
}

/* Names of facts for people. */
static const char *title_of(const char *name)
{
    static const char *const titles[][2] = {
        {"firmware", "Firmware"},
        {"serial", "Device serial"},
        {"slot", "Slot"},
        {"pin_policy", "PIN policy"},
        {"touch_policy", "Touch policy"},
        {"form_factor", "Form factor"},
        {"origin", "Origin"},
        {"certified", "Certified"},
        {"variant", "Variant"},
        {"certificates", "Certificates"},
        {"root_included", "Root included"},
    };

    for (size_t i = 0; i < ARRAY_LEN(titles); i++) {
        if (str_equal(titles[i][0], name)) {
            return titles[i][1];
        }
    }
    return name;
}

static void print_attestation(struct cli *cli, const struct app_evidence *e)
{
    struct out *out = &cli->out;

    out_group(out, "device_attests", "The device attests:");
    out_text(out, "form", "Form", e->form);
    out_text(out, "device", "Device",
             e->device != NULL
                 ? e->device
                 : "nothing; an auditor or the CA needs another way ('other_methods' in the file)");
    out_text(out, "key", "Key",
             e->form == NULL          ? NULL
             : e->attestation_checked ? "is this one"
                                      : "not checked: this form is only stored");
    out_text(out, "no_proof", "No proof, because", e->no_proof);
    for (size_t i = 0; i < e->fact_count; i++) {
        out_text(out, e->facts[i].name, title_of(e->facts[i].name), e->facts[i].value);
    }
    out_group_end(out);
}

static void print_evidence(struct cli *cli, const struct app_evidence *e)
{
    struct out *out = &cli->out;

    out_text(out, "label", "Label", e->label);
    out_text(out, "type", "Type", e->key_type);
    out_text(out, "public_key_sha256", "Public key SHA-256", e->public_key_sha256);
    out_text(out, "statement_sha256", "Statement SHA-256", e->statement_sha256);
    out_group(out, "module_claims", "The module claims:");
    out_text(out, "policy_name", "Judged by", e->policy);
    out_text(out, "policy", "It is", e->policy_kept ? "kept" : "violated");
    out_text(out, "policy_violations", "Violations", e->policy_kept ? NULL : e->violations);
    out_text(out, "secret_value_answer", "Reading the secret", e->secret_answer);
    out_bool(out, "secret_value_refused", "Was refused", e->secret_refused);
    out_group_end(out);
    print_attestation(cli, e);
}

/* What was asked for and cannot be: said before anything is written. */
static bool is_complete(const struct opts_key_evidence *opts, const struct app_evidence *e,
                        struct err *err)
{
    if (opts->attestation_out != NULL && e->attestation.len == 0) {
        return err_set(err, E_EVIDENCE, "--attestation-out: nothing attests key '%s'", e->label);
    }
    if (opts->payload_out != NULL && e->payload.len == 0) {
        return err_set(err, E_EVIDENCE, "--payload-out: %s", e->payload_why);
    }
    return true;
}

bool cmd_key_evidence(struct cli *cli, struct err *err)
{
    const struct opts_key_evidence *opts = cli->opts;
    AUTO(app_evidence) struct app_evidence evidence;
    struct app_evidence_request request = {.key_uri = cli->operands[0],
                                           .attestation_path = opts->attestation,
                                           .need_attestation = opts->require_attestation,
                                           .policy = opts->policy};

    app_evidence_init(&evidence);
    if (!are_free(opts, err) || !cli_app(cli, err) ||
        !app_evidence_collect(&cli->app, &request, &evidence, err) ||
        !is_complete(opts, &evidence, err)) {
        return false;
    }
    if (!write_part(opts->attestation_out, &evidence.attestation, err) ||
        !write_part(opts->payload_out, &evidence.payload, err) ||
        !write_part(opts->out_path, &evidence.document, err)) {
        return false;
    }
    if (opts->out_path == NULL) {
        out_block(&cli->out, "evidence", buf_str(&evidence.document));
        return true;
    }
    print_evidence(cli, &evidence);
    out_text(&cli->out, "evidence_file", "Evidence", opts->out_path);
    out_text(&cli->out, "attestation_file", "Attestation", opts->attestation_out);
    out_text(&cli->out, "payload_file", "For Sectigo", opts->payload_out);
    return true;
}

static const struct out_column check_columns[] = {
    {"check", NULL, 0, false},
    {"title", "CHECK", 26, false},
    {"result", "RESULT", 11, false},
    {"detail", "DETAIL", 0, false},
};

static const char *result_name(enum app_check_result result)
{
    switch (result) {
    case APP_CHECK_OK:
        return "ok";
    case APP_CHECK_FAILED:
        return "failed";
    case APP_CHECK_NOT:
        return "not checked";
    }
    return "failed";
}

static void print_verdict(struct cli *cli, const struct app_evidence_verdict *v)
{
    struct out *out = &cli->out;

    out_text(out, "label", "Key", v->label);
    out_text(out, "type", "Type", v->key_type);
    out_text(out, "token", "Token", v->token);
    out_text(out, "created", "Collected", v->created);
    out_text(out, "public_key_sha256", "Public key SHA-256", v->public_key_sha256);
    out_text(out, "statement_sha256", "Statement SHA-256",
             v->statement_sha256[0] != '\0' ? v->statement_sha256 : NULL);
    out_table(out, "checks", check_columns, ARRAY_LEN(check_columns), NULL);
    for (size_t i = 0; i < v->count; i++) {
        const struct app_evidence_check *check = &v->checks[i];
        const char *cells[] = {check->name, check->title, result_name(check->result),
                               check->detail};
        out_row(out, cells);
    }
    out_table_end(out);
    out_text(out, "verdict", "Verdict",
             v->failed > 0      ? "failed"
             : v->unchecked > 0 ? "ok, as far as it was checked"
                                : "ok");
}

bool cmd_evidence_verify(struct cli *cli, struct err *err)
{
    const struct opts_evidence_verify *opts = cli->opts;
    struct app_evidence_files files = {.evidence = cli->operands[0],
                                       .roots = opts->roots,
                                       .device = opts->device,
                                       .csr = opts->csr,
                                       .cert = opts->cert};
    struct app_evidence_verdict verdict;

    if (!app_evidence_verify(&files, clock_wall_s(&cli->clock), &verdict, err)) {
        return false;
    }
    print_verdict(cli, &verdict);
    return verdict.failed == 0 || err_set(err, E_EVIDENCE, "%s: %zu of %zu checks failed",
                                          files.evidence, verdict.failed, verdict.count);
}
