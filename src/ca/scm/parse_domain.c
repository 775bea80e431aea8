#include "ca/scm/domains.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS_MAX = 64 * 1024, ADDRESSES_MAX = 1000 };

/* A text of the document, if there is one; what was taken before stays. */
static bool take(const json *doc, const char *name, char **out, struct err *err)
{
    const char *text = NULL;

    if (*out != NULL || !json_find_string(doc, name, &text) || text[0] == '\0') {
        return true;
    }
    *out = str_dup(text);
    return *out != NULL || err_nomem(err);
}

struct text {
    const char *name;
    char **to;
};

static bool take_all(const json *doc, const struct text texts[], size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!take(doc, texts[i].name, texts[i].to, err)) {
            return false;
        }
    }
    return true;
}

/* The words of an array, with commas between; NULL if there are none. */
static bool take_words(const json *list, char **out, struct err *err)
{
    AUTO(buf) struct buf words = BUF_INIT(TEXTS_MAX);

    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        const char *word = json_string(item);
        if (word != NULL) {
            buf_addf(&words, "%s%s", words.len > 0 ? ", " : "", word);
        }
    }
    if (words.len == 0) {
        return true;
    }
    *out = buf_take_str(&words);
    return *out != NULL || err_nomem(err);
}

/* Letters alone, in lower case: "NOT_VALIDATED" and "Not validated" are one word. */
static void squeeze(const char *word, char out[static 24])
{
    size_t n = 0;

    for (const char *p = word; *p != '\0' && n < 23; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
        if (c >= 'a' && c <= 'z') {
            out[n++] = c;
        }
    }
    out[n] = '\0';
}

enum ca_dcv_state scm_dcv_state(const char *word)
{
    char plain[24];

    squeeze(word, plain);
    return str_equal(plain, "validated") ? CA_DCV_VALIDATED
           : str_equal(plain, "expired") ? CA_DCV_EXPIRED
                                         : CA_DCV_NOT_VALIDATED;
}

/* A word that nobody knows is something that goes on. */
enum ca_dcv_order scm_dcv_order(const char *word)
{
    char plain[24];

    squeeze(word, plain);
    if (plain[0] == '\0' || str_equal(plain, "notinitiated")) {
        return CA_DCV_NONE;
    }
    return str_equal(plain, "rejected")             ? CA_DCV_REJECTED
           : str_equal(plain, "awaitingsubmission") ? CA_DCV_TO_SUBMIT
                                                    : CA_DCV_SUBMITTED;
}

bool scm_parse_domain_row(const json *item, struct ca_domain_row *row)
{
    *row = (struct ca_domain_row){.name = NULL};
    return json_find_int(item, "id", &row->id) && json_find_string(item, "name", &row->name);
}

static bool parse_delegation(const json *item, struct ca_delegation *out, struct err *err)
{
    (void)json_find_int(item, "orgId", &out->org_id);
    return take(item, "status", &out->status, err) &&
           take_words(json_member(item, "certTypes"), &out->cert_types, err) &&
           take_words(json_member(item, "domainCertificateRequestPrivileges"), &out->privileges,
                      err);
}

static bool parse_delegations(const json *list, struct ca_domain *out, struct err *err)
{
    size_t count = json_count(list);

    if (count > SCM_DOMAIN_ROWS_MAX) {
        return err_set(err, E_PROTOCOL, "%zu delegations are more than any domain has", count);
    }
    out->delegations = calloc(count + 1, sizeof(*out->delegations));
    if (out->delegations == NULL) {
        return err_nomem(err);
    }
    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        if (!parse_delegation(item, &out->delegations[out->delegation_count++], err)) {
            return false;
        }
    }
    return true;
}

bool scm_parse_domain(const json *doc, struct ca_domain *out, struct err *err)
{
    const struct text texts[] = {
        {"delegationStatus", &out->delegation}, {"state", &out->state},
        {"validationStatus", &out->validation}, {"validationMethod", &out->method},
        {"dcvValidation", &out->validated},     {"dcvExpiration", &out->expires},
    };
    const char *name = NULL;

    if (!json_get_string(doc, "name", &name, err) || !take_all(doc, texts, ARRAY_LEN(texts), err)) {
        return false;
    }
    out->name = str_dup(name);
    if (out->name == NULL) {
        return err_nomem(err);
    }
    return parse_delegations(json_member(doc, "delegations"), out, err);
}

