/* What the CA says of a login's password. */
#include "ca/scm/scm.h"

#include "unit/unit.h"

enum { NOW_S = 1795219200 }; /* 2026-11-21 */

static void says(const char *text, enum scm_password want, const char *end)
{
    AUTO(json) json *doc = NULL;
    enum scm_password state = SCM_PASSWORD_LASTS;
    const char *found = NULL;
    struct err err = ERR_INIT;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    assert_true(scm_password_state(doc, NOW_S, &state, &found));
    assert_int_equal(state, want);
    assert_string_equal(found, end);
}

static void test_password_that_lasts(void **state UNUSED)
{
    says("{\"expirationDate\":\"2027-06-01\",\"state\":\"ALIVE\"}", SCM_PASSWORD_LASTS,
         "2027-06-01");
    says("{\"expirationDate\":null,\"state\":\"NEVER_EXPIRE\"}", SCM_PASSWORD_LASTS, "");
    says("{\"state\":\"never_expire\",\"more\":1}", SCM_PASSWORD_LASTS, "");
    says("{\"expirationDate\":\"soon\",\"state\":\"ALIVE\"}", SCM_PASSWORD_LASTS, "soon");
}

static void test_password_that_ends_soon(void **state UNUSED)
{
    says("{\"expirationDate\":\"2026-12-04\",\"state\":\"ALIVE\"}", SCM_PASSWORD_SOON,
         "2026-12-04");
    says("{\"expirationDate\":\"2026-12-05\",\"state\":\"ALIVE\"}", SCM_PASSWORD_LASTS,
         "2026-12-05");
    says("{\"expirationDate\":\"2026-11-22T00:00:00Z\",\"state\":\"ALIVE\"}", SCM_PASSWORD_SOON,
         "2026-11-22T00:00:00Z");
}

static void test_password_that_has_expired(void **state UNUSED)
{
    says("{\"expirationDate\":\"2026-01-01\",\"state\":\"EXPIRED\"}", SCM_PASSWORD_EXPIRED,
         "2026-01-01");
}

static void test_answers_that_say_nothing(void **state UNUSED)
{
    static const char *const nothing[] = {
        "{}", "{\"state\":7}", "{\"state\":\"\"}", "{\"state\":\"SOMETHING\"}", "[]", "7"};

    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        AUTO(json) json *doc = NULL;
        enum scm_password found = SCM_PASSWORD_LASTS;
        const char *end = NULL;
        struct err err = ERR_INIT;
        assert_ok(json_parse((const uint8_t *)nothing[i], strlen(nothing[i]), &doc, &err), &err);
        assert_false(scm_password_state(doc, NOW_S, &found, &end));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password_that_lasts),
        cmocka_unit_test(test_password_that_ends_soon),
        cmocka_unit_test(test_password_that_has_expired),
        cmocka_unit_test(test_answers_that_say_nothing),
    };

    return UNIT_RUN(tests);
}
