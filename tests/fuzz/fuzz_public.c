/* Public keys as tokens show them: an EC point for each curve, or a SubjectPublicKeyInfo. */
#include "fuzz/fuzz.h"

#include "hsm/key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

static void check_point(const struct hsm_curve *curve, const uint8_t *data, size_t size)
{
    size_t len = 0;
    const uint8_t *point = hsm_ec_point(curve, data, size, &len);

    if (point == NULL) {
        return;
    }
    CHECK(len <= size && point >= data && point + len == data + size);
    if (curve->type == HSM_KEY_EC) {
        CHECK(len == 1 + 2 * curve->field_bytes && point[0] == 0x04);
    } else {
        CHECK(len == curve->field_bytes);
    }
}

static void check_points(const uint8_t *data, size_t size)
{
    /* P-256, P-384, P-521, Ed25519, Ed448, X25519, X448 */
    static const char *const params[] = {"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
                                         "\x13\x09secp384r1",
                                         "\x13\x09secp521r1",
                                         "\x06\x03\x2b\x65\x70",
                                         "\x06\x03\x2b\x65\x71",
                                         "\x06\x03\x2b\x65\x6e",
                                         "\x06\x03\x2b\x65\x6f"};

    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        const struct hsm_curve *curve =
            hsm_curve_by_params((const uint8_t *)params[i], strlen(params[i]));
        CHECK(curve != NULL);
        check_point(curve, data, size);
    }
}

static void check_spki(const uint8_t *data, size_t size)
{
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};

    if (!hsm_public_from_spki(data, size, &spec, &public)) {
        CHECK(!public.known && public.modulus == NULL && public.exponent == NULL);
        return;
    }
    CHECK(public.known && spec.type != HSM_KEY_OTHER);
    CHECK(hsm_public_equal(&spec, &public, &spec, &public));
    struct hsm_key key = {.spec = spec, .public = public, .label = NULL};
    struct hsm_token token = {.info = {.label = "fuzz"}};
    EVP_PKEY *pkey = NULL;
    struct err err = ERR_INIT;
    key.token = &token;
    key.label = (char *)(uintptr_t) "fuzz";
    if (!hsm_key_public_evp(&key, &pkey, &err)) {
        CHECK_ERR(err);
    }
    EVP_PKEY_free(pkey);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_points(data, size);
    check_spki(data, size);
    (void)hsm_curve_by_params(data, size);
    ERR_clear_error();
    return 0;
}
