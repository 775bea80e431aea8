/*
 * What a self-test asks of a token beyond making and using keys, and how it cleans up after itself.
 *
 * Everything that a test makes is called by one name: a random CKA_ID of its own for each object
 * and a label that begins with a random text. Only objects with both are ever removed.
 */
#ifndef HSM_SELFTEST_H
#define HSM_SELFTEST_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/alg.h"
#include "hsm/session.h"
#include "hsm/uri.h"

#include <stdbool.h>
#include <stddef.h>

enum { HSM_SELFTEST_IDS = 32 };

struct hsm_selftest {
    struct hsm_token *token;
    char label[64];                      /* the beginning of all labels */
    struct hsm_id ids[HSM_SELFTEST_IDS]; /* every id that was given away */
    size_t id_count;
};

/* A name for a run; "p11enroll-test-" and random digits. E_INTERNAL. */
bool hsm_selftest_begin(struct hsm_selftest *test, struct hsm_token *token,
                        struct err *err) NODISCARD;

/* A new id, remembered before anything carries it. E_INTERNAL. */
bool hsm_selftest_id(struct hsm_selftest *test, struct hsm_id *id, struct err *err) NODISCARD;

/* Whether the token lists what makes keys of that kind, in that size; else `why` says what it
 * lacks. */
bool hsm_selftest_offers(const struct hsm_token *token, const struct hsm_key_spec *spec, char *why,
                         size_t why_size);

/* Opens that many sessions at a time; *opened is how many there were. E_TOKEN. */
bool hsm_selftest_sessions(struct hsm_token *token, size_t wanted, size_t *opened,
                           struct err *err) NODISCARD;

/* Gives the private key with that id another one, and sees that it has it. */
bool hsm_selftest_change_id(struct hsm_selftest *test, const struct hsm_id *from,
                            struct err *err) NODISCARD;

/* Copies the private key with that id into a session object. */
bool hsm_selftest_copy(struct hsm_selftest *test, const struct hsm_id *id,
                       struct err *err) NODISCARD;

/* Removes everything of this run; *removed counts. What cannot be removed is in err. */
bool hsm_selftest_clean(struct hsm_selftest *test, size_t *removed, struct err *err) NODISCARD;

/* How many objects of this run are on the token, as a new session sees it. */
bool hsm_selftest_left(struct hsm_selftest *test, size_t *left, struct err *err) NODISCARD;

#endif
