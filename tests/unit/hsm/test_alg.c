#include "hsm/alg.h"

#include "unit/unit.h"

static const uint8_t oid_p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_k256[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a};

static const char *spec_of(const char *text)
{
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};
    struct err err = ERR_INIT;

    assert_ok(hsm_key_spec_parse(text, &spec, &err), &err);
    return hsm_key_spec_name(&spec);
}

static void refuses(const char *text)
{
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER, .bits = 77};
    struct err err = ERR_INIT;

    assert_fails(hsm_key_spec_parse(text, &spec, &err), &err, E_USAGE, "is no key type");
    assert_contains(err.msg, "rsa:2048");
    assert_contains(err.msg, "ec:P-521");
    assert_int_equal(spec.bits, 77);
}

static void test_rsa_in_every_spelling(void **state UNUSED)
{
    assert_string_equal(spec_of("rsa:3072"), "RSA-3072");
    assert_string_equal(spec_of("RSA-3072"), "RSA-3072");
    assert_string_equal(spec_of("rsa3072"), "RSA-3072");
    assert_string_equal(spec_of("rsa_2048"), "RSA-2048");
}

static void test_curves_in_every_spelling(void **state UNUSED)
{
    assert_string_equal(spec_of("ec:P-256"), "EC P-256");
    assert_string_equal(spec_of("EC P-256"), "EC P-256");
    assert_string_equal(spec_of("p256"), "EC P-256");
    assert_string_equal(spec_of("prime256v1"), "EC P-256");
    assert_string_equal(spec_of("secp256r1"), "EC P-256");
    assert_string_equal(spec_of("P-384"), "EC P-384");
    assert_string_equal(spec_of("ec:secp384r1"), "EC P-384");
    assert_string_equal(spec_of("p521"), "EC P-521");
}

static void test_edwards_keys_in_every_spelling(void **state UNUSED)
{
    assert_string_equal(spec_of("ed25519"), "Ed25519");
    assert_string_equal(spec_of("Ed25519"), "Ed25519");
    assert_string_equal(spec_of("edwards25519"), "Ed25519");
    assert_string_equal(spec_of("ec:ed25519"), "Ed25519");
    assert_string_equal(spec_of("ED448"), "Ed448");
}

static void test_keys_that_do_not_sign_are_none_to_make(void **state UNUSED)
{
    refuses("x25519");
    refuses("curve25519");
    refuses("X448");
}

static void test_openssls_names(void **state UNUSED)
{
    static const struct {
        const char *text, *name;
    } cases[] = {{"rsa:2048", "RSA"}, {"p384", "EC"}, {"ed25519", "ED25519"}, {"ed448", "ED448"}};
    struct hsm_key_spec other = {.type = HSM_KEY_OTHER};
    struct hsm_key_spec curveless = {.type = HSM_KEY_ED};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hsm_key_spec spec;
        struct err err = ERR_INIT;
        assert_ok(hsm_key_spec_parse(cases[i].text, &spec, &err), &err);
        assert_string_equal(hsm_key_spec_evp(&spec), cases[i].name);
    }
    assert_null(hsm_key_spec_evp(&other));
    assert_null(hsm_key_spec_evp(&curveless));
}

static void test_names_round_trip(void **state UNUSED)
{
    static const char *const names[] = {"RSA-2048", "RSA-4096", "EC P-256", "EC P-384",
                                        "EC P-521", "Ed25519",  "Ed448"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_string_equal(spec_of(names[i]), names[i]);
    }
}

static void test_rsa_sizes_have_bounds(void **state UNUSED)
{
    assert_string_equal(spec_of("rsa:2048"), "RSA-2048");
    assert_string_equal(spec_of("rsa:8192"), "RSA-8192");
    refuses("rsa:1024");
    refuses("rsa:1792");
    refuses("rsa:8448");
    refuses("rsa:16384");
}

static void test_rsa_sizes_are_multiples_of_256(void **state UNUSED)
{
    assert_string_equal(spec_of("rsa:2304"), "RSA-2304");
    refuses("rsa:2049");
    refuses("rsa:3000");
}

static void test_other_texts_are_refused(void **state UNUSED)
{
    static const char *const bad[] = {"",          "rsa",  "rsa:",      "rsa:x",     "rsa:3072x",
                                      "ec",        "ec:",  "ec:P-1",    "x25519",    "dsa:2048",
                                      "secp256k1", "3072", "p256 p256", "ec:ec:p256"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refuses(bad[i]);
    }
}

