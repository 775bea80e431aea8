/*
 * Logging in as the security officer, for tokens that let nobody else generate keys or write
 * certificates.
 *
 * A token has one login at a time. Changing the role closes the sessions of this process, which
 * ends the login, and logs in anew: handles from before are nobody's any more (struct hsm_token).
 * While the security officer is logged in all sessions are read/write ones, as PKCS#11 wants it.
 */
#ifndef HSM_ROLE_H
#define HSM_ROLE_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/session.h"
#include "hsm/slot.h"

#include <stdbool.h>

/* Logs the security officer in, under the rules of hsm/pin_memory.h; nobody may hold a session
 * unless that is done already. E_PIN_WRONG, E_PIN_LOCKED (the final try is never used up),
 * E_PIN_NEEDED, E_TOKEN_BUSY, E_TOKEN. */
bool hsm_login_as_so(struct hsm_token *token, const struct hsm_pin *pin, struct err *err) NODISCARD;

/* Ends the login of the security officer, if it is that; hsm_login() does it by itself. E_TOKEN:
 * somebody in this process is in the middle of something. */
bool hsm_leave_so(struct hsm_token *token, struct err *err) NODISCARD;

/* Whether the security officer is logged in: then private keys are not used. */
bool hsm_is_so(struct hsm_token *token);

/* Whether the token's flags allow the security officer's PIN to be sent. E_PIN_LOCKED. */
bool hsm_so_may_try(const struct hsm_token_info *info, struct err *err) NODISCARD;

#endif
