/* Inside the cli folder: what the files with commands about keys share. */
#ifndef CLI_KEY_H
#define CLI_KEY_H

#include "cli/token.h"
#include "hsm/family.h"

/* Opens the token and finds the key that the command's operand means, with all that belongs to it.
 */
bool cli_family(struct cli *cli, struct hsm_opened *opened, struct hsm_session *session,
                struct hsm_family *family, struct err *err) NODISCARD;

/* The URI that names the key; appended. */
bool cli_key_uri(const struct hsm_key *key, struct buf *out, struct err *err) NODISCARD;

/* Writes a file of a key where there is none: what stands in its place may be a real private key.
 * E_OBJECT_EXISTS. */
bool cli_write_new(const char *path, const char *text, struct err *err) NODISCARD;

/* Fields that commands about one key have in common. */
bool cli_print_key(struct cli *cli, const struct hsm_key *key, struct err *err) NODISCARD;
bool cli_print_certificates(struct cli *cli, const struct hsm_certs *certs, const char *when_none,
                            struct err *err) NODISCARD;

#endif
