#include "dcv/dns.h"

#include "base/str.h"

#include <string.h>
#include <strings.h>

enum { QUOTED = 80 };

/* What one server shows. */
struct sight {
    const struct dcv_record *record;
    bool seen;
    struct buf other; /* something else that it has there */
};

static bool take_value(void *ctx, const char *value, size_t len)
{
    struct sight *sight = ctx;
    const char *wanted = sight->record->value;
    bool same = sight->record->kind == DCV_CNAME
                    ? strcasecmp(value, wanted) == 0
                    : len == strlen(wanted) && memcmp(value, wanted, len) == 0;

    if (!same && sight->other.len == 0) {
        str_add_quotable(&sight->other, value, len, QUOTED);
    }
    sight->seen = sight->seen || same;
    return !sight->seen;
}

static const char *rcode_text(int rcode)
{
    static const char *const names[] = {"has nothing there",
                                        "does not understand the question (FORMERR)",
                                        "has a failure of its own (SERVFAIL)",
                                        "has nothing there",
                                        "does not implement the question (NOTIMP)",
                                        "refuses to answer (REFUSED)"};

    return rcode >= 0 && rcode < (int)ARRAY_LEN(names) ? names[rcode] : "answers with an error";
}

static void explain(const struct dns_server *server, enum dns_exchange result,
                    const struct dns_answer *answer, const struct sight *sight, struct buf *why)
{
    buf_addf(why, "%s%s ", why->len > 0 ? "; " : "", server->name);
    if (result != DNS_ANSWERED) {
        buf_add_str(why, result == DNS_NO_WAY ? "cannot be reached from here" : "does not answer");
    } else if (sight->other.len > 0) {
        buf_addf(why, "has '%s' there", buf_str(&sight->other));
    } else {
        buf_add_str(why, rcode_text(answer->rcode));
    }
}

/* Whether another address of the same server was asked with success. */
static bool is_reached_otherwise(const struct dns_servers *servers, const bool reached[], size_t at)
{
    for (size_t i = 0; i < servers->count; i++) {
        if (i != at && reached[i] && str_equal(servers->list[i].host, servers->list[at].host)) {
            return true;
        }
    }
    return false;
}

static enum dns_exchange ask_one(const struct dcv_look *look, const struct dns_server *server,
                                 struct sight *sight, struct dns_answer *answer)
{
    enum dns_type type = sight->record->kind == DCV_CNAME ? DNS_CNAME : DNS_TXT;

    return dns_ask(server, look, sight->record->name, type, take_value, sight, answer);
}

static bool ask_all(const struct dcv_look *look, const struct dcv_record *record,
                    const struct dns_servers *servers, bool *seen, struct buf *why, struct err *err)
{
    bool reached[DNS_SERVERS_MAX] = {false};
    bool skipped[DNS_SERVERS_MAX] = {false};

    *seen = true;
    for (size_t i = 0; i < servers->count; i++) {
        struct sight sight = {.record = record, .other = BUF_INIT(1024)};
        struct dns_answer answer;
        enum dns_exchange result = ask_one(look, &servers->list[i], &sight, &answer);
        reached[i] = result == DNS_ANSWERED;
        skipped[i] = result == DNS_NO_WAY;
        if (!sight.seen && !skipped[i]) {
            *seen = false;
            explain(&servers->list[i], result, &answer, &sight, why);
        }
        buf_done(&sight.other);
        if (result == DNS_STOPPED) {
            return err_set(err, E_INTERRUPTED, "interrupted");
        }
    }
    /* An address that this machine has no way to does not count if its server has another. */
    for (size_t i = 0; i < servers->count; i++) {
        if (skipped[i] && !is_reached_otherwise(servers, reached, i)) {
            struct dns_answer none = {.rcode = 0};
            struct sight nothing = {.record = record};
            *seen = false;
            explain(&servers->list[i], DNS_NO_WAY, &none, &nothing, why);
        }
    }
    return true;
}

bool dcv_dns_visible(const struct dcv_look *look, const struct dcv_record *record, bool *seen,
                     struct buf *why, struct err *err)
{
    AUTO(dns_servers) struct dns_servers *servers = calloc(1, sizeof(*servers));
    struct err unknown = ERR_INIT;

    *seen = false;
    if (servers == NULL) {
        return err_nomem(err);
    }
    if (look->dns_servers != NULL) {
        return dns_servers_parse(look->dns_servers, servers, err) &&
               ask_all(look, record, servers, seen, why, err);
    }
    if (!dns_servers_find(record->name, servers, &unknown)) {
        buf_add_str(why, unknown.msg); /* that may change as well */
        return true;
    }
    return ask_all(look, record, servers, seen, why, err);
}
