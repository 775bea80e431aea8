/*
 * Going on after sessions and handles have ended: a forked child, a token's server that was
 * restarted, a card that was pulled and put back, somebody who finalised or logged out.
 *
 * A failed call is noted: its return value says what of the token's state is gone. The next session
 * that anybody takes brings it back: C_Initialize in a child, C_Finalize and C_Initialize for a
 * module of ours whose connection is dead. Logins and keys come back where they are needed
 * (hsm/op.c). Nothing here logs in, and nothing is tried more than once.
 */
#ifndef HSM_REVIVE_H
#define HSM_REVIVE_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/slot.h"

#include <stdbool.h>

/*
 * Makes the module usable again, if it is not. Two loads of atomic variables when all is well;
 * otherwise it blocks for the module's lock, for calls of other threads to end and for
 * C_Initialize. E_TOKEN: somebody else initialised the module, so only he may end it, or calls of
 * other threads do not end; E_TOKEN_MISSING: the token did not come back; E_MODULE, E_TOKEN_BUSY.
 */
bool hsm_token_revive(struct hsm_token *token, struct err *err) NODISCARD;

/* False in a forked child that has not used the module yet, and while it is lost. */
bool hsm_token_is_live(const struct hsm_token *token);

/* True if something of the token's has ended since its sessions had that number, so that what
 * failed meanwhile may be tried again. */
bool hsm_token_has_changed(struct hsm_token *token, unsigned epoch);

/* The number of the handles that are current; see struct hsm_token. */
unsigned hsm_token_objects_epoch(const struct hsm_token *token);

/* The number of the token's current sessions, to be handed to hsm_token_note() after a call. */
unsigned hsm_token_sessions_epoch(const struct hsm_token *token);

/*
 * Takes a note of a failed call. `epoch` is that of the session which it was made in; where the
 * token has a newer one, somebody has noted that already. True if trying again is sensible: the
 * return value speaks of something that ended, not of the work that was asked for.
 */
bool hsm_token_note(struct hsm_token *token, unsigned epoch, CK_RV rv);

#endif
