/*
 * PKCS#11 URIs (RFC 7512): parse, match, format, and format without secrets.
 *
 * Parsing is strict: an attribute that is not known, is given twice, or stands in the wrong part of
 * the URI is an error that names it, because a URI that selects something else than its writer
 * meant is worse than one that is refused. Vendor attributes ("x-...") are ignored. `slot-id` is
 * understood as a tie-breaker.
 */
#ifndef HSM_URI_H
#define HSM_URI_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HSM_URI_MAX = 8192, HSM_ID_MAX = 256 };

enum hsm_uri_type {
    HSM_URI_ANY,
    HSM_URI_PRIVATE,
    HSM_URI_PUBLIC,
    HSM_URI_CERT,
    HSM_URI_SECRET_KEY,
    HSM_URI_DATA,
};

struct hsm_id {
    bool set;
    size_t len;
    uint8_t data[HSM_ID_MAX];
};

/* All strings owned, decoded, NULL where the URI has no such attribute. */
struct hsm_uri {
    char *token;
    char *manufacturer;
    char *serial;
    char *model;
    char *library_manufacturer;
    char *library_description;
    char *library_version;
    char *slot_manufacturer;
    char *slot_description;
    bool has_slot_id;
    uint64_t slot_id;

    enum hsm_uri_type type;
    char *object;
    struct hsm_id id;

    char *module_path;
    char *module_name;
    char *pin_source;
    struct secret pin_value;
};

/* What a token says of itself, as a URI sees it. Borrowed strings, trimmed of padding. */
struct hsm_uri_token {
    const char *label;
    const char *manufacturer;
    const char *serial;
    const char *model;
    const char *slot_manufacturer;
    const char *slot_description;
    uint64_t slot_id;
};

/* True if the text has the scheme "pkcs11:", in any case. */
bool hsm_uri_is(const char *text);

/* Parses into *uri, which the caller frees with hsm_uri_done() (also after a failure). E_USAGE,
 * E_MEMORY. */
bool hsm_uri_parse(const char *text, struct hsm_uri *uri, struct err *err) NODISCARD;

void hsm_uri_done(struct hsm_uri *uri);

/* True if each token, slot and manufacturer attribute that the URI has equals the token's. */
bool hsm_uri_matches_token(const struct hsm_uri *uri, const struct hsm_uri_token *token);

/* True if the URI names an object (by label or id) and not just a token. */
bool hsm_uri_names_object(const struct hsm_uri *uri);

/* True if the URI says anything about which token is meant. */
bool hsm_uri_names_token(const struct hsm_uri *uri);

/* Copies a value into an attribute of a URI. Bytes that are no UTF-8 text have no place in one, so
 * the attribute stays unset: id and serial identify as well. */
bool hsm_uri_set(char **field, const char *value, struct err *err) NODISCARD;

/*
 * Appends the canonical text of the path part: attributes in a fixed order, id with every byte as
 * %XX. Query attributes (module, PIN) are left out: the result may be printed, stored and sent.
 */
void hsm_uri_format(const struct hsm_uri *uri, struct buf *out);

/* As hsm_uri_format(), with module-path as well: what a provider needs to find the object again. */
void hsm_uri_format_with_module(const struct hsm_uri *uri, const char *module_path,
                                struct buf *out);

/* As hsm_uri_format(), with module-path and pin-source if the URI has them. Never with a PIN. */
void hsm_uri_format_with_query(const struct hsm_uri *uri, struct buf *out);

/* The word used in URIs for a type; "" for HSM_URI_ANY. */
const char *hsm_uri_type_name(enum hsm_uri_type type);

DEFINE_AUTO_DONE(hsm_uri, struct hsm_uri, hsm_uri_done)

#endif
