#include "http/transport.h"

#include "base/str.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

DEFINE_AUTO(bio, BIO *, BIO_free_all)
DEFINE_AUTO(x509, X509 *, X509_free)

/* libcurl's own text for the date is as long and as local as it likes, so the certificate is asked.
 */
static void copy_end(const char *pem, struct http_probe *probe)
{
    AUTO(bio) BIO *mem = BIO_new_mem_buf(pem, -1);
    struct tm tm;

    (void)ERR_set_mark();
    AUTO(x509) X509 *cert = mem != NULL ? PEM_read_bio_X509(mem, NULL, NULL, NULL) : NULL;
    if (cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1) {
        probe->server_not_after_s = (int64_t)timegm(&tm);
        clock_format(probe->server_not_after_s, probe->server_not_after);
    }
    (void)ERR_pop_to_mark();
}

static void copy_certinfo(CURL *easy, struct http_probe *probe)
{
    struct curl_certinfo *info = NULL;

    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL ||
        info->num_of_certs < 1) {
        return;
    }
    for (struct curl_slist *line = info->certinfo[0]; line != NULL; line = line->next) {
        if (str_starts_with(line->data, "Subject:")) {
            (void)snprintf(probe->server_subject, sizeof(probe->server_subject), "%s",
                           line->data + strlen("Subject:"));
        } else if (str_starts_with(line->data, "Issuer:")) {
            (void)snprintf(probe->server_issuer, sizeof(probe->server_issuer), "%s",
                           line->data + strlen("Issuer:"));
        } else if (str_starts_with(line->data, "Cert:")) {
            copy_end(line->data + strlen("Cert:"), probe);
        }
    }
}

static void copy_proxy(struct http_transfer *transfer, struct http_probe *probe)
{
    const struct http_client *client = transfer->client;
    long status = 0;

    if (client->proxy == NULL) {
        return;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    (void)snprintf(probe->proxy, sizeof(probe->proxy), "%s", client->proxy);
    probe->proxy_passed = status >= 200 && status < 300;
}

static void copy_progress(struct http_transfer *transfer, bool answered, struct http_probe *probe)
{
    CURL *easy = transfer->easy;
    curl_off_t resolved = 0;
    curl_off_t connected = 0;
    curl_off_t tls = 0;
    long version = 0;
    char *address = NULL;

    (void)curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    (void)curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
    (void)curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &tls);
    (void)curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    copy_proxy(transfer, probe);
    probe->resolved = answered || resolved > 0;
    /* libcurl counts the handshake as part of connecting: a refusal in it leaves the time at zero
     */
    probe->connected = answered || connected > 0 || probe->failure.code == E_TLS ||
                       (probe->proxy[0] != '\0' && http_met_peer(transfer));
    probe->tls = answered || tls > 0;
    probe->http2 = version == CURL_HTTP_VERSION_2_0;
    probe->status = transfer->response->status;
    probe->cert_asked = transfer->client->cert_asked;
    probe->cert_given = probe->cert_asked && transfer->client->cert != NULL;
    (void)snprintf(probe->address, sizeof(probe->address), "%s", address != NULL ? address : "");
}

bool http_cert_asked(const struct http_client *client)
{
    return client->cert_asked;
}

void http_probe(struct http_client *client, struct http_probe *probe)
{
    struct http_request request = {.method = "GET", .path = "/", .operation = "connection test"};
    AUTO(http_response) struct http_response response;
    enum http_reach reach = HTTP_NOT_SENT;
    bool answered = false;

    *probe = (struct http_probe){.failure = ERR_INIT};
    http_response_init(&response);
    AUTO(http_transfer)
    struct http_transfer transfer = {.client = client, .response = &response};
    err_clear(&client->tls_err);
    client->cert_asked = false;
    if (!http_transfer_prepare(&transfer, &request, &probe->failure) ||
        curl_easy_setopt(transfer.easy, CURLOPT_CERTINFO, 1L) != CURLE_OK) {
        return;
    }
    answered = http_transfer_run(&transfer, &reach, &probe->failure);
    copy_progress(&transfer, answered, probe);
    copy_certinfo(transfer.easy, probe);
}
