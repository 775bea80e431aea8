/* How far a request got when the server turns the client down: a server in a thread, which wants a
 * client certificate and gets none. In TLS 1.3 it says so only after the client may have sent all.
 */
#include "http/http.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

struct server {
    SSL_CTX *ctx;
    int listener, port;
    pthread_t thread;
    const char *trust_path;
};

static void *serve(void *arg)
{
    struct server *server = arg;
    char buffer[512];
    int fd = accept(server->listener, NULL, NULL);
    SSL *ssl = SSL_new(server->ctx);

    if (fd >= 0 && ssl != NULL && SSL_set_fd(ssl, fd) == 1) {
        (void)SSL_accept(ssl);
        (void)shutdown(fd, SHUT_WR);
        while (read(fd, buffer, sizeof(buffer)) > 0) {
            /* so that the client reads the alert before the connection is reset */
        }
    }
    SSL_free(ssl);
    (void)close(fd);
    return NULL;
}

static void server_listen(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);

    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server->listener, 1), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &len), 0);
    server->port = ntohs(address.sin_port);
}

static void server_start(struct server *server)
{
    int64_t now = (int64_t)time(NULL);
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert)
    X509 *cert = pki_cert(&(struct pki_spec){.cn = "server",
                                             .san = "IP:127.0.0.1",
                                             .key = key,
                                             .ca = true,
                                             .not_before = now - PKI_DAY,
                                             .not_after = now + PKI_DAY});

    server->trust_path = tmp_text(tmp_dir(), "trust.pem", pki_pem(cert));
    server->ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(server->ctx);
    assert_int_equal(SSL_CTX_use_certificate(server->ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->ctx, key), 1);
    SSL_CTX_set_verify(server->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    server_listen(server);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_end(struct server *server)
{
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    (void)close(server->listener);
    SSL_CTX_free(server->ctx);
}

static enum http_reach reach_of(const char *method, const char *body, int tls_max)
{
    struct server server;
    AUTO(http_response) struct http_response response;
    enum http_reach reach = HTTP_NOT_SENT;
    struct err err = ERR_INIT;
    struct http_client *client = NULL;

    server_start(&server);
    struct http_settings settings = {.base_url = tmp_printf("https://127.0.0.1:%d", server.port),
                                     .trust_path = server.trust_path,
                                     .connect_timeout_ms = 10000,
                                     .timeout_ms = 10000,
                                     .tls_max = tls_max};
    struct http_request request = {.method = method,
                                   .path = "/",
                                   .operation = "test",
                                   .body = body,
                                   .body_len = body != NULL ? strlen(body) : 0,
                                   .once = true};
    http_response_init(&response);
    assert_ok(http_client_new(&settings, &client, &err), &err);
    assert_fails(http_send(client, &request, &response, &reach, &err), &err, E_TLS,
                 "wants a client certificate");
    http_client_free(client);
    server_end(&server);
    return reach;
}

static void test_refusal_before_the_request_is_not_sent(void **state UNUSED)
{
    assert_int_equal(reach_of("POST", "an order", 12), HTTP_NOT_SENT);
    assert_int_equal(reach_of("GET", NULL, 12), HTTP_NOT_SENT);
}

static void test_refusal_of_a_request_without_a_body_is_not_sent(void **state UNUSED)
{
    assert_int_equal(reach_of("GET", NULL, 0), HTTP_NOT_SENT);
}

/* Who sends such an order again may order twice. */
static void test_refusal_after_the_body_was_written_may_be_sent(void **state UNUSED)
{
    assert_int_equal(reach_of("POST", "an order", 0), HTTP_MAYBE_SENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusal_before_the_request_is_not_sent),
        cmocka_unit_test(test_refusal_of_a_request_without_a_body_is_not_sent),
        cmocka_unit_test(test_refusal_after_the_body_was_written_may_be_sent),
    };

    return UNIT_RUN(tests);
}
