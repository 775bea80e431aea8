/* The connection test above HTTP: login, organization, what the login may do, its password. */
#include "ca/scm/call.h"

#include "base/str.h"

#include <string.h>
#include <time.h>

enum { DAY_S = 86400, SOON_S = 14 * DAY_S };

/* Days as SCM writes them here: "2027-01-31". */
static bool day_of(const char *text, int64_t *out)
{
    struct tm tm = {.tm_mday = 1};
    const char *end = strptime(text, "%Y-%m-%d", &tm);

    if (end == NULL || (*end != '\0' && *end != 'T')) {
        return false;
    }
    *out = (int64_t)timegm(&tm);
    return true;
}

bool scm_password_state(const json *doc, int64_t now_s, enum scm_password *out, const char **end)
{
    const char *state = NULL;
    int64_t end_s = 0;

    *end = "";
    (void)json_find_string(doc, "expirationDate", end);
    if (!json_find_string(doc, "state", &state)) {
        return false;
    }
    bool dated = day_of(*end, &end_s);
    if (str_equal_nocase(state, "EXPIRED")) {
        *out = SCM_PASSWORD_EXPIRED;
    } else if (str_equal_nocase(state, "NEVER_EXPIRE")) {
        *out = SCM_PASSWORD_LASTS;
    } else if (str_equal_nocase(state, "ALIVE")) {
        *out = dated && end_s - now_s < SOON_S ? SCM_PASSWORD_SOON : SCM_PASSWORD_LASTS;
    } else {
        return false;
    }
    return true;
}

/* A step that may fail without the login being worth less: it is told, as a warning. */
static void unknown(struct ca_checks *out, const char *step, const struct err *err,
                    const char *remedy)
{
    ca_checks_add(out, step, true, "%s", err->msg);
    ca_checks_warn(out);
    ca_checks_remedy(out, "%s", remedy);
}

bool scm_check_token(struct scm *scm, struct ca_checks *out)
{
    static const char *const steps[CA_CONNECTION_STEPS] = {
        "token server: name lookup", "token server: connection", "token server: proxy",
        "token server: TLS", "token server: HTTP"};
    struct err err = ERR_INIT;

    if (!scm_oauth_find(scm, &err)) {
        ca_checks_fail(out, "token server", &err);
        ca_checks_remedy(out, "name the server in 'token_url', or its host in 'token_hosts'");
        return false;
    }
    if (!ca_check_connection(scm->oauth.http, steps, clock_wall_s(scm->settings.clock), out)) {
        return false;
    }
    if (!scm_oauth_login(scm, false, &err)) {
        ca_checks_fail(out, "token", &err);
        ca_checks_remedy(out,
                         "correct 'client_id' and 'client_secret_source'; an administrator can "
                         "give the API key another secret in SCM");
        return false;
    }
    ca_checks_add(out, "token", true, "given to '%s' by %s", scm->settings.client_id,
                  scm->oauth.url);
    return true;
}

static const char *login_remedy(const struct ca_settings *settings)
{
    switch (settings->login_kind) {
    case CA_LOGIN_CERT:
        return "see that 'login' and 'customer_uri' are right, and that in SCM this very "
               "certificate is selected for that administrator (Admins, Authentication)";
    case CA_LOGIN_OAUTH:
        return "see that the API key belongs to an administrator of this account, and that 'url' "
               "is the host for API keys";
    case CA_LOGIN_PASSWORD:
        break;
    }
    return "see that 'login', 'customer_uri' and the password are right, and that the password "
           "was changed once in SCM, if the administrator is new";
}

static void credentials_ok(const struct ca_settings *settings, struct ca_checks *out)
{
    ca_checks_add(out, "credentials", true, "logged in as '%s' with %s",
                  settings->login_kind == CA_LOGIN_OAUTH ? settings->client_id : settings->login,
                  settings->login_kind == CA_LOGIN_OAUTH  ? "an OAuth token"
                  : settings->login_kind == CA_LOGIN_CERT ? "a client certificate"
                                                          : "a password");
    if (settings->login_kind == CA_LOGIN_CERT && !http_cert_asked(settings->http)) {
        ca_checks_warn(out);
        ca_checks_remedy(out, "the server never asked for the certificate; see that nothing on the "
                              "way ends TLS in its place");
    }
}

/* Web API off is what orders fail for, with a number (-1021) that tells nobody. */
static bool check_api(struct scm *scm, struct ca_checks *out)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {.endpoint = SCM_ORGANIZATION, .id = scm->settings.org_id};
    struct err err = ERR_INIT;
    bool on = true;

    scm_answer_init(&answer);
    if (!scm_call_json(scm, &call, &answer, &doc, &err)) {
        /* Departments have no details of their own. */
        unknown(out, "API", &err, "it cannot be told whether the organization's Web API is on");
        return true;
    }
    if (json_find_bool(doc, "sslCertsApiEnabled", &on) && !on) {
        (void)err_set(&err, E_FORBIDDEN, "the Web API is off for organization %lld",
                      (long long)scm->settings.org_id);
        ca_checks_fail(out, "API", &err);
        ca_checks_remedy(out,
                         "an administrator of the account switches it on in SCM: Organizations, "
                         "the organization, SSL certificates, 'Enable Web/REST API'");
        return false;
    }
    ca_checks_add(out, "API", true, "the organization's Web API is on");
    return true;
}

