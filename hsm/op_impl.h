/* What operations with private keys share, for hsm/op.c and hsm/stream.c alone. */
#ifndef HSM_OP_IMPL_H
#define HSM_OP_IMPL_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/op.h"
#include "hsm/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key in use: a session, and the handle to use in it. */
struct hsm_use {
    struct hsm_session session;
    CK_OBJECT_HANDLE handle;
    bool is_copy;
};

void hsm_use_done(struct hsm_use *use);

DEFINE_AUTO_DONE(hsm_use, struct hsm_use, hsm_use_done)

/* What one operation consists of, between taking a session and giving it back. */
struct hsm_operation {
    CK_MECHANISM mechanism;
    const char *init_name;
    const char *name;
    CK_RV(*init)
    (const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
     CK_OBJECT_HANDLE key);
    CK_RV(*finish)
    (const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in, size_t in_len,
     uint8_t *out, size_t *out_len);
    bool refused_at_init; /* result */
};

/* A signature with its mechanism's parameters, to which the mechanism points. */
struct hsm_sign_operation {
    struct hsm_operation operation;
    CK_RSA_PKCS_PSS_PARAMS pss;
};

/* E_USAGE if PKCS#11 has no such mechanism. */
bool hsm_sign_prepare(const struct hsm_key *key, const struct hsm_sign *how,
                      struct hsm_sign_operation *out, struct err *err) NODISCARD;

/* Begins an operation in a session that *use holds afterwards; what has ended is brought back
 * first. */
bool hsm_op_start(struct hsm_key *key, struct hsm_operation *op, const struct hsm_pin *pin,
                  struct hsm_use *use, struct err *err) NODISCARD;

/* After a failed call. Modules differ in whether the operation is over, and the price is one
 * session. True if it may be tried again. */
bool hsm_op_settle(struct hsm_key *key, struct hsm_use *use, CK_RV rv);

/* Names the key and the token. Returns false. */
bool hsm_op_failed(const struct hsm_key *key, CK_RV rv, const char *what, struct err *err);

#endif
