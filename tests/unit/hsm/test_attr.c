#include "hsm/attr.h"

#include "unit/unit.h"

#include <stdlib.h>

static void test_string_is_borrowed_without_its_nul(void **state UNUSED)
{
    struct attrs attrs = ATTRS_INIT;
    static const char label[] = "www";

    attrs_add_string(&attrs, CKA_LABEL, label);
    assert_int_equal(attrs.count, 1);
    assert_int_equal(attrs.list[0].type, CKA_LABEL);
    assert_ptr_equal(attrs.list[0].pValue, label);
    assert_int_equal(attrs.list[0].ulValueLen, 3);
}

static void test_numbers_are_kept_in_the_template(void **state UNUSED)
{
    struct attrs attrs = ATTRS_INIT;

    attrs_add_ulong(&attrs, CKA_CLASS, CKO_PRIVATE_KEY);
    attrs_add_ulong(&attrs, CKA_KEY_TYPE, CKK_EC);
    assert_int_equal(attrs.list[0].ulValueLen, sizeof(CK_ULONG));
    assert_int_equal(*(CK_ULONG *)attrs.list[0].pValue, CKO_PRIVATE_KEY);
    assert_int_equal(*(CK_ULONG *)attrs.list[1].pValue, CKK_EC);
}

static void test_flags_are_one_byte(void **state UNUSED)
{
    struct attrs attrs = ATTRS_INIT;

    attrs_add_bool(&attrs, CKA_TOKEN, true);
    attrs_add_bool(&attrs, CKA_EXTRACTABLE, false);
    assert_int_equal(attrs.list[0].ulValueLen, 1);
    assert_int_equal(*(CK_BBOOL *)attrs.list[0].pValue, 1);
    assert_int_equal(*(CK_BBOOL *)attrs.list[1].pValue, 0);
}

static void test_template_takes_its_maximum(void **state UNUSED)
{
    struct attrs attrs = ATTRS_INIT;

    for (CK_ULONG i = 0; i < ATTRS_MAX; i++) {
        attrs_add_ulong(&attrs, CKA_VENDOR_DEFINED + i, i);
    }
    for (CK_ULONG i = 0; i < ATTRS_MAX; i++) {
        assert_int_equal(*(CK_ULONG *)attrs.list[i].pValue, i);
    }
}

static void test_find_in_a_template(void **state UNUSED)
{
    struct attrs attrs = ATTRS_INIT;

    attrs_add_bool(&attrs, CKA_TOKEN, true);
    attrs_add_string(&attrs, CKA_LABEL, "a");
    assert_ptr_equal(attrs_find(&attrs, CKA_LABEL), &attrs.list[1]);
    assert_null(attrs_find(&attrs, CKA_ID));
}

static void add_value(struct attr_values *values, CK_ATTRIBUTE_TYPE type, const void *data,
                      size_t len)
{
    struct attr_value *v = &values->list[values->count++];

    v->type = type;
    v->present = true;
    v->data = malloc(len + 1);
    assert_non_null(v->data);
    memcpy(v->data, data, len);
    v->len = len;
}

static void test_values_are_found_by_type(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};

    add_value(&values, CKA_LABEL, "www", 3);
    add_value(&values, CKA_ID, "", 0);
    assert_int_equal(attr_values_find(&values, CKA_LABEL)->len, 3);
    assert_int_equal(attr_values_find(&values, CKA_ID)->len, 0);
    assert_null(attr_values_find(&values, CKA_VALUE));
}

static void test_absent_values_are_not_found(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};

    values.list[values.count++] = (struct attr_value){.type = CKA_VALUE, .sensitive = true};
    assert_null(attr_values_find(&values, CKA_VALUE));
}

static void test_bool_getter(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    bool value = false;

    add_value(&values, CKA_TOKEN, "\x01", 1);
    add_value(&values, CKA_PRIVATE, "\x00", 1);
    add_value(&values, CKA_SENSITIVE, "\xff", 1);
    assert_true(attr_values_bool(&values, CKA_TOKEN, &value) && value);
    assert_true(attr_values_bool(&values, CKA_PRIVATE, &value) && !value);
    assert_true(attr_values_bool(&values, CKA_SENSITIVE, &value) && value);
}

static void test_bool_getter_refuses_other_sizes(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    bool value = true;

    add_value(&values, CKA_TOKEN, "", 0);
    add_value(&values, CKA_PRIVATE, "\0\0\0\0", 4);
    assert_false(attr_values_bool(&values, CKA_TOKEN, &value));
    assert_false(attr_values_bool(&values, CKA_PRIVATE, &value));
    assert_false(attr_values_bool(&values, CKA_SIGN, &value));
    assert_true(value);
}

