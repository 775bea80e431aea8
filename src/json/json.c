#include "json/json.h"

#include "base/str.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <string.h>

/* Numbers are doubles in cJSON; beyond this they are no longer exact. */
static const double exact_max = 9007199254740991.0;

void json_free(json *doc)
{
    cJSON_Delete(doc);
}

/* Whether data[at], a backslash inside a string, begins the escape of a NUL, or one that is not
 * made of hex digits: cJSON takes that for a NUL as well. */
static bool is_escaped_nul(const uint8_t *data, size_t len, size_t at)
{
    bool is_zero = true;

    if (len - at < 6 || data[at + 1] != 'u') {
        return false;
    }
    for (size_t i = at + 2; i < at + 6; i++) {
        if (!isxdigit(data[i])) {
            return true;
        }
        is_zero = is_zero && data[i] == '0';
    }
    return is_zero;
}

/*
 * What cJSON would take and we do not: nesting that is deep (its own limit is a compile-time 1000;
 * brackets outside strings are counted), and NUL characters, which cut its strings short.
 */
static bool is_acceptable(const uint8_t *data, size_t len, struct err *err)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = data[i];
        if (c == '\0' || (in_string && c == '\\' && is_escaped_nul(data, len, i))) {
            return err_set(err, E_PROTOCOL, "JSON: a NUL character or a broken escape at byte %zu",
                           i);
        }
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                return err_set(err, E_PROTOCOL, "JSON: nested deeper than %d levels",
                               JSON_DEPTH_MAX);
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

static size_t skip_space(const uint8_t *data, size_t len, size_t at)
{
    while (at < len &&
           (data[at] == ' ' || data[at] == '\t' || data[at] == '\r' || data[at] == '\n')) {
        at++;
    }
    return at;
}

bool json_parse(const uint8_t *data, size_t len, json **out, struct err *err)
{
    const char *text = (const char *)data;
    const char *end = NULL;

    if (!is_acceptable(data, len, err)) {
        return false;
    }
    json *doc = len > 0 ? cJSON_ParseWithLengthOpts(text, len, &end, 0) : NULL;
    if (doc == NULL) {
        size_t at = end != NULL ? (size_t)(end - text) : 0;
        return err_set(err, E_PROTOCOL, "JSON: not understood at byte %zu of %zu", at, len);
    }
    size_t at = skip_space(data, len, (size_t)(end - text));
    if (at != len) {
        json_free(doc);
        return err_set(err, E_PROTOCOL, "JSON: something follows the value at byte %zu", at);
    }
    *out = doc;
    return true;
}

bool json_is_object(const json *value)
{
    return cJSON_IsObject(value) != 0;
}

bool json_is_array(const json *value)
{
    return cJSON_IsArray(value) != 0;
}

size_t json_count(const json *array)
{
    return json_is_array(array) ? (size_t)cJSON_GetArraySize(array) : 0;
}

const json *json_first(const json *array)
{
    return json_is_array(array) ? array->child : NULL;
}

const json *json_next(const json *element)
{
    return element->next;
}

const json *json_member(const json *object, const char *name)
{
    const cJSON *item =
        json_is_object(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;

    return item != NULL && !cJSON_IsNull(item) ? item : NULL;
}

const char *json_unknown_member(const json *object, const char *const names[], size_t count)
{
    for (const cJSON *m = json_is_object(object) ? object->child : NULL; m != NULL; m = m->next) {
        size_t i = 0;
        while (i < count && strcmp(m->string, names[i]) != 0) {
            i++;
        }
        if (i == count) {
            return m->string;
        }
    }
    return NULL;
}

const char *json_string(const json *value)
{
    return cJSON_GetStringValue(value);
}

bool json_find_string(const json *object, const char *name, const char **out)
{
    const char *value = json_string(json_member(object, name));

    if (value == NULL) {
        return false;
    }
    *out = value;
    return true;
}

bool json_int(const json *value, int64_t *out)
{
    const char *text = json_string(value);
    uint64_t digits = 0;

    if (text != NULL) {
        bool negative = text[0] == '-';
        if (!str_to_u64(negative ? text + 1 : text, INT64_MAX, &digits)) {
            return false;
        }
        *out = negative ? -(int64_t)digits : (int64_t)digits;
        return true;
    }
    if (!cJSON_IsNumber(value)) {
        return false;
    }
    double number = cJSON_GetNumberValue(value);
    if (!(fabs(number) <= exact_max) || trunc(number) != number) {
        return false;
    }
    *out = (int64_t)number;
    return true;
}

bool json_find_int(const json *object, const char *name, int64_t *out)
{
    return json_int(json_member(object, name), out);
}

bool json_find_bool(const json *object, const char *name, bool *out)
{
    const json *item = json_member(object, name);

    if (!cJSON_IsBool(item)) {
        return false;
    }
    *out = cJSON_IsTrue(item) != 0;
    return true;
}

static bool missing(const json *object, const char *name, const char *kind, struct err *err)
{
    if (!json_is_object(object)) {
        return err_set(err, E_PROTOCOL, "JSON: an object with the field '%s' is expected", name);
    }
    return err_set(err, E_PROTOCOL, "JSON: the field '%s' is %s", name,
                   json_member(object, name) == NULL ? "missing" : kind);
}

bool json_get_string(const json *object, const char *name, const char **out, struct err *err)
{
    return json_find_string(object, name, out) || missing(object, name, "not a string", err);
}

bool json_get_int(const json *object, const char *name, int64_t *out, struct err *err)
{
    return json_find_int(object, name, out) || missing(object, name, "not a whole number", err);
}

json *json_new_object(void)
{
    return cJSON_CreateObject();
}

json *json_new_array(void)
{
    return cJSON_CreateArray();
}

bool json_add(json *object, const char *name, json *value)
{
    if (object == NULL || value == NULL || cJSON_AddItemToObject(object, name, value) == 0) {
        cJSON_Delete(value);
        return false;
    }
    return true;
}

bool json_append(json *array, json *value)
{
    if (array == NULL || value == NULL || cJSON_AddItemToArray(array, value) == 0) {
        cJSON_Delete(value);
        return false;
    }
    return true;
}

bool json_add_string(json *object, const char *name, const char *value)
{
    return json_add(object, name, cJSON_CreateString(value));
}

bool json_add_int(json *object, const char *name, int64_t value)
{
    return json_add(object, name, cJSON_CreateNumber((double)value));
}

bool json_add_bool(json *object, const char *name, bool value)
{
    return json_add(object, name, cJSON_CreateBool(value ? 1 : 0));
}

bool json_append_string(json *array, const char *value)
{
    return json_append(array, cJSON_CreateString(value));
}

bool json_append_int(json *array, int64_t value)
{
    return json_append(array, cJSON_CreateNumber((double)value));
}

bool json_print(const json *value, struct buf *out, struct err *err)
{
    char *text = cJSON_PrintUnformatted(value);

    if (text == NULL) {
        return err_nomem(err);
    }
    buf_add_str(out, text);
    cJSON_free(text);
    return buf_ok(out) || err_set(err, E_INTERNAL, "a JSON text is too long");
}
