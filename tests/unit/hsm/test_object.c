#include "hsm/object.h"

#include "unit/hsm/fake.h"
#include "unit/unit.h"

#include <stdlib.h>

/* Reading */

static const CK_ATTRIBUTE_TYPE name_types[] = {CKA_ID, CKA_LABEL, CKA_VALUE};

static bool read_three(CK_OBJECT_HANDLE object, struct attr_values *values, struct err *err)
{
    struct hsm_session session = fake_session();

    return hsm_read(&session, object, name_types, ARRAY_LEN(name_types), values, err);
}

static void test_small_attributes_take_one_call(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "\x01", "www");
    fake_bytes(CKA_VALUE, "value", 5);
    assert_ok(read_three(object, &values, &err), &err);
    assert_int_equal(fake.attribute_calls, 1);
    assert_int_equal(attr_values_find(&values, CKA_ID)->len, 1);
    assert_memory_equal(attr_values_find(&values, CKA_LABEL)->data, "www", 4);
    assert_memory_equal(attr_values_find(&values, CKA_VALUE)->data, "value", 6);
}

/* NSS 3.87 does so with objects of its database. */
static CK_RV wants_exact_room_for_numbers(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                          CK_ATTRIBUTE *list, CK_ULONG count)
{
    for (CK_ULONG i = 0; i < count; i++) {
        if (list[i].type == CKA_KEY_TYPE && list[i].ulValueLen != sizeof(CK_ULONG)) {
            list[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
            return CKR_BUFFER_TOO_SMALL;
        }
    }
    return fake_get_attributes(session, object, list, count);
}

static void test_number_gets_the_room_of_a_number(void **state UNUSED)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_ID, CKA_KEY_TYPE};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct hsm_session session = fake_session();
    struct err err = ERR_INIT;
    CK_ULONG type = 0;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_PRIVATE_KEY, "\x01", "www");
    fake_number(CKA_KEY_TYPE, CKK_EC);
    fake.get_attributes = wants_exact_room_for_numbers;
    assert_ok(hsm_read(&session, object, types, ARRAY_LEN(types), &values, &err), &err);
    assert_true(attr_values_ulong(&values, CKA_KEY_TYPE, &type));
    assert_int_equal(type, CKK_EC);
}

static void test_large_attribute_is_read_by_itself(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;
    char value[2000];

    fake_begin();
    memset(value, 'v', sizeof(value));
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "\x01", "www");
    fake_bytes(CKA_VALUE, value, sizeof(value));
    assert_ok(read_three(object, &values, &err), &err);
    assert_int_equal(fake.attribute_calls, 3);
    assert_int_equal(attr_values_find(&values, CKA_VALUE)->len, 2000);
    assert_memory_equal(attr_values_find(&values, CKA_VALUE)->data, value, 2000);
    assert_int_equal(attr_values_find(&values, CKA_LABEL)->len, 3);
}

static void test_absent_attributes_are_no_error(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "\x01", NULL);
    assert_ok(read_three(object, &values, &err), &err);
    assert_null(attr_values_find(&values, CKA_LABEL));
    assert_null(attr_values_find(&values, CKA_VALUE));
    assert_non_null(attr_values_find(&values, CKA_ID));
}

static void test_empty_attribute_is_present(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "\x01", "");
    assert_ok(read_three(object, &values, &err), &err);
    assert_int_equal(attr_values_find(&values, CKA_LABEL)->len, 0);
}

static void test_sensitive_attribute_is_marked(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_PRIVATE_KEY, "\x01", "www");
    fake_sensitive(CKA_VALUE);
    assert_ok(read_three(object, &values, &err), &err);
    assert_null(attr_values_find(&values, CKA_VALUE));
    assert_true(values.list[2].sensitive);
    assert_false(values.list[0].sensitive);
    assert_non_null(attr_values_find(&values, CKA_LABEL));
}

static void test_sensitive_absent_and_given_attributes_together(void **state UNUSED)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_VALUE, CKA_ISSUER, CKA_ID};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct hsm_session session = fake_session();
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_PRIVATE_KEY, "\x01", "www");
    fake_sensitive(CKA_VALUE);
    assert_ok(hsm_read(&session, object, types, ARRAY_LEN(types), &values, &err), &err);
    assert_null(attr_values_find(&values, CKA_VALUE));
    assert_null(attr_values_find(&values, CKA_ISSUER));
    assert_int_equal(attr_values_find(&values, CKA_ID)->len, 1);
}