static void test_ulong_getter(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    CK_ULONG type = CKK_EC;
    CK_ULONG value = 0;

    add_value(&values, CKA_KEY_TYPE, &type, sizeof(type));
    add_value(&values, CKA_CLASS, "\x03\0\0\0", 4);
    assert_true(attr_values_ulong(&values, CKA_KEY_TYPE, &value));
    assert_int_equal(value, CKK_EC);
    assert_false(attr_values_ulong(&values, CKA_CLASS, &value));
    assert_false(attr_values_ulong(&values, CKA_MODULUS_BITS, &value));
    assert_int_equal(value, CKK_EC);
}

static void test_done_can_be_called_twice(void **state UNUSED)
{
    struct attr_values values = {.count = 0};

    add_value(&values, CKA_LABEL, "www", 3);
    attr_values_done(&values);
    assert_int_equal(values.count, 0);
    attr_values_done(&values);
}

static void test_names_of_attributes(void **state UNUSED)
{
    assert_string_equal(attr_name(CKA_SENSITIVE), "CKA_SENSITIVE");
    assert_string_equal(attr_name(CKA_ALWAYS_AUTHENTICATE), "CKA_ALWAYS_AUTHENTICATE");
    assert_string_equal(attr_name(CKA_VENDOR_DEFINED | 5UL), "CKA 0x80000005");
}

static const char *printed(CK_ATTRIBUTE_TYPE type, const void *data, size_t len)
{
    AUTO(buf) struct buf out = BUF_INIT(2000);

    attr_print(&out, type, data, len);
    return tmp_printf("%s", buf_str(&out));
}

static void test_print_of_a_flag(void **state UNUSED)
{
    assert_string_equal(printed(CKA_TOKEN, "\x01", 1), "CKA_TOKEN=true");
    assert_string_equal(printed(CKA_TOKEN, "\x00", 1), "CKA_TOKEN=false");
    assert_string_equal(printed(CKA_TOKEN, "\0\0", 2), "CKA_TOKEN (2 bytes)");
}

static void test_print_of_a_number(void **state UNUSED)
{
    CK_ULONG value = 0x103;

    assert_string_equal(printed(CKA_CLASS, &value, sizeof(value)), "CKA_CLASS=0x103");
    assert_string_equal(printed(CKA_CLASS, "\x01", 1), "CKA_CLASS (1 bytes)");
}

static void test_print_of_a_label_is_harmless(void **state UNUSED)
{
    assert_string_equal(printed(CKA_LABEL, "www", 3), "CKA_LABEL='www'");
    assert_string_equal(printed(CKA_LABEL, "a\x1b[2J", 5), "CKA_LABEL='a\\x1b[2J'");
    assert_string_equal(printed(CKA_LABEL, "", 0), "CKA_LABEL=''");
}

static void test_print_of_an_id(void **state UNUSED)
{
    char bytes[65] = "";

    assert_string_equal(printed(CKA_ID, "\x01\xff", 2), "CKA_ID=01ff");
    assert_string_equal(printed(CKA_ID, bytes, 65), "CKA_ID (65 bytes)");
}

static void test_print_never_shows_key_material(void **state UNUSED)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
        CKA_VALUE,   CKA_PRIVATE_EXPONENT, CKA_PRIME_1,           CKA_PRIME_2, CKA_EXPONENT_1,
        CKA_MODULUS, CKA_PUBLIC_EXPONENT,  CKA_EC_POINT,          CKA_SUBJECT, CKA_COEFFICIENT,
        CKA_ISSUER,  CKA_PUBLIC_KEY_INFO,  CKA_VENDOR_DEFINED | 7};

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const char *text = printed(types[i], "SECRET", 6);
        assert_lacks(text, "SECRET");
        assert_lacks(text, "534543");
        assert_contains(text, " (6 bytes)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_string_is_borrowed_without_its_nul),
        cmocka_unit_test(test_numbers_are_kept_in_the_template),
        cmocka_unit_test(test_flags_are_one_byte),
        cmocka_unit_test(test_template_takes_its_maximum),
        cmocka_unit_test(test_find_in_a_template),
        cmocka_unit_test(test_values_are_found_by_type),
        cmocka_unit_test(test_absent_values_are_not_found),
        cmocka_unit_test(test_bool_getter),
        cmocka_unit_test(test_bool_getter_refuses_other_sizes),
        cmocka_unit_test(test_ulong_getter),
        cmocka_unit_test(test_done_can_be_called_twice),
        cmocka_unit_test(test_names_of_attributes),
        cmocka_unit_test(test_print_of_a_flag),
        cmocka_unit_test(test_print_of_a_number),
        cmocka_unit_test(test_print_of_a_label_is_harmless),
        cmocka_unit_test(test_print_of_an_id),
        cmocka_unit_test(test_print_never_shows_key_material),
    };

    return UNIT_RUN(tests);
}
