#include "hsm/uri.h"

#include "base/str.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char scheme[] = "pkcs11:";

/* In the library's own alphabet; RFC 7512 section 2.3 lists what each part may carry unescaped. */
static const char path_plain[] = ":[]@!$'()*+,=&";

typedef bool set_fn(struct hsm_uri *uri, size_t offset, const struct buf *value, struct err *err);

static bool set_string(struct hsm_uri *uri, size_t offset, const struct buf *value,
                       struct err *err);
static bool set_type(struct hsm_uri *uri, size_t offset, const struct buf *value, struct err *err);
static bool set_id(struct hsm_uri *uri, size_t offset, const struct buf *value, struct err *err);
static bool set_slot_id(struct hsm_uri *uri, size_t offset, const struct buf *value,
                        struct err *err);
static bool set_pin(struct hsm_uri *uri, size_t offset, const struct buf *value, struct err *err);

enum part { IN_PATH, IN_QUERY };

/* clang-format off */
static const struct attribute {
    const char *name;
    enum part part;
    set_fn *set;
    size_t offset;
} attributes[] = {
    {"token",                IN_PATH,  set_string,  offsetof(struct hsm_uri, token)},
    {"manufacturer",         IN_PATH,  set_string,  offsetof(struct hsm_uri, manufacturer)},
    {"serial",               IN_PATH,  set_string,  offsetof(struct hsm_uri, serial)},
    {"model",                IN_PATH,  set_string,  offsetof(struct hsm_uri, model)},
    {"library-manufacturer", IN_PATH,  set_string,  offsetof(struct hsm_uri, library_manufacturer)},
    {"library-description",  IN_PATH,  set_string,  offsetof(struct hsm_uri, library_description)},
    {"library-version",      IN_PATH,  set_string,  offsetof(struct hsm_uri, library_version)},
    {"slot-manufacturer",    IN_PATH,  set_string,  offsetof(struct hsm_uri, slot_manufacturer)},
    {"slot-description",     IN_PATH,  set_string,  offsetof(struct hsm_uri, slot_description)},
    {"slot-id",              IN_PATH,  set_slot_id, offsetof(struct hsm_uri, slot_id)},
    {"object",               IN_PATH,  set_string,  offsetof(struct hsm_uri, object)},
    {"type",                 IN_PATH,  set_type,    offsetof(struct hsm_uri, type)},
    {"id",                   IN_PATH,  set_id,      offsetof(struct hsm_uri, id)},
    {"module-path",          IN_QUERY, set_string,  offsetof(struct hsm_uri, module_path)},
    {"module-name",          IN_QUERY, set_string,  offsetof(struct hsm_uri, module_name)},
    {"pin-source",           IN_QUERY, set_string,  offsetof(struct hsm_uri, pin_source)},
    {"pin-value",            IN_QUERY, set_pin,     offsetof(struct hsm_uri, pin_value)},
};
/* clang-format on */

static const char *const type_names[] = {
    [HSM_URI_ANY] = "",      [HSM_URI_PRIVATE] = "private",       [HSM_URI_PUBLIC] = "public",
    [HSM_URI_CERT] = "cert", [HSM_URI_SECRET_KEY] = "secret-key", [HSM_URI_DATA] = "data",
};

static char **string_at(struct hsm_uri *uri, size_t offset)
{
    return (char **)(void *)((char *)uri + offset);
}

/* "%00" decodes to a byte that would end a C string early. */
static bool has_no_nul(const struct buf *value)
{
    return memchr(buf_str(value), '\0', value->len) == NULL;
}

static bool set_string(struct hsm_uri *uri, size_t offset, const struct buf *value, struct err *err)
{
    char **slot = string_at(uri, offset);

    if (!str_is_utf8((const uint8_t *)buf_str(value), value->len)) {
        return err_set(err, E_USAGE, "the value is not UTF-8 text");
    }
    *slot = str_dup(buf_str(value));
    return *slot != NULL || err_nomem(err);
}

static bool set_type(struct hsm_uri *uri, size_t offset UNUSED, const struct buf *value,
                     struct err *err)
{
    for (size_t i = HSM_URI_PRIVATE; i < ARRAY_LEN(type_names); i++) {
        if (has_no_nul(value) && str_equal(buf_str(value), type_names[i])) {
            uri->type = (enum hsm_uri_type)i;
            return true;
        }
    }
    return err_set(err, E_USAGE, "the value is not one of private, public, cert, secret-key, data");
}

static bool set_id(struct hsm_uri *uri, size_t offset UNUSED, const struct buf *value,
                   struct err *err)
{
    if (value->len > HSM_ID_MAX) {
        return err_set(err, E_USAGE, "the value is longer than %d bytes", HSM_ID_MAX);
    }
    memcpy(uri->id.data, buf_str(value), value->len);
    uri->id.len = value->len;
    uri->id.set = true;
    return true;
}

