/* ACME accounts at the CA (scm-rest: /acme/v2/account). */
#include "ca/scm/call.h"

#include "base/str.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum {
    PAGE = 200,
    ROWS_MAX = 1000000, /* a CA that never comes to an end */
};

static void wipe_key(const json *item)
{
    const char *key = NULL;

    if (json_find_string(item, "macKey", &key)) {
        OPENSSL_cleanse((char *)(uintptr_t)key, strlen(key));
    }
}

/* An answer about accounts, one or many, has their HMAC keys: they go before the document does,
 * whatever became of it. */
static void free_keys(json *doc)
{
    wipe_key(doc);
    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        wipe_key(item);
    }
    json_free(doc);
}

DEFINE_AUTO(keys, json *, free_keys)

/* One list of the API that is paged; what happens with a row is the caller's. */
struct pages {
    struct scm *scm;
    enum scm_endpoint_id endpoint;
    int64_t id;
    const struct ca_acme_filter *filter; /* NULL: the list has none */
    bool (*row)(void *ctx, const json *item, bool *more, struct err *err);
    void *ctx;
};

static bool read_page(const struct pages *pages, int64_t position, size_t *rows, bool *more,
                      struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(keys) json *doc = NULL;
    AUTO(buf) struct buf query = BUF_INIT(8192);
    struct ca_acme_filter none = {.org_id = 0};
    const char *what = scm_endpoint(pages->endpoint)->name;

    scm_answer_init(&answer);
    scm_build_acme_list(pages->filter != NULL ? pages->filter : &none, PAGE, position, &query);
    if (!buf_ok(&query)) {
        return err_set(err, E_USAGE, "%s: what is looked for is too long", what);
    }
    struct scm_call call = {.endpoint = pages->endpoint, .id = pages->id, .query = buf_str(&query)};
    if (!scm_call_json(pages->scm, &call, &answer, &doc, err)) {
        if (answer.complete && answer.response.status == 404) {
            err->code = E_ORDER_MISSING;
        }
        return false;
    }
    if (!json_is_array(doc)) {
        return err_set(err, E_PROTOCOL, "%s: the answer is not a JSON array", what);
    }
    *rows = json_count(doc);
    int64_t after = position + (int64_t)*rows;
    *more = *rows > 0 && (*rows >= PAGE || answer.response.total_count > after);
    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        bool on = true;
        if (!pages->row(pages->ctx, item, &on, err)) {
            return err_wrap(err, "%s", what);
        }
        if (!on) {
            *more = false;
            return true;
        }
    }
    return true;
}

static bool read_pages(const struct pages *pages, struct err *err)
{
    int64_t position = 0;
    bool more = true;

    while (more && position < ROWS_MAX) {
        size_t rows = 0;
        if (!read_page(pages, position, &rows, &more, err)) {
            return false;
        }
        position += (int64_t)rows;
    }
    return !more || err_set(err, E_PROTOCOL, "%s: more than %d rows, and no end",
                            scm_endpoint(pages->endpoint)->name, ROWS_MAX);
}

/* What a visitor's answer means: the end, or a failure. */
static bool go_on(bool answer, bool *more, const struct err *err)
{
    *more = answer;
    return answer || err->code == E_NONE;
}

struct account_visit {
    ca_acme_visit_fn *visit;
    void *ctx;
    int64_t
        last; /* rows move while others page: one that moved back comes twice in a row of pages */
};

static bool account_row(void *ctx, const json *item, bool *more, struct err *err)
{
    struct account_visit *v = ctx;
    AUTO(ca_acme_account) struct ca_acme_account account = {.id = 0};

    if (!scm_parse_acme_account(item, &account, err)) {
        return false;
    }
    if (account.id == v->last) {
        return true;
    }
    v->last = account.id;
    return go_on(v->visit(v->ctx, &account, err), more, err);
}

static bool acme_list(void *impl, const struct ca_acme_filter *filter, ca_acme_visit_fn *visit,
                      void *ctx, struct err *err)
{
    struct account_visit v = {.visit = visit, .ctx = ctx};
    struct pages pages = {
        .scm = impl, .endpoint = SCM_ACME_LIST, .filter = filter, .row = account_row, .ctx = &v};

    return read_pages(&pages, err);
}

static bool acme_account(void *impl, int64_t id, struct ca_acme_account *out, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(keys) json *doc = NULL;
    struct scm_call call = {.endpoint = SCM_ACME_ACCOUNT, .id = id};

    scm_answer_init(&answer);
    if (!scm_call_json(impl, &call, &answer, &doc, err)) {
        if (answer.complete && answer.response.status == 404) {
            err->code = E_ORDER_MISSING;
        }
        return false;
    }
    return scm_parse_acme_account(doc, out, err);
}

