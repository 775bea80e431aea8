/* How a URI and the configuration of a token are put together. */
#include "hsm/access.h"

#include "hsm/quirks.h"
#include "unit/unit.h"

static bool target(const struct hsm_access *access, struct hsm_uri *uri, struct hsm_target *out,
                   struct err *err)
{
    return hsm_access_target(access, uri, out, err);
}

static void test_nothing_configured_means_every_token(void **state UNUSED)
{
    struct hsm_access access = {.module_path = "/m.so", .init_args = "args"};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_target out;
    struct err err = ERR_INIT;

    assert_ok(target(&access, &uri, &out, &err), &err);
    assert_string_equal(out.module_path, "/m.so");
    assert_string_equal(out.init_args, "args");
    assert_false(hsm_uri_names_token(out.uri));
}

static void test_configured_uri_names_the_token(void **state UNUSED)
{
    struct hsm_access access = {.module_path = "/m.so", .token_uri = "pkcs11:token=a;slot-id=4"};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_target out;
    struct err err = ERR_INIT;

    assert_ok(target(&access, &uri, &out, &err), &err);
    assert_string_equal(out.uri->token, "a");
    assert_true(out.uri->has_slot_id);
    assert_int_equal(out.uri->slot_id, 4);
}

static void test_module_of_the_uri_goes_first(void **state UNUSED)
{
    struct hsm_access access = {.module_path = "/m.so",
                                .token_uri = "pkcs11:token=a?module-path=/other.so"};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_target out;
    struct err err = ERR_INIT;

    assert_ok(target(&access, &uri, &out, &err), &err);
    assert_string_equal(out.module_path, "/other.so");
}

static void test_quirks_are_for_the_configured_module(void **state UNUSED)
{
    struct hsm_access access = {.module_path = "/m.so", .quirks = "no-copy"};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(hsm_uri) struct hsm_uri other = {0};
    struct hsm_target out;
    struct err err = ERR_INIT;

    assert_ok(target(&access, &uri, &out, &err), &err);
    assert_int_equal(out.quirks, HSM_QUIRK(NO_COPY));
    access.token_uri = "pkcs11:token=a?module-path=/other.so";
    assert_ok(target(&access, &other, &out, &err), &err);
    assert_int_equal(out.quirks, 0);
}

static void test_quirk_that_there_is_not(void **state UNUSED)
{
    struct hsm_access access = {.module_path = "/m.so", .quirks = "no-copies"};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_target out;
    struct err err = ERR_INIT;

    assert_fails(target(&access, &uri, &out, &err), &err, E_CONFIG,
                 "the token's section: quirks: there is no 'no-copies'; there are no-finalise");
}

static void test_configured_uri_that_is_none_is_named(void **state UNUSED)
{
    struct hsm_access access = {.token_uri = "token=a"};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_target out;
    struct err err = ERR_INIT;

    assert_fails(target(&access, &uri, &out, &err), &err, E_USAGE,
                 "the token's 'uri': not a PKCS#11");
}

static void test_pin_in_a_configured_uri_is_refused(void **state UNUSED)
{
    struct hsm_access access = {.token_uri = "pkcs11:token=a?pin-value=1234"};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_target out;
    struct err err = ERR_INIT;

    assert_fails(target(&access, &uri, &out, &err), &err, E_USAGE, "does not belong into a URI");
    assert_lacks(err.msg, "1234");
}

static void test_pin_in_a_given_uri_is_refused(void **state UNUSED)
{
    struct hsm_access access = {.module_path = "/m.so"};
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    struct err err = ERR_INIT;

    assert_fails(hsm_access_open(&access, "pkcs11:object=a?pin-value=1234", true, &opened, &err),
                 &err, E_USAGE, "does not belong into a URI");
}

static void test_given_uri_that_is_none_is_refused(void **state UNUSED)
{
    struct hsm_access access = {.module_path = "/m.so"};
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    struct err err = ERR_INIT;

    assert_fails(hsm_access_open(&access, "www", true, &opened, &err), &err, E_USAGE,
                 "not a PKCS#11 URI");
}

static void test_no_module_anywhere_is_explained(void **state UNUSED)
{
    struct hsm_access access = {.module_path = NULL};
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    struct err err = ERR_INIT;

    assert_fails(hsm_access_open(&access, "pkcs11:object=a", true, &opened, &err), &err, E_CONFIG,
                 "no PKCS#11 module is named");
}

static void test_missing_module_is_named(void **state UNUSED)
{
    struct hsm_access access = {.module_path = "/nowhere/module.so"};
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    struct err err = ERR_INIT;

    assert_fails(hsm_access_open(&access, "pkcs11:object=a", true, &opened, &err), &err, E_MODULE,
                 "PKCS#11 module /nowhere/module.so: No such file");
}

static void test_file_that_is_no_library_is_no_module(void **state UNUSED)
{
    struct hsm_access access = {.module_path = tmp_text(tmp_dir(), "m.so", "text")};
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    struct hsm_process process = {.lock_dir = tmp_dir()};
    struct err err = ERR_INIT;

    assert_ok(hsm_process_configure(&process, &err), &err);
    assert_fails(hsm_access_open(&access, "pkcs11:object=a", true, &opened, &err), &err, E_MODULE,
                 "it cannot be loaded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_configured_means_every_token),
        cmocka_unit_test(test_configured_uri_names_the_token),
        cmocka_unit_test(test_module_of_the_uri_goes_first),
        cmocka_unit_test(test_quirks_are_for_the_configured_module),
        cmocka_unit_test(test_quirk_that_there_is_not),
        cmocka_unit_test(test_configured_uri_that_is_none_is_named),
        cmocka_unit_test(test_pin_in_a_configured_uri_is_refused),
        cmocka_unit_test(test_pin_in_a_given_uri_is_refused),
        cmocka_unit_test(test_given_uri_that_is_none_is_refused),
        cmocka_unit_test(test_no_module_anywhere_is_explained),
        cmocka_unit_test(test_missing_module_is_named),
        cmocka_unit_test(test_file_that_is_no_library_is_no_module),
    };

    return UNIT_RUN(tests);
}
