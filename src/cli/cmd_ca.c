#include "cli/cli.h"

#include <stdio.h>

static const struct out_column product_columns[] = {
    {"id", "ID", 8, true},
    {"name", "NAME", 32, false},
    {"terms", "TERMS (DAYS)", 14, false},
    {"key_types", "KEYS", 0, false},
    {"description", NULL, 0, false},
};

static void print_product(struct cli *cli, const struct ca_product *product)
{
    char id[24];
    AUTO(buf) struct buf terms = BUF_INIT(1024);
    AUTO(buf) struct buf keys = BUF_INIT(1024);

    (void)snprintf(id, sizeof(id), "%lld", (long long)product->id);
    for (size_t i = 0; i < product->term_count; i++) {
        buf_addf(&terms, "%s%lld", i > 0 ? "," : "", (long long)product->terms[i]);
    }
    for (size_t i = 0; i < product->key_type_count; i++) {
        buf_addf(&keys, "%s%s", i > 0 ? ", " : "", product->key_types[i]);
    }
    const char *cells[] = {id, product->name, buf_str(&terms), buf_str(&keys),
                           product->description};
    out_row(&cli->out, cells);
}

bool cmd_products(struct cli *cli, struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_products) struct ca_products products = {.list = NULL};

    if (!cli_app(cli, err) || !app_ca_open(&cli->app, &connection, err) ||
        !ca_products_of(connection.ca, (enum ca_kind)cli->selection.profile->kind, &products,
                        err)) {
        return false;
    }
    bool fixed = ca_type_has_fixed_product(cli->selection.ca->type);
    if (fixed) {
        out_bool(&cli->out, "fixed_product", "Fixed product", true);
    }
    out_table(&cli->out, "products", product_columns, ARRAY_LEN(product_columns),
              fixed ? "At this API an account has one product of its own, which it does not tell; "
                      "'product' in the "
                      "profile may be left out."
                    : "The account may order nothing.");
    for (size_t i = 0; i < products.count; i++) {
        print_product(cli, &products.list[i]);
    }
    out_table_end(&cli->out);
    return true;
}

static const struct out_column check_columns[] = {
    {"step", "STEP", 20, false},
    {"result", "RESULT", 7, false},
    {"detail", "DETAIL", 0, false},
    {"remedy", NULL, 0, false},
};

static void print_check(struct cli *cli, const struct ca_check *c)
{
    AUTO(buf) struct buf both = BUF_INIT(1024);
    bool joined = !cli->common.json && c->remedy[0] != '\0';

    /* People read one column; programs get two. */
    buf_addf(&both, "%s; %s", c->detail, c->remedy);
    const char *cells[] = {c->step,
                           c->warning ? "warning"
                           : c->ok    ? "ok"
                                      : "failed",
                           joined ? buf_str(&both) : c->detail,
                           c->remedy[0] != '\0' ? c->remedy : NULL};
    out_row(&cli->out, cells);
}

bool cmd_check(struct cli *cli, struct err *err)
{
    struct ca_checks checks;
    const struct ca_check *failed = NULL;

    if (!cli_app(cli, err)) {
        return false;
    }
    app_check(&cli->app, &checks);
    out_table(&cli->out, "checks", check_columns, ARRAY_LEN(check_columns), NULL);
    for (size_t i = 0; i < checks.count; i++) {
        const struct ca_check *c = &checks.list[i];
        print_check(cli, c);
        failed = !c->ok && failed == NULL ? c : failed;
    }
    out_table_end(&cli->out);
    return failed == NULL || err_set(err, checks.worst, "check failed at '%s'", failed->step);
}