static bool set_slot_id(struct hsm_uri *uri, size_t offset UNUSED, const struct buf *value,
                        struct err *err)
{
    if (!has_no_nul(value) || !str_to_u64(buf_str(value), ULONG_MAX, &uri->slot_id)) {
        return err_set(err, E_USAGE, "the value is not a number");
    }
    uri->has_slot_id = true;
    return true;
}

static bool set_pin(struct hsm_uri *uri, size_t offset UNUSED, const struct buf *value,
                    struct err *err)
{
    return secret_set(&uri->pin_value, buf_str(value), value->len, err);
}

static const struct attribute *find_attribute(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        if (strlen(attributes[i].name) == len && memcmp(attributes[i].name, name, len) == 0) {
            return &attributes[i];
        }
    }
    return NULL;
}

/* Frees after wiping: a decoded value may have been a PIN. */
static void done_wiped(struct buf *buf)
{
    if (buf->data != NULL) {
        explicit_bzero(buf->data, buf->cap);
    }
    buf_done(buf);
}

DEFINE_AUTO_DONE(wiped, struct buf, done_wiped)

static bool set_attribute(struct hsm_uri *uri, const struct attribute *attribute,
                          const char *value_text, size_t value_len, struct err *err)
{
    AUTO(wiped) struct buf value = BUF_INIT(HSM_URI_MAX);

    /* One allocation, so that growing leaves no copy of a PIN behind. */
    buf_add(&value, value_text, value_len);
    buf_reset(&value);
    if (!str_percent_decode(value_text, value_len, &value)) {
        return err_set(err, E_USAGE, "a '%%' is not followed by two hex digits");
    }
    return attribute->set(uri, attribute->offset, &value, err);
}

/* One "name=value". *seen has one bit for each row of attributes[]. */
static bool parse_one(struct hsm_uri *uri, const char *text, size_t len, enum part part,
                      uint32_t *seen, struct err *err)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - text) : len;
    int shown = name_len < 40 ? (int)name_len : 40;

    if (equals == NULL || name_len == 0) {
        /* Nothing behind the '?' is repeated: it may be a piece of a PIN with an '&' in it. */
        return part == IN_QUERY
                   ? err_set(err, E_USAGE,
                             "PKCS#11 URI: a part behind the '?' is not of the form name=value")
                   : err_set(err, E_USAGE, "PKCS#11 URI: '%.*s' is not of the form name=value",
                             shown, text);
    }
    if (name_len > 2 && text[0] == 'x' && text[1] == '-') {
        return true;
    }
    const struct attribute *attribute = find_attribute(text, name_len);
    if (attribute == NULL) {
        return part == IN_QUERY
                   ? err_set(err, E_USAGE,
                             "PKCS#11 URI: an attribute behind the '?' is none of module-path, "
                             "module-name, pin-source and pin-value")
                   : err_set(err, E_USAGE, "PKCS#11 URI: there is no attribute '%.*s'", shown,
                             text);
    }
    if (attribute->part != part) {
        return err_set(err, E_USAGE, "PKCS#11 URI: '%s' belongs %s the '?'", attribute->name,
                       attribute->part == IN_PATH ? "before" : "behind");
    }
    uint32_t bit = UINT32_C(1) << (unsigned)(attribute - attributes);
    if ((*seen & bit) != 0) {
        return err_set(err, E_USAGE, "PKCS#11 URI: '%s' is given twice", attribute->name);
    }
    *seen |= bit;
    if (!set_attribute(uri, attribute, equals + 1, len - name_len - 1, err)) {
        return err_wrap(err, "PKCS#11 URI: %s", attribute->name);
    }
    return true;
}

static bool parse_part(struct hsm_uri *uri, const char *text, size_t len, enum part part,
                       uint32_t *seen, struct err *err)
{
    char separator = part == IN_PATH ? ';' : '&';
    size_t start = 0;

    if (len == 0) {
        return true;
    }
    for (size_t i = 0; i <= len; i++) {
        if (i < len && text[i] != separator) {
            continue;
        }
        /* A separator at the very end is harmless and common in hand-written URIs. */
        bool empty_tail = i == len && i == start;
        if (!empty_tail && !parse_one(uri, text + start, i - start, part, seen, err)) {
            return false;
        }
        start = i + 1;
    }
    return true;
}

bool hsm_uri_is(const char *text)
{
    return strncasecmp(text, scheme, strlen(scheme)) == 0;
}

