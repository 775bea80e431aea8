#include "hsm/names.h"

#include "unit/hsm/fake.h"
#include "unit/unit.h"

static struct hsm_id id_of(const char *text)
{
    struct hsm_id id = {.set = true, .len = strlen(text)};

    memcpy(id.data, text, id.len);
    return id;
}

static void load(struct hsm_names *names)
{
    struct hsm_session session = fake_session();
    struct err err = ERR_INIT;

    assert_ok(hsm_names_load(&session, names, &err), &err);
}

static bool has_id(const struct hsm_names *names, const char *text)
{
    struct hsm_id id = id_of(text);

    return hsm_names_has_id(names, &id);
}

static void test_empty_token_has_no_names(void **state UNUSED)
{
    AUTO(hsm_names) struct hsm_names names = HSM_NAMES_INIT;

    fake_begin();
    load(&names);
    assert_false(has_id(&names, "a"));
    assert_false(hsm_names_has_label(&names, ""));
}

static void test_ids_of_all_objects_and_labels_of_private_keys(void **state UNUSED)
{
    AUTO(hsm_names) struct hsm_names names = HSM_NAMES_INIT;

    fake_begin();
    (void)fake_object(CKO_PRIVATE_KEY, "a", "www");
    (void)fake_object(CKO_CERTIFICATE, "b", "other");
    load(&names);
    assert_true(has_id(&names, "a"));
    assert_true(has_id(&names, "b"));
    assert_false(has_id(&names, "www"));
    assert_true(hsm_names_has_label(&names, "www"));
    assert_false(hsm_names_has_label(&names, "other"));
    assert_false(hsm_names_has_label(&names, "a"));
}

static void test_one_search_whatever_the_number(void **state UNUSED)
{
    AUTO(hsm_names) struct hsm_names names = HSM_NAMES_INIT;
    char text[16];

    fake_begin();
    for (int i = 0; i < 500; i++) {
        (void)snprintf(text, sizeof(text), "n%d", i);
        (void)fake_object(CKO_PRIVATE_KEY, text, text);
    }
    load(&names);
    assert_int_equal(fake.find_inits, 1);
    assert_int_equal(fake.attribute_calls, 500);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(text, sizeof(text), "n%d", i);
        assert_true(has_id(&names, text) && hsm_names_has_label(&names, text));
    }
    assert_false(has_id(&names, "n500"));
    assert_int_equal(fake.find_inits, 1);
}

static void test_names_that_are_added_are_there(void **state UNUSED)
{
    AUTO(hsm_names) struct hsm_names names = HSM_NAMES_INIT;
    struct hsm_id id = id_of("new");
    struct err err = ERR_INIT;

    assert_ok(hsm_names_add_id(&names, &id, &err), &err);
    assert_ok(hsm_names_add_id(&names, &id, &err), &err);
    assert_int_equal(names.used, 1);
    assert_ok(hsm_names_add_label(&names, "label", &err), &err);
    assert_true(has_id(&names, "new") && hsm_names_has_label(&names, "label"));
    assert_false(hsm_names_has_label(&names, "new"));
}

static void test_failed_search_is_a_failure(void **state UNUSED)
{
    AUTO(hsm_names) struct hsm_names names = HSM_NAMES_INIT;
    struct hsm_session session;
    struct err err = ERR_INIT;

    fake_begin();
    session = fake_session();
    fake.find_init_rv = CKR_DEVICE_ERROR;
    assert_fails(hsm_names_load(&session, &names, &err), &err, E_TOKEN, "CKR_DEVICE_ERROR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_token_has_no_names),
        cmocka_unit_test(test_ids_of_all_objects_and_labels_of_private_keys),
        cmocka_unit_test(test_one_search_whatever_the_number),
        cmocka_unit_test(test_names_that_are_added_are_there),
        cmocka_unit_test(test_failed_search_is_a_failure),
    };

    return UNIT_RUN(tests);
}
