#include "ca/scm/scm.h"

#include "base/clock.h"
#include "base/str.h"

#include <string.h>
#include <strings.h>

enum { DAY_S = 86400, BY_REQUEST = 4 };

/* "a.example; b.example" with commas, as lists have them. */
static void join_names(const char *text, struct buf *out)
{
    buf_reset(out);
    for (const char *p = text; *p != '\0';) {
        size_t len = strcspn(p, ";,");
        const char *rest = p + len;
        while (len > 0 && *p == ' ') {
            p++;
            len--;
        }
        while (len > 0 && p[len - 1] == ' ') {
            len--;
        }
        if (len > 0) {
            buf_add_str(out, out->len > 0 ? "," : "");
            buf_add(out, p, len);
        }
        p = *rest != '\0' ? rest + 1 : rest;
    }
}

bool scm_parse_report_row(const json *item, struct buf *names, struct ca_row *row)
{
    const char *joined = "";
    const struct {
        const char *name;
        const char **to;
    } texts[] = {
        {"commonName", &row->common_name},
        {"serialNumber", &row->serial},
        {"status", &row->status},
        {"type", &row->product},
        {"issued", &row->issued},
        {"expires", &row->expires},
        {"revoked", &row->revoked_at},
        {"requester", &row->requester},
        {"externalRequester", &row->external_requester},
        {"comments", &row->comments},
    };

    *row = (struct ca_row)CA_ROW_INIT;
    row->full = true;
    if (!json_find_int(item, "id", &row->id) || row->id <= 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        (void)json_find_string(item, texts[i].name, texts[i].to);
    }
    (void)json_find_string(item, "subjAltNames", &joined);
    join_names(joined, names);
    row->names = buf_ok(names) ? buf_str(names) : "";
    return true;
}

bool scm_parse_device_report_row(const json *item, struct ca_row *row)
{
    const struct {
        const char *name;
        const char **to;
    } texts[] = {
        {"commonName", &row->common_name}, {"serialNumber", &row->serial},
        {"subject", &row->subject},        {"deviceCertStatus", &row->status},
        {"certTypeName", &row->product},   {"enrolled", &row->issued},
        {"expire", &row->expires},         {"revoked", &row->revoked_at},
        {"email", &row->requester},        {"comments", &row->comments},
    };

    *row = (struct ca_row)CA_ROW_INIT;
    row->full = true;
    if (!json_find_int(item, "id", &row->id) || row->id <= 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        (void)json_find_string(item, texts[i].name, texts[i].to);
    }
    row->status = scm_device_status(row->status);
    return true;
}

static bool add_day(json *body, const char *name, int64_t day)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(day * DAY_S, text);
    text[10] = '\0';
    return json_add_string(body, name, text);
}

/* The report's number for a status; 0: any, and what comes is looked at. */
static int64_t status_code(const char *status)
{
    static const struct {
        const char *word;
        int64_t code;
    } codes[] = {{"Requested", 1}, {"Issued", 2}, {"Revoked", 3}, {"Expired", 4}};

    for (size_t i = 1; status != NULL && i < ARRAY_LEN(codes); i++) {
        if (str_equal_nocase(status, codes[i].word)) {
            return codes[i].code;
        }
    }
    return 0; /* its "Requested" is more than requested */
}

bool scm_build_report(const struct ca_filter *filter, const struct scm_days *days, struct buf *out,
                      struct err *err)
{
    AUTO(json) json *body = json_new_object();
    json *orgs = json_new_array();
    int64_t status = status_code(filter->status);
    bool names = filter->kind == CA_KIND_TLS; /* the other reports are narrowed by fewer things */
    bool ok = body != NULL && orgs != NULL;

    if (ok && filter->org_id != 0) {
        ok = json_append_int(orgs, filter->org_id) && json_add(body, "organizationIds", orgs);
        orgs = NULL;
    }
    json_free(orgs);
    if (ok && names && filter->common_name != NULL &&
        strpbrk(filter->common_name, "<>\\") == NULL) {
        ok = json_add_string(body, "commonName", filter->common_name);
    }
    if (ok && names && filter->external_requester != NULL) {
        ok = json_add_string(body, "externalRequester", filter->external_requester);
    }
    if (ok && status != 0) {
        ok = json_add_int(body, "certificateStatus", status);
    }
    if (ok && days != NULL) {
        ok = json_add_int(body, "certificateDateAttribute", BY_REQUEST) &&
             add_day(body, "from", days->first) && add_day(body, "to", days->last);
    }
    return ok ? json_print(body, out, err) : err_nomem(err);
}

/* Whether one of comma-separated names is the wanted one. */
static bool has_name(const char *names, const char *wanted)
{
    size_t len = strlen(wanted);

    for (const char *p = names; *p != '\0';) {
        size_t part = strcspn(p, ",");
        if (part == len && strncasecmp(p, wanted, len) == 0) {
            return true;
        }
        p += part + (p[part] != '\0' ? 1 : 0);
    }
    return false;
}

bool scm_row_fits(const struct ca_row *row, const struct ca_filter *filter)
{
    return (filter->common_name == NULL ||
            str_equal_nocase(row->common_name, filter->common_name)) &&
           (filter->name == NULL || has_name(row->names, filter->name)) &&
           (filter->status == NULL || str_equal_nocase(row->status, filter->status)) &&
           (filter->serial == NULL || ca_same_serial(row->serial, filter->serial)) &&
           (filter->requester == NULL || str_equal(row->requester, filter->requester)) &&
           (filter->external_requester == NULL ||
            str_equal_nocase(row->external_requester, filter->external_requester));
}
