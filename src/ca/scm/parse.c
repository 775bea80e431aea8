#include "ca/scm/scm.h"

#include "base/str.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUESTER_MAX = 512, PRODUCTS_MAX = 4096 };

/* clang-format off */
static const struct {
    const char *word; /* lower case, letters only */
    enum ca_phase phase;
} phases[] = {
    {"init",                   CA_PENDING},
    {"requested",              CA_WAITING},
    {"saapproved",             CA_WAITING},
    {"awaitingapproval",       CA_WAITING},
    {"approved",               CA_PENDING},
    {"applied",                CA_PENDING},
    {"pending",                CA_PENDING},
    {"issued",                 CA_ISSUED},
    {"downloaded",             CA_ISSUED},
    {"enrolledpendingdownload",CA_ISSUED},
    {"declined",               CA_FAILED},
    {"rejected",               CA_FAILED},
    {"invalid",                CA_FAILED},
    {"replaced",               CA_FAILED},
    {"revoked",                CA_FAILED},
    {"expired",                CA_FAILED},
    {"unmanaged",              CA_FAILED},
    {"notenrolled",            CA_FAILED},
};
/* clang-format on */

enum { QUOTED_MAX = 120 };

/* Texts of the other side as part of a sentence; details in brackets, if there are any. */
static void quote(struct scm_error *out, const char *text, size_t len, const char *details)
{
    AUTO(buf) struct buf quoted = BUF_INIT(sizeof(out->text) - 1);

    str_add_quotable(&quoted, text, len, QUOTED_MAX);
    if (details != NULL && details[0] != '\0') {
        buf_add_str(&quoted, " (");
        str_add_quotable(&quoted, details, strlen(details), QUOTED_MAX);
        buf_add_str(&quoted, ")");
    }
    (void)snprintf(out->text, sizeof(out->text), "%s", buf_str(&quoted));
}

/* The first byte that is no white space, as far as it tells JSON from HTML. */
static char first_char(const struct buf *body)
{
    const char *text = buf_str(body);

    return text[strspn(text, " \t\r\n\xef\xbb\xbf")];
}

/*
 * Other servers on the way speak JSON as well. The API's error objects have a description; their
 * codes are below zero (0, of a certificate that is not ready, is no refusal), and one without a
 * code has nothing that is not in the API's description of errors.
 */
static bool is_own(const json *doc, const struct scm_error *error)
{
    static const char *const members[] = {"description", "details", "items"};
    const char *description = NULL;

    if (!json_find_string(doc, "description", &description)) {
        return false;
    }
    return error->has_code ? error->code < 0
                           : json_unknown_member(doc, members, ARRAY_LEN(members)) == NULL;
}

void scm_parse_error(const struct http_response *response, struct scm_error *out)
{
    AUTO(json) json *doc = NULL;
    struct err ignored = ERR_INIT;
    const char *description = NULL;
    const char *details = NULL;

    *out = (struct scm_error){.understood = false};
    if (response->body.len == 0) {
        (void)snprintf(out->text, sizeof(out->text), "no explanation (empty answer)");
        return;
    }
    if (first_char(&response->body) == '<') {
        (void)snprintf(out->text, sizeof(out->text),
                       "a web page instead of the API (a proxy or the portal answered)");
        return;
    }
    if (!json_parse((const uint8_t *)buf_str(&response->body), response->body.len, &doc,
                    &ignored) ||
        !json_is_object(doc)) {
        quote(out, buf_str(&response->body), response->body.len, NULL);
        return;
    }
    out->has_code = json_find_int(doc, "code", &out->code);
    (void)json_find_string(doc, "details", &details);
    if (json_find_string(doc, "description", &description) && description[0] != '\0') {
        quote(out, description, strlen(description), details);
        out->has_text = true;
    } else {
        (void)snprintf(out->text, sizeof(out->text), "no description");
    }
    out->understood = out->has_code || description != NULL;
    out->own = is_own(doc, out);
}

bool scm_is_refusal(const struct http_response *response, enum scm_class class,
                    const struct scm_error *error)
{
    int status = response->status;

    if (status < 400 || status >= 500 || class == SCM_UNCERTAIN ||
        (error->has_code && scm_code_is_uncertain(error->code))) {
        return false;
    }
    return error->own || (status == 401 && scm_wants_bearer(response->authenticate));
}

