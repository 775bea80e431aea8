/*
 * S/MIME certificates have two numbers: one of the manager's own, which details have, and one of
 * the CA behind it, which orders, collects and revocations have. The list alone has both, with
 * state and comments.
 */
#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 200, PAGES_MAX = 500 };

static bool get_page(struct scm *scm, const char *filter, int64_t position,
                     struct scm_answer *answer, json **doc, struct err *err)
{
    AUTO(buf) struct buf query = BUF_INIT(4096);

    buf_addf(&query, "size=%d&position=%lld&%s", PAGE, (long long)position, filter);
    struct scm_call call = {.endpoint = SCM_SMIME_LIST, .query = buf_str(&query)};
    if (!scm_call_json(scm, &call, answer, doc, err)) {
        return false;
    }
    return json_is_array(*doc) || err_set(err, E_PROTOCOL, "list: the answer is not a JSON array");
}

/* States of their own (D255): nobody has to approve what is requested. */
static enum ca_phase phase_of(const char *state)
{
    if (str_equal_nocase(state, "pre_revoked")) {
        return CA_FAILED;
    }
    enum ca_phase phase = scm_phase(state);
    return phase == CA_WAITING ? CA_PENDING : phase;
}

/* The row of a number of the CA's in the list. */
static bool get_row(struct scm *scm, int64_t id, struct scm_answer *answer, json **doc,
                    const json **row, struct err *err)
{
    char filter[96];

    (void)snprintf(filter, sizeof(filter), "backendCertId=%lld&dateFormat=ISO_HMS", (long long)id);
    if (!get_page(scm, filter, 0, answer, doc, err)) {
        return false;
    }
    for (const json *item = json_first(*doc); item != NULL; item = json_next(item)) {
        int64_t number = 0;
        if (json_find_int(item, "backendCertId", &number) && number == id) {
            *row = item;
            return true;
        }
    }
    return err_set(err, E_ORDER_MISSING, "the CA lists no S/MIME certificate with the number %lld",
                   (long long)id);
}

bool scm_smime_details(struct scm *scm, int64_t id, struct scm_answer *answer, json **doc,
                       struct scm_details *out, struct err *err)
{
    const json *row = NULL;

    *out = (struct scm_details){.status = "", .comments = "", .serial = ""};
    if (!get_row(scm, id, answer, doc, &row, err)) {
        return false;
    }
    (void)json_find_string(row, "comments", &out->comments);
    (void)json_find_string(row, "serialNumber", &out->serial);
    if (!json_get_string(row, "state", &out->status, err)) {
        return false;
    }
    out->phase = phase_of(out->status);
    return true;
}

static bool take(const char *text, char **out, struct err *err)
{
    *out = text[0] != '\0' ? str_dup(text) : NULL;
    return text[0] == '\0' || *out != NULL || err_nomem(err);
}

static bool take_row(const json *item, struct ca_record *out, struct err *err)
{
    AUTO(scm_row_texts) struct scm_row_texts texts = SCM_ROW_TEXTS_INIT;
    struct ca_row row;

    if (!scm_parse_row_of(CA_KIND_SMIME, item, &texts, &row) || row.status[0] == '\0') {
        return err_set(err, E_PROTOCOL, "list: a row has no 'state'");
    }
    out->phase = phase_of(row.status);
    out->revoked = str_equal_nocase(row.status, "revoked");
    return take(row.status, &out->status, err) && take(row.serial, &out->serial, err) &&
           take(row.subject, &out->subject, err) && take(row.common_name, &out->common_name, err) &&
           take(row.names, &out->names, err) && take(row.expires, &out->expires, err) &&
           take(row.comments, &out->comments, err);
}

/* The rest is under the manager's own number; an account that may not read it has the row alone. */
static bool take_details(struct scm *scm, int64_t number, struct ca_record *out, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {
        .endpoint = SCM_SMIME_DETAILS, .id = number, .query = "dateFormat=ISO_HMS"};

    scm_answer_init(&answer);
    if (scm_call_json(scm, &call, &answer, &doc, err)) {
        return scm_parse_facts(doc, out, err);
    }
    bool passed_over = scm_may_skip(&answer);
    if (passed_over) {
        log_line(LOG_DEBUG, "scm", "there are no details: %s", err->msg);
        err_clear(err);
    }
    return passed_over;
}

bool scm_smime_record(struct scm *scm, int64_t id, struct ca_record *out, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    const json *row = NULL;
    int64_t number = 0;

    out->id = id;
    scm_answer_init(&answer);
    if (!get_row(scm, id, &answer, &doc, &row, err) || !take_row(row, out, err)) {
        return false;
    }
    return !json_find_int(row, "id", &number) || number <= 0 || take_details(scm, number, out, err);
}

