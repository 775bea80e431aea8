/* The bodies of requests that change something. */
#include "ca/scm/scm.h"

#include "base/str.h"

#include <string.h>

enum { COMMENTS_MAX = 1024, REQUESTER_MAX = 512, CSR_MAX = 32767, CN_MAX = 64 };

bool scm_check_csr(const char *csr_pem, struct err *err)
{
    return strlen(csr_pem) <= CSR_MAX ||
           err_set(err, E_USAGE, "the certificate request is longer than the CA takes");
}

/* Our mark first: it is what an order is found again by. */
bool scm_add_comments(json *body, const struct ca_request *request, struct err *err)
{
    AUTO(buf) struct buf comments = BUF_INIT(COMMENTS_MAX);

    buf_add_str(&comments, request->mark);
    if (request->comments != NULL) {
        buf_addf(&comments, " %s", request->comments);
    }
    if (!buf_ok(&comments)) {
        return err_set(err, E_CONFIG, "comments: longer than the %d characters the CA takes",
                       COMMENTS_MAX);
    }
    return json_add_string(body, "comments", buf_str(&comments)) || err_nomem(err);
}

/* NAME=VALUE;NAME=VALUE to [{"name":..,"value":..}] */
static bool add_fields(json *body, const char *member, const char *setting, const char *text,
                       struct err *err)
{
    AUTO(str) char *copy = str_dup(text);
    json *list = json_new_array();
    char *save = NULL;

    if (copy == NULL || list == NULL) {
        json_free(list);
        return err_nomem(err);
    }
    for (char *field = strtok_r(copy, ";", &save); field != NULL;
         field = strtok_r(NULL, ";", &save)) {
        char *equals = strchr(field, '=');
        json *item = json_new_object();
        if (equals == NULL) {
            json_free(item);
            json_free(list);
            return err_set(err, E_CONFIG, "%s: '%.60s' is not of the form NAME=VALUE", setting,
                           field);
        }
        *equals = '\0';
        bool ok = json_add_string(item, "name", str_trim(field)) &&
                  json_add_string(item, "value", str_trim(equals + 1));
        if (!json_append(list, item) || !ok) {
            json_free(list);
            return err_nomem(err);
        }
    }
    return json_add(body, member, list) || err_nomem(err);
}

bool scm_add_custom_fields(json *body, const char *text, struct err *err)
{
    return add_fields(body, "customFields", "custom_fields", text, err);
}

static bool check_reason(const char *text, struct err *err)
{
    size_t len = text != NULL ? strlen(text) : 0;

    return (len > 0 && len <= CA_REASON_TEXT_MAX) ||
           err_set(err, E_USAGE, "the CA wants a sentence on why, of 1 to %d characters",
                   CA_REASON_TEXT_MAX);
}

bool scm_build_renew(const struct ca_request *request, struct buf *out, struct err *err)
{
    AUTO(json) json *body = json_new_object();

    if (body == NULL) {
        return err_nomem(err);
    }
    /* An object in any case: an empty text is refused (-1002). */
    if (!request->same_key && (!scm_check_csr(request->csr_pem, err) ||
                               !json_add_string(body, "csr", request->csr_pem))) {
        return err->code != E_NONE ? false : err_nomem(err);
    }
    return json_print(body, out, err);
}

/* commonName and subjectAlternativeNames: the latter is an array here and in updates. */
static bool add_names(json *body, const struct x509_names *names)
{
    json *list = json_new_array();

    for (size_t i = 0; list != NULL && i < names->count; i++) {
        if (!json_append_string(list, names->list[i])) {
            json_free(list);
            return false;
        }
    }
    if (list == NULL || !json_add(body, "subjectAlternativeNames", list)) {
        return false;
    }
    const char *cn = names->list[0];
    return strlen(cn) > CN_MAX || json_add_string(body, "commonName", cn);
}

bool scm_build_replace(const struct ca_request *request, struct buf *out, struct err *err)
{
    AUTO(json) json *body = json_new_object();
    bool device = request->kind == CA_KIND_DEVICE;

    if (!scm_check_csr(request->csr_pem, err) || !check_reason(request->reason, err)) {
        return false;
    }
    if (body == NULL || !json_add_string(body, "csr", request->csr_pem) ||
        !json_add_string(body, "reason", request->reason)) {
        return err_nomem(err);
    }
    /* The old certificate of a device stays good until it is revoked by its own command. */
    if (device && !json_add_bool(body, "revoke", false)) {
        return err_nomem(err);
    }
    if (!device && request->send_names == CA_NAMES_ALWAYS && !add_names(body, request->names)) {
        return err_nomem(err);
    }
    return json_print(body, out, err);
}

static bool add_head(json *body, const struct ca_request *request, int64_t org_id, struct err *err)
{
    if (org_id < 1) {
        return err_set(err, E_CONFIG, "the organization is not configured ('org_id')");
    }
    if (!scm_check_csr(request->csr_pem, err)) {
        return false;
    }
    return (json_add_int(body, "orgId", org_id) &&
            json_add_int(body, "certType", request->product_id) &&
            json_add_int(body, "term", request->term_days) &&
            json_add_string(body, "csr", request->csr_pem)) ||
           err_nomem(err);
}

static bool add_tail(json *body, const struct ca_request *request, struct err *err)
{
    return scm_add_comments(body, request, err) &&
           (request->custom_fields == NULL ||
            scm_add_custom_fields(body, request->custom_fields, err));
}