enum scm_class scm_classify(enum scm_endpoint_id operation, int status,
                            const struct scm_error *error)
{
    const struct scm_code *code = error->has_code ? scm_code_find(operation, error->code) : NULL;

    if (status >= 200 && status < 300) {
        return SCM_OK;
    }
    if (status >= 300 && status < 400) {
        return SCM_NONSENSE;
    }
    if (status == 401) {
        return SCM_BAD_LOGIN;
    }
    if ((status == 400 || status == 404) && code != NULL) {
        return code->class;
    }
    if (status == 403) {
        return SCM_NOT_ALLOWED;
    }
    if (status == 429) {
        return SCM_TRANSIENT;
    }
    if (status >= 500 || status == 408) {
        return SCM_UNCERTAIN;
    }
    if (code != NULL && code->class != SCM_NOT_READY) {
        return code->class;
    }
    return error->understood ? SCM_PERMANENT : SCM_NONSENSE;
}

void scm_error_sentence(enum scm_endpoint_id operation, int status, const struct scm_error *error,
                        struct buf *out)
{
    const struct scm_code *code = error->has_code ? scm_code_find(operation, error->code) : NULL;

    buf_addf(out, "HTTP %d: %s", status, error->text);
    if (!error->has_code) {
        return;
    }
    buf_addf(out, " (code %lld", (long long)error->code);
    /* in the CA's words, unless it has none */
    if (code != NULL && !error->has_text) {
        buf_addf(out, ": %s", code->meaning);
    }
    buf_addf(out, ")%s%s", code != NULL ? "; " : "", code != NULL ? code->remedy : "");
}

enum ca_phase scm_phase(const char *status)
{
    char word[40];
    size_t n = 0;

    for (const char *p = status; *p != '\0' && n + 1 < sizeof(word); p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
        if (c >= 'a' && c <= 'z') {
            word[n++] = c;
        }
    }
    word[n] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
        if (str_equal(phases[i].word, word)) {
            return phases[i].phase;
        }
    }
    return CA_PENDING;
}

/* keyTypes: {"RSA":["2048","4096"],"EC":["P-256"]} */
static void parse_key_types(const json *key_types, struct ca_product *out)
{
    static const struct {
        const char *name;
        const char *prefix;
    } families[] = {{"RSA", "RSA-"}, {"EC", "EC "}};

    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        const json *list = json_member(key_types, families[f].name);
        for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
            const char *text = json_string(item);
            if (text != NULL && out->key_type_count < CA_KEY_TYPES_MAX) {
                (void)snprintf(out->key_types[out->key_type_count++], sizeof(out->key_types[0]),
                               "%s%.16s", families[f].prefix, text);
            }
        }
    }
}

static bool parse_product(const json *item, struct ca_product *out, struct err *err)
{
    const char *name = NULL;
    const char *description = "";

    if (!json_get_int(item, "id", &out->id, err) || !json_get_string(item, "name", &name, err)) {
        return false;
    }
    (void)json_find_string(item, "description", &description);
    out->name = str_dup(name);
    out->description = str_dup(description);
    if (out->name == NULL || out->description == NULL) {
        return err_nomem(err);
    }
    for (const json *term = json_first(json_member(item, "terms")); term != NULL;
         term = json_next(term)) {
        int64_t days = 0;
        if (json_int(term, &days) && days > 0 && out->term_count < CA_TERMS_MAX) {
            out->terms[out->term_count++] = days;
        }
    }
    (void)json_find_int(item, "term", &out->default_term);
    parse_key_types(json_member(item, "keyTypes"), out);
    return true;
}

bool scm_parse_types(const json *doc, struct ca_products *out, struct err *err)
{
    AUTO(ca_products) struct ca_products products = {.list = NULL};
    size_t count = json_count(doc);

    if (!json_is_array(doc)) {
        return err_set(err, E_PROTOCOL, "the list of products is not a JSON array");
    }
    if (count > PRODUCTS_MAX) {
        return err_set(err, E_PROTOCOL, "%zu products are more than any account has", count);
    }
    products.list = calloc(count + 1, sizeof(*products.list));
    if (products.list == NULL) {
        return err_nomem(err);
    }
    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        struct ca_product *product = &products.list[products.count++];
        if (!parse_product(item, product, err)) {
            return err_wrap(err, "product %zu of the list", products.count);
        }
    }
    *out = products;
    products = (struct ca_products){.list = NULL};
    return true;
}

bool scm_parse_number(const json *doc, const char *member, int64_t *id, struct err *err)
{
    int64_t value = 0;

    if (!json_get_int(doc, member, &value, err)) {
        return false;
    }
    if (value <= 0) {
        return err_set(err, E_PROTOCOL, "the CA gave the order the number %lld", (long long)value);
    }
    *id = value;
    return true;
}

bool scm_parse_enroll(const json *doc, int64_t *id, struct err *err)
{
    return scm_parse_number(doc, "sslId", id, err);
}

