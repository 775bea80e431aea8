/*
 * Everything on a token that belongs to one private key: its public objects and its certificates.
 *
 * What belongs to a key shows the same id and carries the same public half. Objects that only share
 * the id are strangers: they are counted, and nothing is done to them.
 */
#ifndef HSM_FAMILY_H
#define HSM_FAMILY_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/cert.h"
#include "hsm/key.h"
#include "hsm/session.h"
#include "hsm/uri.h"

#include <stdbool.h>
#include <stddef.h>

struct hsm_family {
    struct hsm_key key; /* the private key, with its public half if that is to be found */
    struct hsm_handles publics;
    struct hsm_certs certs;
    size_t strangers; /* objects with the key's id that are not of this key */
};

/*
 * The family of the one private key that the URI means. With an id in the URI that is one search;
 * without one, two. hsm_family_done() *out. E_OBJECT_MISSING, E_OBJECT_AMBIGUOUS with the
 * candidates.
 */
bool hsm_family_find(struct hsm_session *session, const struct hsm_uri *uri, struct hsm_family *out,
                     struct err *err) NODISCARD;
void hsm_family_done(struct hsm_family *family);

/*
 * What an interrupted hsm_family_destroy() left of a key: public objects and certificates of one id
 * that the URI means, and no private key with that id. out->key.handle is 0 then. Certificates of a
 * CA or for attestation are no key's rest and count as strangers. E_OBJECT_MISSING;
 * E_OBJECT_AMBIGUOUS for several ids; E_OBJECT_EXISTS if one of them carries the public half of a
 * private key that is on the token, whatever its id is.
 */
bool hsm_family_find_rest(struct hsm_session *session, const struct hsm_uri *uri,
                          struct hsm_family *out, struct err *err) NODISCARD;

/*
 * Destroys both halves of the key, and then its certificates if asked: so no key is ever without
 * its certificate, and a private key that is left by an interruption can still be named. Looks in a
 * new session whether they are gone. E_TOKEN says what is left.
 */
bool hsm_family_destroy(struct hsm_token *token, const struct hsm_family *family,
                        bool with_certificates, struct err *err) NODISCARD;

/*
 * Gives the key, its public objects and its certificates another label, reads them back, and takes
 * the change back as far as it goes if one of them keeps its label. E_OBJECT_EXISTS if another
 * object of these kinds has the label already.
 */
bool hsm_family_rename(struct hsm_token *token, const struct hsm_family *family, const char *label,
                       struct err *err) NODISCARD;

DEFINE_AUTO_DONE(hsm_family, struct hsm_family, hsm_family_done)

#endif
