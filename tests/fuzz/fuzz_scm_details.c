/* Details of an order, and the back end's own state out of a journal. */
#include "fuzz/fuzz.h"

#include "ca/scm/scm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) json *doc = NULL;
    AUTO(str) char *text = fuzz_text(data, size);
    struct scm_details details;
    struct err err = ERR_INIT;
    char id[64];

    ca_order_id(text, id);
    CHECK(strlen(id) < 24);
    (void)scm_phase(text);
    if (!json_parse(data, size, &doc, &err)) {
        return 0;
    }
    if (!scm_parse_details(doc, &details, &err)) {
        CHECK_ERR(err);
        return 0;
    }
    CHECK(details.status != NULL && details.comments != NULL && details.serial != NULL);
    CHECK(details.phase == scm_phase(details.status));
    return 0;
}
