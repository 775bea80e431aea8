/* What a device or its vendor's tool gives: a first byte below 31 is the last arc of an extension
 * of Yubico's with its value behind it; otherwise the whole is a file, in whatever form. */
#include "fuzz/fuzz.h"

#include "base/buf.h"
#include "hsm/evidence.h"

#include <openssl/err.h>

static void check_facts(const struct hsm_attested *attested)
{
    CHECK(attested->fact_count <= HSM_ATTESTED_FACTS);
    for (size_t i = 0; i < attested->fact_count; i++) {
        const struct hsm_fact *fact = &attested->facts[i];
        CHECK(fact->name != NULL && fact->value[0] != '\0');
        for (const char *p = fact->value; *p != '\0'; p++) {
            CHECK(*p >= 0x20 && *p < 0x7f); /* goes to terminals */
        }
    }
}

static void check_extension(unsigned arc, const uint8_t *data, size_t size)
{
    struct hsm_attested attested = {.count = 0};
    struct err err = ERR_INIT;

    if (!hsm_yubikey_extension(arc, data, size, &attested, &err)) {
        CHECK_ERR(err);
        CHECK(err.code == E_EVIDENCE && attested.fact_count == 0);
    }
    check_facts(&attested);
}

static void check_file(const uint8_t *data, size_t size)
{
    AUTO(hsm_attested) struct hsm_attested attested = {.count = 0};
    AUTO(buf) struct buf payload = BUF_INIT(4 * HSM_ATTESTATION_MAX);
    struct err err = ERR_INIT;
    const struct hsm_form *form = hsm_form_of(data, size);

    CHECK(form != NULL);
    if (!hsm_attestation_parse(form, data, size, &attested, &err)) {
        CHECK_ERR(err);
        CHECK(attested.count == 0);
        return;
    }
    check_facts(&attested);
    CHECK(form->parse == NULL || attested.count > 0);
    CHECK(!hsm_attested_is_of(&attested, (const uint8_t *)"nobody", 6));
    if (form->payload != NULL && form->payload(data, size, &attested, &payload, &err)) {
        CHECK(payload.len > 0 && strpbrk(buf_str(&payload), "-\n ") == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] < 31) {
        check_extension(data[0], data + 1, size - 1);
    } else {
        check_file(data, size);
    }
    CHECK(ERR_peek_error() == 0);
    return 0;
}
