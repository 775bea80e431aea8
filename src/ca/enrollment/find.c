#include "ca/enrollment/enrollment.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE = ENROLLMENT_PAGE,
    PAGES_MAX = ENROLLMENT_PAGES_MAX,
    CANDIDATES_MAX = 200,
    BACKDATED_S = 2 * 86400
};

bool enrollment_get_page(struct enrollment *e, int64_t position, struct scm_answer *answer,
                         json **doc, struct err *err)
{
    char query[64];

    (void)snprintf(query, sizeof(query), "size=%d&position=%lld", PAGE, (long long)position);
    struct scm_call call = {.endpoint = ENROLLMENT_LIST, .query = query};
    if (!scm_call_json(&e->scm, &call, answer, doc, err)) {
        return false;
    }
    return json_is_array(*doc) || err_set(err, E_PROTOCOL, "list: the answer is not a JSON array");
}

/* What a row says, as far as it says it. */
static const char *member(const json *row, const char *name)
{
    const char *text = NULL;

    return json_find_string(row, name, &text) ? text : NULL;
}

static bool is_other(const char *have, const char *wanted)
{
    return have != NULL && wanted != NULL && !str_equal_nocase(have, wanted);
}

/* Looking for one order. */
struct search {
    struct enrollment *e;
    const struct ca_request *request;
    char cn[256];
    uint8_t spki_hash[X509_SPKI_HASH_LEN];
    struct enrollment_id candidates[CANDIDATES_MAX]; /* the last ones that were listed */
    size_t count;
    struct enrollment_id hit;
    bool found;
};

/* A row with our mark is it; one that may be it is kept for a look at its certificate. */
static void look_at_row(struct search *search, const json *row)
{
    struct enrollment_id id;
    struct err ignored = ERR_INIT;
    const char *comments = member(row, "comments");

    if (!enrollment_parse_id(row, &id, &ignored)) {
        return;
    }
    if (comments != NULL && strstr(comments, search->request->mark) != NULL) {
        search->hit = id;
        search->found = true;
        return;
    }
    if (search->cn[0] != '\0' && is_other(member(row, "commonName"), search->cn)) {
        return;
    }
    search->candidates[search->count++ % CANDIDATES_MAX] = id;
}

bool enrollment_has_no_list(const struct scm_answer *answer)
{
    return answer->complete && (enrollment_is_absent(answer) || answer->class == SCM_NOT_ALLOWED ||
                                answer->class == SCM_PERMANENT || answer->class == SCM_NONSENSE ||
                                answer->class == SCM_OK);
}

static bool read_list(struct search *search, struct err *err)
{
    size_t rows = PAGE;

    for (int page = 0; page < PAGES_MAX && rows > 0 && !search->found; page++) {
        AUTO(answer) struct scm_answer answer;
        AUTO(json) json *doc = NULL;
        scm_answer_init(&answer);
        if (!enrollment_get_page(search->e, (int64_t)page * PAGE, &answer, &doc, err)) {
            err->code = enrollment_has_no_list(&answer) ? E_CA_REFUSED : err->code;
            return false;
        }
        rows = json_count(doc);
        for (const json *row = json_first(doc); row != NULL && !search->found;
             row = json_next(row)) {
            look_at_row(search, row);
        }
        rows = rows < PAGE ? 0 : rows;
    }
    return true;
}

/* When the request was sent; 0: that was not noted. */
static int64_t sent_s(const struct ca_request *request)
{
    AUTO(json) json *kept = NULL;
    struct err ignored = ERR_INIT;
    int64_t sent = 0;

    if (request->before == NULL ||
        !json_parse((const uint8_t *)request->before, strlen(request->before), &kept, &ignored) ||
        !json_find_int(kept, "sent", &sent)) {
        return 0;
    }
    return sent;
}

/* Whether it is the certificate that is renewed or replaced, or one from before the request. CAs
 * date certificates back, by a day at most. */
static bool is_old(const struct search *search, X509 *leaf)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    struct err ignored = ERR_INIT;

    return x509_info(leaf, &info, &ignored) &&
           (ca_same_serial(info.serial, search->request->parent_serial) ||
            info.not_before_s + BACKDATED_S < sent_s(search->request));
}

bool enrollment_fetch_for(struct enrollment *e, const struct enrollment_id *id,
                          const uint8_t spki_hash[static X509_SPKI_HASH_LEN],
                          STACK_OF(X509) * *certs, X509 **leaf, struct err *err)
{
    AUTO(buf) struct buf answer = BUF_INIT(HTTP_BODY_MAX);
    bool ready = false;
    bool revoked = false;

    *leaf = NULL;
    if (!enrollment_fetch(e, id, &ready, &revoked, &answer, err)) {
        if (err->code != E_CA_REFUSED && err->code != E_ORDER_MISSING && err->code != E_FORBIDDEN) {
            return false;
        }
        log_line(LOG_DEBUG, "enrollment", "looking for the order: %s is passed over: %s", id->text,
                 err->msg);
    } else if (ready && !enrollment_pick(&answer, spki_hash, certs, leaf, err)) {
        *leaf = NULL;
    }
    err_clear(err);
    return true;
}

/* Whether the certificate of an id is for our key, and a new one. */
static bool is_for_our_key(struct search *search, const struct enrollment_id *id, bool *ours,
                           struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    X509 *leaf = NULL;

    *ours = false;
    if (!enrollment_fetch_for(search->e, id, search->spki_hash, &certs, &leaf, err)) {
        return false;
    }
    *ours = leaf != NULL && !is_old(search, leaf);
    return true;
}