/* One return code stands for all entries, so it says nothing about the long one. */
static void test_large_attribute_beside_a_sensitive_one_is_read(void **state UNUSED)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_LABEL, CKA_PRIVATE_EXPONENT};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct hsm_session session = fake_session();
    struct err err = ERR_INIT;
    char label[1000];

    fake_begin();
    memset(label, 'l', sizeof(label));
    CK_OBJECT_HANDLE object = fake_object(CKO_PRIVATE_KEY, "\x01", NULL);
    fake_bytes(CKA_LABEL, label, sizeof(label));
    fake_sensitive(CKA_PRIVATE_EXPONENT);
    assert_ok(hsm_read(&session, object, types, ARRAY_LEN(types), &values, &err), &err);
    assert_non_null(attr_values_find(&values, CKA_LABEL));
    assert_int_equal(attr_values_find(&values, CKA_LABEL)->len, 1000);
    assert_false(values.list[0].sensitive);
}

static CK_RV gone(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE object UNUSED,
                  CK_ATTRIBUTE *list UNUSED, CK_ULONG count UNUSED)
{
    return CKR_DEVICE_REMOVED;
}

static void test_token_that_is_gone_is_an_error(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "\x01", "www");
    fake.get_attributes = gone;
    assert_fails(read_three(object, &values, &err), &err, E_TOKEN_MISSING,
                 "token 'prod' (serial 12af): C_GetAttributeValue: CKR_DEVICE_REMOVED");
    assert_int_equal(fake.attribute_calls, 1);
}

static void test_object_that_is_gone_is_an_error(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    assert_fails(read_three(77, &values, &err), &err, E_OBJECT_MISSING,
                 "CKR_OBJECT_HANDLE_INVALID");
}

/* A token that cannot read several attributes at once. */
static CK_RV one_at_a_time(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *list,
                           CK_ULONG count)
{
    return count > 1 ? CKR_FUNCTION_FAILED : fake_get_attributes(session, object, list, count);
}

static void test_token_that_reads_one_at_a_time_is_read(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "\x01", "www");
    fake.get_attributes = one_at_a_time;
    assert_ok(read_three(object, &values, &err), &err);
    assert_int_equal(attr_values_find(&values, CKA_LABEL)->len, 3);
    assert_null(attr_values_find(&values, CKA_VALUE));
}

static CK_RV never(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE object UNUSED,
                   CK_ATTRIBUTE *list UNUSED, CK_ULONG count UNUSED)
{
    return CKR_FUNCTION_FAILED;
}

static void test_token_that_never_reads_is_an_error(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "\x01", "www");
    fake.get_attributes = never;
    assert_fails(read_three(object, &values, &err), &err, E_TOKEN, "CKR_FUNCTION_FAILED");
    assert_int_equal(values.count, 0);
}

/* Says that the value is there and how long it is, but not in one go; then it claims too much. */
static CK_RV huge(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE object UNUSED,
                  CK_ATTRIBUTE *list, CK_ULONG count)
{
    for (CK_ULONG i = 0; i < count; i++) {
        list[i].ulValueLen =
            list[i].pValue == NULL ? (CK_ULONG)ATTR_VALUE_MAX + 1 : CK_UNAVAILABLE_INFORMATION;
    }
    return count > 1 ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}

static void test_huge_length_is_refused(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    fake.get_attributes = huge;
    assert_fails(read_three(1, &values, &err), &err, E_TOKEN,
                 "CKA_ID claims to have 1048577 bytes");
}

/* The first call says OK with a length that is larger than the room it was given. */
static CK_RV overlong(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *list,
                      CK_ULONG count)
{
    if (count == 1) {
        return fake_get_attributes(session, object, list, count);
    }
    for (CK_ULONG i = 0; i < count; i++) {
        list[i].ulValueLen = 100000;
    }
    return CKR_OK;
}

static void test_length_larger_than_the_room_is_not_believed(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "\x01", "www");
    fake.get_attributes = overlong;
    assert_ok(read_three(object, &values, &err), &err);
    assert_int_equal(attr_values_find(&values, CKA_LABEL)->len, 3);
}

/* The second of the two calls for one attribute claims more than the first. */
static CK_RV growing(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE object UNUSED,
                     CK_ATTRIBUTE *list, CK_ULONG count)
{
    if (count > 1) {
        return CKR_FUNCTION_FAILED;
    }
    list[0].ulValueLen = list[0].pValue == NULL ? 4 : 4000;
    return CKR_OK;
}

static CK_RV vanishing(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE object UNUSED,
                       CK_ATTRIBUTE *list, CK_ULONG count)
{
    if (count > 1) {
        return CKR_FUNCTION_FAILED;
    }
    list[0].ulValueLen = list[0].pValue == NULL ? 4 : CK_UNAVAILABLE_INFORMATION;
    return CKR_OK;
}

/* In a child: believing such a length reads behind the room. */
static bool read_from_a_liar(void *ctx)
{
    struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake.get_attributes = *(CK_C_GetAttributeValue *)ctx;
    bool ok = read_three(1, &values, &err);
    for (size_t i = 0; ok && i < values.count; i++) {
        ok = values.list[i].len <= 4;
    }
    return ok || err.code == E_TOKEN;
}

