#include "x509/x509.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { SUBJECT_MAX = 1024 };

DEFINE_AUTO(general_names, GENERAL_NAMES *, GENERAL_NAMES_free)

void x509_names_done(struct x509_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->list[i]);
    }
    free(names->list);
    *names = (struct x509_names)X509_NAMES_INIT;
}

static bool parse_ip(const char *text, uint8_t out[static 16], size_t *len)
{
    if (inet_pton(AF_INET, text, out) == 1) {
        *len = 4;
        return true;
    }
    if (inet_pton(AF_INET6, text, out) == 1) {
        *len = 16;
        return true;
    }
    return false;
}

enum x509_name_kind x509_name_kind(const char *name)
{
    uint8_t ip[16];
    size_t len = 0;

    if (parse_ip(name, ip, &len)) {
        return X509_NAME_IP;
    }
    return strchr(name, '@') != NULL ? X509_NAME_EMAIL : X509_NAME_DNS;
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* RFC 1123 labels, and "*." in front (RFC 6125 section 6.4.3). The text is lower case already. */
static bool is_dns_name(const char *name)
{
    const char *p = str_starts_with(name, "*.") ? name + 2 : name;
    size_t label = 0;
    bool dot = false;

    if (strlen(name) > X509_NAME_LEN_MAX) {
        return false;
    }
    for (; *p != '\0'; p++) {
        if (*p == '.') {
            if (label == 0 || p[-1] == '-') {
                return false;
            }
            label = 0;
            dot = true;
            continue;
        }
        if (!is_label_char(*p) || (label == 0 && *p == '-') || ++label > 63) {
            return false;
        }
    }
    return label > 0 && p[-1] != '-' && (dot || name[0] != '*');
}

/* Lower case, and IP addresses in their one canonical form. free() it. */
static char *normalise(const char *name)
{
    uint8_t ip[16];
    size_t len = 0;
    char text[INET6_ADDRSTRLEN];

    if (parse_ip(name, ip, &len)) {
        return str_dup(inet_ntop(len == 4 ? AF_INET : AF_INET6, ip, text, sizeof(text)));
    }
    char *copy = str_dup(name);
    for (char *p = copy; p != NULL && *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    }
    return copy;
}

static bool is_email(const char *name)
{
    const char *at = strchr(name, '@');

    return at != NULL && at != name && strlen(name) <= 254 && strchr(at + 1, '@') == NULL &&
           str_is_printable((const uint8_t *)name, strlen(name)) &&
           strpbrk(name, " ,;<>\"") == NULL && is_dns_name(at + 1) && at[1] != '*';
}

static bool is_valid(const char *name)
{
    switch (x509_name_kind(name)) {
    case X509_NAME_IP:
        return true;
    case X509_NAME_EMAIL:
        return is_email(name);
    case X509_NAME_DNS:
        return is_dns_name(name);
    }
    return false;
}

bool x509_names_has(const struct x509_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (str_equal(names->list[i], name)) {
            return true;
        }
    }
    return false;
}

/* Takes over *name. */
static bool push(struct x509_names *names, char **name, struct err *err)
{
    char **grown = reallocarray(names->list, names->count + 1, sizeof(*grown));

    if (grown == NULL) {
        return err_nomem(err);
    }
    names->list = grown;
    names->list[names->count++] = *name;
    *name = NULL;
    return true;
}

bool x509_names_add(struct x509_names *names, const char *name, struct err *err)
{
    AUTO(str) char *copy = normalise(name);
    AUTO(buf) struct buf quoted = BUF_INIT(512);

    if (copy == NULL) {
        return err_nomem(err);
    }
    if (!is_valid(copy)) {
        str_add_quotable(&quoted, name, strlen(name), 80);
        return err_set(err, E_USAGE, "'%s' is no DNS name, IP address or e-mail address",
                       buf_str(&quoted));
    }
    if (x509_names_has(names, copy)) {
        return true;
    }
    if (names->count == X509_NAMES_MAX) {
        return err_set(err, E_USAGE, "more than %d names for one certificate", X509_NAMES_MAX);
    }
    return push(names, &copy, err);
}

static const char blanks[] = " \t\r\n";

