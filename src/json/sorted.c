#include "json/json.h"

#include "base/str.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Numbers are doubles in cJSON; beyond this they are no longer exact. */
static const double exact_max = 9007199254740991.0;

struct writer {
    struct buf *out;
    bool indent;
    int depth;
};

static bool write_value(struct writer *w, const cJSON *value, struct err *err);

static void new_line(struct writer *w)
{
    if (!w->indent) {
        return;
    }
    buf_add_byte(w->out, '\n');
    for (int i = 0; i < w->depth; i++) {
        buf_add_str(w->out, "  ");
    }
}

/* The shortest escapes, and none that need not be (RFC 8785, section 3.2.2.2). */
static bool write_string(struct writer *w, const char *text, struct err *err)
{
    static const char plain[] = "\b\t\n\f\r\"\\";
    static const char letters[] = "btnfr\"\\";

    if (!str_is_utf8((const uint8_t *)text, strlen(text))) {
        return err_set(err, E_PROTOCOL, "JSON: a text is not UTF-8");
    }
    buf_add_byte(w->out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        const char *at = strchr(plain, *p);
        if (at != NULL) {
            buf_addf(w->out, "\\%c", letters[at - plain]);
        } else if ((unsigned char)*p < 0x20) {
            buf_addf(w->out, "\\u%04x", (unsigned)*p);
        } else {
            buf_add_byte(w->out, (uint8_t)*p);
        }
    }
    buf_add_byte(w->out, '"');
    return true;
}

static bool write_number(struct writer *w, const cJSON *value, struct err *err)
{
    double number = cJSON_GetNumberValue(value);

    if (!(fabs(number) <= exact_max) || trunc(number) != number) {
        return err_set(err, E_PROTOCOL, "JSON: a number that is not whole has no place here");
    }
    buf_addf(w->out, "%lld", (long long)number);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

static bool write_members(struct writer *w, const cJSON **members, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = members[i]->string;
        if (i > 0 && strcmp(members[i - 1]->string, name) == 0) {
            return err_set(err, E_PROTOCOL, "JSON: the field '%.60s' is there twice", name);
        }
        buf_add_str(w->out, i > 0 ? "," : "");
        new_line(w);
        if (!write_string(w, name, err)) {
            return false;
        }
        buf_add_str(w->out, w->indent ? ": " : ":");
        if (!write_value(w, members[i], err)) {
            return false;
        }
    }
    return true;
}

static bool write_object(struct writer *w, const cJSON *value, struct err *err)
{
    size_t count = (size_t)cJSON_GetArraySize(value);
    AUTO(mem) void *memory = calloc(count + 1, sizeof(cJSON *));
    const cJSON **members = memory;
    size_t at = 0;

    if (members == NULL) {
        return err_nomem(err);
    }
    for (const cJSON *m = value->child; m != NULL; m = m->next) {
        if (m->string == NULL) {
            return err_set(err, E_INTERNAL, "JSON: a field without a name");
        }
        members[at++] = m;
    }
    qsort(members, count, sizeof(*members), by_name);
    return write_members(w, members, count, err);
}

static bool write_array(struct writer *w, const cJSON *value, struct err *err)
{
    for (const cJSON *item = value->child; item != NULL; item = item->next) {
        buf_add_str(w->out, item != value->child ? "," : "");
        new_line(w);
        if (!write_value(w, item, err)) {
            return false;
        }
    }
    return true;
}

static bool write_inside(struct writer *w, const cJSON *value, struct err *err)
{
    bool is_object = cJSON_IsObject(value) != 0;

    if (w->depth >= JSON_DEPTH_MAX) {
        return err_set(err, E_PROTOCOL, "JSON: nested deeper than %d levels", JSON_DEPTH_MAX);
    }
    buf_add_str(w->out, is_object ? "{" : "[");
    w->depth++;
    if (!(is_object ? write_object(w, value, err) : write_array(w, value, err))) {
        return false;
    }
    w->depth--;
    if (value->child != NULL) {
        new_line(w);
    }
    buf_add_str(w->out, is_object ? "}" : "]");
    return true;
}

static bool write_value(struct writer *w, const cJSON *value, struct err *err)
{
    if (cJSON_IsObject(value) != 0 || cJSON_IsArray(value) != 0) {
        return write_inside(w, value, err);
    }
    if (cJSON_IsString(value) != 0) {
        return write_string(w, cJSON_GetStringValue(value), err);
    }
    if (cJSON_IsNumber(value) != 0) {
        return write_number(w, value, err);
    }
    buf_add_str(w->out, cJSON_IsTrue(value) != 0    ? "true"
                        : cJSON_IsFalse(value) != 0 ? "false"
                                                    : "null");
    return true;
}

bool json_print_sorted(const json *value, bool indent, struct buf *out, struct err *err)
{
    struct writer w = {.out = out, .indent = indent};

    if (value == NULL) {
        return err_nomem(err); /* building it failed */
    }
    return write_value(&w, value, err) &&
           (buf_ok(out) || err_set(err, E_PROTOCOL, "a JSON text is too long"));
}
