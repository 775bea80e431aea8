/* Inside cli: where the pair of an ACME account goes; cmd_account_eab.c. */
#ifndef CLI_ACCOUNT_H
#define CLI_ACCOUNT_H

#include "cli/cli.h"

/* Before anything is made: whether the pair may be written where it is to go. shows: the command is
 * one that gets it. E_USAGE, E_CONFIG, E_OBJECT_EXISTS, E_IO. */
bool cli_eab_check(struct cli *cli, const struct opts_account_acme *opts, bool shows,
                   struct err *err) NODISCARD;

/* Writes it there, if it is to go anywhere, and prints where. */
bool cli_eab_write(struct cli *cli, const struct opts_account_acme *opts,
                   const struct ca_acme_account *account, struct err *err) NODISCARD;

#endif
