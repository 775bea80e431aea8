#include "dcv/dns.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { QUOTED = 80, ALIASES_MAX = 8 };

/* What one server shows. */
struct sight {
    const struct dcv_record *record;
    bool seen;
    struct buf other; /* something else that it has there */
};

/* All servers of a zone, asked for one name. */
struct round {
    const struct dcv_look *look;
    const struct dcv_record *record;
    const char *name;
    const struct dns_servers *servers;
    struct buf *why;
    size_t seen;    /* by so many */
    size_t aliases; /* so many say that the name is an alias of this one */
    char alias[DNS_NAME_SIZE];
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
    } else if (answer->alias[0] != '\0') {
        buf_add_str(why, "has an alias of '");
        str_add_quotable(why, answer->alias, strlen(answer->alias), QUOTED);
        buf_add_str(why, "' there, where others have none");
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

static void note_alias(struct round *round, const struct dns_answer *answer)
{
    if (answer->alias[0] == '\0') {
        return;
    }
    if (round->aliases == 0) {
        (void)snprintf(round->alias, sizeof(round->alias), "%s", answer->alias);
    }
    round->aliases += strcasecmp(round->alias, answer->alias) == 0 ? 1 : 0;
}

static enum dns_exchange ask_one(struct round *round, const struct dns_server *server)
{
    const struct dcv_record *record = round->record;
    enum dns_type type = record->kind == DCV_CNAME ? DNS_CNAME : DNS_TXT;
    struct sight sight = {.record = record, .other = BUF_INIT(1024)};
    struct dns_answer answer = {.rcode = 0};
    enum dns_exchange result =
        dns_ask(server, round->look, round->name, type, take_value, &sight, &answer);

    if (sight.seen) {
        round->seen++;
    } else if (result == DNS_ANSWERED) {
        note_alias(round, &answer);
    }
    if (!sight.seen && result != DNS_NO_WAY) {
        explain(server, result, &answer, &sight, round->why);
    }
    buf_done(&sight.other);
    return result;
}

/* *wanted: of how many servers it has to be seen. False: stopped. */
static bool ask_all(struct round *round, size_t *wanted)
{
    const struct dns_servers *servers = round->servers;
    bool reached[DNS_SERVERS_MAX] = {false};
    bool skipped[DNS_SERVERS_MAX] = {false};

    *wanted = servers->count;
    for (size_t i = 0; i < servers->count; i++) {
        enum dns_exchange result = ask_one(round, &servers->list[i]);
        reached[i] = result == DNS_ANSWERED;
        skipped[i] = result == DNS_NO_WAY;
        if (result == DNS_STOPPED) {
            return false;
        }
    }
    /* An address that this machine has no way to does not count if its server has another. */
    for (size_t i = 0; i < servers->count; i++) {
        if (skipped[i] && is_reached_otherwise(servers, reached, i)) {
            (*wanted)--;
        } else if (skipped[i]) {
            struct dns_answer none = {.rcode = 0};
            struct sight nothing = {.record = round->record};
            explain(&servers->list[i], DNS_NO_WAY, &none, &nothing, round->why);
        }
    }
    return true;
}

/* The servers for a name; none with `why` if they are not known (yet). */
static bool find_servers(const struct dcv_look *look, const char *name, struct dns_servers *out,
                         struct buf *why, struct err *err)
{
    struct err unknown = ERR_INIT;

    out->count = 0;
    if (look->dns_servers != NULL) {
        return dns_servers_parse(look->dns_servers, out, err);
    }
    if (!dns_servers_find(name, out, &unknown)) {
        buf_add_str(why, unknown.msg); /* that may change as well */
        out->count = 0;
    }
    return true;
}

/* Where all servers of a zone say that the name is an alias, those of the other name are asked, as
 * the CA's resolver does it. */
bool dcv_dns_visible(const struct dcv_look *look, const struct dcv_record *record, bool *seen,
                     struct buf *why, struct err *err)
{
    AUTO(dns_servers) struct dns_servers *servers = calloc(1, sizeof(*servers));
    char name[DNS_NAME_SIZE];

    *seen = false;
    if (servers == NULL) {
        return err_nomem(err);
    }
    (void)snprintf(name, sizeof(name), "%s", record->name);
    for (int aliases = 0; aliases <= ALIASES_MAX; aliases++) {
        struct round round = {
            .look = look, .record = record, .name = name, .servers = servers, .why = why};
        size_t wanted = 0;
        buf_reset(why);
        if (!find_servers(look, name, servers, why, err)) {
            return false;
        }
        if (!ask_all(&round, &wanted)) {
            return err_set(err, E_INTERRUPTED, "interrupted");
        }
        *seen = wanted > 0 && round.seen == wanted;
        if (*seen || wanted == 0 || round.aliases != wanted) {
            return true;
        }
        (void)snprintf(name, sizeof(name), "%s", round.alias);
    }
    buf_reset(why);
    buf_addf(why, "%s leads through more than %d aliases", record->name, ALIASES_MAX);
    return true;
}
