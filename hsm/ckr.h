/* What a CK_RV is called, and which kind of failure it is. */
#ifndef HSM_CKR_H
#define HSM_CKR_H

#include "base/err.h"
#include "hsm/cryptoki.h"

/* "CKR_PIN_LOCKED"; for unknown and vendor codes a text like "CKR 0x80000042" in a per-thread
 * buffer. */
const char *ckr_name(CK_RV rv);

/* The err code that a return value stands for when nothing is known about the call. */
enum err_code ckr_code(CK_RV rv);

/* Sets err to "what: CKR_NAME", with ckr_code() and rv as native. The macro is false, as err_set()
 * is. */
void ckr_set_to(struct err *err, CK_RV rv, const char *what);
#define ckr_set(err, rv, what) (ckr_set_to((err), (rv), (what)), false)

/* True for the codes that say a session or the whole connection is gone (not the key, not the PIN).
 */
bool ckr_is_stale(CK_RV rv);

#endif
