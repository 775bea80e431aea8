#include "dcv/dns.h"

#include "base/str.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { RECORDS_MAX = 512 };

/*
 * res_nmkquery() with a state of our own: it reads nothing but the options, and touches no
 * network. The id is ours, because its own can be guessed.
 */
bool dns_build(const char *name, enum dns_type type, uint16_t id, bool recurse, struct buf *out,
               struct err *err)
{
    struct __res_state state;
    uint8_t message[NS_PACKETSZ];

    memset(&state, 0, sizeof(state));
    state.options = RES_INIT | (recurse ? RES_RECURSE : 0U);
    int len = res_nmkquery(&state, ns_o_query, name, ns_c_in, (int)type, NULL, 0, NULL, message,
                           (int)sizeof(message));
    if (len < NS_HFIXEDSZ) {
        return err_set(err, E_USAGE, "'%.80s' cannot be asked for in the DNS", name);
    }
    message[0] = (uint8_t)(id >> 8);
    message[1] = (uint8_t)(id & 0xff);
    buf_add(out, message, (size_t)len);
    return buf_ok(out) || err_nomem(err);
}

static bool same_name(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0; /* both as text, without the dot at the end */
}

static bool is_our_question(ns_msg *message, const char *name, enum dns_type type)
{
    ns_rr question;

    return ns_msg_count(*message, ns_s_qd) == 1 &&
           ns_parserr(message, ns_s_qd, 0, &question) == 0 &&
           same_name(ns_rr_name(question), name) && ns_rr_type(question) == (unsigned)type &&
           ns_rr_class(question) == ns_c_in;
}

/* The character strings of a TXT record, one after the other. False: it is cut. */
static bool join_strings(const uint8_t *data, size_t len, struct buf *out)
{
    size_t at = 0;

    while (at < len) {
        size_t part = data[at++];
        if (part > len - at) {
            return false;
        }
        buf_add(out, data + at, part);
        at += part;
    }
    return buf_ok(out);
}

static bool visit_value(ns_msg *message, const ns_rr *record, enum dns_type type,
                        dns_value_fn *visit, void *ctx, bool *more)
{
    AUTO(buf) struct buf text = BUF_INIT(DNS_MESSAGE_MAX);
    char name[NS_MAXDNAME];

    if (type == DNS_TXT) {
        if (!join_strings(ns_rr_rdata(*record), ns_rr_rdlen(*record), &text)) {
            return false;
        }
        *more = visit(ctx, buf_str(&text), text.len);
        return true;
    }
    if (ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), ns_rr_rdata(*record), name,
                           sizeof(name)) < 0) {
        return false;
    }
    *more = visit(ctx, name, strlen(name));
    return true;
}

/* Whether a record makes the name an alias; then the name is what it is an alias of. */
static bool follow_alias(ns_msg *message, const ns_rr *record, enum dns_type type,
                         char name[static NS_MAXDNAME])
{
    return type == DNS_TXT && ns_rr_type(*record) == (unsigned)DNS_CNAME &&
           ns_rr_class(*record) == ns_c_in && same_name(ns_rr_name(*record), name) &&
           ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), ns_rr_rdata(*record),
                              name, NS_MAXDNAME) >= 0;
}

bool dns_parse(const uint8_t *data, size_t len, uint16_t id, const char *name, enum dns_type type,
               dns_value_fn *visit, void *ctx, struct dns_answer *out)
{
    ns_msg message;
    char at[NS_MAXDNAME];
    bool more = true;

    *out = (struct dns_answer){.rcode = 0};
    (void)snprintf(at, sizeof(at), "%s", name);
    if (len < NS_HFIXEDSZ || len > DNS_MESSAGE_MAX || ns_initparse(data, (int)len, &message) != 0 ||
        ns_msg_id(message) != id || ns_msg_getflag(message, ns_f_qr) != 1 ||
        !is_our_question(&message, name, type)) {
        return false;
    }
    out->truncated = ns_msg_getflag(message, ns_f_tc) != 0;
    out->authoritative = ns_msg_getflag(message, ns_f_aa) != 0;
    out->rcode = ns_msg_getflag(message, ns_f_rcode);
    for (int i = 0; more && i < ns_msg_count(message, ns_s_an) && i < RECORDS_MAX; i++) {
        ns_rr record;
        if (ns_parserr(&message, ns_s_an, i, &record) != 0) {
            return out->truncated; /* what is cut is asked for again */
        }
        if (!out->found && follow_alias(&message, &record, type, at)) {
            (void)snprintf(out->alias, sizeof(out->alias), "%s", at);
            continue;
        }
        if (ns_rr_type(record) != (unsigned)type || ns_rr_class(record) != ns_c_in ||
            !same_name(ns_rr_name(record), at)) {
            continue;
        }
        out->found = true;
        out->alias[0] = '\0';
        if (!visit_value(&message, &record, type, visit, ctx, &more)) {
            return out->truncated;
        }
    }
    return true;
}