static void test_long_text_is_refused_to_its_last_character(void **state UNUSED)
{
    refuses("rsa:0000000000000000000000003072junk");
    refuses("a text that is much longer than any name of a key type could ever be");
}

static void test_spec_has_the_curve_and_its_size(void **state UNUSED)
{
    struct hsm_key_spec spec;
    struct err err = ERR_INIT;

    assert_ok(hsm_key_spec_parse("p521", &spec, &err), &err);
    assert_int_equal(spec.type, HSM_KEY_EC);
    assert_int_equal(spec.bits, 521);
    assert_string_equal(spec.curve->group, "secp521r1");
    assert_int_equal(spec.curve->field_bytes, 66);
}

static void test_names_of_unusual_specs(void **state UNUSED)
{
    struct hsm_key_spec other = {.type = HSM_KEY_OTHER};
    struct hsm_key_spec curveless = {.type = HSM_KEY_EC};

    assert_string_equal(hsm_key_spec_name(&other), "other");
    assert_string_equal(hsm_key_spec_name(&curveless), "EC ?");
}

static void test_specs_are_equal_by_type_size_and_curve(void **state UNUSED)
{
    struct hsm_key_spec a = {.type = HSM_KEY_RSA, .bits = 3072};
    struct hsm_key_spec b = a;

    assert_true(hsm_key_spec_equal(&a, &b));
    b.bits = 2048;
    assert_false(hsm_key_spec_equal(&a, &b));
    b = (struct hsm_key_spec){.type = HSM_KEY_EC, .bits = 3072};
    assert_false(hsm_key_spec_equal(&a, &b));
    b.curve = hsm_curve_by_name("P-256");
    a = b;
    a.curve = hsm_curve_by_name("P-384");
    assert_false(hsm_key_spec_equal(&a, &b));
}

static void test_curve_by_params(void **state UNUSED)
{
    const struct hsm_curve *curve = hsm_curve_by_params(oid_p256, sizeof(oid_p256));

    assert_non_null(curve);
    assert_string_equal(curve->name, "P-256");
    assert_string_equal(curve->group, "prime256v1");
}

static void test_curve_by_each_form_of_params(void **state UNUSED)
{
    static const struct {
        const char *der, *name;
        enum hsm_key_type type;
    } cases[] = {
        {"\x06\x03\x2b\x65\x70", "Ed25519", HSM_KEY_ED},
        {"\x06\x03\x2b\x65\x71", "Ed448", HSM_KEY_ED},
        {"\x06\x03\x2b\x65\x6e", "X25519", HSM_KEY_MONTGOMERY},
        {"\x06\x03\x2b\x65\x6f", "X448", HSM_KEY_MONTGOMERY},
        {"\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01", "Ed25519", HSM_KEY_ED},
        {"\x06\x0a\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01", "X25519", HSM_KEY_MONTGOMERY},
        {"\x13\x0c"
         "edwards25519",
         "Ed25519", HSM_KEY_ED},
        {"\x13\x0a"
         "edwards448",
         "Ed448", HSM_KEY_ED},
        {"\x13\x0a"
         "curve25519",
         "X25519", HSM_KEY_MONTGOMERY},
        {"\x13\x08"
         "curve448",
         "X448", HSM_KEY_MONTGOMERY},
        {"\x13\x09secp384r1", "P-384", HSM_KEY_EC},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].der);
        const struct hsm_curve *curve = hsm_curve_by_params((const uint8_t *)cases[i].der, len);
        assert_non_null(curve);
        assert_string_equal(curve->name, cases[i].name);
        assert_int_equal(curve->type, cases[i].type);
        assert_null(hsm_curve_by_params((const uint8_t *)cases[i].der, len - 1));
    }
}

static void test_curve_by_foreign_params_is_none(void **state UNUSED)
{
    static const uint8_t printable[] = {0x13, 0x0a, 'p', 'r', 'i', 'm', 'e', '2', '5', '6'};

    assert_null(hsm_curve_by_params(oid_k256, sizeof(oid_k256)));
    assert_null(hsm_curve_by_params(oid_p256, sizeof(oid_p256) - 1));
    assert_null(hsm_curve_by_params(printable, sizeof(printable)));
    assert_null(hsm_curve_by_params(oid_p256, 0));
}

