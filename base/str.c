#include "base/str.h"

#include <string.h>
#include <strings.h>

bool str_to_u64(const char *str, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (str == NULL || str[0] == '\0') {
        return false;
    }
    for (const char *p = str; *p != '\0'; p++) {
        if (*p < '0' || *p > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*p - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (value > max) {
        return false;
    }
    *out = value;
    return true;
}

bool str_to_int(const char *str, int min, int max, int *out)
{
    uint64_t value = 0;
    bool negative = str != NULL && str[0] == '-';

    if (!str_to_u64(negative ? str + 1 : str, (uint64_t)INT32_MAX, &value)) {
        return false;
    }
    int64_t number = negative ? -(int64_t)value : (int64_t)value;
    if (number < min || number > max) {
        return false;
    }
    *out = (int)number;
    return true;
}

bool str_to_bool(const char *str, bool *out)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_equal_nocase(str, yes[i]) || str_equal_nocase(str, no[i])) {
            *out = str_equal_nocase(str, yes[i]);
            return true;
        }
    }
    return false;
}

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    default:
        return 0;
    }
}

bool str_to_seconds(const char *str, int64_t *out)
{
    char digits[24];
    size_t len = str != NULL ? strlen(str) : 0;
    int64_t unit = 1;
    uint64_t count = 0;

    if (len == 0 || len >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, str, len + 1);
    if (unit_seconds(digits[len - 1]) != 0) {
        unit = unit_seconds(digits[len - 1]);
        digits[len - 1] = '\0';
    }
    if (!str_to_u64(digits, (uint64_t)INT32_MAX, &count)) {
        return false;
    }
    *out = (int64_t)count * unit;
    return true;
}

void str_add_hex(struct buf *out, const uint8_t *data, size_t len, char separator)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && separator != '\0') {
            buf_add_byte(out, (uint8_t)separator);
        }
        buf_add_byte(out, (uint8_t)digits[data[i] >> 4]);
        buf_add_byte(out, (uint8_t)digits[data[i] & 15]);
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool str_from_hex(const char *str, struct buf *out)
{
    const char *p = str;

    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        p += 2;
    }
    while (*p != '\0') {
        int high = hex_value(p[0]);
        int low = high >= 0 ? hex_value(p[1]) : -1;
        if (low < 0) {
            return false;
        }
        buf_add_byte(out, (uint8_t)(high * 16 + low));
        p += 2;
        if (p[0] == ':' && p[1] != '\0') {
            p++;
        }
    }
    return buf_ok(out);
}

bool str_percent_decode(const char *str, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (str[i] != '%') {
            buf_add_byte(out, (uint8_t)str[i]);
            continue;
        }
        int high = i + 2 < len ? hex_value(str[i + 1]) : -1;
        int low = i + 2 < len ? hex_value(str[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return false;
        }
        buf_add_byte(out, (uint8_t)(high * 16 + low));
        i += 2;
    }
    return buf_ok(out);
}

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void str_percent_encode(struct buf *out, const uint8_t *data, size_t len, const char *also_plain)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < len; i++) {
        uint8_t c = data[i];
        bool plain = is_unreserved(c) || (c != '\0' && strchr(also_plain, (char)c) != NULL);
        if (plain) {
            buf_add_byte(out, c);
        } else {
            buf_add_byte(out, '%');
            buf_add_byte(out, (uint8_t)digits[c >> 4]);
            buf_add_byte(out, (uint8_t)digits[c & 15]);
        }
    }
}

bool str_is_printable(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] < 0x20 || data[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

/* Length of the valid UTF-8 sequence at p (RFC 3629: shortest form, no surrogates), or 0. */
static size_t utf8_length(const uint8_t *p, size_t len)
{
    static const struct {
        uint8_t lead_low, lead_high, second_low, second_high;
        uint8_t length;
    } forms[] = {
        {0x01, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (p[0] < forms[i].lead_low || p[0] > forms[i].lead_high || forms[i].length > len) {
            continue;
        }
        if (forms[i].length > 1 && (p[1] < forms[i].second_low || p[1] > forms[i].second_high)) {
            return 0;
        }
        for (size_t k = 2; k < forms[i].length; k++) {
            if (p[k] < 0x80 || p[k] > 0xbf) {
                return 0;
            }
        }
        return forms[i].length;
    }
    return 0;
}

bool str_is_utf8(const uint8_t *data, size_t len)
{
    size_t i = 0;

    while (i < len) {
        size_t step = utf8_length(data + i, len - i);
        if (step == 0) {
            return false;
        }
        i += step;
    }
    return true;
}

size_t str_char(const uint8_t *data, size_t len, uint32_t *code)
{
    static const uint8_t lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t length = utf8_length(data, len);

    if (length == 0) {
        return 0;
    }
    *code = data[0] & lead_mask[length];
    for (size_t i = 1; i < length; i++) {
        *code = *code << 6 | (data[i] & 0x3fU);
    }
    return length;
}

bool str_char_is_shown(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     /* C0, DEL, C1 */
        {0xad, 0xad},     {0x61c, 0x61c},   /* soft hyphen, Arabic letter mark */
        {0x180e, 0x180e}, {0x200b, 0x200f}, /* no width; direction */
        {0x2028, 0x202e},                   /* line ends; direction */
        {0x2060, 0x206f},                   /* invisible; direction */
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff}, /* byte order; notes; tags */
    };

    if (code >= 0x20 && code < 0x7f) { /* nearly always */
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        if (code >= hidden[i].first && code <= hidden[i].last) {
            return false;
        }
    }
    return true;
}

void str_add_quotable(struct buf *out, const char *text, size_t len, size_t max_chars)
{
    const uint8_t *data = (const uint8_t *)text;
    size_t shown = len < max_chars ? len : max_chars;
    size_t i = 0;

    while (i < shown) {
        uint32_t code = 0;
        size_t step = str_char(data + i, len - i, &code);
        bool shown_as_it_is = step > 0 && str_char_is_shown(code);
        size_t end = i + (step > 0 ? step : 1);
        if (shown_as_it_is) {
            buf_add(out, data + i, step);
        }
        for (; !shown_as_it_is && i < end; i++) {
            buf_addf(out, "\\x%02x", data[i]);
        }
        i = end;
    }
    if (i < len) {
        buf_add_str(out, "...");
    }
}

char *str_dup(const char *str)
{
    return str != NULL ? strdup(str) : NULL;
}

char *str_ndup(const char *str, size_t len)
{
    return strndup(len > 0 ? str : "", len); /* nothing may be NULL */
}

bool str_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return strcmp(a, b) == 0;
}

bool str_equal_nocase(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return strcasecmp(a, b) == 0;
}

bool str_starts_with(const char *str, const char *prefix)
{
    return strncmp(str, prefix, strlen(prefix)) == 0;
}

bool str_starts_with_nocase(const char *str, const char *prefix)
{
    return strncasecmp(str, prefix, strlen(prefix)) == 0;
}

bool str_ends_with(const char *str, const char *suffix)
{
    size_t len = strlen(str);
    size_t suffix_len = strlen(suffix);

    return len >= suffix_len && strcmp(str + len - suffix_len, suffix) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

char *str_trim(char *str)
{
    while (is_space(*str)) {
        str++;
    }
    size_t len = strlen(str);
    while (len > 0 && is_space(str[len - 1])) {
        str[--len] = '\0';
    }
    return str;
}
