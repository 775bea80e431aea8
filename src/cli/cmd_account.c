/* ACME accounts at the CA: "account acme ACTION". */
#include "cli/account.h"
#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* What an action works with. */
struct acme {
    struct cli *cli;
    const struct opts_account_acme *opts;
    struct app_ca connection;
    int64_t id;         /* the account; 0: the action has none */
    const char **words; /* the operands behind action and account */
    size_t count;
};

static const struct out_column account_columns[] = {
    {"account", "ACCOUNT", 8, true},         {"name", "NAME", 28, false},
    {"status", "STATUS", 10, false},         {"server", "SERVER", 28, false},
    {"validation", "VALIDATION", 10, false}, {"organization", "ORGANIZATION", 12, true},
    {"mac_id", "KEY ID", 0, false},
};

static bool print_account_row(void *ctx, const struct ca_acme_account *account,
                              struct err *err UNUSED)
{
    struct acme *acme = ctx;
    char id[24];
    char org[24];

    (void)snprintf(id, sizeof(id), "%lld", (long long)account->id);
    (void)snprintf(org, sizeof(org), "%lld", (long long)account->org_id);
    const char *cells[] = {id,
                           account->name,
                           account->status,
                           account->server,
                           account->validation,
                           account->org_id != 0 ? org : NULL,
                           account->mac_id};
    out_row(&acme->cli->out, cells);
    return true;
}

static bool list(struct acme *acme, struct err *err)
{
    struct ca_acme_filter filter = {.name = acme->opts->name,
                                    .server = acme->opts->server,
                                    .validation = acme->opts->validation,
                                    .org_id = config_org_id(&acme->cli->selection)};

    out_table(&acme->cli->out, "accounts", account_columns, ARRAY_LEN(account_columns),
              "There is no such ACME account.");
    if (!ca_acme_list(acme->connection.ca, &filter, print_account_row, acme, err)) {
        return false;
    }
    out_table_end(&acme->cli->out);
    return true;
}

static bool print_account(struct acme *acme, struct err *err)
{
    AUTO(ca_acme_account) struct ca_acme_account account = {.id = 0};
    struct out *out = &acme->cli->out;

    if (!ca_acme_account(acme->connection.ca, acme->id, &account, err)) {
        return false;
    }
    out_number(out, "account", "Account", account.id);
    out_text(out, "name", "Name", account.name);
    out_text(out, "status", "Status", account.status);
    out_text(out, "server", "ACME server", account.server);
    out_text(out, "validation", "Validation", account.validation);
    out_number(out, "organization", "Organization", account.org_id);
    out_text(out, "mac_id", "Key identifier (EAB)", account.mac_id);
    if (acme->opts->show_secret) {
        out_text(out, "mac_key", "HMAC key (EAB)", secret_expose(&account.mac_key));
    }
    return cli_eab_write(acme->cli, acme->opts, &account, err);
}

static bool create(struct acme *acme, struct err *err)
{
    struct ca_acme_wish wish = {.name = acme->words[0],
                                .server = acme->opts->server,
                                .validation = acme->opts->validation,
                                .validation_id = acme->opts->validation_id,
                                .org_id = config_org_id(&acme->cli->selection)};

    if (wish.server == NULL) {
        return err_set(err, E_USAGE,
                       "--server is missing: the ACME server by the name that the CA "
                       "account has for it");
    }
    return ca_acme_create(acme->connection.ca, &wish, &acme->id, err) == CA_MADE &&
           (print_account(acme, err) ||
            err_wrap(err, "ACME account %lld is made ('account acme show'), but",
                     (long long)acme->id));
}

static bool rename_it(struct acme *acme, struct err *err)
{
    return ca_acme_rename(acme->connection.ca, acme->id, acme->words[0], err) &&
           print_account(acme, err);
}

static bool delete_it(struct acme *acme, struct err *err)
{
    if (!acme->opts->yes) {
        return print_account(acme, err) &&
               err_set(err, E_USAGE,
                       "nothing was deleted: no client can order with this account afterwards; "
                       "with --yes it is deleted");
    }
    if (!ca_acme_delete(acme->connection.ca, acme->id, err)) {
        return false;
    }
    out_number(&acme->cli->out, "account", "Account", acme->id);
    out_bool(&acme->cli->out, "deleted", "Deleted", true);
    return true;
}

static const struct out_column domain_columns[] = {
    {"domain", "DOMAIN", 40, false},
    {"valid_until", "VALID UNTIL", 24, false},
    {"sticky_until", "STICKY UNTIL", 0, false},
};