bool scm_parse_details(const json *doc, struct scm_details *out, struct err *err)
{
    *out = (struct scm_details){.status = "", .comments = "", .serial = ""};
    if (!json_get_string(doc, "status", &out->status, err)) {
        return false;
    }
    (void)json_find_string(doc, "comments", &out->comments);
    (void)json_find_string(doc, "serialNumber", &out->serial);
    out->phase = scm_phase(out->status);
    return true;
}

void scm_ids_add(struct scm_ids *ids, int64_t id)
{
    size_t lowest = 0;

    for (size_t i = 0; i < ids->count; i++) {
        if (ids->list[i] == id) {
            return;
        }
        lowest = ids->list[i] < ids->list[lowest] ? i : lowest;
    }
    if (ids->count < SCM_IDS_MAX) {
        ids->list[ids->count++] = id;
        return;
    }
    ids->cut = true;
    if (ids->list[lowest] < id) {
        ids->list[lowest] = id;
    }
}

bool scm_ids_is_new(const struct scm_ids *before, int64_t id)
{
    bool above = before->count < SCM_IDS_MAX;

    for (size_t i = 0; i < before->count; i++) {
        if (before->list[i] == id) {
            return false;
        }
        above = above || before->list[i] < id;
    }
    return above;
}

static int highest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

void scm_ids_sort(struct scm_ids *ids)
{
    qsort(ids->list, ids->count, sizeof(ids->list[0]), highest_first);
}

bool scm_csr_cn(const char *csr_pem, struct buf *out)
{
    AUTO(x509_req) X509_REQ *csr = NULL;
    struct err ignored = ERR_INIT;
    unsigned char *text = NULL;

    if (!x509_csr_parse(csr_pem, &csr, &ignored)) {
        return false;
    }
    X509_NAME *subject = X509_REQ_get_subject_name(csr);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) {
        return false;
    }
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool ok = len > 0 && memchr(text, '\0', (size_t)len) == NULL;
    if (ok) {
        buf_add(out, text, (size_t)len);
    }
    OPENSSL_free(text);
    ERR_clear_error();
    return ok && buf_ok(out);
}

/* Whether the request's CN says everything: then profiles for one domain refuse the list. */
static bool is_only_the_cn(const struct ca_request *request)
{
    AUTO(buf) struct buf cn = BUF_INIT(1024);

    return request->names->count == 1 && scm_csr_cn(request->csr_pem, &cn) &&
           str_equal_nocase(request->names->list[0], buf_str(&cn));
}

bool scm_wants_names(const struct ca_request *request)
{
    switch (request->send_names) {
    case CA_NAMES_ALWAYS:
        return request->names->count > 0;
    case CA_NAMES_NEVER:
        return false;
    case CA_NAMES_AUTO:
        break;
    }
    return request->names->count > 0 && !is_only_the_cn(request);
}

static bool add_texts(json *body, const struct ca_request *request, struct err *err)
{
    if (request->external_requester != NULL &&
        strlen(request->external_requester) > REQUESTER_MAX) {
        return err_set(err, E_CONFIG, "external_requester: longer than %d characters",
                       REQUESTER_MAX);
    }
    if (!scm_add_comments(body, request, err)) {
        return false;
    }
    if (!json_add_string(body, "externalRequester",
                         request->external_requester != NULL ? request->external_requester : "")) {
        return err_nomem(err);
    }
    return request->custom_fields == NULL ||
           scm_add_custom_fields(body, request->custom_fields, err);
}

bool scm_build_enroll(const struct ca_request *request, int64_t org_id, struct buf *out,
                      struct err *err)
{
    AUTO(json) json *body = json_new_object();

    if (org_id < 1) {
        return err_set(err, E_CONFIG, "the organization is not configured ('org_id')");
    }
    if (!scm_check_csr(request->csr_pem, err)) {
        return false;
    }
    if (!json_add_int(body, "orgId", org_id) ||
        !json_add_int(body, "certType", request->product_id) ||
        !json_add_int(body, "term", request->term_days) ||
        !json_add_string(body, "csr", request->csr_pem)) {
        return err_nomem(err);
    }
    if (scm_wants_names(request)) {
        AUTO(str) char *names = x509_names_join(request->names, ',');
        if (names == NULL || !json_add_string(body, "subjAltNames", names)) {
            return err_nomem(err);
        }
    }
    return add_texts(body, request, err) && json_print(body, out, err);
}

bool scm_has_organization(const json *list, int64_t id, const char **name)
{
    for (const json *org = json_first(list); org != NULL; org = json_next(org)) {
        int64_t found = 0;
        if (json_find_int(org, "id", &found) && found == id) {
            (void)json_find_string(org, "name", name);
            return true;
        }
        if (scm_has_organization(json_member(org, "departments"), id, name)) {
            return true;
        }
    }
    return false;
}
