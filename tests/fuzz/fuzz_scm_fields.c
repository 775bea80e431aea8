/* The custom fields of an account, judged against what is configured; and each item by itself. */
#include "fuzz/fuzz.h"

#include "ca/scm/scm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf wrong = BUF_INIT(4096);
    AUTO(buf) struct buf nothing = BUF_INIT(4096);
    struct err err = ERR_INIT;

    if (!json_parse(data, size, &doc, &err)) {
        return 0;
    }
    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        struct scm_field field;
        CHECK(!scm_parse_field(item, &field) || (field.name != NULL && field.type != NULL));
    }
    bool right = scm_judge_fields(doc, "Cost Centre=7;Go Live=2026-12-31;Environment=test", &wrong);
    CHECK(right == (wrong.len == 0));
    (void)scm_judge_fields(doc, NULL, &nothing);
    return 0;
}