bool scm_parse_dcv_row(const json *item, struct ca_dcv_row *row)
{
    *row = (struct ca_dcv_row){.domain = NULL};
    (void)json_find_string(item, "dcvStatus", &row->status);
    (void)json_find_string(item, "dcvMethod", &row->method);
    (void)json_find_string(item, "expirationDate", &row->expires);
    (void)json_find_string(item, "dcvOrderStatus", &row->order_status);
    (void)json_find_string(item, "dcvOrderMethod", &row->order_method);
    return json_find_string(item, "domain", &row->domain);
}

static bool has_address(const struct ca_dcv_record *record, const char *address)
{
    for (size_t i = 0; i < record->email_count; i++) {
        if (str_equal_nocase(record->emails[i], address)) {
            return true;
        }
    }
    return false;
}

ANALYZER_LOSES_OWNER
static bool add_address(struct ca_dcv_record *record, const char *address, struct err *err)
{
    if (address == NULL || has_address(record, address) || record->email_count == ADDRESSES_MAX) {
        return true;
    }
    char **grown = reallocarray(record->emails, record->email_count + 1, sizeof(*grown));
    if (grown == NULL) {
        return err_nomem(err);
    }
    record->emails = grown;
    record->emails[record->email_count] = str_dup(address);
    if (record->emails[record->email_count] == NULL) {
        return err_nomem(err);
    }
    record->email_count++;
    return true;
}
ANALYZER_LOSES_OWNER_END

static bool add_addresses(struct ca_dcv_record *record, const json *list, struct err *err)
{
    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        if (!add_address(record, json_string(item), err)) {
            return false;
        }
    }
    return true;
}

/* Addresses come as one list, or by domain and by where they were found. */
static bool take_addresses(const json *doc, struct ca_dcv_record *out, struct err *err)
{
    static const char *const lists[] = {"adminEmails", "whoisEmails", "dnsTxtEmails"};
    const json *domains = json_member(doc, "dcvEmails");

    if (!add_addresses(out, json_member(doc, "emails"), err)) {
        return false;
    }
    for (const json *item = json_first(domains); item != NULL; item = json_next(item)) {
        for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
            if (!add_addresses(out, json_member(item, lists[i]), err)) {
                return false;
            }
        }
    }
    return true;
}

static bool take_record(const json *doc, struct ca_dcv_record *out, struct err *err)
{
    const struct text texts[] = {
        {"host", &out->host},
        {"point", &out->point},
        {"url", &out->url},
        {"firstLine", &out->first_line},
        {"secondLine", &out->second_line},
    };

    return take_all(doc, texts, ARRAY_LEN(texts), err);
}

bool scm_parse_dcv_status(const json *doc, struct ca_dcv_status *out, struct err *err)
{
    const struct text texts[] = {
        {"status", &out->status},          {"orderStatus", &out->order_status},
        {"orderMode", &out->method},       {"validationDate", &out->validated},
        {"expirationDate", &out->expires}, {"submittedDate", &out->submitted},
        {"lastCheck", &out->last_check},   {"nextCheck", &out->next_check},
        {"validationEmail", &out->email},  {"message", &out->message},
    };

    if (!json_is_object(doc)) {
        return err_set(err, E_PROTOCOL, "the answer is not a JSON object");
    }
    if (!take_all(doc, texts, ARRAY_LEN(texts), err) || !take_record(doc, &out->record, err)) {
        return false;
    }
    if (out->status == NULL && out->order_status == NULL) {
        return err_set(err, E_PROTOCOL, "the answer has neither 'status' nor 'orderStatus'");
    }
    out->state = scm_dcv_state(out->status != NULL ? out->status : "");
    out->order = scm_dcv_order(out->order_status != NULL ? out->order_status : "");
    return true;
}

bool scm_parse_dcv_start(const json *doc, enum ca_dcv_method method, struct ca_dcv_record *out,
                         struct err *err)
{
    if (!take_record(doc, out, err) || !take_addresses(doc, out, err)) {
        return false;
    }
    switch (method) {
    case CA_DCV_CNAME:
    case CA_DCV_TXT:
        return (out->host != NULL && out->point != NULL) ||
               err_set(err, E_PROTOCOL,
                       "the answer does not say what to publish: 'host' or "
                       "'point' is missing");
    case CA_DCV_HTTP:
    case CA_DCV_HTTPS:
        return (out->url != NULL && out->first_line != NULL) ||
               err_set(err, E_PROTOCOL,
                       "the answer does not say what to publish: 'url' or "
                       "'firstLine' is missing");
    case CA_DCV_EMAIL:
    case CA_DCV_METHODS:
        break;
    }
    return out->email_count > 0 || err_set(err, E_CA_REFUSED,
                                           "the CA knows no address that it "
                                           "would write to for this domain");
}

