/* Rows of the lists, kind by kind, and what a list is narrowed to. */
#include "ca/scm/scm.h"

#include "base/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static void join(const json *list, struct buf *out)
{
    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        const char *name = json_string(item);
        if (name != NULL) {
            buf_addf(out, "%s%s", out->len > 0 ? "," : "", name);
        }
    }
}

bool scm_parse_row(const json *item, struct buf *names, struct ca_row *row)
{
    *row = (struct ca_row)CA_ROW_INIT;
    if (!json_find_int(item, "sslId", &row->id) && !json_find_int(item, "id", &row->id)) {
        return false;
    }
    if (row->id <= 0) {
        return false;
    }
    (void)json_find_string(item, "commonName", &row->common_name);
    (void)json_find_string(item, "serialNumber", &row->serial);
    buf_reset(names);
    join(json_member(item, "subjectAlternativeNames"), names);
    row->names = buf_ok(names) ? buf_str(names) : "";
    return true;
}

/* One part of a distinguished name: up to the next comma or plus sign that is not escaped. */
static size_t part_length(const char *text)
{
    bool quoted = false;
    size_t len = 0;

    for (; text[len] != '\0'; len++) {
        if (text[len] == '\\' && text[len + 1] != '\0') {
            len++;
        } else if (text[len] == '"') {
            quoted = !quoted;
        } else if (!quoted && (text[len] == ',' || text[len] == '+')) {
            break;
        }
    }
    return len;
}

static void add_plain(const char *text, size_t len, struct buf *out)
{
    while (len > 0 && text[len - 1] == ' ') {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"') {
            continue;
        }
        if (text[i] == '\\' && i + 1 < len) {
            i++;
        }
        buf_add(out, text + i, 1);
    }
}

bool scm_subject_cn(const char *subject, struct buf *out)
{
    for (const char *p = subject; *p != '\0';) {
        while (*p == ' ') {
            p++;
        }
        size_t len = part_length(p);
        if (len >= 3 && strncasecmp(p, "CN=", 3) == 0) {
            add_plain(p + 3, len - 3, out);
            return out->len > 0 && buf_ok(out);
        }
        p += len + (p[len] != '\0' ? 1 : 0);
    }
    return false;
}

void scm_join_san_text(const char *text, struct buf *out)
{
    for (const char *p = text; *p != '\0';) {
        while (*p == ' ' || *p == ',') {
            p++;
        }
        size_t len = strcspn(p, ",");
        const char *equals = memchr(p, '=', len);
        if (equals != NULL && equals + 1 < p + len) {
            buf_add_str(out, out->len > 0 ? "," : "");
            buf_add(out, equals + 1, (size_t)(p + len - equals - 1));
        }
        p += len;
    }
}

/* Lists have them in capitals, details as words. */
const char *scm_device_status(const char *status)
{
    static const char *const words[] = {"Requested",  "Approved", "Declined", "Applied", "Issued",
                                        "Downloaded", "Expired",  "Revoked",  "Rejected"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_equal_nocase(words[i], status)) {
            return words[i];
        }
    }
    return status;
}

/* What such rows say inside of certificateDetails. */
static void take_certificate(const json *item, struct scm_row_texts *texts, struct ca_row *row)
{
    const json *cert = json_member(item, "certificateDetails");
    const char *names = "";

    buf_reset(&texts->names);
    buf_reset(&texts->common_name);
    if (cert != NULL) {
        (void)json_find_string(cert, "subject", &row->subject);
        (void)json_find_string(cert, "subjectAltNames", &names);
    }
    scm_join_san_text(names, &texts->names);
    row->names = buf_ok(&texts->names) ? buf_str(&texts->names) : "";
    row->common_name =
        scm_subject_cn(row->subject, &texts->common_name) ? buf_str(&texts->common_name) : "";
}

static bool parse_device(const json *item, struct scm_row_texts *texts, struct ca_row *row)
{
    const char *status = "";

    *row = (struct ca_row)CA_ROW_INIT;
    if (!json_find_int(item, "id", &row->id) || row->id <= 0) {
        return false;
    }
    (void)json_find_string(item, "status", &status);
    row->status = scm_device_status(status);
    take_certificate(item, texts, row);
    return true;
}

/* Its number is that of the CA behind the manager: what was refused has none. */
static bool parse_smime(const json *item, struct scm_row_texts *texts, struct ca_row *row)
{
    *row = (struct ca_row)CA_ROW_INIT;
    if (!json_find_int(item, "backendCertId", &row->id) || row->id <= 0) {
        return false;
    }
    (void)json_find_string(item, "state", &row->status);
    (void)json_find_string(item, "serialNumber", &row->serial);
    (void)json_find_string(item, "expires", &row->expires);
    (void)json_find_string(item, "comments", &row->comments);
    take_certificate(item, texts, row);
    return true;
}

