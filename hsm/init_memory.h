/*
 * Which initialisation of a token was begun and not ended: between C_InitToken, which erases it,
 * and the setting of its PINs a process may be killed or a call fail, and the token is then neither
 * the old one nor one that can be used. A small file in the state directory, written before and
 * removed after, lets the next run of the same command do what is left, without erasing anything
 * again.
 */
#ifndef HSM_INIT_MEMORY_H
#define HSM_INIT_MEMORY_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/slot.h"

#include <stdbool.h>
#include <stdint.h>

struct hsm_unfinished_init {
    bool known;
    int64_t when_s;
    struct hsm_token_info before; /* what the token said of itself; label, serial, maker, model */
};

/* `label` is the new one; by which module the token is reached does not matter. E_IO. */
bool hsm_init_memory_read(const char *label, struct hsm_unfinished_init *out,
                          struct err *err) NODISCARD;

/* What cannot be written is warned of, and is no reason to stop. */
void hsm_init_memory_begin(const char *label, const struct hsm_token_info *before);
void hsm_init_memory_end(const char *label);

#endif
