#include "dcv/dns.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DNS_PORT = 53, NAMESERVERS_MAX = 32 };

static bool set_address(struct dns_server *server, const char *host, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    memset(&server->address, 0, sizeof(server->address));
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&server->address, &v4, sizeof(v4));
        server->address_len = sizeof(v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&server->address, &v6, sizeof(v6));
        server->address_len = sizeof(v6);
        return true;
    }
    return false;
}

/* "192.0.2.1", "192.0.2.1:53", "2001:db8::1" or "[2001:db8::1]:53"; cut in place. */
static bool parse_one(char *text, struct dns_server *out)
{
    char *host = text;
    char *port = NULL;
    int number = DNS_PORT;

    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return false;
        }
        port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        host = text + 1;
    } else if (strchr(text, ':') != NULL && strchr(text, ':') == strrchr(text, ':')) {
        port = strchr(text, ':') + 1;
        port[-1] = '\0';
    }
    if (port != NULL && !str_to_int(port, 1, 65535, &number)) {
        return false;
    }
    bool v6 = strchr(host, ':') != NULL;
    (void)snprintf(out->name, sizeof(out->name), v6 ? "[%.60s]:%d" : "%.60s:%d", host, number);
    (void)snprintf(out->host, sizeof(out->host), v6 ? "[%.60s]:%d" : "%.60s:%d", host, number);
    return set_address(out, host, (uint16_t)number);
}

bool dns_servers_parse(const char *text, struct dns_servers *out, struct err *err)
{
    AUTO(str) char *copy = str_dup(text);
    char *rest = NULL;

    *out = (struct dns_servers){.count = 0};
    if (copy == NULL) {
        return err_nomem(err);
    }
    for (char *item = strtok_r(copy, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
        AUTO(str) char *word = str_dup(str_trim(item));
        if (word == NULL) {
            return err_nomem(err);
        }
        if (out->count == DNS_SERVERS_MAX || !parse_one(word, &out->list[out->count])) {
            return err_set(err, E_CONFIG,
                           "DNS servers: '%.60s' is not an address with or without a port, like "
                           "192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53",
                           str_trim(item));
        }
        out->count++;
    }
    return out->count > 0 || err_set(err, E_CONFIG, "DNS servers: none is named");
}

struct names {
    char list[NAMESERVERS_MAX][256];
    size_t count;
};

static bool take_name(void *ctx, const char *value, size_t len)
{
    struct names *names = ctx;

    if (len < sizeof(names->list[0])) {
        memcpy(names->list[names->count], value, len + 1);
        names->count++;
    }
    return names->count < NAMESERVERS_MAX;
}

/* The name servers of a zone; none if the name is not the top of one. */
static bool ask_names(struct __res_state *state, const char *zone, struct names *out)
{
    AUTO(bytes) uint8_t *answer = malloc(DNS_MESSAGE_MAX);
    struct dns_answer ignored;

    out->count = 0;
    if (answer == NULL) {
        return false;
    }
    int len = res_nquery(state, zone, ns_c_in, ns_t_ns, answer, DNS_MESSAGE_MAX);
    if (len < NS_HFIXEDSZ) {
        return false;
    }
    uint16_t id = (uint16_t)((answer[0] << 8) | answer[1]);
    return dns_parse(answer, (size_t)len, id, zone, DNS_NS, take_name, out, &ignored) &&
           out->count > 0;
}

static void add_addresses(const char *host, struct dns_servers *out)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;

    if (getaddrinfo(host, "53", &hints, &found) != 0) {
        return;
    }
    for (const struct addrinfo *a = found; a != NULL && out->count < DNS_SERVERS_MAX;
         a = a->ai_next) {
        struct dns_server *server = &out->list[out->count];
        char address[64] = "";
        (void)getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL, 0,
                          NI_NUMERICHOST);
        (void)snprintf(server->host, sizeof(server->host), "%s", host);
        (void)snprintf(server->name, sizeof(server->name), "%.200s (%s)", host, address);
        memset(&server->address, 0, sizeof(server->address));
        memcpy(&server->address, a->ai_addr, a->ai_addrlen);
        server->address_len = a->ai_addrlen;
        out->count++;
    }
    freeaddrinfo(found);
}

bool dns_servers_find(const char *name, struct dns_servers *out, struct err *err)
{
    struct __res_state state;
    struct names names = {.count = 0};
    const char *zone = name;

    *out = (struct dns_servers){.count = 0};
    memset(&state, 0, sizeof(state));
    if (res_ninit(&state) != 0) {
        return err_set(err, E_NETWORK, "the system's resolver cannot be used (resolv.conf)");
    }
    state.retrans = 2;
    state.retry = 2;
    while (!ask_names(&state, zone, &names)) {
        const char *dot = strchr(zone, '.');
        if (dot == NULL || strchr(dot + 1, '.') == NULL) {
            break; /* nobody's records are in a top-level domain */
        }
        zone = dot + 1;
    }
    res_nclose(&state);
    for (size_t i = 0; i < names.count; i++) {
        add_addresses(names.list[i], out);
    }
    return out->count > 0 ||
           err_set(err, E_NETWORK,
                   names.count == 0 ? "no name servers are known for %s; name those to ask with "
                                      "'dns_servers'"
                                    : "the name servers of %s have no address here; name those to "
                                      "ask with 'dns_servers'",
                   name);
}
