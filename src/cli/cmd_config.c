#include "cli/cli.h"

#include "version.h"

#include <openssl/crypto.h>
#include <stdio.h>

static const struct out_column key_columns[] = {
    {"section", "SECTION", 9, false}, {"key", "KEY", 24, false},
    {"option", "OPTION", 26, false},  {"default", "DEFAULT", 26, false},
    {"help", "MEANING", 0, false},
};

static const char *section_word(enum config_section section)
{
    switch (section) {
    case CONFIG_GENERAL:
        return "p11enroll";
    case CONFIG_CA:
        return "ca";
    case CONFIG_TOKEN:
        return "token";
    case CONFIG_PROFILE:
        return "profile";
    case CONFIG_POLICY:
        return "policy";
    case CONFIG_SECTIONS:
        break;
    }
    return "";
}

bool cmd_config_keys(struct cli *cli, struct err *err UNUSED)
{
    const struct config_key *key;
    char option[64];

    out_table(&cli->out, "settings", key_columns, ARRAY_LEN(key_columns), NULL);
    for (size_t i = 0; (key = config_key_at(i)) != NULL; i++) {
        (void)snprintf(option, sizeof(option), "--%s", key->option != NULL ? key->option : "");
        const char *cells[] = {section_word(key->section), key->name,
                               key->option != NULL ? option : NULL, key->preset, key->help};
        out_row(&cli->out, cells);
    }
    out_table_end(&cli->out);
    return true;
}

bool cmd_version(struct cli *cli, struct err *err UNUSED)
{
    out_text(&cli->out, "version", "p11enroll", P11ENROLL_VERSION);
    out_text(&cli->out, "openssl", "OpenSSL", OpenSSL_version(OPENSSL_VERSION));
    return true;
}
