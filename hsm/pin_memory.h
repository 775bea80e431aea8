/*
 * What became of the last PIN, remembered across processes: one small private file per token and
 * role in a directory that the program names (hsm_process_configure()). A PIN that was wrong is not
 * sent again by the next run of a timer, which would lock the token.
 *
 * A PIN that is about to be sent is written down as "being tried" before, and what became of it
 * afterwards, so that a process that is killed meanwhile does not lose it. A right PIN removes the
 * file. There is never a PIN in it, nor anything that is computed from one.
 *
 * Other people's programs, in which only the provider lives, name no directory and keep no memory.
 */
#ifndef HSM_PIN_MEMORY_H
#define HSM_PIN_MEMORY_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/session.h"
#include "hsm/slot.h"

#include <stdbool.h>
#include <stdint.h>

enum hsm_pin_outcome {
    HSM_PIN_UNKNOWN, /* nothing is remembered: the last PIN was right, or there was none */
    HSM_PIN_TRYING,  /* it was about to be sent, and nobody knows what became of it */
    HSM_PIN_FAILED,
};

struct hsm_pin_record {
    enum hsm_pin_outcome outcome;
    int64_t when_s;
    char source[256]; /* "file:/etc/p11enroll/pin", "prompt"; where the PIN came from */
    char stamp[64];   /* which content a file had: inode and time of the last change; or "" */
    char code[64];    /* "CKR_PIN_INCORRECT" */
};

/* One try, between hsm_pin_try_begin() and hsm_pin_try_end(). */
struct hsm_pin_try {
    bool noted;                   /* it was written down */
    struct hsm_pin_record before; /* what was remembered then */
};

/*
 * Whether a PIN from that source may be sent to the token, as far as is remembered: after a wrong
 * one only if a person types it, if `again` is set, or if it comes from another source (or from a
 * file that was changed) that was named for this very command. E_PIN_LOCKED with when and whence
 * the last one came; E_IO for a memory that cannot be read.
 */
bool hsm_pin_memory_allows(const struct hsm_token_info *info, CK_USER_TYPE user,
                           const struct hsm_pin *pin, struct err *err) NODISCARD;

/*
 * Writes down that a PIN is about to be sent. On a disk that cannot be written an unattended PIN is
 * refused (E_IO); one that is typed or meant for this command goes without memory.
 */
bool hsm_pin_try_begin(const struct hsm_token_info *info, CK_USER_TYPE user,
                       const struct hsm_pin *pin, struct hsm_pin_try *attempt,
                       struct err *err) NODISCARD;

/* Writes down what became of it. `was_sent` is false where the call never reached the token: then
 * all is as before. */
void hsm_pin_try_end(const struct hsm_token_info *info, CK_USER_TYPE user,
                     const struct hsm_pin *pin, const struct hsm_pin_try *attempt, CK_RV rv,
                     bool was_sent);

/* The PIN was set anew: what was remembered of the old one means nothing now. */
void hsm_pin_memory_forget(const struct hsm_token_info *info, CK_USER_TYPE user);

/* Reads what is remembered; HSM_PIN_UNKNOWN where there is no memory. E_IO, E_CONFIG (not ours). */
bool hsm_pin_memory_read(const struct hsm_token_info *info, CK_USER_TYPE user,
                         struct hsm_pin_record *out, struct err *err) NODISCARD;

#endif
