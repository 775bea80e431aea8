#include "app/app.h"

#include "base/str.h"

struct keystore_token app_token(const struct config_token *token)
{
    return (struct keystore_token){.section = config_token_section(token),
                                   .module = token->module,
                                   .init_args = token->init_args,
                                   .quirks = token->quirks,
                                   .uri = token->uri,
                                   .pin_source = token->pin_source,
                                   .pin_source_is_deliberate = token->pin_source_is_option,
                                   .try_pin_again = token->try_pin_again,
                                   .so_generates = token->generate_as == CONFIG_ROLE_SO,
                                   .so_writes_certificates =
                                       token->write_certificates_as == CONFIG_ROLE_SO,
                                   .so_pin_source = token->so_pin_source};
}

void app_ca_close(struct app_ca *connection)
{
    ca_close(connection->ca);
    http_client_free(connection->http);
    keystore_identity_done(&connection->identity);
    secret_done(&connection->password);
    secret_done(&connection->client_secret);
    secret_done(&connection->proxy_password);
    X509_STORE_free(connection->trust);
    *connection = (struct app_ca){.ca = NULL};
}

static enum keystore_type store_type(int configured)
{
    switch ((enum config_store)configured) {
    case CONFIG_STORE_AUTO:
        break;
    case CONFIG_STORE_PEM:
        return KEYSTORE_PEM;
    case CONFIG_STORE_PKCS12:
        return KEYSTORE_PKCS12;
    case CONFIG_STORE_JKS:
        return KEYSTORE_JKS;
    }
    return KEYSTORE_AUTO;
}

static enum http_proxy_auth proxy_auth(int configured)
{
    return configured == CONFIG_PROXY_BASIC    ? HTTP_PROXY_BASIC
           : configured == CONFIG_PROXY_DIGEST ? HTTP_PROXY_DIGEST
                                               : HTTP_PROXY_ANY;
}

/* The client certificate, if one is configured; a certificate login cannot do without. */
static bool open_identity(struct app *app, struct app_ca *out, struct err *err)
{
    const struct config_ca *c = app->selection.ca;
    const struct config_token *token = app->selection.token;

    if (c->client_cert == NULL && c->client_key == NULL) {
        return c->auth != CONFIG_AUTH_CERT ||
               err_set(err, E_CONFIG,
                       "the CA is to be logged in to with a client certificate, and "
                       "none is configured ('client_cert', or 'auth = password')");
    }
    if (c->client_token != NULL && !config_token_named(app->config, c->client_token, &token, err)) {
        return err_wrap(err, "client_token");
    }
    struct keystore_source source = {
        .cert = c->client_cert,
        .key = c->client_key,
        .alias = c->client_alias,
        .password_source = c->client_password_source,
        .key_password_source = c->client_key_password_source,
        .type = store_type(c->client_type),
        .token = app_token(token),
    };
    return keystore_open(app->keystore, &source, &out->identity, err);
}

/* Whom the server's certificate may come from. */
static bool open_trust(struct app *app, struct app_ca *out, struct err *err)
{
    const struct config_ca *c = app->selection.ca;
    struct keystore_trust trust = {.path = c->trust,
                                   .type = store_type(c->trust_type),
                                   .password_source = c->trust_password_source};

    return c->trust == NULL || keystore_trust_open(app->keystore, &trust, &out->trust, err);
}

/* A password that nobody could be asked for is a setting that is missing; it is no PIN. */
static bool read_password(struct app *app, const char *source, const char *what,
                          const char *setting, struct secret *out, struct err *err)
{
    if (secret_source_read(source, what, &app->secrets, out, err)) {
        return true;
    }
    if (err->code == E_PIN_NEEDED) {
        struct err why = *err;
        return err_set(err, E_CONFIG, "%.900s; name where it comes from: '%s'", why.msg, setting);
    }
    return false;
}

static bool read_secrets(struct app *app, struct app_ca *out, struct err *err)
{
    const struct config_ca *c = app->selection.ca;

    if (c->auth == CONFIG_AUTH_PASSWORD &&
        !read_password(app, c->password_source != NULL ? c->password_source : "prompt",
                       "password of the CA account", "password_source", &out->password, err)) {
        return false;
    }
    if (c->auth == CONFIG_AUTH_OAUTH &&
        !read_password(app, c->client_secret_source != NULL ? c->client_secret_source : "prompt",
                       "secret of the CA's API key", "client_secret_source", &out->client_secret,
                       err)) {
        return false;
    }
    return c->proxy_password_source == NULL ||
           read_password(app, c->proxy_password_source, "password at the proxy",
                         "proxy_password_source", &out->proxy_password, err);
}

static bool open_http(struct app *app, struct app_ca *out, struct err *err)
{
    const struct config_ca *c = app->selection.ca;
    struct http_settings settings = {
        .base_url = c->url,
        .trust_path = c->trust,
        .trust = out->trust,
        .key = out->identity.key,
        .cert = out->identity.cert,
        .chain = out->identity.chain,
        .proxy = c->proxy,
        .proxy_user = c->proxy_user,
        .proxy_password = &out->proxy_password,
        .proxy_auth = proxy_auth(c->proxy_auth),
        .no_proxy = c->no_proxy,
        .connections = (int)c->connections,
        .http1_only = !c->http2,
        .connect_timeout_ms = c->connect_timeout_s * 1000,
        .timeout_ms = c->timeout_s * 1000,
        .stop = app->stop,
        .tls_max = c->tls_max,
    };

    /* The server that gives out tokens gets our secret, and nothing else of ours. */
    out->token_net = settings;
    out->token_net.key = NULL;
    out->token_net.cert = NULL;
    out->token_net.chain = NULL;
    return http_client_new(&settings, &out->http, err);
}

static enum ca_login login_kind(int auth)
{
    return auth == CONFIG_AUTH_CERT    ? CA_LOGIN_CERT
           : auth == CONFIG_AUTH_OAUTH ? CA_LOGIN_OAUTH
                                       : CA_LOGIN_PASSWORD;
}

static bool open_ca(struct app *app, struct app_ca *out, struct err *err)
{
    const struct config_ca *c = app->selection.ca;
    struct ca_settings settings = {
        .type = c->type,
        .http = out->http,
        .clock = app->clock,
        .api_path = c->api_path,
        .private_prefix = c->private_prefix,
        .api_version = c->api_version,
        .login_kind = login_kind(c->auth),
        .customer_uri = c->customer_uri,
        .login = c->login,
        .password = &out->password,
        .client_id = c->client_id,
        .client_secret = &out->client_secret,
        .token_url = c->token_url,
        .token_hosts = c->token_hosts,
        .token_net = &out->token_net,
        .org_id = config_org_id(&app->selection),
        .collect_by_path = c->collect_form == CONFIG_COLLECT_PATH,
        .status_form = (enum ca_status_form)c->status_form,
        .order_fields = c->order_fields,
    };

    return ca_open(&settings, &out->ca, err);
}

bool app_ca_open(struct app *app, struct app_ca *out, struct err *err)
{
    *out = (struct app_ca){.ca = NULL};
    const struct config_ca *c = app->selection.ca;
    if (!ca_type_check(c->type, login_kind(c->auth), c->url, err) ||
        !open_identity(app, out, err) || !open_trust(app, out, err) ||
        !read_secrets(app, out, err) || !open_http(app, out, err) || !open_ca(app, out, err)) {
        app_ca_close(out);
        return err_wrap(err, "CA '%s'", app->selection.ca->name);
    }
    return true;
}
