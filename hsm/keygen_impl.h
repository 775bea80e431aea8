/* Between keygen.c and keygen_undo.c. */
#ifndef HSM_KEYGEN_IMPL_H
#define HSM_KEYGEN_IMPL_H

#include "base/err.h"
#include "hsm/keygen.h"

#include <stdbool.h>

/* The objects that a generation made: public, private. */
struct hsm_made {
    CK_OBJECT_HANDLE handles[2];
    bool known; /* false: the token reported a failure, and what it left behind is unknown */
    struct hsm_id changed; /* the computed id that they were given, or were to be; may be unset */
};

/* Ends a failed generation: cleans up and says what became of the key. err holds the cause. Always
 * false. */
bool hsm_keygen_undo(struct hsm_token *token, const struct hsm_key_name *name,
                     const struct hsm_made *made, struct err *err);

#endif