static void test_length_that_grows_between_two_calls_is_not_believed(void **state UNUSED)
{
    CK_C_GetAttributeValue liar = growing;

    fake_begin();
    assert_child_ok(unit_child(read_from_a_liar, &liar));
}

static void test_length_that_vanishes_between_two_calls_is_not_believed(void **state UNUSED)
{
    CK_C_GetAttributeValue liar = vanishing;

    fake_begin();
    assert_child_ok(unit_child(read_from_a_liar, &liar));
}

static void test_module_without_the_function(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct err err = ERR_INIT;

    fake_begin();
    fake.fns.C_GetAttributeValue = NULL;
    assert_fails(read_three(1, &values, &err), &err, E_TOKEN, "CKR_FUNCTION_NOT_SUPPORTED");
}

/* Finding */

static bool find_certs(struct hsm_handles *out, struct err *err)
{
    struct hsm_session session = fake_session();
    struct attrs template = ATTRS_INIT;

    attrs_add_ulong(&template, CKA_CLASS, CKO_CERTIFICATE);
    return hsm_find(&session, &template, out, err);
}

static void make_certs(size_t count)
{
    fake_begin();
    for (size_t i = 0; i < count; i++) {
        (void)fake_object(CKO_CERTIFICATE, "\x01", "www");
    }
}

static void finds(size_t want)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct err err = ERR_INIT;

    assert_ok(find_certs(&found, &err), &err);
    assert_int_equal(found.count, want);
    for (size_t i = 0; i < found.count; i++) {
        assert_int_equal(found.list[i], i + 1);
    }
    assert_int_equal(fake.find_finals, 1);
}

static void test_nothing_is_found(void **state UNUSED)
{
    make_certs(0);
    finds(0);
    assert_int_equal(fake.finds, 1);
}

static void test_one_is_found(void **state UNUSED)
{
    make_certs(1);
    finds(1);
}

static void test_exactly_one_batch_is_found(void **state UNUSED)
{
    make_certs(256);
    finds(256);
}

static void test_several_batches_are_found(void **state UNUSED)
{
    make_certs(600);
    finds(600);
    assert_int_equal(fake.finds, 4);
}

static void test_short_batches_are_not_the_end(void **state UNUSED)
{
    make_certs(20);
    fake.batch = 3;
    finds(20);
}

static void test_other_objects_are_not_found(void **state UNUSED)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct err err = ERR_INIT;

    make_certs(2);
    (void)fake_object(CKO_PRIVATE_KEY, "\x01", "www");
    assert_ok(find_certs(&found, &err), &err);
    assert_int_equal(found.count, 2);
}

static void test_search_that_does_not_begin_is_not_ended(void **state UNUSED)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct err err = ERR_INIT;

    make_certs(1);
    fake.find_init_rv = CKR_OPERATION_ACTIVE;
    assert_fails(find_certs(&found, &err), &err, E_TOKEN,
                 "C_FindObjectsInit: CKR_OPERATION_ACTIVE");
    assert_int_equal(fake.find_finals, 0);
    assert_null(found.list);
}

static void test_search_that_fails_is_ended(void **state UNUSED)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct err err = ERR_INIT;

    make_certs(1);
    fake.find_rv = CKR_DEVICE_ERROR;
    assert_fails(find_certs(&found, &err), &err, E_TOKEN, "C_FindObjects: CKR_DEVICE_ERROR");
    assert_int_equal(fake.find_finals, 1);
    assert_int_equal(found.count, 0);
    assert_null(found.list);
}

static void test_search_that_fails_in_a_later_batch_is_ended(void **state UNUSED)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct err err = ERR_INIT;

    make_certs(10);
    fake.batch = 4;
    fake.find_rv = CKR_SESSION_CLOSED;
    fake.find_fails_at = 2;
    assert_fails(find_certs(&found, &err), &err, E_TOKEN, "CKR_SESSION_CLOSED");
    assert_int_equal(fake.find_finals, 1);
    assert_int_equal(found.count, 0);
}

static CK_RV too_many(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE *out UNUSED, CK_ULONG max,
                      CK_ULONG *count)
{
    *count = max + 1;
    return CKR_OK;
}

static void test_more_objects_than_asked_for_are_an_error(void **state UNUSED)
{
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct err err = ERR_INIT;

    make_certs(1);
    fake.fns.C_FindObjects = too_many;
    assert_fails(find_certs(&found, &err), &err, E_TOKEN, "more objects than asked for");
    assert_int_equal(fake.find_finals, 1);
}

/* Names and templates */

