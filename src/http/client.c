#include "http/transport.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HOST_MAX = 256 };

static bool check_base_url(const char *url, struct err *err)
{
    static const char scheme[] = "https://";

    if (url == NULL || strncasecmp(url, scheme, strlen(scheme)) != 0) {
        return err_set(err, E_CONFIG, "the CA's URL must begin with https://");
    }
    const char *host = url + strlen(scheme);
    if (host[0] == '\0' || strpbrk(host, "/?#@ ") != NULL) {
        return err_set(err, E_CONFIG,
                       "the CA's URL is https://host[:port] and nothing behind it; "
                       "the paths have settings of their own");
    }
    return true;
}

/* libcurl takes 0 for "no limit". */
static bool check_limits(const struct http_settings *settings, struct err *err)
{
    if (settings->connect_timeout_ms <= 0) {
        return err_set(err, E_CONFIG,
                       "the time limit for a connection ('connect_timeout') is 0; "
                       "no request could end");
    }
    return settings->timeout_ms > 0 ||
           err_set(err, E_CONFIG,
                   "the time limit for a request ('timeout') is 0; no request "
                   "could end");
}

/* The proxy that this server is reached through; NULL: none. */
static const char *proxy_for(const struct http_settings *settings)
{
    char host[HOST_MAX];

    if (settings->proxy == NULL || settings->no_proxy == NULL) {
        return settings->proxy;
    }
    return http_url_host(settings->base_url, host, sizeof(host)) &&
                   http_bypasses_proxy(settings->no_proxy, host)
               ? NULL
               : settings->proxy;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    while (client->flights != NULL) {
        struct http_transfer *flight = client->flights;
        client->flights = flight->next;
        http_transfer_done(flight);
        free(flight);
    }
    if (client->multi != NULL) {
        (void)curl_multi_cleanup(client->multi);
    }
    free(client->base_url);
    free(client->trust_path);
    free(client->proxy);
    free(client->proxy_user);
    free(client);
}

static void take_settings(struct http_client *client, const struct http_settings *settings)
{
    client->base_url = str_dup(settings->base_url);
    client->trust_path = str_dup(settings->trust_path);
    client->trust = settings->trust;
    client->proxy = str_dup(proxy_for(settings));
    client->proxy_user = str_dup(settings->proxy_user);
    client->proxy_password = settings->proxy_password;
    client->proxy_auth = settings->proxy_auth;
    client->key = settings->key;
    client->cert = settings->cert;
    client->chain = settings->chain;
    client->connect_timeout_ms = settings->connect_timeout_ms;
    client->timeout_ms = settings->timeout_ms;
    client->stop = settings->stop;
    client->tls_max = settings->tls_max;
    client->http1_only = settings->http1_only;
}

bool http_client_new(const struct http_settings *settings, struct http_client **out,
                     struct err *err)
{
    long connections =
        settings->connections > 0 ? (long)settings->connections : (long)HTTP_CONNECTIONS;

    if (!check_base_url(settings->base_url, err) ||
        (settings->proxy != NULL && !http_proxy_check(settings->proxy, err)) ||
        !check_limits(settings, err)) {
        return false;
    }
    http_global_init();
    AUTO(http_client) struct http_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return err_nomem(err);
    }
    take_settings(client, settings);
    client->multi = curl_multi_init();
    if (client->base_url == NULL || client->multi == NULL ||
        (client->proxy == NULL && proxy_for(settings) != NULL)) {
        return err_nomem(err);
    }
    /* Without the second, it keeps fewer when few requests are under way, and has to connect anew.
     */
    if (curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, connections) != CURLM_OK) {
        return err_set(err, E_INTERNAL, "libcurl takes no limit for connections");
    }
    *out = TAKE(client);
    return true;
}