bool hsm_uri_parse(const char *text, struct hsm_uri *uri, struct err *err)
{
    uint32_t seen = 0;

    memset(uri, 0, sizeof(*uri));
    if (!hsm_uri_is(text)) {
        /* Shown up to where a PIN might be, should it be a URI that is misspelt. */
        int shown = (int)strcspn(text, "?");
        return err_set(err, E_USAGE, "not a PKCS#11 URI: '%.*s' does not begin with 'pkcs11:'",
                       shown < 40 ? shown : 40, text);
    }
    if (strlen(text) > HSM_URI_MAX) {
        return err_set(err, E_USAGE, "PKCS#11 URI: longer than %d characters", HSM_URI_MAX);
    }
    const char *path = text + strlen(scheme);
    const char *query = strchr(path, '?');
    size_t path_len = query != NULL ? (size_t)(query - path) : strlen(path);
    if (!parse_part(uri, path, path_len, IN_PATH, &seen, err)) {
        return false;
    }
    return query == NULL || parse_part(uri, query + 1, strlen(query + 1), IN_QUERY, &seen, err);
}

bool hsm_uri_set(char **field, const char *value, struct err *err)
{
    if (!str_is_utf8((const uint8_t *)value, strlen(value))) {
        return true;
    }
    *field = str_dup(value);
    return *field != NULL || err_nomem(err);
}

void hsm_uri_done(struct hsm_uri *uri)
{
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        if (attributes[i].set == set_string) {
            free(*string_at(uri, attributes[i].offset));
        }
    }
    secret_done(&uri->pin_value);
    memset(uri, 0, sizeof(*uri));
}

static bool agrees(const char *wanted, const char *actual)
{
    return wanted == NULL || (actual != NULL && strcmp(wanted, actual) == 0);
}

bool hsm_uri_matches_token(const struct hsm_uri *uri, const struct hsm_uri_token *token)
{
    return agrees(uri->token, token->label) && agrees(uri->manufacturer, token->manufacturer) &&
           agrees(uri->serial, token->serial) && agrees(uri->model, token->model) &&
           agrees(uri->slot_manufacturer, token->slot_manufacturer) &&
           agrees(uri->slot_description, token->slot_description) &&
           (!uri->has_slot_id || uri->slot_id == token->slot_id);
}

bool hsm_uri_names_object(const struct hsm_uri *uri)
{
    return uri->object != NULL || uri->id.set;
}

bool hsm_uri_names_token(const struct hsm_uri *uri)
{
    return uri->token != NULL || uri->manufacturer != NULL || uri->serial != NULL ||
           uri->model != NULL || uri->has_slot_id || uri->slot_description != NULL ||
           uri->slot_manufacturer != NULL;
}

const char *hsm_uri_type_name(enum hsm_uri_type type)
{
    return type_names[type];
}

static void add_separator(struct buf *out, bool *first)
{
    if (!*first) {
        buf_add_byte(out, ';');
    }
    *first = false;
}

static void add_string(struct buf *out, const char *name, const char *value, bool *first)
{
    if (value == NULL) {
        return;
    }
    add_separator(out, first);
    buf_addf(out, "%s=", name);
    str_percent_encode(out, (const uint8_t *)value, strlen(value), path_plain);
}

static void add_id(struct buf *out, const struct hsm_id *id, bool *first)
{
    if (!id->set) {
        return;
    }
    add_separator(out, first);
    buf_add_str(out, "id=");
    for (size_t i = 0; i < id->len; i++) {
        buf_addf(out, "%%%02X", id->data[i]);
    }
}

static void format_path(const struct hsm_uri *uri, struct buf *out)
{
    bool first = true;

    buf_add_str(out, scheme);
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        const struct attribute *a = &attributes[i];
        if (a->part != IN_PATH) {
            continue;
        }
        if (a->set == set_string) {
            add_string(out, a->name, *string_at((struct hsm_uri *)(uintptr_t)uri, a->offset),
                       &first);
        } else if (a->set == set_id) {
            add_id(out, &uri->id, &first);
        } else if (a->set == set_type && uri->type != HSM_URI_ANY) {
            add_string(out, a->name, type_names[uri->type], &first);
        } else if (a->set == set_slot_id && uri->has_slot_id) {
            add_separator(out, &first);
            buf_addf(out, "slot-id=%llu", (unsigned long long)uri->slot_id);
        }
    }
}

void hsm_uri_format(const struct hsm_uri *uri, struct buf *out)
{
    format_path(uri, out);
}

/* RFC 7512 section 2.3, pk11-qchar */
static void add_query(struct buf *out, char separator, const char *name, const char *value)
{
    buf_addf(out, "%c%s=", separator, name);
    str_percent_encode(out, (const uint8_t *)value, strlen(value), "/:@!$'()*+,=|");
}

void hsm_uri_format_with_module(const struct hsm_uri *uri, const char *module_path, struct buf *out)
{
    format_path(uri, out);
    add_query(out, '?', "module-path", module_path);
}

void hsm_uri_format_with_query(const struct hsm_uri *uri, struct buf *out)
{
    char separator = '?';

    format_path(uri, out);
    if (uri->module_path != NULL) {
        add_query(out, separator, "module-path", uri->module_path);
        separator = '&';
    }
    if (uri->pin_source != NULL) {
        add_query(out, separator, "pin-source", uri->pin_source);
    }
}
