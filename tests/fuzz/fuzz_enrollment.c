/* Answers of the Enrollment API: ids and status words, and the back end's own state out of a
 * journal. */
#include "fuzz/fuzz.h"

#include "ca/enrollment/enrollment.h"

static void check_id(const struct enrollment_id *id)
{
    struct enrollment_id again;
    struct err err = ERR_INIT;
    char *state = enrollment_make_state(id, false);
    char shown[64];

    CHECK(strlen(id->text) > 0 && strlen(id->text) <= ENROLLMENT_ID_MAX);
    CHECK(strpbrk(id->text, "/?#% \"\\") == NULL && strcmp(id->text, "..") != 0);
    CHECK(state != NULL && enrollment_read_state(state, &again, &err) &&
          strcmp(again.text, id->text) == 0);
    ca_order_id(state, shown);
    CHECK(strcmp(shown, id->text) == 0);
    free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) json *doc = NULL;
    AUTO(str) char *text = fuzz_text(data, size);
    struct enrollment_id id;
    struct enrollment_status status;
    struct err err = ERR_INIT;

    if (enrollment_read_state(text, &id, &err) || enrollment_take_id(text, &id)) {
        check_id(&id);
    }
    err_clear(&err);
    if (!json_parse(data, size, &doc, &err)) {
        return 0;
    }
    if (enrollment_parse_id(doc, &id, &err)) {
        check_id(&id);
    } else {
        CHECK_ERR(err);
    }
    err_clear(&err);
    if (enrollment_parse_status(doc, &status, &err)) {
        CHECK(status.word[0] != '\0' && memchr(status.word, '\0', sizeof(status.word)) != NULL);
    } else {
        CHECK_ERR(err);
    }
    return 0;
}
