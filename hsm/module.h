/*
 * PKCS#11 modules of this process.
 *
 * One context per module path, shared by everybody in the process who opens that path, and kept
 * until the process ends. Several modules live side by side. We call C_Initialize on our own
 * function list first and let libp11 load the same module after it (it accepts "already
 * initialised"). If our call returned CKR_OK the module is ours, and an atexit handler that was
 * registered after the module was loaded finalises it once; if it was initialised before us,
 * somebody else owns it and it is never finalised here.
 *
 * This file and base/log.c are the only places with process-wide state: initialisation, exit
 * handlers and the watchdog belong to the process by nature.
 */
#ifndef HSM_MODULE_H
#define HSM_MODULE_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/cryptoki.h"
#include "hsm/deadline.h"
#include "hsm/lock.h"
#include "hsm/quirks.h"

#include <stdbool.h>
#include <stdint.h>

struct hsm_module;

/* Settings of the whole process; call before the first hsm_module_open(). Strings are copied. */
struct hsm_process {
    const char *lock_dir;      /* NULL: the default places, see hsm/lock.h */
    int64_t lock_wait_ms;      /* 0: a minute */
    struct deadline *deadline; /* NULL: no watchdog */
    int64_t call_limit_ms;     /* > 0: one limit for every kind of call but a person's (tests) */
    const volatile bool *stop; /* becomes true when the process is to end; NULL: never */
    const char *state_dir;     /* of the program; NULL: nothing is remembered */
    bool exclusive;            /* nobody else in this process uses modules: they may be restarted */
};

bool hsm_process_configure(const struct hsm_process *settings, struct err *err) NODISCARD;

/* Where hsm/pin_memory.h and hsm/identity.h keep their files; NULL: nowhere. Borrowed. */
const char *hsm_process_state_dir(void);

/*
 * Opens the module at a path (absolute, or relative to the working directory), or finds it open
 * already. init_args goes to C_Initialize as pReserved (NULL for almost every module). Takes the
 * module's lock while it initialises. Blocks as long as C_Initialize does. The result lives as long
 * as the process. E_MODULE: not there, not loadable, not a PKCS#11 module, or it refuses to
 * initialise. E_TOKEN_BUSY, E_IO: lock.
 */
bool hsm_module_open(const char *path, const char *init_args, struct hsm_module **out,
                     struct err *err) NODISCARD;

/*
 * Ends and starts the module again, for modules that see new tokens only then. Only if it is ours,
 * nobody in this process has a session, and no call is in flight; otherwise it does nothing and
 * returns true. Takes the module's lock.
 */
bool hsm_module_restart(struct hsm_module *module, struct err *err) NODISCARD;

const char *hsm_module_path(const struct hsm_module *module);
const struct cryptoki *hsm_module_cryptoki(const struct hsm_module *module);

/* True if this process initialised the module, and so will finalise it. */
bool hsm_module_is_ours(const struct hsm_module *module);

/* "SoftHSM, Implementation of PKCS11, 2.6": what C_GetInfo says. Borrowed. */
const char *hsm_module_description(const struct hsm_module *module);

/* The switches in force for it (hsm/quirks.h), and one of them. */
unsigned hsm_module_quirks(const struct hsm_module *module);
bool hsm_module_has_quirk(const struct hsm_module *module, enum hsm_quirk quirk);

/* Turns switches on, for the rest of the process, in addition to those of the table. */
void hsm_module_add_quirks(struct hsm_module *module, unsigned quirks);

/* Takes the advisory lock of this module; see hsm/lock.h. */
bool hsm_module_lock(struct hsm_module *module, struct hsm_lock *lock, struct err *err) NODISCARD;

#endif
