#include "http/transport.h"

#include "base/str.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

/* The server asks for a client certificate. */
static int note_asked(SSL *ssl UNUSED, void *user)
{
    struct http_client *client = user;

    client->cert_asked = true;
    return 1;
}

/* Certificate first, then the key, then the comparison: a mismatch is silent until that check. */
static bool add_identity(struct http_client *client, SSL_CTX *ctx)
{
    return SSL_CTX_use_certificate(ctx, client->cert) == 1 &&
           (client->chain == NULL || SSL_CTX_set1_chain(ctx, client->chain) == 1) &&
           SSL_CTX_use_PrivateKey(ctx, client->key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
}

/* The context belongs to the connection, which lives as long as the client. */
static CURLcode use_identity(CURL *easy UNUSED, void *ssl_ctx, void *user)
{
    struct http_client *client = user;
    SSL_CTX *ctx = ssl_ctx;

    SSL_CTX_set_cert_cb(ctx, note_asked, client);
    if (client->trust != NULL) {
        SSL_CTX_set1_cert_store(ctx, client->trust);
    }
    if (client->cert == NULL || add_identity(client, ctx)) {
        return CURLE_OK;
    }
    (void)err_set_ssl(&client->tls_err, E_KEYSTORE,
                      "the client certificate and its key cannot be used together");
    return CURLE_SSL_CERTPROBLEM;
}

bool http_tls_setup(struct http_transfer *transfer, struct err *err)
{
    struct http_client *client = transfer->client;
    CURL *easy = transfer->easy;
    long max = client->tls_max == 12 ? CURL_SSLVERSION_MAX_TLSv1_2 : CURL_SSLVERSION_MAX_DEFAULT;
    CURLcode rc = CURLE_OK;

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (rc == CURLE_OK) {                                                                      \
            rc = curl_easy_setopt(easy, (option), (value));                                        \
        }                                                                                          \
    } while (0)
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2 | max);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSL_CTX_FUNCTION, use_identity);
    SET(CURLOPT_SSL_CTX_DATA, client);
    if (client->trust_path != NULL || client->trust != NULL) {
        SET(CURLOPT_CAPATH, NULL);
        SET(CURLOPT_CAINFO, client->trust == NULL ? client->trust_path : NULL);
    }
#undef SET
    return rc == CURLE_OK ||
           err_set(err, E_INTERNAL, "libcurl refuses a TLS setting: %s", curl_easy_strerror(rc));
}

bool http_tls_distrusted(CURL *easy, const char *url, const char *trust, const char *curl_text,
                         struct err *err)
{
    long result = 0;

    trust = trust != NULL ? trust : "the system's trust store";
    (void)curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
    /* libcurl compares names by itself, without a verification result of OpenSSL's. It writes "host
     * name", and "hostname" since 8.12. */
    if (strstr(curl_text, "target host") != NULL) {
        return err_set(err, E_TLS, "the server's certificate is for another name than %s (%s)", url,
                       curl_text);
    }
    const char *why = X509_verify_cert_error_string(result);
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return err_set_native(err, E_TLS, (unsigned long)result,
                              "the server's certificate is outside its validity: %s (is this "
                              "machine's clock right?)",
                              why);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return err_set_native(err, E_TLS, (unsigned long)result,
                              "the server's certificate was issued by a CA that %s does not have: "
                              "%s",
                              trust, why);
    default:
        return err_set_native(err, E_TLS, (unsigned long)result,
                              "the server's certificate does not verify: %s (%s)", why, curl_text);
    }
}

void http_tls_verify_failed(struct http_transfer *transfer, const char *curl_text, struct err *err)
{
    const struct http_client *client = transfer->client;

    (void)http_tls_distrusted(transfer->easy, client->base_url, client->trust_path, curl_text, err);
}
