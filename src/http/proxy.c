#include "http/transport.h"

#include "base/str.h"

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
