/*
 * Where a secret comes from, as one line of configuration:
 *
 *     file:/etc/p11enroll/pin    a private file (also: an absolute path alone); one final newline
 * is dropped fd:3                       an open descriptor, read to its end credential:token-pin a
 * systemd credential ($CREDENTIALS_DIRECTORY) prompt                     asked on the terminal
 *     env:NAME                   an environment variable, only where the configuration allows it
 *
 * There is no form that runs a command, and none that carries the secret itself.
 */
#ifndef BASE_SECRET_SOURCE_H
#define BASE_SECRET_SOURCE_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>

/* Asks a person. `what` names the secret ("PIN of token prod"); false with E_PIN_NEEDED if nobody
 * is there. */
typedef bool secret_prompt_fn(void *ctx, const char *what, struct secret *out, struct err *err);

struct secret_policy {
    bool allow_env;           /* the administrator accepts that /proc and children see it */
    secret_prompt_fn *prompt; /* NULL: no terminal */
    void *prompt_ctx;
};

/* Reads the secret. May block (prompt, fd). E_PIN_NEEDED, E_CONFIG (form not understood or not
 * allowed), E_IO. */
bool secret_source_read(const char *source, const char *what, const struct secret_policy *policy,
                        struct secret *out, struct err *err) NODISCARD;

/* True if reading would ask a person. */
bool secret_source_is_prompt(const char *source);

/* Checks the form alone, without reading. E_CONFIG. */
bool secret_source_check(const char *source, struct err *err) NODISCARD;

#endif
