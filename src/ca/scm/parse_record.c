#include "ca/scm/scm.h"

#include "base/str.h"

#include <string.h>

enum { NAMES_MAX = 256 * 1024 };

/* A text of the document, if there is one. */
static bool take(const json *doc, const char *name, char **out, struct err *err)
{
    const char *text = NULL;

    if (!json_find_string(doc, name, &text) || text[0] == '\0') {
        return true;
    }
    *out = str_dup(text);
    return *out != NULL || err_nomem(err);
}

static void join(const json *list, struct buf *out)
{
    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        const char *name = json_string(item);
        if (name != NULL) {
            buf_addf(out, "%s%s", out->len > 0 ? "," : "", name);
        }
    }
}

bool scm_parse_record(const json *doc, struct ca_record *out, struct err *err)
{
    AUTO(buf) struct buf names = BUF_INIT(NAMES_MAX);
    const json *profile = json_member(doc, "certType");
    const json *cert = json_member(doc, "certificateDetails");
    const struct {
        const json *from;
        const char *name;
        char **to;
    } texts[] = {
        {doc, "commonName", &out->common_name},
        {doc, "serialNumber", &out->serial},
        {profile, "name", &out->product},
        {cert, "subject", &out->subject},
        {doc, "requested", &out->requested},
        {doc, "issued", &out->issued},
        {doc, "expires", &out->expires},
        {doc, "revoked", &out->revoked_at},
        {doc, "requester", &out->requester},
        {doc, "externalRequester", &out->external_requester},
        {doc, "comments", &out->comments},
    };
    const char *status = NULL;

    if (!json_get_string(doc, "status", &status, err)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].from != NULL && !take(texts[i].from, texts[i].name, texts[i].to, err)) {
            return false;
        }
    }
    join(json_member(doc, "subjectAlternativeNames"), &names);
    out->status = str_dup(status);
    out->names = names.len > 0 && buf_ok(&names) ? str_dup(buf_str(&names)) : NULL;
    if (out->status == NULL || (names.len > 0 && out->names == NULL)) {
        return err_nomem(err);
    }
    (void)json_find_bool(doc, "renewed", &out->renewed);
    if (profile != NULL) {
        (void)json_find_int(profile, "id", &out->product_id);
    }
    (void)json_find_int(doc, "orgId", &out->org_id);
    (void)json_find_int(doc, "term", &out->term_days);
    out->phase = scm_phase(status);
    out->revoked = str_equal_nocase(status, "revoked");
    return true;
}

bool scm_parse_row(const json *item, struct buf *names, struct ca_row *row)
{
    *row = (struct ca_row){.common_name = "",
                           .serial = "",
                           .names = "",
                           .status = "",
                           .product = "",
                           .issued = "",
                           .expires = "",
                           .revoked_at = "",
                           .requester = "",
                           .external_requester = "",
                           .comments = ""};
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

static void add_text(struct buf *out, const char *name, const char *value)
{
    if (value != NULL) {
        buf_addf(out, "&%s=", name);
        str_percent_encode(out, (const uint8_t *)value, strlen(value), "");
    }
}

static void add_number(struct buf *out, const char *name, int64_t value)
{
    if (value != 0) {
        buf_addf(out, "&%s=%lld", name, (long long)value);
    }
}

void scm_build_list(const struct ca_filter *filter, int64_t size, int64_t position, struct buf *out)
{
    AUTO(buf) struct buf serial = BUF_INIT(CA_SERIAL_TEXT_MAX);

    buf_addf(out, "size=%lld&position=%lld", (long long)size, (long long)position);
    add_text(out, "commonName", filter->common_name);
    add_text(out, "subjectAlternativeName", filter->name);
    add_text(out, "status", filter->status);
    if (filter->serial != NULL) {
        add_text(out, "serialNumber",
                 ca_serial_text(filter->serial, &serial) ? buf_str(&serial) : filter->serial);
    }
    add_text(out, "requester", filter->requester);
    add_text(out, "externalRequester", filter->external_requester);
    add_number(out, "orgId", filter->org_id);
    add_number(out, "sslTypeId", filter->product_id);
}

bool scm_build_revoke(const struct ca_revocation *revocation, struct buf *out, struct err *err)
{
    AUTO(json) json *doc = json_new_object();
    size_t len = revocation->text != NULL ? strlen(revocation->text) : 0;

    if (len == 0 || len > CA_REASON_TEXT_MAX) {
        return err_set(err, E_USAGE, "the CA wants a sentence on why, of 1 to %d characters",
                       CA_REASON_TEXT_MAX);
    }
    if (doc == NULL || !json_add_int(doc, "reasonCode", revocation->reason) ||
        !json_add_string(doc, "reason", revocation->text)) {
        return err_nomem(err);
    }
    return json_print(doc, out, err);
}

bool scm_was_revoked(const struct scm_error *error)
{
    return error->has_code && (error->code == -159 || error->code == -192);
}
