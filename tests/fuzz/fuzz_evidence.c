/* An evidence file from anybody: every check is made and has a result, and a proof is never found
 * good without the key that it was checked with. */
#include "fuzz/fuzz.h"

#include "app/app.h"

#include <openssl/err.h>

enum { CHECKS = 7 }; /* without the files that may stand beside it */

static enum app_check_result result_of(const struct app_evidence_verdict *verdict, const char *name)
{
    for (size_t i = 0; i < verdict->count; i++) {
        if (strcmp(verdict->checks[i].name, name) == 0) {
            return verdict->checks[i].result;
        }
    }
    CHECK(false);
    return APP_CHECK_FAILED;
}

static void check_texts(const struct app_evidence_verdict *verdict)
{
    CHECK(memchr(verdict->label, '\0', sizeof(verdict->label)) != NULL);
    CHECK(memchr(verdict->token, '\0', sizeof(verdict->token)) != NULL);
    for (size_t i = 0; i < verdict->count; i++) {
        const struct app_evidence_check *check = &verdict->checks[i];
        CHECK(check->detail[0] != '\0' &&
              memchr(check->detail, '\0', sizeof(check->detail)) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct app_evidence_verdict verdict;
    struct err err = ERR_INIT;
    size_t failed = 0;

    if (!app_evidence_verify_bytes(data, size, &verdict, &err)) {
        CHECK_ERR(err);
        CHECK(ERR_peek_error() == 0);
        return 0;
    }
    CHECK(verdict.count == CHECKS);
    for (size_t i = 0; i < verdict.count; i++) {
        failed += verdict.checks[i].result == APP_CHECK_FAILED ? 1 : 0;
    }
    CHECK(failed == verdict.failed);
    check_texts(&verdict);
    /* without a key nothing is proven, and nothing attested */
    if (verdict.public_key_sha256[0] == '\0') {
        CHECK(result_of(&verdict, "public_key") == APP_CHECK_FAILED);
        CHECK(result_of(&verdict, "possession") == APP_CHECK_FAILED);
        CHECK(result_of(&verdict, "attestation") != APP_CHECK_OK);
    }
    CHECK(ERR_peek_error() == 0);
    return 0;
}