static bool look_at_certificates(struct search *search, struct err *err)
{
    size_t kept = search->count < CANDIDATES_MAX ? search->count : CANDIDATES_MAX;

    for (size_t i = 0; i < kept && !search->found; i++) {
        const struct enrollment_id *id = &search->candidates[i];
        if (!is_for_our_key(search, id, &search->found, err)) {
            return false;
        }
        search->hit = *id;
    }
    return true;
}

static bool prepare(struct search *search, struct err *err)
{
    AUTO(x509_req) X509_REQ *csr = NULL;
    AUTO(buf) struct buf cn = BUF_INIT(sizeof(search->cn) - 1);

    if (!x509_csr_parse(search->request->csr_pem, &csr, err) ||
        !x509_csr_spki_hash(csr, search->spki_hash, err)) {
        return false;
    }
    if (scm_csr_cn(search->request->csr_pem, &cn)) {
        (void)snprintf(search->cn, sizeof(search->cn), "%s", buf_str(&cn));
    }
    return true;
}

/* There is nothing to look in: a person has to. */
static bool ask_a_person(const struct search *search, struct err *err)
{
    struct err why = *err;
    bool marked = (search->e->fields & ENROLLMENT_COMMENTS) != 0;

    return err_set(
        err, E_ORDER_AMBIGUOUS,
        "this API has no list in which the order could be looked for (%.300s); somebody with "
        "access to the "
        "account in SCM has to look for an order of '%.100s'%s%s: if it is there, 'p11enroll order "
        "adopt' "
        "with its id goes on with it; if it is not, 'p11enroll order resolve --not-ordered' "
        "settles it",
        why.msg, search->cn, marked ? " with the comment " : "",
        marked ? search->request->mark : "");
}

/* A replacement has the id of what it replaces, so that is where it shows. */
static bool find_replacement(struct search *search, struct err *err)
{
    (void)snprintf(search->hit.text, sizeof(search->hit.text), "%lld",
                   (long long)search->request->parent);
    return is_for_our_key(search, &search->hit, &search->found, err) ||
           err_wrap(err, "looking for the order");
}

static bool find_new(struct search *search, struct err *err)
{
    if (!read_list(search, err)) {
        return err->code == E_CA_REFUSED ? ask_a_person(search, err)
                                         : err_wrap(err, "looking for the order");
    }
    return search->found || look_at_certificates(search, err) ||
           err_wrap(err, "looking for the order");
}

bool enrollment_find(void *impl, const struct ca_request *request, bool *found, char **state,
                     struct err *err)
{
    AUTO(mem) void *memory = calloc(1, sizeof(struct search));
    struct search *search = memory;
    bool replaces = request->how == CA_REPLACE;

    *found = false;
    if (search == NULL) {
        return err_nomem(err);
    }
    search->e = impl;
    search->request = request;
    if (!prepare(search, err)) {
        return err_wrap(err, "looking for the order");
    }
    if (!(replaces ? find_replacement(search, err) : find_new(search, err))) {
        return false;
    }
    if (!search->found) {
        return true;
    }
    *state = enrollment_make_state(&search->hit, replaces);
    *found = *state != NULL;
    return *found || err_nomem(err);
}

/* This list cannot be narrowed by the CA, and its rows say little. */
static bool passes(const struct ca_filter *filter, const struct ca_row *row)
{
    return (filter->common_name == NULL ||
            str_equal_nocase(filter->common_name, row->common_name)) &&
           (filter->serial == NULL || ca_same_serial(filter->serial, row->serial));
}

static bool check_filter(const struct ca_filter *f, struct err *err)
{
    bool more = f->name != NULL || f->status != NULL || f->requester != NULL ||
                f->external_requester != NULL || f->org_id != 0 || f->product_id != 0;

    return !more || err_set(err, E_USAGE,
                            "list: the Enrollment API's list tells common names and serial numbers "
                            "alone, so it can be "
                            "narrowed by nothing else");
}

static bool parse_row(const json *item, struct ca_row *row)
{
    struct enrollment_id id;
    struct err ignored = ERR_INIT;
    uint64_t number = 0;

    *row = (struct ca_row)CA_ROW_INIT;
    if (!enrollment_parse_id(item, &id, &ignored) || !str_to_u64(id.text, INT64_MAX, &number)) {
        return false;
    }
    row->id = (int64_t)number;
    (void)json_find_string(item, "commonName", &row->common_name);
    (void)json_find_string(item, "serialNumber", &row->serial);
    return true;
}

bool enrollment_list(void *impl, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
                     struct err *err)
{
    size_t rows = PAGE;

    if (!check_filter(filter, err)) {
        return false;
    }
    for (int page = 0; page < PAGES_MAX && rows == PAGE; page++) {
        AUTO(answer) struct scm_answer answer;
        AUTO(json) json *doc = NULL;
        scm_answer_init(&answer);
        if (!enrollment_get_page(impl, (int64_t)page * PAGE, &answer, &doc, err)) {
            return enrollment_is_absent(&answer) ? err_wrap(err, "this API lists no certificates")
                                                 : false;
        }
        rows = json_count(doc);
        for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
            struct ca_row row;
            if (parse_row(item, &row) && passes(filter, &row) && !visit(ctx, &row, err)) {
                return err->code == E_NONE;
            }
        }
    }
    return true;
}
