/* The inside of a module context, for hsm/module.c and hsm/slot.c (the two files that stand on
 * libp11). */
#ifndef HSM_MODULE_IMPL_H
#define HSM_MODULE_IMPL_H

#include "hsm/module.h"
#include "hsm/slot.h"

#include <libp11.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

/* One enumeration of libp11. Releasing it closes every session on its slots, ours as well. */
struct hsm_slot_list {
    PKCS11_SLOT *slots;
    unsigned count;
    struct hsm_slot_list *older;
};

struct hsm_module {
    char *path;
    char *init_args;
    void *handle;
    struct cryptoki ck;
    atomic_int in_flight; /* calls that a thread is inside of */
    bool ours;
    bool searched; /* a search for a token has ended: others may have come to use the module */
    pid_t owner;
    char description[112];

    PKCS11_CTX *libp11;
    struct hsm_slot_list *slots; /* the newest first; older ones are kept while sessions are open */

    pthread_mutex_t lock; /* tokens, slots */
    struct hsm_token *tokens;
    struct hsm_module *next;
};

/* True while a session of ours is open on any of its tokens. */
bool hsm_module_has_sessions(const struct hsm_module *module);

/* True if the module is ours and nobody in this process has a session, as far as the tokens say. */
bool hsm_module_is_idle(const struct hsm_module *module);

#endif