bool scm_smime_number(struct scm *scm, int64_t id, int64_t *number, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    const json *row = NULL;

    scm_answer_init(&answer);
    return get_row(scm, id, &answer, &doc, &row, err) && scm_parse_number(row, "id", number, err);
}

/* What is looked for in the list of a person's certificates. */
struct search {
    const char *mark;
    const struct scm_state *before; /* of a renewal; NULL: of an order */
    const struct scm_state *since;  /* what was noted when it was planned; NULL: it is not asked */
    int64_t newer;                  /* a number that was not there then */
    const struct ca_request *request;
    int64_t parent; /* whose comments are kept */
    struct scm_ids known;
    char *comments; /* of the parent; owned */
    int64_t marked, found;
    size_t hits;
};

/* The same rule as for other renewals, with what the list tells (renew.c). */
static bool may_be(const struct search *search, int64_t id, const char *comments)
{
    const struct scm_state *before = search->before;

    return before != NULL && id > before->renews && scm_ids_is_new(&before->known, id) &&
           (comments[0] == '\0' || str_equal(comments, before->comments));
}

/* Of which profile it is, and for what key, the list does not tell. */
static bool is_newer(const struct search *search, int64_t id, const json *item)
{
    const char *state = "";

    (void)json_find_string(item, "state", &state);
    return search->since != NULL && id > search->since->renews &&
           scm_ids_is_new(&search->since->known, id) && phase_of(state) != CA_FAILED &&
           !scm_is_other(search->request, id);
}

static bool look_at_row(struct search *search, const json *item, struct err *err)
{
    const char *comments = "";
    int64_t id = 0;

    (void)json_find_string(item, "comments", &comments);
    if (!json_find_int(item, "backendCertId", &id)) {
        return true; /* it was refused: it has none */
    }
    scm_ids_add(&search->known, id);
    if (is_newer(search, id, item)) {
        search->newer = id;
    }
    if (id == search->parent && search->comments == NULL) {
        search->comments = str_dup(comments);
        return search->comments != NULL || err_nomem(err);
    }
    if (strstr(comments, search->mark) != NULL) {
        search->marked = id;
    } else if (may_be(search, id, comments)) {
        search->found = id;
        search->hits++;
    }
    return true;
}

static bool look_at_page(struct scm *scm, const char *filter, int64_t position,
                         struct search *search, size_t *rows, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;

    scm_answer_init(&answer);
    if (!get_page(scm, filter, position, &answer, &doc, err)) {
        return false;
    }
    *rows = 0;
    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        (*rows)++;
        if (!look_at_row(search, item, err)) {
            return false;
        }
    }
    return true;
}

/* All certificates of the request's person. */
static bool look(struct scm *scm, const struct ca_request *request, struct search *search,
                 struct err *err)
{
    AUTO(buf) struct buf filter = BUF_INIT(2048);
    const char *email = request->names->count > 0 ? request->names->list[0] : "";
    size_t rows = PAGE;

    buf_add_str(&filter, "email=");
    str_percent_encode(&filter, (const uint8_t *)email, strlen(email), "");
    for (int page = 0; page < PAGES_MAX && rows >= PAGE; page++) {
        if (!look_at_page(scm, buf_str(&filter), (int64_t)page * PAGE, search, &rows, err)) {
            return false;
        }
    }
    return true;
}

bool scm_smime_before(struct scm *scm, const struct ca_request *request, char **before,
                      struct err *err)
{
    AUTO(json) json *kept = NULL;
    struct scm_state since;
    struct search search = {.mark = request->mark, .parent = request->parent, .request = request};

    if (request->before != NULL) {
        if (!scm_state_read(request->before, &kept, &since, err)) {
            return false;
        }
        search.since = &since;
    }
    bool ok = look(scm, request, &search, err) &&
              (search.newer == 0 || scm_has_newer(request->parent, search.newer, err));
    if (ok) {
        struct scm_state state = {.kind = CA_KIND_SMIME,
                                  .renews = request->parent,
                                  .known = search.known,
                                  .comments = search.comments};
        *before = scm_state_text(&state);
        ok = *before != NULL || err_nomem(err);
    }
    free(search.comments);
    return ok;
}

bool scm_smime_find(struct scm *scm, const struct ca_request *request, int64_t *id, struct err *err)
{
    AUTO(json) json *kept = NULL;
    struct scm_state before;
    struct search search = {.mark = request->mark};

    *id = 0;
    if (request->how == CA_RENEW) {
        if (!scm_state_read(request->before, &kept, &before, err)) {
            return false;
        }
        search.before = &before;
    }
    if (!look(scm, request, &search, err)) {
        return false;
    }
    *id = search.marked != 0 ? search.marked : search.hits == 1 ? search.found : 0;
    return true;
}
