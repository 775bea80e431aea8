#include "hsm/attr.h"

#include "base/str.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CK_ATTRIBUTE *next(struct attrs *attrs, CK_ATTRIBUTE_TYPE type)
{
    assert(attrs->count < ATTRS_MAX); /* templates are written by us; none comes near */
    CK_ATTRIBUTE *a = &attrs->list[attrs->count++];
    a->type = type;
    return a;
}

void attrs_add_bytes(struct attrs *attrs, CK_ATTRIBUTE_TYPE type, const void *data, size_t len)
{
    CK_ATTRIBUTE *a = next(attrs, type);

    a->pValue = (void *)(uintptr_t)data;
    a->ulValueLen = (CK_ULONG)len;
}

void attrs_add_string(struct attrs *attrs, CK_ATTRIBUTE_TYPE type, const char *value)
{
    attrs_add_bytes(attrs, type, value, strlen(value));
}

void attrs_add_ulong(struct attrs *attrs, CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
    CK_ULONG *kept = &attrs->ulongs[attrs->count];

    *kept = value;
    attrs_add_bytes(attrs, type, kept, sizeof(*kept));
}

void attrs_add_bool(struct attrs *attrs, CK_ATTRIBUTE_TYPE type, bool value)
{
    CK_BBOOL *kept = &attrs->bools[attrs->count];

    *kept = value ? 1 : 0;
    attrs_add_bytes(attrs, type, kept, sizeof(*kept));
}

const CK_ATTRIBUTE *attrs_find(const struct attrs *attrs, CK_ATTRIBUTE_TYPE type)
{
    for (CK_ULONG i = 0; i < attrs->count; i++) {
        if (attrs->list[i].type == type) {
            return &attrs->list[i];
        }
    }
    return NULL;
}

void attr_values_done(struct attr_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        free(values->list[i].data);
    }
    values->count = 0;
}

const struct attr_value *attr_values_find(const struct attr_values *values, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < values->count; i++) {
        if (values->list[i].type == type && values->list[i].present) {
            return &values->list[i];
        }
    }
    return NULL;
}

bool attr_values_bool(const struct attr_values *values, CK_ATTRIBUTE_TYPE type, bool *out)
{
    const struct attr_value *v = attr_values_find(values, type);

    if (v == NULL || v->len != sizeof(CK_BBOOL)) {
        return false;
    }
    *out = v->data[0] != 0;
    return true;
}

bool attr_values_ulong(const struct attr_values *values, CK_ATTRIBUTE_TYPE type, CK_ULONG *out)
{
    const struct attr_value *v = attr_values_find(values, type);

    if (v == NULL || v->len != sizeof(CK_ULONG)) {
        return false;
    }
    memcpy(out, v->data, sizeof(*out));
    return true;
}

enum show { SHOW_NOT, SHOW_BOOL, SHOW_ULONG, SHOW_TEXT, SHOW_HEX };

