/* Inside the cli folder: opening the selected token, for cmd_token.c and cmd_key.c (the two that
 * see hsm). */
#ifndef CLI_TOKEN_H
#define CLI_TOKEN_H

#include "cli/cli.h"
#include "hsm/access.h"

struct hsm_access cli_access(const struct cli *cli);
bool cli_token_open(const struct cli *cli, const char *uri, bool login, struct hsm_opened *out,
                    struct err *err) NODISCARD;

/* The configured token, opened and logged in to for a purpose. */
bool cli_token_open_to(const struct cli *cli, enum hsm_purpose purpose, struct hsm_opened *out,
                       struct err *err) NODISCARD;

struct hsm_module;

/* A URI that names the token; the module that it is in, with labels for people or without. */
bool cli_token_uri_text(const struct hsm_token_info *info, struct buf *out,
                        struct err *err) NODISCARD;
void cli_show_module(struct cli *cli, const struct hsm_module *module, bool labels);

/* The state of the user's PIN in a few words. */
const char *cli_pin_state(const struct hsm_token_info *info);

/*
 * A new PIN from a source (NULL: the terminal, where it is asked for twice, because nobody sees
 * what is typed). `option` is what names the source, for the error where there is none. The present
 * one is asked for once.
 */
bool cli_new_pin(struct cli *cli, const char *source, const char *option, const char *what,
                 struct secret *out, struct err *err) NODISCARD;
bool cli_present_pin(struct cli *cli, const char *source, const char *option, const char *what,
                     struct secret *out, struct err *err) NODISCARD;

#endif