/* Adds what stands between separators, without the white space around it. */
static bool add_split(struct x509_names *names, const char *text, const char *separators,
                      struct err *err)
{
    const char *p = text;

    while (*p != '\0') {
        p += strspn(p, blanks);
        size_t len = strcspn(p, separators);
        const char *next = p + len + (p[len] != '\0' ? 1 : 0);
        while (len > 0 && strchr(blanks, p[len - 1]) != NULL) {
            len--;
        }
        AUTO(str) char *one = str_ndup(p, len);
        if (one == NULL) {
            return err_nomem(err);
        }
        if (len > 0 && !x509_names_add(names, one, err)) {
            return false;
        }
        p = next;
    }
    return true;
}

bool x509_names_add_list(struct x509_names *names, const char *text, struct err *err)
{
    return add_split(names, text, ", \t\r\n", err);
}

bool x509_names_add_word(struct x509_names *names, const char *text, struct err *err)
{
    return add_split(names, text, ",", err);
}

char *x509_names_join(const struct x509_names *names, char separator)
{
    AUTO(buf) struct buf out = BUF_INIT((size_t)X509_NAMES_MAX * 260);

    for (size_t i = 0; i < names->count; i++) {
        if (i > 0) {
            buf_add_byte(&out, (uint8_t)separator);
        }
        buf_add_str(&out, names->list[i]);
    }
    return buf_take_str(&out);
}

/*
 * Adds a name of a certificate if it is one that could have been asked for. What a text looks like
 * must be what the certificate says it is: a dNSName "10.0.0.1" vouches for no address (RFC 6125
 * section 6.4). The CA may put in more than was asked for, of forms that we do not know; that is
 * its business. No limit and no search for duplicates: the size of the certificate is the limit.
 */
static bool add_found(struct x509_names *out, const char *name, enum x509_name_kind kind,
                      struct err *err)
{
    AUTO(str) char *copy = normalise(name);

    if (copy == NULL) {
        return err_nomem(err);
    }
    return x509_name_kind(copy) != kind || !is_valid(copy) || push(out, &copy, err);
}

/* One entry of subjectAltName as text; kinds that nobody asks for are passed over. */
static bool add_general_name(struct x509_names *out, const GENERAL_NAME *name, struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    const ASN1_STRING *string = NULL;

    if (name->type == GEN_IPADD) {
        int len = ASN1_STRING_length(name->d.iPAddress);
        const unsigned char *ip = ASN1_STRING_get0_data(name->d.iPAddress);
        if (len != 4 && len != 16) {
            return true;
        }
        return add_found(out, inet_ntop(len == 4 ? AF_INET : AF_INET6, ip, text, sizeof(text)),
                         X509_NAME_IP, err);
    }
    if (name->type == GEN_DNS || name->type == GEN_EMAIL) {
        string = name->type == GEN_DNS ? name->d.dNSName : name->d.rfc822Name;
    }
    if (string == NULL) {
        return true;
    }
    size_t len = (size_t)ASN1_STRING_length(string);
    AUTO(str) char *copy = str_ndup((const char *)ASN1_STRING_get0_data(string), len);
    if (copy == NULL) {
        return err_nomem(err);
    }
    if (strlen(copy) != len) {
        return err_set(err, E_CERT_REJECTED, "a name in the certificate contains a NUL byte");
    }
    return add_found(out, copy, name->type == GEN_DNS ? X509_NAME_DNS : X509_NAME_EMAIL, err);
}

bool x509_names_of_cert(X509 *cert, struct x509_names *out, struct err *err)
{
    AUTO(general_names)
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        if (!add_general_name(out, sk_GENERAL_NAME_value(names, i), err)) {
            return false;
        }
    }
    return true;
}

bool x509_names_cover(const struct x509_names *have, const struct x509_names *wanted,
                      struct buf *missing)
{
    bool covered = true;