static void test_curve_by_name(void **state UNUSED)
{
    assert_string_equal(hsm_curve_by_name("secp384r1")->name, "P-384");
    assert_string_equal(hsm_curve_by_name("P-521")->name, "P-521");
    assert_null(hsm_curve_by_name("P-192"));
    assert_null(hsm_curve_by_name(""));
}

/* Points: 04 || X || Y, as modules wrap it. */

struct point {
    uint8_t bytes[160];
    size_t len;
};

static struct point raw_point(size_t field_bytes)
{
    struct point p = {.len = 1 + 2 * field_bytes};

    p.bytes[0] = 0x04;
    for (size_t i = 1; i < p.len; i++) {
        p.bytes[i] = (uint8_t)(i + 0x20);
    }
    return p;
}

static struct point wrapped_point(size_t field_bytes, uint8_t tag)
{
    struct point raw = raw_point(field_bytes);
    struct point p = {.len = 0};
    size_t content = raw.len + (tag == 0x03 ? 1 : 0);

    p.bytes[p.len++] = tag;
    if (content > 0x7f) {
        p.bytes[p.len++] = 0x81;
    }
    p.bytes[p.len++] = (uint8_t)content;
    if (tag == 0x03) {
        p.bytes[p.len++] = 0; /* no unused bits */
    }
    memcpy(p.bytes + p.len, raw.bytes, raw.len);
    p.len += raw.len;
    return p;
}

static void finds_point(const char *curve_name, const struct point *p)
{
    const struct hsm_curve *curve = hsm_curve_by_name(curve_name);
    struct point raw = raw_point(curve->field_bytes);
    size_t len = 0;
    const uint8_t *found = hsm_ec_point(curve, p->bytes, p->len, &len);

    assert_non_null(found);
    assert_int_equal(len, raw.len);
    assert_memory_equal(found, raw.bytes, len);
}

static bool is_point(const char *curve_name, const struct point *p)
{
    size_t len = 0;

    return hsm_ec_point(hsm_curve_by_name(curve_name), p->bytes, p->len, &len) != NULL;
}

static void test_raw_point(void **state UNUSED)
{
    struct point p256 = raw_point(32);
    struct point p521 = raw_point(66);

    finds_point("P-256", &p256);
    finds_point("P-521", &p521);
}

static void test_point_in_an_octet_string(void **state UNUSED)
{
    struct point p256 = wrapped_point(32, 0x04);
    struct point p384 = wrapped_point(48, 0x04);
    struct point p521 = wrapped_point(66, 0x04);

    finds_point("P-256", &p256);
    finds_point("P-384", &p384);
    finds_point("P-521", &p521);
}

static void test_point_in_a_bit_string(void **state UNUSED)
{
    struct point p256 = wrapped_point(32, 0x03);
    struct point p521 = wrapped_point(66, 0x03);

    finds_point("P-256", &p256);
    finds_point("P-521", &p521);
}

static void test_point_of_another_curve_is_refused(void **state UNUSED)
{
    struct point raw = raw_point(32);
    struct point wrapped = wrapped_point(32, 0x04);

    assert_false(is_point("P-384", &raw));
    assert_false(is_point("P-384", &wrapped));
}

static void test_point_of_every_wrong_length_is_refused(void **state UNUSED)
{
    struct point wrapped = wrapped_point(32, 0x04);
    struct point raw = raw_point(32);

    for (size_t len = 0; len < wrapped.len; len++) {
        struct point cut = wrapped;
        cut.len = len;
        /* Cut to 65 bytes it is a raw point: its tag is that of an uncompressed one. */
        assert_int_equal(is_point("P-256", &cut), len == raw.len);
    }
    raw.len++;
    assert_false(is_point("P-256", &raw));
    wrapped.len++;
    assert_false(is_point("P-256", &wrapped));
}

static void test_compressed_point_is_refused(void **state UNUSED)
{
    struct point p = raw_point(32);

    p.bytes[0] = 0x02;
    assert_false(is_point("P-256", &p));
    p.len = 33;
    assert_false(is_point("P-256", &p));
}

static void test_bit_string_with_unused_bits_is_refused(void **state UNUSED)
{
    struct point p = wrapped_point(32, 0x03);

    p.bytes[2] = 4;
    assert_false(is_point("P-256", &p));
}

static void test_point_with_a_long_form_length_is_refused(void **state UNUSED)
{
    struct point p = {.bytes = {0x04, 0x82, 0x00, 0x41}, .len = 69};

    p.bytes[4] = 0x04;
    assert_false(is_point("P-256", &p));
    p.bytes[1] = 0x80;
    assert_false(is_point("P-256", &p));
}