/* The accounts of a name: the highest number of them. Whatever the CA's filter matches, the name
 * decides. */
struct same_name {
    const char *name;
    int64_t org_id, highest;
};

static bool note_same(void *ctx, const struct ca_acme_account *account, struct err *err UNUSED)
{
    struct same_name *same = ctx;
    bool org = account->org_id == 0 || account->org_id == same->org_id;

    if (org && str_equal(account->name, same->name) && account->id > same->highest) {
        same->highest = account->id;
    }
    return true;
}

static bool find_name(struct scm *scm, const struct ca_acme_wish *wish, int64_t *id,
                      struct err *err)
{
    struct ca_acme_filter filter = {.name = wish->name, .org_id = wish->org_id};
    struct same_name same = {.name = wish->name, .org_id = wish->org_id};

    if (!acme_list(scm, &filter, note_same, &same, err)) {
        return false;
    }
    *id = same.highest;
    return true;
}

/* After a lost answer. There was no account of that name before, so one that is there is ours. */
static enum ca_made look(struct scm *scm, const struct ca_acme_wish *wish, int64_t *id,
                         struct err *err)
{
    struct err why = ERR_INIT;

    if (find_name(scm, wish, id, &why) && *id != 0) {
        err_clear(err);
        return CA_MADE;
    }
    err->code = E_ORDER_AMBIGUOUS;
    (void)err_wrap(err,
                   "it is not known whether the CA made the ACME account; nothing is sent again: "
                   "'p11enroll account acme list' shows whether it is there");
    return CA_MAYBE_MADE;
}

static enum ca_made acme_create(void *impl, const struct ca_acme_wish *wish, int64_t *id,
                                struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(buf) struct buf body = BUF_INIT(16 * 1024);
    int64_t before = 0;

    scm_answer_init(&answer);
    if (!scm_build_acme_create(wish, &body, err) || !find_name(scm, wish, &before, err)) {
        return CA_NOT_MADE;
    }
    if (before != 0) {
        (void)err_set(err, E_OBJECT_EXISTS,
                      "organization %lld has the ACME account %lld with the name '%.128s' already",
                      (long long)wish->org_id, (long long)before, wish->name);
        return CA_NOT_MADE;
    }
    struct scm_call call = {.endpoint = SCM_ACME_CREATE, .body = buf_str(&body)};
    if (scm_call(scm, &call, &answer, err)) {
        *id = scm_location_id(answer.response.location);
        if (*id > 0) {
            return CA_MADE;
        }
        (void)err_set(err, E_PROTOCOL, "HTTP %d, but no number of the new account in its Location",
                      answer.response.status);
        return look(scm, wish, id, err);
    }
    return scm_is_unclear(&answer) ? look(scm, wish, id, err) : CA_NOT_MADE;
}

/* A call that changes one account, once. *unclear: nobody knows whether it did. */
static bool change(struct scm *scm, const struct scm_call *call, bool *unclear, struct err *err)
{
    AUTO(answer) struct scm_answer answer;

    *unclear = false;
    scm_answer_init(&answer);
    if (scm_call(scm, call, &answer, err)) {
        return true;
    }
    *unclear = scm_is_unclear(&answer);
    if (answer.complete && answer.response.status == 404) {
        err->code = E_ORDER_MISSING;
    }
    return false;
}

static bool nobody_knows(const char *what, struct err *err)
{
    err->code = E_ORDER_AMBIGUOUS;
    return err_wrap(err, "it is not known whether the CA %s (asking again does no harm)", what);
}

static bool acme_rename(void *impl, int64_t id, const char *name, struct err *err)
{
    AUTO(ca_acme_account) struct ca_acme_account now = {.id = 0};
    AUTO(buf) struct buf body = BUF_INIT(16 * 1024);
    struct err why = ERR_INIT;
    bool unclear = false;

    if (!scm_build_acme_name(name, &body, err)) {
        return false;
    }
    struct scm_call call = {.endpoint = SCM_ACME_RENAME, .id = id, .body = buf_str(&body)};
    if (change(impl, &call, &unclear, err) || !unclear) {
        return err->code == E_NONE;
    }
    if (acme_account(impl, id, &now, &why) && str_equal(now.name, name)) {
        err_clear(err);
        return true;
    }
    return nobody_knows("renamed the ACME account", err);
}

static bool acme_delete(void *impl, int64_t id, struct err *err)
{
    AUTO(ca_acme_account) struct ca_acme_account now = {.id = 0};
    struct scm_call call = {.endpoint = SCM_ACME_DELETE, .id = id};
    struct err why = ERR_INIT;
    bool unclear = false;

    if (change(impl, &call, &unclear, err) || !unclear) {
        return err->code == E_NONE;
    }
    if (!acme_account(impl, id, &now, &why) && why.code == E_ORDER_MISSING) {
        err_clear(err);
        return true;
    }
    return nobody_knows("deleted the ACME account", err);
}

