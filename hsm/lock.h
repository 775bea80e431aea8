/*
 * The advisory lock around "initialise, enumerate, log in".
 *
 * On some tokens C_Login is a write: SoftHSM rewrites its token file, and a process that reads the
 * token list at that moment sees no token at all. So all processes of ours hold one lock, keyed by
 * the module, while they enumerate and while they log in; never while a person types, and never
 * during key operations.
 */
#ifndef HSM_LOCK_H
#define HSM_LOCK_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct hsm_lock {
    int fd;                    /* -1: not held */
    const volatile bool *stop; /* ends the waiting when it becomes true; NULL: never */
    atomic_int *note; /* has the descriptor plus one while the lock is held, for who forks; NULL */
};

#define HSM_LOCK_INIT                                                                              \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/*
 * Takes the lock for the module at `module_path` (a real path), waiting at most wait_ms. `dir` is
 * the directory of the lock files; NULL means /run/lock/p11enroll, or a private directory where
 * that cannot be used. E_TOKEN_BUSY when another process keeps it, E_INTERRUPTED, E_IO when there
 * is no place for it.
 */
bool hsm_lock_take(struct hsm_lock *lock, const char *dir, const char *module_path, int64_t wait_ms,
                   struct err *err) NODISCARD;

void hsm_lock_release(struct hsm_lock *lock);

DEFINE_AUTO_DONE(hsm_lock, struct hsm_lock, hsm_lock_release)

#endif
