/* The inventory that is kept: sync, find, match. */
#include "base/str.h"
#include "cli/cli.h"
#include "x509/x509.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

bool cli_read_source(const char *text, enum ca_source preset, enum ca_source *out, struct err *err)
{
    static const char *const words[] = {
        [CA_SOURCE_LIST] = "list", [CA_SOURCE_REPORT] = "report", [CA_SOURCE_AUTO] = "auto"};

    *out = preset;
    for (size_t i = 0; text != NULL && i < ARRAY_LEN(words); i++) {
        if (str_equal(text, words[i])) {
            *out = (enum ca_source)i;
            return true;
        }
    }
    return text == NULL ||
           err_set(err, E_USAGE, "--source: '%.40s' is none of: list, report, auto", text);
}

bool cmd_inventory_sync(struct cli *cli, struct err *err)
{
    const struct opts_inventory_sync *opts = cli->opts;
    struct app_sync request = {.details = opts->details, .certificates = opts->certificates};
    struct app_synced synced;
    struct out *out = &cli->out;

    if (!cli_read_kind(opts->kind, (enum ca_kind)cli->selection.profile->kind, &request.kind,
                       err) ||
        !cli_read_source(opts->source, CA_SOURCE_AUTO, &request.source, err) ||
        !cli_journal(cli, NULL, err) || !cli_app(cli, err) ||
        !app_inventory_sync(&cli->app, &request, &synced, err)) {
        return false;
    }
    out_text(out, "ca", "CA", cli->selection.ca->name);
    out_text(out, "kind", "Kind", ca_kind_name(request.kind));
    out_text(out, "source", "Read from", synced.source);
    out_bool(out, "resumed", "Went on with an interrupted reading", synced.resumed);
    out_number(out, "certificates", "Certificates", synced.state.rows);
    out_number(out, "added", "New", synced.added);
    out_number(out, "changed", "Changed", synced.changed);
    out_number(out, "gone", "Gone since", synced.gone);
    out_number(out, "asked", "Asked for one by one", synced.asked);
    return true;
}

static const struct out_column find_columns[] = {
    {"ca_order", "CA ORDER", 10, true},
    {"status", "STATUS", 10, false},
    {"expires", "EXPIRES", 24, false},
    {"serial", "SERIAL", 47, false},
    {"common_name", "COMMON NAME", 0, false},
    {"names", NULL, 0, false},
    {"subject", NULL, 0, false},
    {"product", NULL, 0, false},
    {"issued", NULL, 0, false},
    {"requester", NULL, 0, false},
    {"comments", NULL, 0, false},
    {"gone", NULL, 0, false},
};

/* Every part of the wanted name must be in the certificate's, as far as that is known. */
struct finding {
    struct cli *cli;
    char subject[1024]; /* lower case; "": any */
};

static void lower(const char *text, char *out, size_t size)
{
    size_t i = 0;

    for (; text[i] != '\0' && i + 1 < size; i++) {
        out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
    }
    out[i] = '\0';
}

static bool subject_fits(const struct finding *finding, const char *subject)
{
    char have[1024];
    char wanted[sizeof(finding->subject)];
    char *save = NULL;

    if (subject == NULL) {
        return true;
    }
    lower(subject, have, sizeof(have));
    memcpy(wanted, finding->subject, sizeof(wanted));
    for (char *part = strtok_r(wanted, ",", &save); part != NULL;
         part = strtok_r(NULL, ",", &save)) {
        if (strstr(have, str_trim(part)) == NULL) {
            return false;
        }
    }
    return true;
}

static bool print_found(void *ctx, const struct inventory_row *row, struct err *err UNUSED)
{
    struct finding *finding = ctx;
    char id[24];
    char gone[CLOCK_TEXT_SIZE];

    if (!subject_fits(finding, row->subject)) {
        return true;
    }
    (void)snprintf(id, sizeof(id), "%lld", (long long)row->ca_id);
    if (row->gone_s != 0) {
        clock_format(row->gone_s, gone);
    }
    const char *cells[] = {id,
                           row->gone_s != 0 ? "(gone)" : row->status,
                           row->expires,
                           row->serial,
                           row->common_name,
                           row->names,
                           row->subject,
                           row->product,
                           row->issued,
                           row->requester,
                           row->comments,
                           row->gone_s != 0 ? gone : NULL};
    out_row(&finding->cli->out, cells);
    return true;
}

/* The CN, by which it is looked up, and all parts, which must fit. */
static bool read_subject(const char *dn, struct finding *finding, struct buf *cn, struct err *err)
{
    AUTO(x509_name) X509_NAME *name = NULL;
    unsigned char *text = NULL;

    if (!x509_subject_parse(dn, &name, err)) {
        return err_wrap(err, "--dn");
    }
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0) {
        return err_set(err, E_USAGE, "--dn: '%.100s' has no CN, by which certificates are found",
                       dn);
    }
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (len > 0) {
        buf_add(cn, text, (size_t)len);
    }
    OPENSSL_free(text);
    lower(dn, finding->subject, sizeof(finding->subject));
    return len > 0 || err_set(err, E_USAGE, "--dn: the CN of '%.100s' is empty", dn);
}