static void test_empty_point_is_refused(void **state UNUSED)
{
    struct point none = {.len = 0};
    struct point octets = {.bytes = {0x04, 0x00}, .len = 2};
    struct point bits = {.bytes = {0x03, 0x01, 0x00}, .len = 3};
    struct point cut = {.bytes = {0x04, 0x81}, .len = 2};

    assert_false(is_point("P-256", &none));
    assert_false(is_point("P-256", &octets));
    assert_false(is_point("P-256", &bits));
    assert_false(is_point("P-256", &cut));
}

/* Ed and X keys have no uncompressed point: the length alone tells. */

static void finds_octets(const char *params, size_t size)
{
    const struct hsm_curve *curve = hsm_curve_by_params((const uint8_t *)params, strlen(params));
    uint8_t value[80] = {0x04, (uint8_t)size};
    size_t len = 0;

    assert_non_null(curve);
    for (size_t i = 0; i < size; i++) {
        value[2 + i] = (uint8_t)(0x40 + i);
    }
    assert_ptr_equal(hsm_ec_point(curve, value + 2, size, &len), value + 2);
    assert_int_equal(len, size);
    assert_ptr_equal(hsm_ec_point(curve, value, size + 2, &len), value + 2);
    assert_int_equal(len, size);
    memmove(value + 3, value + 2, size);
    value[0] = 0x03;
    value[1] = (uint8_t)(size + 1);
    value[2] = 0;
    assert_ptr_equal(hsm_ec_point(curve, value, size + 3, &len), value + 3);
    assert_int_equal(len, size);
    for (size_t cut = 0; cut < size + 3; cut++) {
        assert_int_equal(hsm_ec_point(curve, value, cut, &len) != NULL, cut == size);
    }
}

static void test_public_key_of_every_edwards_and_montgomery_curve(void **state UNUSED)
{
    finds_octets("\x06\x03\x2b\x65\x70", 32);
    finds_octets("\x06\x03\x2b\x65\x71", 57);
    finds_octets("\x06\x03\x2b\x65\x6e", 32);
    finds_octets("\x06\x03\x2b\x65\x6f", 56);
}

static void test_mechanism_names(void **state UNUSED)
{
    assert_string_equal(hsm_mechanism_name(CKM_ECDSA), "ECDSA");
    assert_string_equal(hsm_mechanism_name(CKM_RSA_PKCS_PSS), "RSA PSS");
    assert_null(hsm_mechanism_name(CKM_VENDOR_DEFINED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rsa_in_every_spelling),
        cmocka_unit_test(test_curves_in_every_spelling),
        cmocka_unit_test(test_edwards_keys_in_every_spelling),
        cmocka_unit_test(test_keys_that_do_not_sign_are_none_to_make),
        cmocka_unit_test(test_openssls_names),
        cmocka_unit_test(test_names_round_trip),
        cmocka_unit_test(test_rsa_sizes_have_bounds),
        cmocka_unit_test(test_rsa_sizes_are_multiples_of_256),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_long_text_is_refused_to_its_last_character),
        cmocka_unit_test(test_spec_has_the_curve_and_its_size),
        cmocka_unit_test(test_names_of_unusual_specs),
        cmocka_unit_test(test_specs_are_equal_by_type_size_and_curve),
        cmocka_unit_test(test_curve_by_params),
        cmocka_unit_test(test_curve_by_each_form_of_params),
        cmocka_unit_test(test_curve_by_foreign_params_is_none),
        cmocka_unit_test(test_curve_by_name),
        cmocka_unit_test(test_raw_point),
        cmocka_unit_test(test_point_in_an_octet_string),
        cmocka_unit_test(test_point_in_a_bit_string),
        cmocka_unit_test(test_point_of_another_curve_is_refused),
        cmocka_unit_test(test_point_of_every_wrong_length_is_refused),
        cmocka_unit_test(test_compressed_point_is_refused),
        cmocka_unit_test(test_bit_string_with_unused_bits_is_refused),
        cmocka_unit_test(test_point_with_a_long_form_length_is_refused),
        cmocka_unit_test(test_empty_point_is_refused),
        cmocka_unit_test(test_public_key_of_every_edwards_and_montgomery_curve),
        cmocka_unit_test(test_mechanism_names),
    };

    return UNIT_RUN(tests);
}
