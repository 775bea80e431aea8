/* The reply to an order: a positive number, or an error. */
#include "fuzz/fuzz.h"

#include "ca/scm/scm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) json *doc = NULL;
    struct err err = ERR_INIT;
    int64_t id = -1;

    if (!json_parse(data, size, &doc, &err)) {
        CHECK_ERR(err);
        return 0;
    }
    if (scm_parse_enroll(doc, &id, &err)) {
        CHECK(id > 0);
    } else {
        CHECK_ERR(err);
        CHECK(id == -1);
    }
    return 0;
}