struct domain_visit {
    ca_acme_domain_fn *visit;
    void *ctx;
};

static bool domain_row(void *ctx, const json *item, bool *more, struct err *err)
{
    struct domain_visit *v = ctx;
    struct ca_acme_domain domain = {.name = "", .valid_until = "", .sticky_until = ""};

    (void)json_find_string(item, "name", &domain.name);
    (void)json_find_string(item, "validUntil", &domain.valid_until);
    (void)json_find_string(item, "stickyUntil", &domain.sticky_until);
    return go_on(v->visit(v->ctx, &domain, err), more, err);
}

static bool acme_domains(void *impl, int64_t id, ca_acme_domain_fn *visit, void *ctx,
                         struct err *err)
{
    struct domain_visit v = {.visit = visit, .ctx = ctx};
    struct pages pages = {
        .scm = impl, .endpoint = SCM_ACME_DOMAINS, .id = id, .row = domain_row, .ctx = &v};

    return read_pages(&pages, err);
}

static bool acme_change_domains(void *impl, int64_t id, bool add, const char *const names[],
                                size_t count, struct buf *left, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf body = BUF_INIT(1 << 20);
    struct err ignored = ERR_INIT;

    scm_answer_init(&answer);
    if (!scm_build_acme_domains(names, count, &body, err)) {
        return false;
    }
    struct scm_call call = {
        .endpoint = add ? SCM_ACME_ADD : SCM_ACME_REMOVE, .id = id, .body = buf_str(&body)};
    if (!scm_call(impl, &call, &answer, err)) {
        if (answer.complete && answer.response.status == 404) {
            err->code = E_ORDER_MISSING;
        }
        return scm_is_unclear(&answer) ? nobody_knows("changed the account's domains", err) : false;
    }
    /* It is HTTP 200 even if some domains were left; an empty body says that none was. */
    const struct buf *text = &answer.response.body;
    if (text->len > 0 && json_parse(text->data, text->len, &doc, &ignored)) {
        scm_parse_acme_left(doc, left);
    }
    return left->len == 0 || err_set(err, E_CA_REFUSED, "the CA did not %s: %.800s",
                                     add ? "add" : "remove", buf_str(left));
}

struct client_visit {
    ca_acme_client_fn *visit;
    void *ctx;
};

static bool client_row(void *ctx, const json *item, bool *more, struct err *err)
{
    struct client_visit *v = ctx;
    struct ca_acme_client client = {.id = "",
                                    .user_agent = "",
                                    .address = "",
                                    .status = "",
                                    .last_activity = "",
                                    .contacts = ""};

    char number[24];
    int64_t id = 0;

    if (json_find_int(item, "id", &id)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)id);
        client.id = number;
    } else {
        (void)json_find_string(item, "accountId", &client.id);
    }
    (void)json_find_string(item, "userAgent", &client.user_agent);
    (void)json_find_string(item, "ipAddress", &client.address);
    (void)json_find_string(item, "status", &client.status);
    (void)json_find_string(item, "lastActivity", &client.last_activity);
    (void)json_find_string(item, "contacts", &client.contacts);
    return go_on(v->visit(v->ctx, &client, err), more, err);
}

static bool acme_clients(void *impl, int64_t id, ca_acme_client_fn *visit, void *ctx,
                         struct err *err)
{
    struct client_visit v = {.visit = visit, .ctx = ctx};
    struct pages pages = {
        .scm = impl, .endpoint = SCM_ACME_CLIENTS, .id = id, .row = client_row, .ctx = &v};

    return read_pages(&pages, err);
}

static bool acme_deactivate(void *impl, int64_t id, const char *client, struct err *err)
{
    struct scm_call call = {.endpoint = SCM_ACME_DEACTIVATE, .id = id, .serial = client};
    bool unclear = false;

    if (change(impl, &call, &unclear, err) || !unclear) {
        return err->code == E_NONE;
    }
    return nobody_knows("deactivated the ACME client", err);
}

const struct ca_account_ops scm_account_ops = {
    .organizations = scm_organizations,
    .organization = scm_organization,
    .acme_list = acme_list,
    .acme_account = acme_account,
    .acme_create = acme_create,
    .acme_rename = acme_rename,
    .acme_delete = acme_delete,
    .acme_domains = acme_domains,
    .acme_change_domains = acme_change_domains,
    .acme_clients = acme_clients,
    .acme_deactivate = acme_deactivate,
};
