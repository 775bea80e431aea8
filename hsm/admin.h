/*
 * Administration of tokens: initialising them, and their PINs (through libp11, hsm/admin_slot.h).
 * All this is done while nobody in the process has a session.
 */
#ifndef HSM_ADMIN_H
#define HSM_ADMIN_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"
#include "hsm/identity.h"
#include "hsm/session.h"
#include "hsm/slot.h"

#include <stdbool.h>

/*
 * Initialises the token that the URI means: sets label and SO PIN, then the user PIN. Everything on
 * it is destroyed, so a token that is initialised already is refused unless erase is set. Without
 * token attributes in the URI the first token that is not initialised is taken. Refused when the
 * label is in use on this module, and when the token to erase is another one than its section was
 * used with: no PIN is sent to it then. Where an earlier run erased the token and did not come to
 * its end, what is left is done, and nothing erased: *earlier_s tells when that was (0: there was
 * none). E_OBJECT_EXISTS, E_TOKEN_MISSING, E_PIN_WRONG (SO PIN of an
 * initialised token), E_PIN_LOCKED, E_TOKEN.
 */
struct hsm_token_init {
    const char *label;
    const struct secret *so_pin;
    const struct secret *user_pin;
    bool erase;
    const char *so_source;             /* where the SO PIN came from, for messages and the memory */
    bool try_again;                    /* the SO PIN, although it was wrong before */
    const struct hsm_section *section; /* that names the token to erase; NULL: none does */
};
bool hsm_token_initialise(const struct hsm_target *target, const struct hsm_token_init *init,
                          struct hsm_token **out, int64_t *earlier_s, struct err *err) NODISCARD;

enum hsm_pin_work_kind {
    HSM_PIN_CHANGE,    /* the user changes the user PIN */
    HSM_PIN_SET,       /* the security officer sets it: the first one, or instead of a locked one */
    HSM_PIN_CHANGE_SO, /* the security officer changes the own one */
};

struct hsm_pin_work {
    enum hsm_pin_work_kind kind;
    const struct hsm_pin *how;    /* where the present PIN comes from */
    const struct secret *present; /* of the user for HSM_PIN_CHANGE, else of the security officer */
    const struct secret *fresh;
};

/*
 * Whether the token may be sent the present PIN: by its flags, and by what became of the last one
 * (hsm/pin_memory.h). To be asked before a person is. The SO PIN is never sent unattended, and
 * never on its final try. E_PIN_LOCKED, E_PIN_NEEDED, E_TOKEN.
 */
bool hsm_pin_work_ready(struct hsm_token *token, enum hsm_pin_work_kind kind,
                        const struct hsm_pin *how, struct err *err) NODISCARD;

/* Whether the new PIN is as long as the token wants it. E_USAGE. */
bool hsm_pin_check_length(const struct hsm_token *token, const struct secret *pin, bool of_so,
                          struct err *err) NODISCARD;

/*
 * Sets a PIN and logs in with it, in a session of its own, to see that it is in force. Nobody in
 * the process may have a session. E_PIN_WRONG (of the present PIN, which counts), E_PIN_LOCKED,
 * E_TOKEN.
 */
bool hsm_pin_do(struct hsm_token *token, const struct hsm_pin_work *work,
                struct err *err) NODISCARD;

#endif