static void test_uri_becomes_a_template(void **state UNUSED)
{
    struct hsm_uri uri = {.id = {.set = true, .len = 1, .data = {7}},
                          .object = (char *)(uintptr_t) "www"};
    struct attrs template = ATTRS_INIT;

    hsm_uri_to_template(&uri, CKO_PRIVATE_KEY, &template);
    assert_int_equal(template.count, 4);
    assert_int_equal(*(CK_ULONG *)attrs_find(&template, CKA_CLASS)->pValue, CKO_PRIVATE_KEY);
    assert_int_equal(*(CK_BBOOL *)attrs_find(&template, CKA_TOKEN)->pValue, 1);
    assert_int_equal(attrs_find(&template, CKA_ID)->ulValueLen, 1);
    assert_memory_equal(attrs_find(&template, CKA_LABEL)->pValue, "www", 3);
}

static void test_uri_that_names_no_object_asks_for_the_class_alone(void **state UNUSED)
{
    struct hsm_uri uri = {.token = (char *)(uintptr_t) "prod"};
    struct attrs template = ATTRS_INIT;

    hsm_uri_to_template(&uri, CKO_CERTIFICATE, &template);
    assert_int_equal(template.count, 2);
}

static void test_object_without_a_name_has_an_empty_label(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    AUTO(str) char *label = NULL;
    struct hsm_id id;
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, NULL, NULL);
    assert_ok(read_three(object, &values, &err), &err);
    assert_ok(hsm_object_name(&values, &id, &label, &err), &err);
    assert_string_equal(label, "");
    assert_false(id.set);
}

static void test_id_that_is_too_long_is_none(void **state UNUSED)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    AUTO(str) char *label = NULL;
    char long_id[HSM_ID_MAX + 1];
    struct hsm_id id;
    struct err err = ERR_INIT;

    fake_begin();
    memset(long_id, 1, sizeof(long_id));
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, NULL, "www");
    fake_bytes(CKA_ID, long_id, sizeof(long_id));
    assert_ok(read_three(object, &values, &err), &err);
    assert_ok(hsm_object_name(&values, &id, &label, &err), &err);
    assert_false(id.set);
    assert_string_equal(label, "www");
}

static void test_destroy(void **state UNUSED)
{
    struct hsm_session session = fake_session();
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "\x01", "www");
    assert_ok(hsm_destroy(&session, object, &err), &err);
    assert_false(fake_has(object));
    assert_fails(hsm_destroy(&session, object, &err), &err, E_OBJECT_MISSING, "C_DestroyObject");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_attributes_take_one_call),
        cmocka_unit_test(test_number_gets_the_room_of_a_number),
        cmocka_unit_test(test_large_attribute_is_read_by_itself),
        cmocka_unit_test(test_absent_attributes_are_no_error),
        cmocka_unit_test(test_empty_attribute_is_present),
        cmocka_unit_test(test_sensitive_attribute_is_marked),
        cmocka_unit_test(test_sensitive_absent_and_given_attributes_together),
        cmocka_unit_test(test_large_attribute_beside_a_sensitive_one_is_read),
        cmocka_unit_test(test_token_that_is_gone_is_an_error),
        cmocka_unit_test(test_object_that_is_gone_is_an_error),
        cmocka_unit_test(test_token_that_reads_one_at_a_time_is_read),
        cmocka_unit_test(test_token_that_never_reads_is_an_error),
        cmocka_unit_test(test_huge_length_is_refused),
        cmocka_unit_test(test_length_larger_than_the_room_is_not_believed),
        cmocka_unit_test(test_length_that_grows_between_two_calls_is_not_believed),
        cmocka_unit_test(test_length_that_vanishes_between_two_calls_is_not_believed),
        cmocka_unit_test(test_module_without_the_function),
        cmocka_unit_test(test_nothing_is_found),
        cmocka_unit_test(test_one_is_found),
        cmocka_unit_test(test_exactly_one_batch_is_found),
        cmocka_unit_test(test_several_batches_are_found),
        cmocka_unit_test(test_short_batches_are_not_the_end),
        cmocka_unit_test(test_other_objects_are_not_found),
        cmocka_unit_test(test_search_that_does_not_begin_is_not_ended),
        cmocka_unit_test(test_search_that_fails_is_ended),
        cmocka_unit_test(test_search_that_fails_in_a_later_batch_is_ended),
        cmocka_unit_test(test_more_objects_than_asked_for_are_an_error),
        cmocka_unit_test(test_uri_becomes_a_template),
        cmocka_unit_test(test_uri_that_names_no_object_asks_for_the_class_alone),
        cmocka_unit_test(test_object_without_a_name_has_an_empty_label),
        cmocka_unit_test(test_id_that_is_too_long_is_none),
        cmocka_unit_test(test_destroy),
    };

    return UNIT_RUN(tests);
}
