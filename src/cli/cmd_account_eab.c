/* The pair of an ACME account (external account binding, RFC 8555 section 7.3.4): into a file for
 * shells, or into the configuration, with its key in a file beside it. */
#include "cli/account.h"

#include "base/file.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTION_MAX = 80 };

/* "ca:NAME", as a header of the configuration has it. */
static void section_of(const struct opts_account_acme *opts, char out[static SECTION_MAX])
{
    (void)snprintf(out, SECTION_MAX, "ca:%s", opts->eab_config);
}

/* A failure because something is there says what helps. */
static bool refused(struct err *err)
{
    return err->code == E_OBJECT_EXISTS ? err_wrap(err, "--eab-config (with --yes it is replaced)")
                                        : err_wrap(err, "--eab-config");
}

/* The directory of the configuration, without links. free() it. */
static char *config_directory(const struct cli *cli)
{
    AUTO(str) char *path = realpath(config_path(cli->config), NULL);
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;

    return slash == NULL ? NULL : str_ndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static bool check_config(const struct cli *cli, const struct opts_account_acme *opts,
                         struct err *err)
{
    static const struct config_change dry[] = {{"eab_kid", "x"}, {"eab_key_source", "file:/x"}};
    char section[SECTION_MAX];

    section_of(opts, section);
    if (!config_change_file(cli->config, section, dry, ARRAY_LEN(dry), opts->yes, true, err)) {
        return refused(err);
    }
    AUTO(str) char *dir = config_directory(cli);
    return (dir != NULL && access(dir, W_OK) == 0) ||
           err_set(err, E_IO, "--eab-config: files in %s cannot be written",
                   dir != NULL ? dir : "the configuration's directory");
}

bool cli_eab_check(struct cli *cli, const struct opts_account_acme *opts, bool shows,
                   struct err *err)
{
    if (opts->eab_out == NULL && opts->eab_config == NULL) {
        return true;
    }
    if (!shows) {
        return err_set(err, E_USAGE, "the pair is written by 'create' and 'show'");
    }
    if (opts->eab_out != NULL && file_exists(opts->eab_out)) {
        return err_set(err, E_OBJECT_EXISTS, "--eab-out: %s is there already", opts->eab_out);
    }
    return cli_check_results(opts->eab_out, NULL, err) &&
           (opts->eab_config == NULL || check_config(cli, opts, err));
}

/* The CA writes both as base64url or something like it; nothing else goes into a file. */
static bool check_pair(const struct ca_acme_account *account, struct err *err)
{
    long long id = (long long)account->id;

    if (account->mac_id == NULL || !secret_is_set(&account->mac_key)) {
        return err_set(err, E_PROTOCOL, "the CA does not show the pair of ACME account %lld", id);
    }
    bool plain = str_is_printable((const uint8_t *)account->mac_id, strlen(account->mac_id)) &&
                 str_is_printable(account->mac_key.data, account->mac_key.len) &&
                 strpbrk(account->mac_id, "' ") == NULL &&
                 strpbrk(secret_expose(&account->mac_key), "' ") == NULL;
    return plain || err_set(err, E_PROTOCOL,
                            "the pair of ACME account %lld has characters that no key has", id);
}

/* For shells, and for the owner of the file alone. */
static bool write_file(const char *path, const struct ca_acme_account *account, struct err *err)
{
    AUTO(secret) struct secret text = SECRET_INIT;
    AUTO(buf) struct buf head = BUF_INIT(4096);

    buf_addf(&head, "# ACME account %lld: external account binding (RFC 8555, 7.3.4)\n",
             (long long)account->id);
    buf_addf(&head, "EAB_KID='%s'\nEAB_HMAC_KEY='", account->mac_id);
    if (!buf_ok(&head)) {
        return err_set(err, E_PROTOCOL, "the key identifier is too long");
    }
    return secret_set(&text, buf_str(&head), head.len, err) &&
           secret_append(&text, account->mac_key.data, account->mac_key.len, err) &&
           secret_append(&text, "'\n", 2, err) &&
           file_write_atomic(path, text.data, text.len, 0600, err);
}

/* Each account has a file of its own: with another one, the identifier and its key change in one
 * moment, that of the configuration. */
static char *key_path(const struct cli *cli, const char *section,
                      const struct ca_acme_account *account)
{
    AUTO(str) char *dir = config_directory(cli);
    char name[SECTION_MAX + 40];

    (void)snprintf(name, sizeof(name), "%s-%lld.eab-key", section + strlen("ca:"),
                   (long long)account->id);
    for (char *p = name; *p != '\0'; p++) {
        *p = *p == '/' ? '_' : *p;
    }
    return dir != NULL ? file_join(dir, name) : NULL;
}

static bool write_key(const char *path, const struct ca_acme_account *account, bool replace,
                      struct err *err)
{
    AUTO(secret) struct secret text = SECRET_INIT;

    if (!replace && file_exists(path)) {
        return err_set(err, E_OBJECT_EXISTS, "%s is there already", path);
    }
    return secret_copy(&text, &account->mac_key, err) && secret_append(&text, "\n", 1, err) &&
           file_write_atomic(path, text.data, text.len, 0600, err);
}

static bool write_config(struct cli *cli, const struct opts_account_acme *opts,
                         const struct ca_acme_account *account, struct err *err)
{
    char section[SECTION_MAX];
    AUTO(str) char *source = NULL;

    section_of(opts, section);
    AUTO(str) char *path = key_path(cli, section, account);
    if (path == NULL || asprintf(&source, "file:%s", path) < 0) {
        source = NULL;
        return err_nomem(err);
    }
    struct config_change changes[] = {{"eab_kid", account->mac_id}, {"eab_key_source", source}};
    bool was_there = file_exists(path);
    if (!write_key(path, account, opts->yes, err)) {
        return refused(err);
    }
    if (!config_change_file(cli->config, section, changes, ARRAY_LEN(changes), opts->yes, false,
                            err)) {
        if (!was_there) {
            (void)unlink(path);
        }
        return refused(err);
    }
    out_text(&cli->out, "eab_section", "Pair written to section", section);
    out_text(&cli->out, "eab_key_file", "Its key written to", path);
    return true;
}

bool cli_eab_write(struct cli *cli, const struct opts_account_acme *opts,
                   const struct ca_acme_account *account, struct err *err)
{
    if (opts->eab_out == NULL && opts->eab_config == NULL) {
        out_text(&cli->out, "eab_file", "Pair written to", NULL);
        return true;
    }
    if (!check_pair(account, err) ||
        (opts->eab_out != NULL && !write_file(opts->eab_out, account, err))) {
        return err_wrap(err, "the pair is not written");
    }
    out_text(&cli->out, "eab_file", "Pair written to", opts->eab_out);
    return opts->eab_config == NULL || write_config(cli, opts, account, err) ||
           err_wrap(err, "the pair is not written into the configuration");
}
