/* Inside dcv: DNS messages, and the servers that are asked. */
#ifndef DCV_DNS_H
#define DCV_DNS_H

#include "base/clock.h"
#include "dcv/dcv.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { DNS_MESSAGE_MAX = 65535, DNS_UDP_MAX = 1232 };

/* dns_message.c, pure: over the resolver library of glibc. */
enum dns_type { DNS_CNAME = 5, DNS_TXT = 16, DNS_NS = 2 };

/* A question. `recurse`: the server shall ask others. E_USAGE for a name that is too long. */
bool dns_build(const char *name, enum dns_type type, uint16_t id, bool recurse, struct buf *out,
               struct err *err) NODISCARD;

enum { DNS_NAME_SIZE = 1025 }; /* as text, with escapes: NS_MAXDNAME */

/* What an answer says. */
struct dns_answer {
    bool truncated; /* ask again over TCP */
    bool authoritative;
    int rcode;                 /* 0: no error, 3: no such name */
    bool found;                /* there are records of that name and type */
    char alias[DNS_NAME_SIZE]; /* for TXT: the name is an alias of this one, whose records are not
                                  in the answer; "" otherwise */
};

/* A record's content: a name without the dot at its end, or the bytes of a TXT record, joined. */
typedef bool dns_value_fn(void *ctx, const char *value, size_t len);

/*
 * Reads the answer to that question. False: it is none (another id or question, or cut): it is to
 * be passed over. visit is called for each record of the name and type, until it returns false; for
 * TXT, aliases are followed as far as the answer goes (RFC 1034 section 3.6.2).
 */
bool dns_parse(const uint8_t *data, size_t len, uint16_t id, const char *name, enum dns_type type,
               dns_value_fn *visit, void *ctx, struct dns_answer *out);

/* servers.c */
struct dns_server {
    char name[300]; /* for people: "ns1.example.org (192.0.2.1)" */
    char host[256]; /* several addresses may be one server */
    struct sockaddr_storage address;
    socklen_t address_len;
};

DEFINE_AUTO(bytes, uint8_t *, free)

enum { DNS_SERVERS_MAX = 64 };

struct dns_servers {
    struct dns_server list[DNS_SERVERS_MAX];
    size_t count;
};

DEFINE_AUTO(dns_servers, struct dns_servers *, free)

/* "192.0.2.1, [2001:db8::1]:5353". Pure. E_CONFIG. */
bool dns_servers_parse(const char *text, struct dns_servers *out, struct err *err) NODISCARD;

/* The authoritative servers of the zone that a name is in, as the system's resolver finds them.
 * Blocks. E_NETWORK. */
bool dns_servers_find(const char *name, struct dns_servers *out, struct err *err) NODISCARD;

/* exchange.c */
enum dns_exchange {
    DNS_ANSWERED,
    DNS_SILENT,  /* no answer in time, or the port is closed */
    DNS_NO_WAY,  /* this machine has no way there (no IPv6, say) */
    DNS_STOPPED, /* the program is to end */
};

/* Asks one server one question, over UDP and, if the answer does not fit, over TCP. */
enum dns_exchange dns_ask(const struct dns_server *server, const struct dcv_look *look,
                          const char *name, enum dns_type type, dns_value_fn *visit, void *ctx,
                          struct dns_answer *out);

/* dns.c, web.c: one kind of record each. */
bool dcv_dns_visible(const struct dcv_look *look, const struct dcv_record *record, bool *seen,
                     struct buf *why, struct err *err) NODISCARD;
bool dcv_web_visible(const struct dcv_look *look, const struct dcv_record *record, bool *seen,
                     struct buf *why, struct err *err) NODISCARD;

#endif
