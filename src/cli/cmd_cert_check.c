#include "base/str.h"
#include "cli/token.h"
#include "hsm/cert_check.h"
#include "x509/x509.h"

#include <stdio.h>

enum { DAY_S = 24 * 60 * 60, SOON_DAYS = 30 };

static const struct out_column columns[] = {
    {"problem", "PROBLEM", 24, false}, {"object", "OBJECT", 12, false},
    {"label", "LABEL", 28, false},     {"fixed", "FIXED", 6, false},
    {"text", "WHAT", 0, false},        {"id", NULL, 0, false},
    {"key_label", NULL, 0, false},
};

static const char *class_word(CK_OBJECT_CLASS class)
{
    return class == CKO_PRIVATE_KEY  ? "private key"
           : class == CKO_PUBLIC_KEY ? "public key"
                                     : "certificate";
}

static bool print(void *ctx, const struct hsm_finding *finding)
{
    struct cli *cli = ctx;
    AUTO(buf) struct buf id = BUF_INIT(2 * HSM_ID_MAX);
    AUTO(buf) struct buf text = BUF_INIT(4096);

    str_add_hex(&id, finding->id->data, finding->id->len, '\0');
    buf_add_str(&text, hsm_finding_sentence(finding->kind));
    if (finding->fix_failed != NULL) {
        buf_addf(&text, " (not mended: %s)", finding->fix_failed);
    }
    const char *cells[] = {hsm_finding_name(finding->kind),
                           class_word(finding->class),
                           finding->label,
                           finding->fixed ? "yes" : "no",
                           buf_str(&text),
                           buf_str(&id),
                           finding->key_label};
    out_row(&cli->out, cells);
    return true;
}

static bool read_soon(const struct opts_cert_check *opts, int64_t *out, struct err *err)
{
    *out = (int64_t)SOON_DAYS * DAY_S;
    return opts->soon == NULL || str_to_seconds(opts->soon, out) ||
           err_set(err, E_USAGE, "--soon: '%.40s' is not a span of time like 12h or 30d",
                   opts->soon);
}

bool cmd_cert_check(struct cli *cli, struct err *err)
{
    const struct opts_cert_check *opts = cli->opts;
    const struct config_profile *profile = cli->selection.profile;
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(x509_stack) STACK_OF(X509) *roots = NULL;
    struct hsm_check check = {.now_s = clock_wall_s(&cli->clock),
                              .chains = str_equal(profile->chain, "token") &&
                                        cli->selection.token->certificates == CONFIG_CERTS_TOKEN,
                              .fix = opts->fix,
                              .visit = print,
                              .ctx = cli};
    struct hsm_check_report report;

    if (!read_soon(opts, &check.soon_s, err) ||
        (profile->issuer_roots != NULL && !x509_bundle_read(profile->issuer_roots, &roots, err)) ||
        !cli_token_open(cli, NULL, true, &opened, err)) {
        return false;
    }
    check.roots = roots;
    out_text(&cli->out, "token", NULL, opened.token->info.label);
    out_table(&cli->out, "findings", columns, ARRAY_LEN(columns),
              "Keys and certificates fit together.");
    if (!hsm_cert_check(opened.token, &check, &report, err)) {
        return false;
    }
    out_table_end(&cli->out);
    out_number(&cli->out, "keys", "Keys", (int64_t)report.keys);
    out_number(&cli->out, "certificates", "Certificates", (int64_t)report.certificates);
    size_t left = report.findings - report.fixed;
    return left == 0 || err_set(err, E_POLICY, "%zu thing%s not as %s should be on %s", left,
                                left == 1 ? " is" : "s are", left == 1 ? "it" : "they",
                                hsm_token_name(&opened.token->info));
}
