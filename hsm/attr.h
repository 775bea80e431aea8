/*
 * Attribute arrays: templates that are built, and values that were read.
 *
 * A template keeps the CK_BBOOL and CK_ULONG values in itself and borrows byte strings from the
 * caller; it must not be copied. Values that were read are owned, and an attribute that the token
 * would not show is told apart from one that is empty.
 */
#ifndef HSM_ATTR_H
#define HSM_ATTR_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "hsm/cryptoki.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ATTRS_MAX = 32, ATTR_VALUE_MAX = 1 << 20 };

struct attrs {
    CK_ATTRIBUTE list[ATTRS_MAX];
    CK_ULONG count;
    CK_ULONG ulongs[ATTRS_MAX];
    CK_BBOOL bools[ATTRS_MAX];
};

#define ATTRS_INIT                                                                                 \
    {                                                                                              \
        .count = 0                                                                                 \
    }

void attrs_add_bytes(struct attrs *attrs, CK_ATTRIBUTE_TYPE type, const void *data, size_t len);
void attrs_add_string(struct attrs *attrs, CK_ATTRIBUTE_TYPE type, const char *value);
void attrs_add_ulong(struct attrs *attrs, CK_ATTRIBUTE_TYPE type, CK_ULONG value);
void attrs_add_bool(struct attrs *attrs, CK_ATTRIBUTE_TYPE type, bool value);

/* The entry of that type, or NULL. */
const CK_ATTRIBUTE *attrs_find(const struct attrs *attrs, CK_ATTRIBUTE_TYPE type);

/* One attribute as it was read. */
struct attr_value {
    CK_ATTRIBUTE_TYPE type;
    bool present;   /* the token gave a value (of len bytes, maybe none) */
    bool sensitive; /* it has one and will not show it */
    uint8_t *data;  /* owned */
    size_t len;
};

struct attr_values {
    struct attr_value list[ATTRS_MAX];
    size_t count;
};

void attr_values_done(struct attr_values *values);

/* NULL if it was not asked for or not given. */
const struct attr_value *attr_values_find(const struct attr_values *values, CK_ATTRIBUTE_TYPE type);

/* Typed getters: false if the attribute is absent or has another size. */
bool attr_values_bool(const struct attr_values *values, CK_ATTRIBUTE_TYPE type, bool *out);
bool attr_values_ulong(const struct attr_values *values, CK_ATTRIBUTE_TYPE type, CK_ULONG *out);

/* Whether the value is a CK_ULONG, as far as types have a name here. */
bool attr_is_number(CK_ATTRIBUTE_TYPE type);

/* "CKA_SENSITIVE"; "CKA 0x…" in a per-thread buffer for types without a name here. */
const char *attr_name(CK_ATTRIBUTE_TYPE type);

/*
 * Appends "CKA_LABEL='www'" for the few types whose value may be shown (class, key type, flags,
 * label, id, mechanisms), and "CKA_VALUE (32 bytes)" for everything else.
 */
void attr_print(struct buf *out, CK_ATTRIBUTE_TYPE type, const uint8_t *data, size_t len);

DEFINE_AUTO_DONE(attr_values, struct attr_values, attr_values_done)

#endif
