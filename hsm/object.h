/* Finding objects by template, and reading their attributes in as few calls as the token allows. */
#ifndef HSM_OBJECT_H
#define HSM_OBJECT_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/attr.h"
#include "hsm/session.h"
#include "hsm/uri.h"

#include <stdbool.h>
#include <stddef.h>

struct hsm_handles {
    CK_OBJECT_HANDLE *list; /* owned */
    size_t count;
};

#define HSM_HANDLES_INIT                                                                           \
    {                                                                                              \
        .list = NULL, .count = 0                                                                   \
    }

void hsm_handles_done(struct hsm_handles *handles);

/* All objects that match the template, in the token's order. One search, whatever the number. */
bool hsm_find(struct hsm_session *session, struct attrs *template, struct hsm_handles *out,
              struct err *err) NODISCARD;

/* Some of them, as many as the token gives at once: for whoever is content with any one. */
bool hsm_find_some(struct hsm_session *session, struct attrs *template, struct hsm_handles *out,
                   struct err *err) NODISCARD;

/*
 * Reads attributes: normally one call; attributes that turn out larger, two more each. Attributes
 * that the object has not, or does not show, are marked in *out and are no error.
 */
bool hsm_read(struct hsm_session *session, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE_TYPE *types,
              size_t count, struct attr_values *out, struct err *err) NODISCARD;

/* Adds what a URI says about the object (class, id, label) to a template. Borrows from the URI. */
void hsm_uri_to_template(const struct hsm_uri *uri, CK_OBJECT_CLASS class, struct attrs *template);

/* The same for objects of any class. */
void hsm_uri_to_template_any(const struct hsm_uri *uri, struct attrs *template);

/* Copies CKA_ID and CKA_LABEL out of values; label is owned ("" if there is none). */
bool hsm_object_name(const struct attr_values *values, struct hsm_id *id, char **label,
                     struct err *err) NODISCARD;

bool hsm_destroy(struct hsm_session *session, CK_OBJECT_HANDLE object, struct err *err) NODISCARD;

DEFINE_AUTO_DONE(hsm_handles, struct hsm_handles, hsm_handles_done)

#endif