static const char *or_none(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static bool print_domain(void *ctx, const struct ca_acme_domain *domain, struct err *err UNUSED)
{
    struct acme *acme = ctx;
    const char *cells[] = {domain->name, or_none(domain->valid_until),
                           or_none(domain->sticky_until)};

    out_row(&acme->cli->out, cells);
    return true;
}

static bool domains(struct acme *acme, struct err *err)
{
    out_table(&acme->cli->out, "domains", domain_columns, ARRAY_LEN(domain_columns),
              "The account has no domain.");
    if (!ca_acme_domains(acme->connection.ca, acme->id, print_domain, acme, err)) {
        return false;
    }
    out_table_end(&acme->cli->out);
    return true;
}

static bool change_domains(struct acme *acme, bool add, struct err *err)
{
    AUTO(buf) struct buf left = BUF_INIT(64 * 1024);

    return ca_acme_change_domains(acme->connection.ca, acme->id, add, acme->words, acme->count,
                                  &left, err) &&
           domains(acme, err);
}

static bool add_domains(struct acme *acme, struct err *err)
{
    return change_domains(acme, true, err);
}

static bool remove_domains(struct acme *acme, struct err *err)
{
    return change_domains(acme, false, err);
}

static const struct out_column client_columns[] = {
    {"client", "CLIENT", 14, false},           {"status", "STATUS", 12, false},
    {"last_activity", "LAST SEEN", 26, false}, {"address", "ADDRESS", 16, false},
    {"contacts", "CONTACTS", 28, false},       {"user_agent", "PROGRAM", 0, false},
};

static bool print_client(void *ctx, const struct ca_acme_client *client, struct err *err UNUSED)
{
    struct acme *acme = ctx;
    const char *cells[] = {
        or_none(client->id),      or_none(client->status),   or_none(client->last_activity),
        or_none(client->address), or_none(client->contacts), or_none(client->user_agent)};

    out_row(&acme->cli->out, cells);
    return true;
}

static bool clients(struct acme *acme, struct err *err)
{
    out_table(&acme->cli->out, "clients", client_columns, ARRAY_LEN(client_columns),
              "No client has registered with this account.");
    if (!ca_acme_clients(acme->connection.ca, acme->id, print_client, acme, err)) {
        return false;
    }
    out_table_end(&acme->cli->out);
    return true;
}

static bool deactivate(struct acme *acme, struct err *err)
{
    if (!acme->opts->yes) {
        return err_set(err, E_USAGE,
                       "nothing was changed: the client '%.60s' could not order any more; with "
                       "--yes it is deactivated",
                       acme->words[0]);
    }
    if (!ca_acme_deactivate(acme->connection.ca, acme->id, acme->words[0], err)) {
        return false;
    }
    out_text(&acme->cli->out, "client", "Client", acme->words[0]);
    out_bool(&acme->cli->out, "deactivated", "Deactivated", true);
    return true;
}

enum { MANY = 1000 };

/* The actions; words are what stands behind the account's number. */
static const struct action {
    const char *name;
    bool account; /* its number is the first operand */
    size_t words_min, words_max;
    const char *wanted;
    bool (*run)(struct acme *acme, struct err *err);
} actions[] = {
    {"list", false, 0, 0, "", list},
    {"create", false, 1, 1, "NAME", create},
    {"show", true, 0, 0, "ACCOUNT", print_account},
    {"rename", true, 1, 1, "ACCOUNT NAME", rename_it},
    {"delete", true, 0, 0, "ACCOUNT", delete_it},
    {"domains", true, 0, 0, "ACCOUNT", domains},
    {"add-domains", true, 1, MANY, "ACCOUNT DOMAIN ...", add_domains},
    {"remove-domains", true, 1, MANY, "ACCOUNT DOMAIN ...", remove_domains},
    {"clients", true, 0, 0, "ACCOUNT", clients},
    {"deactivate", true, 1, 1, "ACCOUNT CLIENT", deactivate},
};

static const struct action *find_action(const char *name, struct err *err)
{
    AUTO(buf) struct buf there = BUF_INIT(512);

    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (str_equal(actions[i].name, name)) {
            return &actions[i];
        }
        buf_addf(&there, "%s%s", i > 0 ? ", " : "", actions[i].name);
    }
    (void)err_set(err, E_USAGE, "'%.40s' is none of: %s", name, buf_str(&there));
    return NULL;
}

static bool read_operands(struct cli *cli, const struct action *action, struct acme *acme,
                          struct err *err)
{
    size_t used = action->account ? 2 : 1;
    uint64_t id = 0;

    if (cli->operand_count < used + action->words_min ||
        cli->operand_count > used + action->words_max) {
        return err_set(err, E_USAGE, "account acme %s takes %s", action->name,
                       action->wanted[0] != '\0' ? action->wanted : "nothing more");
    }
    if (action->account) {
        if (!str_to_u64(cli->operands[1], INT64_MAX, &id) || id == 0) {
            return err_set(err, E_USAGE, "'%.40s' is not the number of an ACME account",
                           cli->operands[1]);
        }
        acme->id = (int64_t)id;
    }
    acme->words = cli->operands + used;
    acme->count = cli->operand_count - used;
    return true;
}

bool cmd_account_acme(struct cli *cli, struct err *err)
{
    struct acme acme = {.cli = cli, .opts = cli->opts};
    const struct action *action = find_action(cli->operands[0], err);

    if (action == NULL || !read_operands(cli, action, &acme, err) ||
        !cli_eab_check(cli, acme.opts, action->run == print_account || action->run == create,
                       err) ||
        !cli_app(cli, err) || !app_ca_open(&cli->app, &acme.connection, err)) {
        return false;
    }
    bool ok = action->run(&acme, err);
    app_ca_close(&acme.connection);
    return ok || err_wrap(err, "CA '%s'", cli->selection.ca->name);
}
