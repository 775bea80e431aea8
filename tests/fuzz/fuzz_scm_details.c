/* Details of an order, the same as a record and as a row of the list, and the back end's own state
 * out of a journal. */
#include "fuzz/fuzz.h"

#include "ca/scm/scm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) json *doc = NULL;
    AUTO(str) char *text = fuzz_text(data, size);
    struct scm_details details;
    struct err err = ERR_INIT;
    AUTO(json) json *kept = NULL;
    struct scm_state state;
    char id[64];

    ca_order_id(text, id);
    CHECK(strlen(id) < sizeof(id));
    if (scm_state_read(text, &kept, &state, &err)) {
        AUTO(str) char *again = scm_state_text(&state);
        CHECK((state.id > 0 || state.renews > 0) && state.kind < CA_KINDS);
        CHECK(again == NULL || strchr(again, '{') == again);
    }
    err_clear(&err);
    (void)scm_phase(text);
    if (!json_parse(data, size, &doc, &err)) {
        return 0;
    }
    AUTO(ca_record) struct ca_record record = {.id = 1};
    AUTO(buf) struct buf names = BUF_INIT(1024);
    struct ca_row row;
    if (scm_parse_row(doc, &names, &row)) {
        CHECK(row.common_name != NULL && row.serial != NULL && row.names != NULL);
    }
    for (int kind = 0; kind < CA_KINDS; kind++) {
        AUTO(scm_row_texts) struct scm_row_texts texts = SCM_ROW_TEXTS_INIT;
        if (scm_parse_row_of((enum ca_kind)kind, doc, &texts, &row)) {
            CHECK(row.id > 0 && row.common_name != NULL && row.subject != NULL);
            CHECK(strlen(row.common_name) <= strlen(row.subject) || kind == CA_KIND_TLS);
        }
    }
    if (scm_parse_device_report_row(doc, &row)) {
        CHECK(row.id > 0 && row.full && row.status != NULL && row.names[0] == '\0');
    }
    if (scm_parse_report_row(doc, &names, &row)) {
        struct ca_filter filter = {.name = row.common_name, .serial = row.serial};
        CHECK(row.id > 0 && row.full && row.status != NULL && row.comments != NULL);
        CHECK(row.names != NULL && strstr(row.names, ",,") == NULL);
        (void)scm_row_fits(&row, &filter);
    }
    bool is_record = scm_parse_record(doc, &record, &err);
    CHECK(!is_record || record.status != NULL);
    err_clear(&err);
    if (!scm_parse_details(doc, &details, &err)) {
        CHECK_ERR(err);
        return 0;
    }
    CHECK(is_record);
    CHECK(details.status != NULL && details.comments != NULL && details.serial != NULL);
    CHECK(details.phase == scm_phase(details.status));
    return 0;
}