/* clang-format off */
static const struct {
    CK_ATTRIBUTE_TYPE type;
    const char *name;
    enum show show;
} attribute_names[] = {
    {CKA_CLASS,               "CKA_CLASS",               SHOW_ULONG},
    {CKA_TOKEN,               "CKA_TOKEN",               SHOW_BOOL},
    {CKA_PRIVATE,             "CKA_PRIVATE",             SHOW_BOOL},
    {CKA_LABEL,               "CKA_LABEL",               SHOW_TEXT},
    {CKA_VALUE,               "CKA_VALUE",               SHOW_NOT},
    {CKA_CERTIFICATE_TYPE,    "CKA_CERTIFICATE_TYPE",    SHOW_ULONG},
    {CKA_ISSUER,              "CKA_ISSUER",              SHOW_NOT},
    {CKA_SERIAL_NUMBER,       "CKA_SERIAL_NUMBER",       SHOW_HEX},
    {CKA_SUBJECT,             "CKA_SUBJECT",             SHOW_NOT},
    {CKA_ID,                  "CKA_ID",                  SHOW_HEX},
    {CKA_KEY_TYPE,            "CKA_KEY_TYPE",            SHOW_ULONG},
    {CKA_SENSITIVE,           "CKA_SENSITIVE",           SHOW_BOOL},
    {CKA_ENCRYPT,             "CKA_ENCRYPT",             SHOW_BOOL},
    {CKA_DECRYPT,             "CKA_DECRYPT",             SHOW_BOOL},
    {CKA_WRAP,                "CKA_WRAP",                SHOW_BOOL},
    {CKA_UNWRAP,              "CKA_UNWRAP",              SHOW_BOOL},
    {CKA_SIGN,                "CKA_SIGN",                SHOW_BOOL},
    {CKA_SIGN_RECOVER,        "CKA_SIGN_RECOVER",        SHOW_BOOL},
    {CKA_VERIFY,              "CKA_VERIFY",              SHOW_BOOL},
    {CKA_DERIVE,              "CKA_DERIVE",              SHOW_BOOL},
    {CKA_EXTRACTABLE,         "CKA_EXTRACTABLE",         SHOW_BOOL},
    {CKA_NEVER_EXTRACTABLE,   "CKA_NEVER_EXTRACTABLE",   SHOW_BOOL},
    {CKA_ALWAYS_SENSITIVE,    "CKA_ALWAYS_SENSITIVE",    SHOW_BOOL},
    {CKA_LOCAL,               "CKA_LOCAL",               SHOW_BOOL},
    {CKA_MODIFIABLE,          "CKA_MODIFIABLE",          SHOW_BOOL},
    {CKA_COPYABLE,            "CKA_COPYABLE",            SHOW_BOOL},
    {CKA_ALWAYS_AUTHENTICATE, "CKA_ALWAYS_AUTHENTICATE", SHOW_BOOL},
    {CKA_KEY_GEN_MECHANISM,   "CKA_KEY_GEN_MECHANISM",   SHOW_ULONG},
    {CKA_MODULUS,             "CKA_MODULUS",             SHOW_NOT},
    {CKA_MODULUS_BITS,        "CKA_MODULUS_BITS",        SHOW_ULONG},
    {CKA_PUBLIC_EXPONENT,     "CKA_PUBLIC_EXPONENT",     SHOW_NOT},
    {CKA_EC_PARAMS,           "CKA_EC_PARAMS",           SHOW_HEX},
    {CKA_EC_POINT,            "CKA_EC_POINT",            SHOW_NOT},
    {CKA_PUBLIC_KEY_INFO,     "CKA_PUBLIC_KEY_INFO",     SHOW_NOT},
    {CKA_ALLOWED_MECHANISMS,  "CKA_ALLOWED_MECHANISMS",  SHOW_NOT},
};
/* clang-format on */

static enum show show_of(CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < ARRAY_LEN(attribute_names); i++) {
        if (attribute_names[i].type == type) {
            return attribute_names[i].show;
        }
    }
    return SHOW_NOT;
}

bool attr_is_number(CK_ATTRIBUTE_TYPE type)
{
    return show_of(type) == SHOW_ULONG;
}

const char *attr_name(CK_ATTRIBUTE_TYPE type)
{
    static _Thread_local char unknown[32];

    for (size_t i = 0; i < ARRAY_LEN(attribute_names); i++) {
        if (attribute_names[i].type == type) {
            return attribute_names[i].name;
        }
    }
    (void)snprintf(unknown, sizeof(unknown), "CKA 0x%08lx", (unsigned long)type);
    return unknown;
}

void attr_print(struct buf *out, CK_ATTRIBUTE_TYPE type, const uint8_t *data, size_t len)
{
    enum show show = show_of(type);
    CK_ULONG number = 0;

    buf_add_str(out, attr_name(type));
    if (show == SHOW_BOOL && len == sizeof(CK_BBOOL)) {
        buf_addf(out, "=%s", data[0] != 0 ? "true" : "false");
    } else if (show == SHOW_ULONG && len == sizeof(number)) {
        memcpy(&number, data, sizeof(number));
        buf_addf(out, "=0x%lx", (unsigned long)number);
    } else if (show == SHOW_TEXT) {
        buf_add_str(out, "='");
        str_add_quotable(out, (const char *)data, len, 128);
        buf_add_str(out, "'");
    } else if (show == SHOW_HEX && len <= 64) {
        buf_add_str(out, "=");
        str_add_hex(out, data, len, '\0');
    } else {
        buf_addf(out, " (%zu bytes)", len);
    }
}
