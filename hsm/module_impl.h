/* The inside of a module context, for hsm/module.c and hsm/admin_slot.c (the two files that stand
 * on libp11), for hsm/admin.c, hsm/admin_pin.c and hsm/slot.c, and for hsm/revive.c, which starts
 * modules again. */
#ifndef HSM_MODULE_IMPL_H
#define HSM_MODULE_IMPL_H

#include "hsm/module.h"
#include "hsm/slot.h"

#include <libp11.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

struct hsm_module {
    char *path;
    char *init_args;
    void *handle;
    struct cryptoki ck;
    atomic_int in_flight; /* calls that a thread is inside of */
    bool ours;
    bool inherited; /* our parent's: C_Initialize in this child said that it goes on */
    atomic_bool
        lost; /* its token's server is gone, or somebody finalised it: to be started again */
    atomic_bool closed; /* while it is started again, nobody else may call it */
    atomic_uint forks;  /* hsm_forks() when it was initialised */
    bool searched;      /* a search for a token has ended: others may have come to use the module */
    pid_t owner;
    atomic_int lock_fd; /* of the module's lock plus one, while a thread holds it; 0: none does */
    char description[112];
    atomic_uint quirks; /* see hsm/quirks.h */

    PKCS11_CTX *libp11;
    PKCS11_SLOT *slots; /* libp11's, while hsm/admin_slot.c is at work */
    unsigned slot_count;

    pthread_mutex_t lock; /* tokens, slots */
    struct hsm_token *tokens;
    struct hsm_failed_slot failed[HSM_FAILED_SLOTS_MAX]; /* that could not be read the last time */
    size_t failed_count;
    struct hsm_module *next;
};

/* True once the exit handler has run: nothing is initialised any more. */
bool hsm_process_is_ending(void);

/* How often this process is the child of a fork since it opened its first module. */
unsigned hsm_forks(void);

/* Starts a module anew: C_Initialize, and C_Finalize before it if `finalise`. The caller holds the
 * module's lock and has seen that no call is in flight. */
bool hsm_module_start_again(struct hsm_module *module, bool finalise, struct err *err) NODISCARD;

/* The one token that the URI means, searched for a moment (hsm_token_open()). */
bool hsm_token_find(struct hsm_module *module, const struct hsm_uri *uri, struct hsm_token **out,
                    struct err *err) NODISCARD;

/* Errors that list the tokens there are; both return false. */
bool hsm_none_matches(const struct hsm_module *module, const struct hsm_uri *uri, struct err *err);
bool hsm_several_match(const struct hsm_module *module, const struct hsm_uri *uri, struct err *err);

/* C_GetTokenInfo, now. */
bool hsm_token_read_info(const struct hsm_token *token, CK_TOKEN_INFO *info,
                         struct err *err) NODISCARD;

/* Reads the slots again; the caller holds the module's lock. */
bool hsm_module_read_slots(struct hsm_module *module, struct err *err) NODISCARD;

/* True while a session of ours is open on any of its tokens. */
bool hsm_module_has_sessions(const struct hsm_module *module);

/* True if the module is ours and nobody in this process has a session, as far as the tokens say. */
bool hsm_module_is_idle(const struct hsm_module *module);

#endif
