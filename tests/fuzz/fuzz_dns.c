/*
 * An answer of a name server, to a question for a TXT record, a CNAME or name servers. The first
 * byte chooses; the id is always the right one, so that the rest is looked at.
 */
#include "fuzz/fuzz.h"

#include "dcv/dns.h"

enum { ID = 0x1234 };

struct seen {
    size_t count;
};

static bool take(void *ctx, const char *value, size_t len)
{
    struct seen *seen = ctx;
    volatile char last = '\0';

    CHECK(len < DNS_MESSAGE_MAX);
    CHECK(value[len] == '\0');
    for (size_t i = 0; i < len; i++) {
        last = value[i];
    }
    CHECK(len == 0 || last == value[len - 1]);
    seen->count++;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_TXT, DNS_CNAME, DNS_NS};
    struct seen seen = {.count = 0};
    struct dns_answer answer;

    if (size == 0) {
        return 0;
    }
    enum dns_type type = types[data[0] % ARRAY_LEN(types)];
    bool ok = dns_parse(data + 1, size - 1, ID, "_p.a.exz", type, take, &seen, &answer);
    CHECK(answer.alias[0] == '\0' || (!answer.found && type == DNS_TXT));
    CHECK(!ok || answer.found == (seen.count > 0) || answer.truncated);
    return 0;
}
