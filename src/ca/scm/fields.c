/* Custom fields: what the CA wants with an order, before there is a key. */
#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How orders of ours come in, as "mandatories" names it. */
static const char access_method[] = "REST_API";

static bool has_text(const json *list, const char *wanted)
{
    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        const char *text = json_string(item);
        if (text != NULL && str_equal_nocase(text, wanted)) {
            return true;
        }
    }
    return false;
}

bool scm_parse_field(const json *item, struct scm_field *out)
{
    const json *input = json_member(item, "input");
    const char *state = NULL;

    *out = (struct scm_field){.name = NULL, .type = ""};
    if (!json_find_string(item, "name", &out->name)) {
        return false;
    }
    if (json_find_string(item, "state", &state) && !str_equal_nocase(state, "active")) {
        return false;
    }
    /* The older resource has one word for all ways in. */
    if (!json_find_bool(item, "mandatory", &out->mandatory)) {
        out->mandatory = has_text(json_member(item, "mandatories"), access_method);
    }
    if (input != NULL) {
        (void)json_find_string(input, "type", &out->type);
        out->options = json_member(input, "options");
    }
    return true;
}

static bool is_date(const char *text)
{
    static const char form[] = "0000-00-00";

    if (strlen(text) != sizeof(form) - 1) {
        return false;
    }
    for (size_t i = 0; form[i] != '\0'; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == '0' ? !digit : text[i] != '-') {
            return false;
        }
    }
    return true;
}

static void list_options(const json *options, struct buf *out)
{
    for (const json *item = json_first(options); item != NULL; item = json_next(item)) {
        const char *text = json_string(item);
        if (text != NULL) {
            buf_addf(out, "%s'%.60s'", item != json_first(options) ? ", " : "", text);
        }
    }
}

/* Sentences are divided by semicolons. */
static void next_sentence(struct buf *out)
{
    if (out->len > 0) {
        buf_add_str(out, "; ");
    }
}

static void judge_value(const struct scm_field *field, const char *value, struct buf *out)
{
    if (str_equal_nocase(field->type, "DATE") && !is_date(value)) {
        next_sentence(out);
        buf_addf(out, "'%.80s' is a date like 2026-12-31, and '%.60s' is none", field->name, value);
    }
    if (str_equal_nocase(field->type, "TEXT_OPTION") && field->options != NULL &&
        !has_text(field->options, value)) {
        next_sentence(out);
        buf_addf(out, "'%.80s' cannot be '%.60s', but one of ", field->name, value);
        list_options(field->options, out);
    }
}

/* NAME=VALUE;NAME=VALUE, taken apart. */
struct given {
    char *text; /* owned; names and values are inside */
    struct {
        const char *name, *value;
        bool known;
    } list[64];
    size_t count;
};

static bool split(const char *text, struct given *out)
{
    char *save = NULL;

    *out = (struct given){.text = str_dup(text != NULL ? text : "")};
    if (out->text == NULL) {
        return false;
    }
    for (char *part = strtok_r(out->text, ";", &save);
         part != NULL && out->count < ARRAY_LEN(out->list); part = strtok_r(NULL, ";", &save)) {
        char *equals = strchr(part, '=');
        if (equals != NULL) {
            *equals = '\0';
            out->list[out->count].name = str_trim(part);
            out->list[out->count++].value = str_trim(equals + 1);
        }
    }
    return true;
}

static const char *value_of(struct given *given, const char *name)
{
    for (size_t i = 0; i < given->count; i++) {
        if (str_equal(given->list[i].name, name)) {
            given->list[i].known = true;
            return given->list[i].value;
        }
    }
    return NULL;
}

bool scm_judge_fields(const json *list, const char *text, struct buf *out)
{
    struct given given;

    if (!split(text, &given)) {
        return false;
    }
    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        struct scm_field field;
        if (!scm_parse_field(item, &field)) {
            continue;
        }
        const char *value = value_of(&given, field.name);
        bool empty = value == NULL || value[0] == '\0';
        if (empty && field.mandatory) {
            next_sentence(out);
            buf_addf(out, "'%.80s' is missing", field.name);
        } else if (!empty) {
            judge_value(&field, value, out);
        }
    }
    for (size_t i = 0; i < given.count; i++) {
        if (!given.list[i].known) {
            next_sentence(out);
            buf_addf(out, "there is no '%.80s'", given.list[i].name);
        }
    }
    free(given.text);
    return out->len == 0;
}