bool scm_build_device(const struct ca_request *request, int64_t org_id, struct buf *out,
                      struct err *err)
{
    AUTO(json) json *body = json_new_object();

    if (body == NULL) {
        return err_nomem(err);
    }
    return add_head(body, request, org_id, err) && add_tail(body, request, err) &&
           (request->optional_fields == NULL ||
            (scm_check_optional(request->optional_fields, err) &&
             add_fields(body, "optionalFields", "optional_fields", request->optional_fields,
                        err))) &&
           json_print(body, out, err);
}

static bool is_email(const char *name)
{
    return x509_name_kind(name) == X509_NAME_EMAIL;
}

/* The first address is the person's, the others are more of them. */
static bool add_addresses(json *body, const struct x509_names *names, struct err *err)
{
    json *more = json_new_array();

    for (size_t i = 0; more != NULL && i < names->count; i++) {
        if (!is_email(names->list[i])) {
            json_free(more);
            return err_set(err, E_USAGE,
                           "an S/MIME certificate is for e-mail addresses alone, and '%.80s' is "
                           "none",
                           names->list[i]);
        }
        if (i > 0 && !json_append_string(more, names->list[i])) {
            json_free(more);
            return err_nomem(err);
        }
    }
    return (more != NULL && json_add(body, "secondaryEmails", more) && names->count > 0 &&
            json_add_string(body, "email", names->list[0])) ||
           err_nomem(err);
}

/* "Ada King Lovelace": what stands last is the last name, what stands first the first one. */
static bool add_person(json *body, const char *person, struct err *err)
{
    AUTO(str) char *copy = person != NULL ? str_dup(person) : NULL;
    char *text = copy != NULL ? str_trim(copy) : NULL;
    char *last = text != NULL ? strrchr(text, ' ') : NULL;

    if (last == NULL || strlen(text) > CN_MAX) {
        return err_set(err, E_CONFIG,
                       "an S/MIME certificate needs the first and the last name of its person, "
                       "of 64 characters at most ('person' in the profile)");
    }
    *last++ = '\0';
    char *middle = strchr(text, ' ');
    if (middle != NULL) {
        *middle++ = '\0';
        middle = str_trim(middle);
    }
    bool ok = json_add_string(body, "firstName", text) && json_add_string(body, "lastName", last) &&
              (middle == NULL || middle[0] == '\0' || json_add_string(body, "middleName", middle));
    return ok || err_nomem(err);
}

bool scm_build_smime(const struct ca_request *request, int64_t org_id, struct buf *out,
                     struct err *err)
{
    AUTO(json) json *body = json_new_object();

    if (body == NULL) {
        return err_nomem(err);
    }
    return add_head(body, request, org_id, err) && add_addresses(body, request->names, err) &&
           add_person(body, request->person, err) && add_tail(body, request, err) &&
           json_print(body, out, err);
}

bool scm_build_decision(const struct ca_decision *decision, struct buf *out, struct err *err)
{
    AUTO(json) json *body = json_new_object();

    if (body == NULL || !json_add_string(body, "message", decision->message)) {
        return err_nomem(err);
    }
    return json_print(body, out, err);
}

static bool add_text(json *body, const char *name, const char *value)
{
    return value == NULL || json_add_string(body, name, value);
}

static bool add_number(json *body, const char *name, int64_t value)
{
    return value == 0 || json_add_int(body, name, value);
}

static bool check_lengths(const struct ca_update *update, struct err *err)
{
    if (update->comments != NULL && strlen(update->comments) > COMMENTS_MAX) {
        return err_set(err, E_USAGE, "the CA takes comments of at most %d characters",
                       COMMENTS_MAX);
    }
    if (update->external_requester != NULL && strlen(update->external_requester) > REQUESTER_MAX) {
        return err_set(err, E_USAGE, "the CA takes external requesters of at most %d characters",
                       REQUESTER_MAX);
    }
    return update->csr_pem == NULL || scm_check_csr(update->csr_pem, err);
}

/* Of devices the API changes comments and custom fields alone. */
static bool check_kind(const struct ca_update *update, struct err *err)
{
    bool more = update->term_days != 0 || update->product_id != 0 || update->org_id != 0 ||
                update->names != NULL || update->csr_pem != NULL ||
                update->external_requester != NULL;

    return update->kind == CA_KIND_TLS || !more ||
           err_set(err, E_USAGE,
                   "of a certificate of the kind '%s' the CA changes comments and custom fields "
                   "alone",
                   ca_kind_name(update->kind));
}

bool scm_build_update(const struct ca_update *update, struct buf *out, struct err *err)
{
    AUTO(json) json *body = json_new_object();

    if (!check_lengths(update, err) || !check_kind(update, err)) {
        return false;
    }
    if (body == NULL || (update->kind == CA_KIND_TLS && !json_add_int(body, "sslId", update->id)) ||
        !add_number(body, "term", update->term_days) ||
        !add_number(body, "certTypeId", update->product_id) ||
        !add_number(body, "orgId", update->org_id) || !add_text(body, "csr", update->csr_pem) ||
        !add_text(body, "comments", update->comments) ||
        !add_text(body, "externalRequester", update->external_requester)) {
        return err_nomem(err);
    }
    if (update->names != NULL && !add_names(body, update->names)) {
        return err_nomem(err);
    }
    return (update->custom_fields == NULL ||
            scm_add_custom_fields(body, update->custom_fields, err)) &&
           json_print(body, out, err);
}
