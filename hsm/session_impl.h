/* What hsm/login.c wants of hsm/session.c: sessions while the module's lock is held. */
#ifndef HSM_SESSION_IMPL_H
#define HSM_SESSION_IMPL_H

#include "hsm/session.h"

/* An idle session, or a new one, or the next one that is given back; without reviving the module,
 * which may want its lock. */
CK_RV hsm_session_take_now(struct hsm_token *token, bool read_write, struct hsm_session *session);

/* Takes any idle session out of the pools; false if there is none. */
bool hsm_session_take_idle(struct hsm_token *token, struct hsm_session *session);

/* Says what a C_OpenSession that failed means. Returns false. */
bool hsm_session_open_failed(struct hsm_token *token, CK_RV rv, struct err *err);

#endif
