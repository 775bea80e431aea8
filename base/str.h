/*
 * Small conversions with full-input checks: nothing is accepted that was not understood to its last
 * byte.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/buf.h"
#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only, no sign, no space; false on anything else or a value over max. */
bool str_to_u64(const char *str, uint64_t max, uint64_t *out) NODISCARD;
bool str_to_int(const char *str, int min, int max, int *out) NODISCARD;

/* "yes/true/on/1" and "no/false/off/0", any case. */
bool str_to_bool(const char *str, bool *out) NODISCARD;

/* A span of time: "90", "90s", "15m", "2h", "7d" (seconds without a unit). The value is in seconds.
 */
bool str_to_seconds(const char *str, int64_t *out) NODISCARD;

/* Lower-case hex digits, optionally with a separator between bytes ('\0' for none). */
void str_add_hex(struct buf *out, const uint8_t *data, size_t len, char separator);

/* Hex digits, ':' between bytes and a leading "0x" tolerated. False for odd or foreign characters.
 */
bool str_from_hex(const char *str, struct buf *out) NODISCARD;

/* RFC 3986 percent-decoding of len bytes. False for a '%' without two hex digits. */
bool str_percent_decode(const char *str, size_t len, struct buf *out) NODISCARD;

/* Percent-encodes all but the RFC 3986 unreserved characters and those in `also_plain`. */
void str_percent_encode(struct buf *out, const uint8_t *data, size_t len, const char *also_plain);

/* True if every byte is printable ASCII (space to tilde). */
bool str_is_printable(const uint8_t *data, size_t len);

/*
 * The character at the beginning of len bytes (at least one): its length in UTF-8, and its number
 * in *code; 0 if it is none (RFC 3629).
 */
size_t str_char(const uint8_t *data, size_t len, uint32_t *code);

/*
 * Whether a character may be shown as it is. Not so control characters (a terminal obeys them, C1
 * in UTF-8 as well), those that change the direction of what follows, so that something else is
 * read than is there, and those that cannot be seen.
 */
bool str_char_is_shown(uint32_t code);

/*
 * Appends text from outside with what is not to be shown and what is no UTF-8 made harmless as
 * \xNN, at most max_chars bytes of input and "..." after them: what error messages quote.
 */
void str_add_quotable(struct buf *out, const char *text, size_t len, size_t max_chars);

/* True if the bytes are valid UTF-8 without NUL (RFC 3629). */
bool str_is_utf8(const uint8_t *data, size_t len);

/* strdup, and NULL stays NULL. free() it. */
char *str_dup(const char *str) NODISCARD;
char *str_ndup(const char *str, size_t len) NODISCARD;

bool str_equal(const char *a, const char *b);        /* NULL equals NULL only */
bool str_equal_nocase(const char *a, const char *b); /* ASCII case folding */
bool str_starts_with(const char *str, const char *prefix);
bool str_starts_with_nocase(const char *str, const char *prefix);
bool str_ends_with(const char *str, const char *suffix);

/* Trims ASCII white space at both ends in place and returns the start. */
char *str_trim(char *str);

#endif