/* What orders for devices take beside the request (D255, Enrolling device certificates). */
static const char *const optional_names[] = {
    "commonName",
    "surname",
    "countryName",
    "localityName",
    "stateOrProvinceName",
    "streetAddress",
    "organizationName",
    "organizationalUnitName",
    "title",
    "description",
    "postalCode",
    "postOfficeBox",
    "telephoneNumber",
    "givenName",
    "initials",
    "emailAddress",
    "DocumentoNacionaldeIdentidad",
    "serialNumber",
    "SIRENE",
    "collectionEmailAddress",
    "rfc822Name",
    "subjectUniqueIdentifier",
    "uniqueIdentifier",
    "PermIdAscentMediaNetSecDept",
    "PermIdAscentMediaEngHomeNet",
    "sAMAccountName",
    "userId",
    "userPrincipalName",
    "unstructuredName",
    "domainComponent",
    "dnsName",
    "servicePrincipalName",
    "eeSID",
};

static bool is_optional_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(optional_names); i++) {
        if (str_equal(optional_names[i], name)) {
            return true;
        }
    }
    return false;
}

bool scm_check_optional(const char *text, struct err *err)
{
    AUTO(buf) struct buf there = BUF_INIT(1024);
    struct given given;
    const char *wrong = NULL;

    if (!split(text, &given)) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < given.count && wrong == NULL; i++) {
        wrong = is_optional_name(given.list[i].name) ? NULL : given.list[i].name;
    }
    for (size_t i = 0; wrong != NULL && i < ARRAY_LEN(optional_names); i++) {
        buf_addf(&there, "%s%s", i > 0 ? ", " : "", optional_names[i]);
    }
    bool ok =
        wrong == NULL ||
        err_set(err, E_CONFIG,
                "optional_fields: '%.60s' is none that the CA takes for devices; it takes: %s",
                wrong, buf_str(&there));
    free(given.text);
    return ok;
}

/* Whether the account is not allowed to ask, or the installation does not have the resource. */
static bool is_not_for_us(const struct scm_answer *answer)
{
    return answer->complete &&
           (answer->class == SCM_NOT_ALLOWED || answer->class == SCM_PERMANENT ||
            answer->class == SCM_NONSENSE || answer->response.status == 404);
}

/* The list, of whichever resource answers. *doc NULL: neither may be asked. */
static bool get_fields(struct scm *scm, enum ca_kind kind, json **doc, struct err *err)
{
    char query[48];
    struct scm_call calls[] = {{.endpoint = SCM_FIELDS, .query = query},
                               {.endpoint = SCM_FIELDS_TLS}};
    size_t count = kind == CA_KIND_TLS ? ARRAY_LEN(calls) : 1;

    (void)snprintf(query, sizeof(query), "certType=%s", scm_kind(kind)->cert_type);
    for (size_t i = 0; i < count; i++) {
        AUTO(answer) struct scm_answer answer;
        scm_answer_init(&answer);
        if (scm_call_json(scm, &calls[i], &answer, doc, err)) {
            return true;
        }
        if (!is_not_for_us(&answer)) {
            return false;
        }
        log_line(LOG_DEBUG, "scm", "custom fields are not known: %s", err->msg);
        err_clear(err);
    }
    return true;
}

bool scm_check_fields(void *impl, enum ca_kind kind, const char *custom_fields, struct err *err)
{
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf wrong = BUF_INIT(4096);

    if (!get_fields(impl, kind, &doc, err)) {
        return false;
    }
    if (doc == NULL || scm_judge_fields(doc, custom_fields, &wrong)) {
        return true;
    }
    return err_set(err, E_CONFIG,
                   "the custom fields of this CA account do not allow the order ('custom_fields' "
                   "in the profile, or --custom-fields): %.700s",
                   buf_str(&wrong));
}