static struct ca_order_dcv_row *row_of(struct ca_order_dcv *dcv, size_t room, const char *domain)
{
    for (size_t i = 0; i < dcv->count; i++) {
        if (str_equal_nocase(dcv->list[i].domain, domain)) {
            return &dcv->list[i];
        }
    }
    if (dcv->count == room) {
        return NULL;
    }
    struct ca_order_dcv_row *row = &dcv->list[dcv->count];
    row->domain = str_dup(domain);
    dcv->count += row->domain != NULL ? 1 : 0;
    return row->domain != NULL ? row : NULL;
}

static bool take_log(const json *item, struct ca_order_dcv_row *row, struct err *err)
{
    const struct text texts[] = {
        {"dcvStatus", &row->status},
        {"lastCheck", &row->last_check},
        {"nextCheck", &row->next_check},
    };

    return take_all(item, texts, ARRAY_LEN(texts), err);
}

/* An HTTP instruction has the content in "file", lines and all. */
static bool take_instruction(const json *item, struct ca_order_dcv_row *row, struct err *err)
{
    const struct text texts[] = {
        {"dcvMode", &row->method},     {"dcvEmail", &row->email}, {"host", &row->record.host},
        {"point", &row->record.point}, {"url", &row->record.url}, {"file", &row->record.first_line},
    };

    return take_all(item, texts, ARRAY_LEN(texts), err);
}

static bool take_rows(const json *list, struct ca_order_dcv *out, size_t room,
                      bool (*take_row)(const json *, struct ca_order_dcv_row *, struct err *),
                      struct err *err)
{
    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        const char *domain = NULL;
        if (!json_find_string(item, "domainName", &domain)) {
            continue;
        }
        struct ca_order_dcv_row *row = row_of(out, room, domain);
        if (row == NULL) {
            return err_nomem(err);
        }
        if (!take_row(item, row, err)) {
            return false;
        }
    }
    return true;
}

bool scm_parse_order_dcv(const json *doc, struct ca_order_dcv *out, struct err *err)
{
    const json *object = json_is_array(doc) ? json_first(doc) : doc;
    const json *log = json_member(json_member(object, "dcvLog"), "log");
    const json *problem = json_member(json_member(object, "dcvLog"), "error");
    const json *instructions = json_member(object, "instructions");
    size_t room = json_count(log) + json_count(instructions);

    if (json_is_array(doc) && object == NULL) {
        return true;
    }
    if (!json_is_object(object)) {
        return err_set(err, E_PROTOCOL, "the answer is not a JSON object");
    }
    if (room > SCM_DOMAIN_ROWS_MAX) {
        return err_set(err, E_PROTOCOL, "%zu domains are more than any order has", room);
    }
    out->list = calloc(room + 1, sizeof(*out->list));
    if (out->list == NULL) {
        return err_nomem(err);
    }
    return take(problem, "description", &out->problem, err) &&
           take_rows(log, out, room, take_log, err) &&
           take_rows(instructions, out, room, take_instruction, err);
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

void scm_build_domain_filter(const struct ca_domain_filter *filter, struct buf *out)
{
    add_text(out, "name", filter->name);
    add_text(out, "state", filter->state);
    add_text(out, "status", filter->status);
    add_number(out, "orgId", filter->org_id);
}

void scm_build_dcv_filter(const struct ca_dcv_filter *filter, struct buf *out)
{
    add_text(out, "domain", filter->domain);
    add_text(out, "dcvStatus", filter->status);
    add_text(out, "orderStatus", filter->order_status);
    add_number(out, "org", filter->org_id);
    add_number(out, "department", filter->department_id);
    add_number(out, "expiresIn", filter->expires_in_days);
}

bool scm_build_domain_body(const char *domain, const char *email, struct buf *out, struct err *err)
{
    AUTO(json) json *doc = json_new_object();

    if (doc == NULL || !json_add_string(doc, "domain", domain) ||
        (email != NULL && !json_add_string(doc, "email", email))) {
        return err_nomem(err);
    }
    return json_print(doc, out, err);
}
