/*
 * What the CA says of domains and their validation, read as each of its answers; and what would be
 * published for it. The first byte chooses the method.
 */
#include "fuzz/fuzz.h"

#include "ca/scm/domains.h"
#include "dcv/dcv.h"

#include "base/str.h"

static const char domain[] = "a.example";

/* Whatever comes through is harmless. */
static void check_record(const struct dcv_record *record)
{
    size_t len = strlen(record->name);

    CHECK(strpbrk(record->name, " \t\r\n\"'\\$`;&|<>") == NULL);
    if (record->kind == DCV_FILE) {
        CHECK(str_starts_with(record->name, "/.well-known/") &&
              strstr(record->name + 1, "/.") == NULL && strstr(record->name, "//") == NULL);
    } else {
        CHECK(len > sizeof(domain) &&
              str_equal_nocase(record->name + len - strlen(domain), domain));
    }
    for (const char *p = record->value; *p != '\0'; p++) {
        CHECK((*p >= ' ' && *p <= '~') || (*p == '\n' && record->kind == DCV_FILE));
    }
}

static void publish(const struct ca_dcv_record *said)
{
    struct err err = ERR_INIT;

    for (int kind = DCV_CNAME; kind <= DCV_TXT && said->host != NULL && said->point != NULL;
         kind++) {
        AUTO(dcv_record) struct dcv_record record = {.domain = NULL};
        if (dcv_record_dns(&record, domain, (enum dcv_kind)kind, said->host, said->point, &err)) {
            check_record(&record);
        } else {
            CHECK_ERR(err);
        }
    }
    if (said->url != NULL && said->first_line != NULL) {
        AUTO(dcv_record) struct dcv_record record = {.domain = NULL};
        if (dcv_record_file(&record, domain, said->url, said->first_line, said->second_line,
                            &err)) {
            check_record(&record);
        } else {
            CHECK_ERR(err);
        }
    }
}

static void read_all(const json *doc, enum ca_dcv_method method)
{
    AUTO(ca_domain) struct ca_domain shown = {.id = 1};
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};
    AUTO(ca_dcv_record) struct ca_dcv_record started = {.host = NULL};
    AUTO(ca_order_dcv) struct ca_order_dcv order = {.list = NULL};
    struct ca_domain_row domain_row;
    struct ca_dcv_row dcv_row;
    struct err err = ERR_INIT;

    if (!scm_parse_domain(doc, &shown, &err)) {
        CHECK_ERR(err);
    }
    if (scm_parse_dcv_status(doc, &status, &err)) {
        publish(&status.record);
    } else {
        CHECK_ERR(err);
    }
    if (scm_parse_dcv_start(doc, method, &started, &err)) {
        publish(&started);
    } else {
        CHECK_ERR(err);
    }
    if (!scm_parse_order_dcv(doc, &order, &err)) {
        CHECK_ERR(err);
    }
    for (size_t i = 0; i < order.count; i++) {
        CHECK(order.list[i].domain != NULL);
    }
    (void)scm_parse_domain_row(doc, &domain_row);
    (void)scm_parse_dcv_row(doc, &dcv_row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) json *doc = NULL;
    struct err err = ERR_INIT;

    if (size == 0) {
        return 0;
    }
    if (json_parse(data + 1, size - 1, &doc, &err)) {
        read_all(doc, (enum ca_dcv_method)(data[0] % CA_DCV_METHODS));
    } else {
        CHECK_ERR(err);
    }
    return 0;
}
