/*
 * Which token a section of the configuration was used with: manufacturer, model, serial and label,
 * remembered at the first login in a small file of the state directory. When another token shows up
 * under the same section and URI, it is refused before a PIN is sent to it: it may be a swapped
 * card, or somebody else's token with the same label. Slot numbers are never remembered.
 */
#ifndef HSM_IDENTITY_H
#define HSM_IDENTITY_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/slot.h"

#include <stdbool.h>

/* What a token is remembered under. Borrowed; the URI may be NULL. */
struct hsm_section {
    const char *name; /* of [token:NAME] */
    const char *uri;  /* that the section names: another one means another token */
};

struct hsm_identity {
    bool known;
    char label[33], manufacturer[33], model[17], serial[17];
};

/* Reads what is remembered. E_IO. */
bool hsm_identity_read(const struct hsm_section *section, struct hsm_identity *out,
                       struct err *err) NODISCARD;

/* True if it is the token that the section was used with, or if none is known; *known tells which.
 * E_TOKEN_MISSING names both. */
bool hsm_identity_check(const struct hsm_section *section, const struct hsm_token_info *info,
                        bool *known, struct err *err) NODISCARD;

/* Remembers the token from now on, instead of any other. E_IO. */
bool hsm_identity_remember(const struct hsm_section *section, const struct hsm_token_info *info,
                           struct err *err) NODISCARD;

#endif
