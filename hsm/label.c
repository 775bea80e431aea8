#include "base/str.h"
#include "hsm/rules.h"

#include <string.h>

/* Patterns of labels: made into labels, and compared with them. */

enum { DATE_LEN = 10, ID_DIGITS = 6, ID_BYTES = 3 };

static const char date_shape[] = "dddd-dd-dd";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_date(const char *text)
{
    for (size_t i = 0; i < DATE_LEN; i++) {
        if (date_shape[i] == 'd' ? !is_digit(text[i]) : text[i] != '-') {
            return false;
        }
    }
    return true;
}

static bool is_id(const char *text)
{
    return strspn(text, "0123456789abcdef") >= ID_DIGITS;
}

enum placeholder { NO_PLACEHOLDER, NAME, DATE, ID, ORDER };

/* The placeholder at the beginning of a pattern, and how long it is written. */
static enum placeholder placeholder_at(const char *pattern, size_t *len)
{
    static const struct {
        const char *word;
        enum placeholder placeholder;
    } words[] = {{"{name}", NAME}, {"{date}", DATE}, {"{id}", ID}, {"{order}", ORDER}};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_starts_with(pattern, words[i].word)) {
            *len = strlen(words[i].word);
            return words[i].placeholder;
        }
    }
    *len = 1;
    return NO_PLACEHOLDER;
}

/* One of the texts that may be of any length, and then the rest of the pattern. */
static bool fits_after(const char *rest, const char *label, size_t most)
{
    for (size_t taken = 1; taken <= most; taken++) {
        if (hsm_label_fits(rest, label + taken)) {
            return true;
        }
    }
    return false;
}

bool hsm_label_fits(const char *pattern, const char *label)
{
    size_t len = 0;

    while (*pattern != '\0') {
        switch (placeholder_at(pattern, &len)) {
        case NAME:
            return fits_after(pattern + len, label, strlen(label));
        case ORDER:
            return fits_after(pattern + len, label, strspn(label, "0123456789"));
        case DATE:
            if (!is_date(label)) {
                return false;
            }
            label += DATE_LEN;
            break;
        case ID:
            if (!is_id(label)) {
                return false;
            }
            label += ID_DIGITS;
            break;
        case NO_PLACEHOLDER:
            if (*label++ != *pattern) {
                return false;
            }
            break;
        }
        pattern += len;
    }
    return *label == '\0';
}

bool hsm_label_expand(const char *pattern, const struct hsm_label_values *values, struct buf *out,
                      struct err *err)
{
    AUTO(buf) struct buf id = BUF_INIT(2 * ID_BYTES);
    size_t len = 0;

    if (values->id != NULL) {
        str_add_hex(&id, values->id->data, values->id->len < ID_BYTES ? values->id->len : ID_BYTES,
                    '\0');
    }
    for (; *pattern != '\0'; pattern += len) {
        enum placeholder found = placeholder_at(pattern, &len);
        const char *value = found == NAME                       ? values->name
                            : found == DATE                     ? values->date
                            : found == ORDER                    ? values->order
                            : found == ID && values->id != NULL ? buf_str(&id)
                                                                : NULL;
        if (found == NO_PLACEHOLDER) {
            buf_add_byte(out, (uint8_t)*pattern);
        } else if (value == NULL) {
            return err_set(err, E_USAGE, "the label's pattern has %.*s, and there is none",
                           (int)len, pattern);
        } else {
            buf_add_str(out, value);
        }
    }
    return buf_ok(out) || err_set(err, E_CONFIG, "the key's label is too long");
}

bool hsm_rules_check_label(const struct hsm_rules *rules, const char *label, struct err *err)
{
    return rules->label[0] == '\0' || hsm_label_fits(rules->label, label) ||
           err_set(err, E_POLICY, "%s wants labels like '%s', and '%.100s' is none",
                   hsm_rules_title(rules), rules->label, label);
}