static bool read_query(const struct opts_inventory_find *opts, struct finding *finding,
                       struct buf *serial, struct buf *cn, struct inventory_query *query,
                       struct err *err)
{
    int given = (opts->ca_order != NULL) + (opts->serial != NULL) + (opts->name != NULL) +
                (opts->dn != NULL);
    uint64_t number = 0;

    if (given != 1) {
        return err_set(err, E_USAGE,
                       "say what to look for, one way: --ca-order, --serial, --name or --dn");
    }
    query->name = opts->name;
    if (opts->ca_order != NULL) {
        if (!str_to_u64(opts->ca_order, INT64_MAX, &number) || number == 0) {
            return err_set(err, E_USAGE, "--ca-order: '%.40s' is not a number", opts->ca_order);
        }
        query->ca_id = (int64_t)number;
    }
    if (opts->serial != NULL) {
        if (!ca_serial_text(opts->serial, serial)) {
            return err_set(err, E_USAGE, "--serial: '%.80s' is no serial number", opts->serial);
        }
        query->serial = buf_str(serial);
    }
    if (opts->dn != NULL) {
        if (!read_subject(opts->dn, finding, cn, err)) {
            return false;
        }
        query->common_name = buf_str(cn);
    }
    return true;
}

bool cmd_inventory_find(struct cli *cli, struct err *err)
{
    const struct opts_inventory_find *opts = cli->opts;
    AUTO(buf) struct buf serial = BUF_INIT(CA_SERIAL_TEXT_MAX);
    AUTO(buf) struct buf cn = BUF_INIT(1024);
    struct inventory_query query = {.ca_id = 0};
    struct finding finding = {.cli = cli};
    struct app_find request = {.live = opts->live, .query = &query};

    if (!cli_read_kind(opts->kind, (enum ca_kind)cli->selection.profile->kind, &request.kind,
                       err) ||
        !read_query(opts, &finding, &serial, &cn, &query, err) || !cli_journal(cli, NULL, err) ||
        !cli_app(cli, err)) {
        return false;
    }
    out_table(&cli->out, "certificates", find_columns, ARRAY_LEN(find_columns),
              "There is no such certificate.");
    if (!app_inventory_find(&cli->app, &request, print_found, &finding, err)) {
        return false;
    }
    out_table_end(&cli->out);
    return true;
}

static const struct {
    const char *word, *sentence;
} findings[] = {
    [APP_NOT_BOUND] = {"not-bound", "issued, and not on the token"},
    [APP_BOUND_REVOKED] = {"revoked", "on the token, and revoked at the CA"},
    [APP_NOT_AT_CA] = {"not-at-ca", "on the token, and not in the CA's list"},
    [APP_GONE] = {"gone", "ours, and the CA does not have it any more"},
};

static const struct out_column match_columns[] = {
    {"finding", "FINDING", 10, false}, {"ca_order", "CA ORDER", 10, true},
    {"order", "ORDER", 6, true},       {"common_name", "CERTIFICATE", 32, false},
    {"label", "LABEL", 34, false},     {"meaning", "WHAT IT MEANS", 0, false},
    {"status", NULL, 0, false},        {"serial", NULL, 0, false},
    {"uri", NULL, 0, false},           {"kind", NULL, 0, false},
};

static bool print_match(void *ctx, const struct app_match *match, struct err *err UNUSED)
{
    struct cli *cli = ctx;
    char ca_order[24];
    char order[24];

    (void)snprintf(ca_order, sizeof(ca_order), "%lld", (long long)match->ca_order);
    (void)snprintf(order, sizeof(order), "%lld", (long long)match->order);
    const char *cells[] = {findings[match->finding].word,
                           match->ca_order != 0 ? ca_order : NULL,
                           match->order != 0 ? order : NULL,
                           match->common_name,
                           match->label,
                           findings[match->finding].sentence,
                           match->status,
                           match->serial,
                           match->uri,
                           match->kind};
    out_row(&cli->out, cells);
    return true;
}

bool cmd_inventory_match(struct cli *cli, struct err *err)
{
    const struct opts_inventory_match *opts = cli->opts;
    struct app_matched matched;
    struct out *out = &cli->out;
    enum ca_kind kind = CA_KINDS;

    if (!cli_read_kind(opts->kind, CA_KINDS, &kind, err) || !cli_journal(cli, NULL, err) ||
        !cli_app(cli, err)) {
        return false;
    }
    out_table(out, "findings", match_columns, ARRAY_LEN(match_columns),
              "Everything on the token is as the CA has it.");
    if (!app_inventory_match(&cli->app, kind, print_match, cli, &matched, err)) {
        return false;
    }
    out_table_end(out);
    out_number(out, "keys", "Keys on the token", (int64_t)matched.keys);
    out_number(out, "bound", "Certificates with their key", (int64_t)matched.certs);
    out_number(out, "good", "As the CA has them", (int64_t)matched.good);
    out_time(out, "read", "The CA's list was read", matched.read_s);
    return true;
}
