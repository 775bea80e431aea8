#include "dcv/dcv.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum {
    TXT_MAX = 255, /* of one character string: RFC 1035 section 3.3 */
    LINE_MAX_LEN = 512,
    PATH_MAX_LEN = 512,
    QUOTED = 100,
};

static const char well_known[] = "/.well-known/";

void dcv_record_done(struct dcv_record *record)
{
    free(record->domain);
    free(record->name);
    free(record->value);
    free(record->url);
    *record = (struct dcv_record){.domain = NULL};
}

static bool is_word(char c, const char *also)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr(also, c) != NULL);
}

/* Letters, digits, '-' and '_' in labels of 1 to 63; RFC 1035 section 2.3.4. */
static bool is_dns_name(const char *name, size_t len)
{
    size_t label = 0;

    if (len == 0 || len > 253) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '.' ? label == 0 : (label == 63 || !is_word(name[i], "-_"))) {
            return false;
        }
        label = name[i] == '.' ? 0 : label + 1;
    }
    return label > 0 && name[0] != '-';
}

/* Without the dot at the end that a CA may write. */
static size_t bare_len(const char *name)
{
    size_t len = strlen(name);

    return len > 1 && name[len - 1] == '.' ? len - 1 : len;
}

static bool is_below(const char *name, size_t len, const char *domain)
{
    size_t tail = strlen(domain);

    return len > tail + 1 && name[len - tail - 1] == '.' &&
           strncasecmp(name + len - tail, domain, tail) == 0;
}

/* "name says" for a message, harmless. */
static bool strange(const char *what, const char *text, const char *domain, struct err *err)
{
    AUTO(buf) struct buf quoted = BUF_INIT(1024);

    str_add_quotable(&quoted, text, strlen(text), QUOTED);
    return err_set(err, E_PROTOCOL,
                   "the CA wants %s '%s', which is not what %s can have; nothing "
                   "was published",
                   what, buf_str(&quoted), domain);
}

static const char *base_of(const char *domain)
{
    return str_starts_with(domain, "*.") ? domain + 2 : domain;
}

static bool is_line(const char *text, size_t max)
{
    size_t len = strlen(text);

    return len > 0 && len <= max && str_is_printable((const uint8_t *)text, len);
}

bool dcv_record_dns(struct dcv_record *out, const char *domain, enum dcv_kind kind,
                    const char *host, const char *point, struct err *err)
{
    const char *base = base_of(domain);
    size_t host_len = bare_len(host);
    size_t point_len = kind == DCV_CNAME ? bare_len(point) : strlen(point);

    if (!is_dns_name(host, host_len) || !is_below(host, host_len, base)) {
        return strange("a record at", host, base, err);
    }
    if (kind == DCV_CNAME ? !is_dns_name(point, point_len) : !is_line(point, TXT_MAX)) {
        return strange("a record that says", point, base, err);
    }
    *out = (struct dcv_record){.kind = kind,
                               .domain = str_dup(base),
                               .name = str_ndup(host, host_len),
                               .value = str_ndup(point, point_len)};
    if (out->domain == NULL || out->name == NULL || out->value == NULL) {
        dcv_record_done(out);
        return err_nomem(err);
    }
    return true;
}

/* Segments of plain characters that do not begin with a dot, after "/.well-known/". */
static bool is_safe_path(const char *path)
{
    if (strlen(path) > PATH_MAX_LEN || !str_starts_with(path, well_known)) {
        return false;
    }
    for (const char *segment = path + strlen(well_known);;) {
        size_t len = strcspn(segment, "/");
        if (len == 0 || segment[0] == '.' || segment[0] == '-') {
            return false;
        }
        for (size_t i = 0; i < len; i++) {
            if (!is_word(segment[i], "-_.")) {
                return false;
            }
        }
        if (segment[len] == '\0') {
            return true;
        }
        segment += len + 1;
    }
}

/* The path of a URL on that very host, without port and user; NULL if it is something else. */
static const char *path_on(const char *url, const char *host)
{
    const char *rest = str_starts_with_nocase(url, "http://")    ? url + 7
                       : str_starts_with_nocase(url, "https://") ? url + 8
                                                                 : NULL;
    size_t len = strlen(host);

    return rest != NULL && strncasecmp(rest, host, len) == 0 && rest[len] == '/' ? rest + len
                                                                                 : NULL;
}

bool dcv_record_file(struct dcv_record *out, const char *domain, const char *url,
                     const char *first_line, const char *second_line, struct err *err)
{
    AUTO(buf) struct buf value = BUF_INIT(2 * LINE_MAX_LEN + 2);
    const char *base = base_of(domain);
    const char *path = path_on(url, base);

    if (path == NULL || !is_safe_path(path)) {
        return strange("a file at", url, base, err);
    }
    if (!is_line(first_line, LINE_MAX_LEN)) {
        return strange("a file that says", first_line, base, err);
    }
    if (second_line != NULL && !is_line(second_line, LINE_MAX_LEN)) {
        return strange("a file that says", second_line, base, err);
    }
    buf_addf(&value, "%s%s%s", first_line, second_line != NULL ? "\n" : "",
             second_line != NULL ? second_line : "");
    *out = (struct dcv_record){.kind = DCV_FILE,
                               .domain = str_dup(base),
                               .name = str_dup(path),
                               .value = buf_take_str(&value),
                               .url = str_dup(url)};
    if (out->domain == NULL || out->name == NULL || out->value == NULL || out->url == NULL) {
        dcv_record_done(out);
        return err_nomem(err);
    }
    return true;
}
