#include "http/transport.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/*
 * libcurl takes more: a user and a password, which it then repeats in its error texts, and proxies
 * behind TLS, to which it would offer the CA's client certificate. So the text is checked here, and
 * never repeated.
 */

static bool refuse(struct err *err)
{
    return err_set(err, E_CONFIG,
                   "the proxy is http://host:port and nothing behind it; its user and password "
                   "have settings of their own ('proxy_user', 'proxy_password_source')");
}

static bool is_port(const char *text)
{
    uint64_t port = 0;

    return str_to_u64(text, 65535, &port) && port > 0;
}

bool http_proxy_check(const char *proxy, struct err *err)
{
    static const char scheme[] = "http://";

    if (strncasecmp(proxy, scheme, strlen(scheme)) != 0) {
        return refuse(err);
    }
    const char *host = proxy + strlen(scheme);
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (len < 2 || strlen(host) < len || strpbrk(host, "/?#@\\% \t\r\n") != NULL ||
        host[len] != ':' || !is_port(host + len + 1)) {
        return refuse(err);
    }
    return true;
}

bool http_url_host(const char *url, char *out, size_t size)
{
    const char *host = strstr(url, "://");

    host = host != NULL ? host + 3 : url;
    bool bracket = host[0] == '[';
    host += bracket ? 1 : 0;
    size_t len = strcspn(host, bracket ? "]" : ":/");
    if (len == 0 || len >= size) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)tolower((unsigned char)host[i]);
    }
    out[len] = '\0';
    return true;
}

struct address {
    uint8_t bytes[16];
    unsigned bits; /* 32, 128; 0: it is none */
};

static struct address address_of(const char *text)
{
    struct address address = {.bits = 32};

    if (inet_pton(AF_INET, text, address.bytes) == 1) {
        return address;
    }
    address.bits = inet_pton(AF_INET6, text, address.bytes) == 1 ? 128 : 0;
    return address;
}

static bool same_prefix(const struct address *a, const struct address *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;
    uint8_t mask = (uint8_t)(0xff00U >> rest);

    return memcmp(a->bytes, b->bytes, whole) == 0 &&
           (rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) & mask) == 0);
}

/* "10.0.0.0/8", "fd00::/8", or one address. */
static bool network_has(char *network, const struct address *host)
{
    char *slash = strchr(network, '/');
    uint64_t bits = host->bits;

    if (slash != NULL) {
        *slash = '\0';
        if (!str_to_u64(slash + 1, host->bits, &bits)) {
            return false;
        }
    }
    struct address at = address_of(network);
    return at.bits == host->bits && same_prefix(&at, host, (unsigned)bits);
}

static bool domain_has(const char *domain, const char *host)
{
    domain += domain[0] == '.' ? 1 : 0;
    size_t len = strlen(domain);
    size_t host_len = strlen(host);

    if (len == 0 || host_len < len || strcasecmp(host + host_len - len, domain) != 0) {
        return false;
    }
    return host_len == len || host[host_len - len - 1] == '.';
}

bool http_bypasses_proxy(const char *list, const char *host)
{
    static const char between[] = ", \t";
    struct address address = address_of(host);
    char entry[256];

    for (const char *at = list + strspn(list, between); *at != '\0'; at += strspn(at, between)) {
        size_t len = strcspn(at, between);
        int n = snprintf(entry, sizeof(entry), "%.*s", (int)len, at);
        at += len;
        if (n <= 0 || (size_t)n >= sizeof(entry)) {
            continue;
        }
        if (str_equal(entry, "*") ||
            (address.bits > 0 ? network_has(entry, &address) : domain_has(entry, host))) {
            return true;
        }
    }
    return false;
}
