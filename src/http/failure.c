#include "http/transport.h"

#include <string.h>

/* A server that turns the client certificate down in TLS 1.3 says so only after our "finished". */
static bool is_handshake_alert(const char *text)
{
    static const char *const alerts[] = {
        "alert certificate required",    "alert bad certificate",     "alert unknown ca",
        "alert certificate expired",     "alert certificate revoked", "alert certificate unknown",
        "alert unsupported certificate", "alert access denied",       "alert handshake failure",
        "alert decrypt error",           "alert no certificate",
    };

    for (size_t i = 0; i < ARRAY_LEN(alerts); i++) {
        if (strstr(text, alerts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* Nothing of the request is read before the handshake is done. But an alert that comes after the
 * body cannot be told from one that a server sends later, so it proves nothing. */
enum http_reach http_reach_of(struct http_transfer *transfer)
{
    curl_off_t pretransfer = 0;
    curl_off_t uploaded = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
    if (pretransfer == 0) {
        return HTTP_NOT_SENT;
    }
    bool unknown = curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded) != CURLE_OK;
    return unknown || uploaded > 0 || !is_handshake_alert(transfer->text) ? HTTP_MAYBE_SENT
                                                                          : HTTP_NOT_SENT;
}

static bool proxy_login_failed(const struct http_client *client, struct err *err)
{
    if (client->proxy_user == NULL) {
        return err_set_native(err, E_CONFIG, 407,
                              "the proxy %s wants a login (HTTP 407), and none is configured "
                              "('proxy_user', 'proxy_password_source')",
                              client->proxy);
    }
    return err_set_native(
        err, E_CONFIG, 407,
        "the proxy %s does not accept the login of '%s' (HTTP 407): its password is another one "
        "('proxy_password_source')%s",
        client->proxy, client->proxy_user,
        client->proxy_auth == HTTP_PROXY_ANY
            ? ""
            : ", or it wants another kind of login ('proxy_auth')");
}

/* The proxy answered the request to connect us, and did not. */
static bool proxy_refused(const struct http_client *client, long status, struct err *err)
{
    unsigned long native = (unsigned long)status;

    if (status == 407) {
        return proxy_login_failed(client, err);
    }
    if (status >= 500) {
        return err_set_native(err, E_NETWORK, native,
                              "the proxy %s is there, but cannot reach %s (HTTP %ld)",
                              client->proxy, client->base_url, status);
    }
    return err_set_native(err, E_FORBIDDEN, native,
                          "the proxy %s does not let us through to %s (HTTP %ld)", client->proxy,
                          client->base_url, status);
}

/* libcurl counts the proxy's answer as part of connecting, so its times do not tell. */
bool http_met_peer(const struct http_transfer *transfer)
{
    long status = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    switch (transfer->result) {
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PROXY:
        return true;
    default:
        break;
    }
    return status != 0 || transfer->client->met_peer;
}

/* Whether a transfer came to its end between us and the proxy; then err is filled. */
static bool failed_at_proxy(struct http_transfer *transfer, const char *why, struct err *err)
{
    const struct http_client *client = transfer->client;
    CURLcode rc = transfer->result;
    long status = 0;

    if (client->proxy == NULL || rc == CURLE_ABORTED_BY_CALLBACK) {
        return false;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (status >= 200 && status < 300) {
        return false;
    }
    if (status != 0) {
        (void)proxy_refused(client, status, err);
        return true;
    }
    if (rc == CURLE_COULDNT_RESOLVE_PROXY || rc == CURLE_COULDNT_RESOLVE_HOST) {
        (void)err_set_native(err, E_NETWORK, rc, "the proxy's name in %s cannot be looked up: %s",
                             client->proxy, why);
        return true;
    }
    if (rc == CURLE_COULDNT_CONNECT ||
        (rc == CURLE_OPERATION_TIMEDOUT && !http_met_peer(transfer))) {
        (void)err_set_native(err, E_NETWORK, rc, "the proxy %s cannot be reached: %s",
                             client->proxy, why);
        return true;
    }
    if (http_met_peer(transfer)) {
        (void)err_set_native(err, E_NETWORK, rc,
                             "the proxy %s took our connection, and ended it or fell silent before "
                             "it connected us to %s: %s",
                             client->proxy, client->base_url, why);
        return true;
    }
    return false;
}

static void our_certificate_failed(const struct http_client *client, const char *why,
                                   struct err *err)
{
    if (client->tls_err.code != E_NONE) {
        *err = client->tls_err;
        return;
    }
    (void)err_set(err, E_TLS, "our client certificate cannot be used: %s", why);
}

static bool handshake_failed(const struct http_client *client, CURLcode rc, const char *why,
                             struct err *err)
{
    if (is_handshake_alert(why)) {
        (void)err_set_native(err, E_TLS, rc, "the server refused our %s: %s",
                             client->cert != NULL ? "client certificate"
                                                  : "TLS connection "
                                                    "(it wants a client certificate)",
                             why);
        return true;
    }
    if (rc == CURLE_SSL_CONNECT_ERROR) {
        (void)err_set_native(err, E_TLS, rc, "no TLS connection to %s: %s", client->base_url, why);
        return true;
    }
    return false;
}

void http_failed(struct http_transfer *transfer, struct err *err)
{
    const struct http_client *client = transfer->client;
    CURLcode rc = transfer->result;
    const char *why = transfer->text[0] != '\0' ? transfer->text : curl_easy_strerror(rc);
    const char *host = client->base_url;

    if (failed_at_proxy(transfer, why, err)) {
        return;
    }
    switch (rc) {
    case CURLE_PEER_FAILED_VERIFICATION:
        http_tls_verify_failed(transfer, why, err);
        return;
    case CURLE_SSL_CERTPROBLEM:
        our_certificate_failed(client, why, err);
        return;
    case CURLE_SSL_CACERT_BADFILE:
        (void)err_set(err, E_CONFIG, "the trust store %s cannot be read: %s",
                      client->trust_path != NULL ? client->trust_path : "of the system", why);
        return;
    case CURLE_ABORTED_BY_CALLBACK:
        (void)err_set(err, E_INTERRUPTED, "interrupted");
        return;
    case CURLE_COULDNT_RESOLVE_HOST:
        (void)err_set_native(err, E_NETWORK, rc, "the name in %s cannot be looked up: %s", host,
                             why);
        return;
    case CURLE_OPERATION_TIMEDOUT:
        (void)err_set_native(err, E_NETWORK, rc, "%s did not answer in time: %s", host, why);
        return;
    case CURLE_WRITE_ERROR:
        (void)err_set_native(err, E_PROTOCOL, rc, "the answer is longer than %d bytes",
                             HTTP_BODY_MAX);
        return;
    case CURLE_BAD_CONTENT_ENCODING:
        (void)err_set_native(err, E_PROTOCOL, rc, "the answer cannot be decompressed: %s", why);
        return;
    default:
        break;
    }
    if (!handshake_failed(client, rc, why, err)) {
        (void)err_set_native(err, E_NETWORK, rc, "%s: %s", host, why);
    }
}
