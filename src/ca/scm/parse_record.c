#include "ca/scm/scm.h"

#include "base/str.h"

#include <string.h>

enum { NAMES_MAX = 256 * 1024 };

/* A text of the document, if there is one and it is not known already. */
static bool take(const json *doc, const char *name, char **out, struct err *err)
{
    const char *text = NULL;

    if (*out != NULL || !json_find_string(doc, name, &text) || text[0] == '\0') {
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

/* From the list of names, or the text that certificates have. */
static bool take_names(const json *doc, const json *cert, struct ca_record *out, struct err *err)
{
    AUTO(buf) struct buf names = BUF_INIT(NAMES_MAX);
    const char *text = NULL;

    if (out->names != NULL) {
        return true;
    }
    join(json_member(doc, "subjectAlternativeNames"), &names);
    if (names.len == 0 && cert != NULL && json_find_string(cert, "subjectAltNames", &text)) {
        scm_join_san_text(text, &names);
    }
    out->names = names.len > 0 && buf_ok(&names) ? str_dup(buf_str(&names)) : NULL;
    return names.len == 0 || out->names != NULL || err_nomem(err);
}

bool scm_parse_facts(const json *doc, struct ca_record *out, struct err *err)
{
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

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].from != NULL && !take(texts[i].from, texts[i].name, texts[i].to, err)) {
            return false;
        }
    }
    (void)json_find_bool(doc, "renewed", &out->renewed);
    if (profile != NULL) {
        (void)json_find_int(profile, "id", &out->product_id);
    }
    (void)json_find_int(doc, "orgId", &out->org_id);
    (void)json_find_int(doc, "term", &out->term_days);
    return take_names(doc, cert, out, err);
}

bool scm_parse_record(const json *doc, struct ca_record *out, struct err *err)
{
    const char *status = NULL;

    if (!json_get_string(doc, "status", &status, err) || !scm_parse_facts(doc, out, err)) {
        return false;
    }
    out->status = str_dup(status);
    out->phase = scm_phase(status);
    out->revoked = str_equal_nocase(status, "revoked");
    return out->status != NULL || err_nomem(err);
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
