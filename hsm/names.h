/*
 * The ids and labels that a token has, read once.
 *
 * Each search costs a token some 40 microseconds per object, so whoever makes many keys in one run
 * reads the names once and asks here. Other programs may add objects meanwhile: a set is for one
 * run, and for ids that are random and labels that are ours.
 */
#ifndef HSM_NAMES_H
#define HSM_NAMES_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/session.h"
#include "hsm/uri.h"

#include <stdbool.h>
#include <stddef.h>

struct hsm_name_digest;

struct hsm_names {
    struct hsm_name_digest *slots; /* owned; a hash table, at most half full */
    size_t size, used;
};

#define HSM_NAMES_INIT                                                                             \
    {                                                                                              \
        .slots = NULL, .size = 0                                                                   \
    }

/* Reads the id of every object and the label of every private key, in one search. hsm_names_done()
 * *out, also after a failure. */
bool hsm_names_load(struct hsm_session *session, struct hsm_names *out, struct err *err) NODISCARD;
void hsm_names_done(struct hsm_names *names);

bool hsm_names_has_id(const struct hsm_names *names, const struct hsm_id *id);
bool hsm_names_has_label(const struct hsm_names *names, const char *label);

/* Adds the names of a new key. E_MEMORY. */
bool hsm_names_add_id(struct hsm_names *names, const struct hsm_id *id, struct err *err) NODISCARD;
bool hsm_names_add_label(struct hsm_names *names, const char *label, struct err *err) NODISCARD;

DEFINE_AUTO_DONE(hsm_names, struct hsm_names, hsm_names_done)

#endif
