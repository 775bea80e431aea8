/* OAuth 2 client credentials: RFC 6749 section 4.4, RFC 6750. */
#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sectigo's server for API keys (Admin Operations, securitySchemes). */
static const char usual_host[] = "auth.sso.sectigo.com";
static const char usual_url[] =
    "https://auth.sso.sectigo.com/auth/realms/apiclients/protocol/openid-connect/token";

enum { URL_MAX = 2048, LIFE_S = 300, EARLY_S = 60, LIFE_MAX_S = 24 * 3600 };

void scm_oauth_done(struct scm_oauth *oauth)
{
    http_client_free(oauth->http);
    free(oauth->url);
    free(oauth->path);
    secret_done(&oauth->header);
    *oauth = (struct scm_oauth){.generation = oauth->generation};
}

/* From now on tokens come from that URL. */
static bool use_server(struct scm *scm, const char *url, struct err *err)
{
    AUTO(buf) struct buf origin = BUF_INIT(URL_MAX);
    AUTO(buf) struct buf host = BUF_INIT(URL_MAX);
    AUTO(buf) struct buf path = BUF_INIT(URL_MAX);
    struct scm_oauth *oauth = &scm->oauth;

    if (!scm_split_url(url, &origin, &host, &path)) {
        return err_set(err, E_CONFIG,
                       "'%.200s' is no https:// URL to get tokens from ('token_url')", url);
    }
    struct http_settings settings = *scm->settings.token_net;
    settings.base_url = buf_str(&origin);
    scm_oauth_done(oauth);
    oauth->url = str_dup(url);
    oauth->path = str_dup(buf_str(&path));
    if (oauth->url == NULL || oauth->path == NULL) {
        return err_nomem(err);
    }
    return http_client_new(&settings, &oauth->http, err);
}

/* application/x-www-form-urlencoded, into memory that is wiped. */
static bool add_encoded(struct secret *out, const char *text, size_t len, struct err *err)
{
    char code[4];
    bool ok = true;

    for (size_t i = 0; ok && i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (isalnum(c) || strchr("-._~", c) != NULL) {
            ok = secret_append(out, &c, 1, err);
        } else {
            (void)snprintf(code, sizeof(code), "%%%02X", c);
            ok = secret_append(out, code, 3, err);
        }
    }
    OPENSSL_cleanse(code, sizeof(code));
    return ok;
}

static bool add_text(struct secret *out, const char *text, struct err *err)
{
    return secret_append(out, text, strlen(text), err);
}

static bool build_form(const struct scm *scm, struct secret *out, struct err *err)
{
    const struct ca_settings *s = &scm->settings;

    return add_text(out, "grant_type=client_credentials&client_id=", err) &&
           add_encoded(out, s->client_id, strlen(s->client_id), err) &&
           add_text(out, "&client_secret=", err) &&
           add_encoded(out, secret_expose(s->client_secret), s->client_secret->len, err);
}

/* What a refusal says: RFC 6749 section 5.2. */
static bool refused(const struct http_response *response, struct err *err)
{
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf quoted = BUF_INIT(512);
    struct err ignored = ERR_INIT;
    const char *error = "no explanation";
    const char *description = NULL;
    bool parsed =
        json_parse((const uint8_t *)buf_str(&response->body), response->body.len, &doc, &ignored);

    if (parsed) {
        (void)json_find_string(doc, "error", &error);
        (void)json_find_string(doc, "error_description", &description);
    }
    str_add_quotable(&quoted, error, strlen(error), 60);
    if (description != NULL) {
        buf_add_str(&quoted, ": ");
        str_add_quotable(&quoted, description, strlen(description), 120);
    }
    enum err_code code = response->status >= 500 ? E_CA_UNAVAILABLE
                         : response->status == 400
                             ? E_AUTH /* invalid_client, unauthorized_client */
                         : response->status == 401 ? E_AUTH
                         : response->status == 403 ? E_FORBIDDEN
                                                   : E_PROTOCOL;
    return err_set_native(err, code, (unsigned long)response->status, "HTTP %d: %s",
                          response->status, buf_str(&quoted));
}

/* {"access_token":"...","expires_in":300}; the document is wiped where the token stood. */
static bool take_token(struct scm *scm, const struct http_response *response, struct err *err)
{
    AUTO(json) json *doc = NULL;
    struct scm_oauth *oauth = &scm->oauth;
    const char *token = NULL;
    int64_t life_s = LIFE_S;

    if (!json_parse((const uint8_t *)buf_str(&response->body), response->body.len, &doc, err) ||
        !json_get_string(doc, "access_token", &token, err)) {
        return err_set(err, E_PROTOCOL, "HTTP %d, but the answer holds no token", response->status);
    }
    (void)json_find_int(doc, "expires_in", &life_s);
    life_s = life_s < 0 ? 0 : life_s > LIFE_MAX_S ? LIFE_MAX_S : life_s;
    secret_done(&oauth->header);
    oauth->generation++;
    bool ok = add_text(&oauth->header, "Bearer ", err) && add_text(&oauth->header, token, err);
    OPENSSL_cleanse((char *)(uintptr_t)token, strlen(token));
    if (!ok) {
        secret_done(&oauth->header);
        return false;
    }
    int64_t early_s = life_s > 2 * EARLY_S ? EARLY_S : life_s / 2;
    oauth->good_until_ms = clock_mono_ms(scm->settings.clock) + (life_s - early_s) * 1000;
    return true;
}

