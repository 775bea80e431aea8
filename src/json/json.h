/*
 * JSON from and to the outside, over cJSON (nobody else includes it).
 *
 * Reading: input has a size limit, nesting has a depth limit, and every getter names the field that
 * is missing or of the wrong kind. Numbers are accepted as numbers or as decimal strings, because
 * CAs use both for ids. Writing: objects are built in memory and printed compactly.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;
typedef struct cJSON json; /* a value inside a document, or a document itself */

enum { JSON_DEPTH_MAX = 32 };

/* Parses a whole text; anything but white space behind the value is an error. json_free() it.
 * E_PROTOCOL. */
bool json_parse(const uint8_t *data, size_t len, json **out, struct err *err) NODISCARD;
void json_free(json *doc);

bool json_is_object(const json *value);
bool json_is_array(const json *value);
size_t json_count(const json *array);
/* Walking an array: the first element, and the one after; NULL at the end. */
const json *json_first(const json *array);
const json *json_next(const json *element);

/* The member of that name; NULL if it is absent or null. */
const json *json_member(const json *object, const char *name);

/* The name of a member that is none of these, borrowed; NULL if there is none. */
const char *json_unknown_member(const json *object, const char *const names[], size_t count);

/* Typed members that must be there. E_PROTOCOL names the field. Strings are borrowed from the
 * document. */
bool json_get_string(const json *object, const char *name, const char **out,
                     struct err *err) NODISCARD;
bool json_get_int(const json *object, const char *name, int64_t *out, struct err *err) NODISCARD;

/* Typed members that may be missing: false then, or if they are of another kind. */
bool json_find_string(const json *object, const char *name, const char **out);
bool json_find_int(const json *object, const char *name, int64_t *out);
bool json_find_bool(const json *object, const char *name, bool *out);

/* A string value itself (element of an array); NULL if it is none. */
const char *json_string(const json *value);

/* A whole number itself, as number or decimal text. */
bool json_int(const json *value, int64_t *out);

/* Building. The add functions take ownership of values and return NULL/false when out of memory. */
json *json_new_object(void);
json *json_new_array(void);
bool json_add_string(json *object, const char *name, const char *value);
bool json_add_int(json *object, const char *name, int64_t value);
bool json_add_bool(json *object, const char *name, bool value);
bool json_add(json *object, const char *name, json *value); /* takes value, also on failure */
bool json_append(json *array, json *value);                 /* takes value, also on failure */
bool json_append_string(json *array, const char *value);
bool json_append_int(json *array, int64_t value);

/* The compact text, appended. */
bool json_print(const json *value, struct buf *out, struct err *err) NODISCARD;

/*
 * The one text that a value has (RFC 8785, for whole numbers alone): members in the order of their
 * names, the shortest escapes, no white space; so that it can be hashed. With `indent` the same in
 * lines for people. E_PROTOCOL: a member that is there twice, a number with a fraction, a text that
 * is not UTF-8.
 */
bool json_print_sorted(const json *value, bool indent, struct buf *out, struct err *err) NODISCARD;

DEFINE_AUTO(json, json *, json_free)

#endif