bool scm_parse_row_of(enum ca_kind kind, const json *item, struct scm_row_texts *texts,
                      struct ca_row *row)
{
    switch (kind) {
    case CA_KIND_DEVICE:
        return parse_device(item, texts, row);
    case CA_KIND_SMIME:
        return parse_smime(item, texts, row);
    case CA_KIND_TLS:
    case CA_KINDS:
        break;
    }
    return scm_parse_row(item, &texts->names, row);
}

void scm_row_texts_done(struct scm_row_texts *texts)
{
    buf_done(&texts->names);
    buf_done(&texts->common_name);
}

/* What is wanted, what that is called, and the query's word for it (NULL: there is none). */
enum {
    BY_COMMON_NAME,
    BY_NAME,
    BY_STATUS,
    BY_SERIAL,
    BY_REQUESTER,
    BY_EXTERNAL_REQUESTER,
    BY_ORG,
    BY_PRODUCT,
    NARROWINGS
};
struct narrowing {
    const char *what, *text, *word;
    int64_t number;
};

static void list_narrowings(const struct ca_filter *filter, struct narrowing out[static NARROWINGS])
{
    const struct scm_words *by = &scm_kind(filter->kind)->by;
    const struct narrowing rows[NARROWINGS] = {
        [BY_COMMON_NAME] = {"common name", filter->common_name, by->common_name, 0},
        [BY_NAME] = {filter->kind == CA_KIND_SMIME ? "e-mail address" : "alternative name",
                     filter->name, by->name, 0},
        [BY_STATUS] = {"status", filter->status, by->status, 0},
        [BY_SERIAL] = {"serial number", filter->serial, by->serial, 0},
        [BY_REQUESTER] = {"requester", filter->requester, by->requester, 0},
        [BY_EXTERNAL_REQUESTER] = {"external requester", filter->external_requester,
                                   by->external_requester, 0},
        [BY_ORG] = {"organization", NULL, by->org, filter->org_id},
        [BY_PRODUCT] = {"product", NULL, by->product, filter->product_id},
    };

    memcpy(out, rows, sizeof(rows));
}

bool scm_check_filter(const struct ca_filter *filter, struct err *err)
{
    AUTO(buf) struct buf there = BUF_INIT(512);
    struct narrowing rows[NARROWINGS];
    const char *wrong = NULL;

    list_narrowings(filter, rows);
    for (size_t i = 0; i < NARROWINGS; i++) {
        if (rows[i].word != NULL) {
            buf_addf(&there, "%s%s", there.len > 0 ? ", " : "", rows[i].what);
        } else if (rows[i].text != NULL || rows[i].number != 0) {
            wrong = rows[i].what;
        }
    }
    return wrong == NULL ||
           err_set(err, E_USAGE,
                   "the CA's list of certificates of the kind '%s' cannot be narrowed by %s; it "
                   "can by: %s",
                   ca_kind_name(filter->kind), wrong, buf_str(&there));
}

static void add_word(struct buf *out, const char *word, const char *value)
{
    buf_addf(out, "&%s=", word);
    str_percent_encode(out, (const uint8_t *)value, strlen(value), "");
}

/* As the resource spells it: the words of S/MIME certificates are in small letters. */
static void add_status(struct buf *out, enum ca_kind kind, const char *word, const char *value)
{
    AUTO(buf) struct buf small = BUF_INIT(256);

    for (const char *p = value; kind == CA_KIND_SMIME && *p != '\0'; p++) {
        char letter = (char)tolower((unsigned char)*p);
        buf_add(&small, &letter, 1);
    }
    add_word(out, word,
             kind == CA_KIND_SMIME    ? buf_str(&small)
             : kind == CA_KIND_DEVICE ? scm_device_status(value)
                                      : value);
}

void scm_build_list(const struct ca_filter *filter, int64_t size, int64_t position, struct buf *out)
{
    AUTO(buf) struct buf serial = BUF_INIT(CA_SERIAL_TEXT_MAX);
    struct narrowing rows[NARROWINGS];

    buf_addf(out, "size=%lld&position=%lld", (long long)size, (long long)position);
    list_narrowings(filter, rows);
    for (size_t i = 0; i < NARROWINGS; i++) {
        const struct narrowing *row = &rows[i];
        if (row->word != NULL && row->number != 0) {
            buf_addf(out, "&%s=%lld", row->word, (long long)row->number);
        } else if (row->word == NULL || row->text == NULL) {
            continue;
        } else if (i == BY_STATUS) {
            add_status(out, filter->kind, row->word, row->text);
        } else if (i == BY_SERIAL && ca_serial_text(row->text, &serial)) {
            add_word(out, row->word, buf_str(&serial));
        } else {
            add_word(out, row->word, row->text);
        }
    }
    /* Its end of validity is compared with that of details. */
    buf_add_str(out, filter->kind == CA_KIND_SMIME ? "&dateFormat=ISO_HMS" : "");
}
