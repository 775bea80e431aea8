/*
 * What is wrong with particular modules, and the switches that go round it (hsm/quirks.def).
 *
 * A module gets the switches of its row when it is opened, by what C_GetInfo says of it, and those
 * that a configuration names ('quirks' in openssl.cnf and p11enroll.conf) in addition. They act
 * where they are asked for with hsm_module_has_quirk(). Nothing in here calls a module.
 */
#ifndef HSM_QUIRKS_H
#define HSM_QUIRKS_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/cryptoki.h"

#include <stdbool.h>
#include <stddef.h>

enum hsm_quirk {
#define QUIRK(symbol, word, effect) HSM_QUIRK_##symbol,
#include "hsm/quirks.def"
#undef QUIRK
    HSM_QUIRKS
};

/* Several of them are a number with a bit for each. */
#define HSM_QUIRK(symbol) (1U << HSM_QUIRK_##symbol)

/* A module with a fault. */
struct hsm_quirk_row {
    const char *manufacturer; /* the beginning of it, as of the description */
    const char *description;
    unsigned char before_major, before_minor; /* the first version without it; 0, 0: none */
    unsigned quirks;
    const char *source;
    const char *fault;
};

/* The i-th row of the table; NULL past the end. */
const struct hsm_quirk_row *hsm_quirk_row_at(size_t i);

/* Whether a row is about the module that says this of itself. */
bool hsm_quirk_row_fits(const struct hsm_quirk_row *row, const CK_INFO *info);

/* The switches that the table has for a module. */
unsigned hsm_quirks_known(const CK_INFO *info);

/*
 * Reads words separated by blanks or commas; NULL and the empty text are none. E_CONFIG for a word
 * that there is not, with those that there are; *out is then as it was.
 */
bool hsm_quirks_parse(const char *text, unsigned *out, struct err *err) NODISCARD;

/* Appends "no-copy, no-finalise". */
void hsm_quirks_format(unsigned quirks, struct buf *out);

#endif