    for (size_t i = 0; i < wanted->count; i++) {
        if (!x509_names_has(have, wanted->list[i])) {
            buf_addf(missing, "%s%s", covered ? "" : ", ", wanted->list[i]);
            covered = false;
        }
    }
    return covered;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What stands behind a backslash: a special character, or two hex digits of UTF-8. */
static bool take_escape(const char **text, char *out, struct err *err)
{
    const char *p = *text;
    int high = hex_digit(p[0]);
    int low = high >= 0 ? hex_digit(p[1]) : -1;

    if (p[0] != '\0' && strchr(" \"#+,;<=>\\", p[0]) != NULL) {
        *out = p[0];
        *text = p + 1;
        return true;
    }
    if (low < 0) {
        return err_set(err, E_USAGE,
                       "subject: a backslash stands before one of ' \"#+,;<=>\\' or before two hex "
                       "digits");
    }
    if (high == 0 && low == 0) {
        return err_set(err, E_USAGE, "subject: a value cannot contain a NUL byte");
    }
    *out = (char)(high * 16 + low);
    *text = p + 2;
    return true;
}

/* Multi-valued RDNs, #hex and quotes (RFC 4514 section 2.4) are refused; they must not pass as
 * text. */
static bool check_special(const char *type, const char *p, bool first, struct err *err)
{
    if (*p == '+') {
        return err_set(err, E_USAGE,
                       "subject: several values in one part ('+' in %s) are not supported; a plus "
                       "sign is written '\\+'",
                       type);
    }
    if (*p == '"') {
        return err_set(err, E_USAGE, "subject: a quotation mark in %s is written '\\\"'", type);
    }
    if (first && *p == '#') {
        return err_set(err, E_USAGE,
                       "subject: encoded values ('#' at the beginning of %s) are not supported; a "
                       "number sign is written '\\#'",
                       type);
    }
    return true;
}

/* Decodes up to an unescaped comma. White space around goes unless it is escaped. Moves *text. */
static bool take_value(const char **text, const char *type, char value[static SUBJECT_MAX + 1],
                       struct err *err)
{
    static const char white[] = " \t\r\n";
    const char *p = *text + strspn(*text, white);
    size_t len = 0;
    size_t kept = 0;

    while (*p != '\0' && *p != ',') {
        if (*p == '\\') {
            p++;
            if (!take_escape(&p, &value[len], err)) {
                return false;
            }
            kept = ++len;
            continue;
        }
        if (!check_special(type, p, len == 0, err)) {
            return false;
        }
        value[len++] = *p;
        kept = strchr(white, *p) == NULL ? len : kept;
        p++;
    }
    value[kept] = '\0';
    *text = p;
    return true;
}

static bool add_rdn(X509_NAME *name, const char *type, const char *value, struct err *err)
{
    AUTO(buf) struct buf quoted = BUF_INIT(1000);

    if (value[0] == '\0') {
        return err_set(err, E_USAGE, "subject: %s has no value", type);
    }
    /* Position -1, set 0: RDNs in the order they are written. */
    if (X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, (const unsigned char *)value, -1, -1,
                                   0) != 1) {
        str_add_quotable(&quoted, value, strlen(value), 200);
        return err_set_ssl(err, E_USAGE, "subject: '%s=%s'", type, buf_str(&quoted));
    }
    return true;
}

bool x509_subject_parse(const char *text, X509_NAME **out, struct err *err)
{
    AUTO(x509_name) X509_NAME *name = X509_NAME_new();
    const char *p = text;

    if (name == NULL) {
        return err_nomem(err);
    }
    if (strlen(text) > SUBJECT_MAX) {
        return err_set(err, E_USAGE, "the subject is longer than %d characters", SUBJECT_MAX);
    }
    while (*p != '\0') {
        p += strspn(p, " ");
        size_t type_len = strcspn(p, "=,");
        if (type_len == 0 || type_len > 32 || p[type_len] != '=') {
            return err_set(err, E_USAGE, "subject: '%.60s' is not of the form CN=name,O=...", p);
        }
        AUTO(str) char *type = str_ndup(p, type_len);
        char value[SUBJECT_MAX + 1];
        if (type == NULL) {
            return err_nomem(err);
        }
        p += type_len + 1;
        if (!take_value(&p, type, value, err) || !add_rdn(name, str_trim(type), value, err)) {
            return false;
        }
        p += *p == ',' ? 1 : 0;
    }
    if (X509_NAME_entry_count(name) == 0) {
        return err_set(err, E_USAGE, "the subject is empty");
    }
    *out = TAKE(name);
    return true;
}