static bool check_organization(struct scm *scm, struct ca_checks *out)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {.endpoint = SCM_ORGANIZATIONS};
    struct err err = ERR_INIT;
    const char *name = "";
    long long id = (long long)scm->settings.org_id;

    scm_answer_init(&answer);
    if (id < 1) {
        (void)err_set(&err, E_CONFIG, "none is configured ('org_id')");
    } else if (!scm_call_json(scm, &call, &answer, &doc, &err)) {
        ca_checks_fail(out, "organization", &err);
        return false;
    } else if (scm_has_organization(doc, scm->settings.org_id, &name)) {
        ca_checks_add(out, "organization", true, "%lld '%s'", id, name);
        return true;
    } else {
        (void)err_set(&err, E_FORBIDDEN,
                      "this account sees %zu organizations, and %lld is not among them",
                      json_count(doc), id);
    }
    ca_checks_fail(out, "organization", &err);
    ca_checks_remedy(out, "correct 'org_id', or have the organization delegated to this login");
    return false;
}

static bool check_products(const struct ca_products *products, bool ok, const struct err *why,
                           struct ca_checks *out)
{
    struct err err = *why;

    if (ok && products->count == 0) {
        ok = err_set(&err, E_FORBIDDEN, "0 can be ordered");
    }
    if (!ok) {
        ca_checks_fail(out, "products", &err);
        ca_checks_remedy(out, "have certificate profiles assigned to the organization in SCM");
        return false;
    }
    ca_checks_add(out, "products", true, "%zu can be ordered", products->count);
    return true;
}

static bool count_row(void *ctx, const struct ca_row *row UNUSED, struct err *err UNUSED)
{
    *(size_t *)ctx += 1;
    return false; /* one is enough */
}

/* Reading the list is what finding lost orders and the inventory need. */
static void check_inventory(struct scm *scm, struct ca_checks *out)
{
    struct ca_filter filter = {.common_name = NULL};
    struct err err = ERR_INIT;
    size_t rows = 0;

    if (scm_list(scm, &filter, count_row, &rows, &err)) {
        ca_checks_add(out, "inventory", true, "%s",
                      rows > 0 ? "certificates can be listed" : "can be listed, and is empty");
    } else {
        unknown(out, "inventory", &err,
                "without it an order whose answer was lost is not found again; the login needs a "
                "role that sees the organization's certificates");
    }
}

static void check_password(struct scm *scm, struct ca_checks *out)
{
    static const char remedy[] =
        "change it in SCM, and then where 'password_source' points to; open orders go on";
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {.endpoint = SCM_PASSWORD};
    struct err err = ERR_INIT;
    enum scm_password state = SCM_PASSWORD_LASTS;
    const char *end = "";

    scm_answer_init(&answer);
    if (!scm_call_json(scm, &call, &answer, &doc, &err) ||
        (!scm_password_state(doc, clock_wall_s(scm->settings.clock), &state, &end) &&
         !err_set(&err, E_PROTOCOL, "the CA's word about it is not understood"))) {
        unknown(out, "password", &err, "see in SCM when it expires");
        return;
    }
    AUTO(buf) struct buf day = BUF_INIT(256);
    str_add_quotable(&day, end, strlen(end), 20);
    switch (state) {
    case SCM_PASSWORD_LASTS:
        ca_checks_add(out, "password", true,
                      end[0] != '\0' ? "it expires on %s" : "never expires%s", buf_str(&day));
        return;
    case SCM_PASSWORD_SOON:
        ca_checks_add(out, "password", true, "it expires on %s", buf_str(&day));
        ca_checks_warn(out);
        break;
    case SCM_PASSWORD_EXPIRED:
        (void)err_set(&err, E_AUTH, "it has expired (%s)", buf_str(&day));
        ca_checks_fail(out, "password", &err);
        break;
    }
    ca_checks_remedy(out, "%s", remedy);
}

void scm_check(void *impl, struct ca_checks *out)
{
    struct scm *scm = impl;
    AUTO(ca_products) struct ca_products products = {.list = NULL};
    struct err err = ERR_INIT;

    if (scm->settings.login_kind == CA_LOGIN_OAUTH && !scm_check_token(scm, out)) {
        return;
    }
    bool ok = scm_products(scm, CA_KIND_TLS, &products, &err);
    if (!ok && err.code != E_CA_REFUSED) {
        bool login = err.code == E_AUTH || err.code == E_FORBIDDEN;
        ca_checks_fail(out, err.code == E_PROTOCOL ? "API" : "credentials", &err);
        ca_checks_remedy(out, "%s",
                         login ? login_remedy(&scm->settings)
                               : "see that 'url' and 'api_path' are those of the API");
        return;
    }
    credentials_ok(&scm->settings, out);
    if (!check_organization(scm, out) || !check_api(scm, out) ||
        !check_products(&products, ok, &err, out)) {
        return;
    }
    check_inventory(scm, out);
    if (scm->settings.login_kind == CA_LOGIN_PASSWORD) {
        check_password(scm, out);
    }
}