static bool fetch(struct scm *scm, struct err *err)
{
    AUTO(secret) struct secret form = SECRET_INIT;
    AUTO(http_response) struct http_response response;
    enum http_reach reach = HTTP_NOT_SENT;

    http_response_init(&response);
    if (!build_form(scm, &form, err)) {
        return false;
    }
    struct http_request request = {
        .method = "POST",
        .path = scm->oauth.path,
        .operation = "token",
        .body = secret_expose(&form),
        .body_len = form.len,
        .secret = true,
    };
    http_request_header(&request, "Content-Type", "application/x-www-form-urlencoded");
    http_request_header(&request, "Accept", "application/json");
    return http_send(scm->oauth.http, &request, &response, &reach, err) &&
           (response.status == 200 ? take_token(scm, &response, err) : refused(&response, err));
}

/*
 * Which server gives out tokens: the configured one, else the one that the CA names when it is
 * asked without a token, else the usual one.
 */
static bool choose_server(struct scm *scm, struct err *err)
{
    AUTO(http_response) struct http_response response;
    AUTO(buf) struct buf path = BUF_INIT(URL_MAX);
    const struct scm_endpoint *endpoint = scm_endpoint(scm->probe);
    enum http_reach reach = HTTP_NOT_SENT;

    http_response_init(&response);
    if (scm->settings.token_url != NULL) {
        return use_server(scm, scm->settings.token_url, err);
    }
    scm_call_path(scm, &(struct scm_call){.endpoint = scm->probe}, &path);
    struct http_request request = {
        .method = endpoint->method, .path = buf_str(&path), .operation = "login"};
    if (!http_send(scm->settings.http, &request, &response, &reach, err)) {
        return false;
    }
    if (response.status != 401) {
        return err_set_native(err, response.status >= 500 ? E_CA_UNAVAILABLE : E_PROTOCOL,
                              (unsigned long)response.status,
                              "HTTP %d where a request without a token should be refused, so it is "
                              "not known who gives out tokens; name the server in 'token_url'",
                              response.status);
    }
    if (!scm_oauth_discover(scm, &response, err)) {
        return false;
    }
    if (scm->oauth.http == NULL && !scm_host_in(usual_host, scm->settings.token_hosts)) {
        return err_set(err, E_AUTH,
                       "the CA names no server for tokens, and Sectigo's usual one (%s) is not in "
                       "'token_hosts': name the server in 'token_url'",
                       usual_host);
    }
    return scm->oauth.http != NULL || use_server(scm, usual_url, err);
}

bool scm_oauth_check(const struct ca_settings *s, struct err *err)
{
    if (s->client_id == NULL || s->client_id[0] == '\0') {
        return err_set(err, E_CONFIG, "no client id is configured for the CA ('client_id')");
    }
    return (s->client_secret != NULL && secret_is_set(s->client_secret)) ||
           err_set(err, E_CONFIG,
                   "no client secret is configured for the CA "
                   "('client_secret_source')");
}

bool scm_oauth_find(struct scm *scm, struct err *err)
{
    return scm->oauth.http != NULL || choose_server(scm, err);
}

bool scm_oauth_login(struct scm *scm, bool anew, struct err *err)
{
    struct scm_oauth *oauth = &scm->oauth;

    if (!scm_oauth_find(scm, err)) {
        return false;
    }
    bool lasts =
        secret_is_set(&oauth->header) && clock_mono_ms(scm->settings.clock) < oauth->good_until_ms;
    if (lasts && !anew) {
        return true;
    }
    return fetch(scm, err) ||
           err_wrap(err, "token of '%.80s' from %s", scm->settings.client_id, oauth->url);
}

bool scm_oauth_discover(struct scm *scm, const struct http_response *response, struct err *err)
{
    AUTO(buf) struct buf url = BUF_INIT(URL_MAX);
    AUTO(buf) struct buf origin = BUF_INIT(URL_MAX);
    AUTO(buf) struct buf host = BUF_INIT(URL_MAX);
    AUTO(buf) struct buf path = BUF_INIT(URL_MAX);

    if (scm->settings.token_url != NULL || !scm_authorization_uri(response->authenticate, &url) ||
        (scm->oauth.url != NULL && str_equal(buf_str(&url), scm->oauth.url))) {
        return true;
    }
    AUTO(buf) struct buf named = BUF_INIT(URL_MAX);
    str_add_quotable(&named, buf_str(&url), url.len, 200);
    if (!scm_split_url(buf_str(&url), &origin, &host, &path) ||
        !scm_host_in(buf_str(&host), scm->settings.token_hosts)) {
        return err_set(err, E_AUTH,
                       "the CA names %s to get a token from, which is not allowed to see our "
                       "secret: if it is right, add its host to 'token_hosts'",
                       buf_str(&named));
    }
    log_line(LOG_INFO, "scm", "tokens come from %s, as the CA says", buf_str(&named));
    return use_server(scm, buf_str(&url), err);
}
