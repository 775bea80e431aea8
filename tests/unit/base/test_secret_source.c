#include "base/secret_source.h"

#include "unit/unit.h"

#include <stdlib.h>
#include <unistd.h>

static const struct secret_policy strict = {.allow_env = false};
static const struct secret_policy with_env = {.allow_env = true};

static bool get(const char *source, const struct secret_policy *policy, struct secret *out,
                struct err *err)
{
    return secret_source_read(source, "PIN of token 'x'", policy, out, err);
}

static void reads(const char *source, const struct secret_policy *policy, const char *want)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_ok(get(source, policy, &secret, &err), &err);
    assert_string_equal(secret_expose(&secret), want);
}

static void refuses(const char *source, const struct secret_policy *policy, enum err_code code,
                    const char *words)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_fails(get(source, policy, &secret, &err), &err, code, words);
    assert_contains(err.msg, "PIN of token 'x': ");
    assert_false(secret_is_set(&secret));
}

static void test_file_is_read(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "pin", "1234\n");

    reads(tmp_printf("file:%s", path), &strict, "1234");
}

static void test_absolute_path_alone_is_a_file(void **state UNUSED)
{
    reads(tmp_text(tmp_dir(), "pin", "1234"), &strict, "1234");
}

static void test_file_that_others_can_read_is_refused(void **state UNUSED)
{
    refuses(tmp_file(tmp_dir(), "pin", "1234", 4, 0644), &strict, E_IO, "chmod 600");
}

static void test_descriptor_is_read(void **state UNUSED)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "1234\n", 5), 5);
    (void)close(fds[1]);
    reads(tmp_printf("fd:%d", fds[0]), &strict, "1234");
    (void)close(fds[0]);
}

static void test_descriptor_must_be_a_number(void **state UNUSED)
{
    refuses("fd:", &strict, E_CONFIG, "does not name a file descriptor");
    refuses("fd:-1", &strict, E_CONFIG, "does not name a file descriptor");
    refuses("fd:3 ", &strict, E_CONFIG, "does not name a file descriptor");
    refuses("fd:99999999999", &strict, E_CONFIG, "does not name a file descriptor");
}

static void test_credential_is_read_from_the_systemd_directory(void **state UNUSED)
{
    const char *dir = tmp_dir();

    (void)tmp_file(dir, "token-pin", "1234", 4, 0400);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
    reads("credential:token-pin", &strict, "1234");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void test_credential_without_systemd_is_explained(void **state UNUSED)
{
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    refuses("credential:token-pin", &strict, E_PIN_NEEDED, "no systemd credentials");
}

static void test_credential_cannot_leave_its_directory(void **state UNUSED)
{
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/tmp", 1), 0);
    refuses("credential:../etc/passwd", &strict, E_CONFIG, "does not name a credential");
    refuses("credential:", &strict, E_CONFIG, "does not name a credential");
    refuses("credential:..", &strict, E_IO, "neither a file nor a pipe");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void test_environment_is_refused_unless_allowed(void **state UNUSED)
{
    assert_int_equal(setenv("UNIT_PIN", "1234", 1), 0);
    refuses("env:UNIT_PIN", &strict, E_CONFIG, "allow_env_secrets");
    reads("env:UNIT_PIN", &with_env, "1234");
    assert_int_equal(unsetenv("UNIT_PIN"), 0);
}

static void test_environment_variable_that_is_not_set(void **state UNUSED)
{
    assert_int_equal(unsetenv("UNIT_PIN"), 0);
    refuses("env:UNIT_PIN", &with_env, E_PIN_NEEDED, "UNIT_PIN is not set");
}

static bool answer(void *ctx, const char *what, struct secret *out, struct err *err)
{
    *(const char **)ctx = tmp_printf("%s", what);
    return secret_set(out, "1234", 4, err);
}

static void test_prompt_asks_for_what_is_needed(void **state UNUSED)
{
    const char *asked = NULL;
    struct secret_policy policy = {.prompt = answer, .prompt_ctx = &asked};

    reads("prompt", &policy, "1234");
    assert_string_equal(asked, "PIN of token 'x'");
}

static void test_prompt_without_a_terminal(void **state UNUSED)
{
    refuses("prompt", &strict, E_PIN_NEEDED, "no terminal");
}

static void test_prompt_is_the_whole_word(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_true(secret_source_is_prompt("prompt"));
    assert_false(secret_source_is_prompt("prompt:"));
    assert_false(secret_source_is_prompt("file:/x"));
    assert_fails(secret_source_check("prompt:", &err), &err, E_CONFIG, "prompt");
    assert_fails(secret_source_check("Prompt", &err), &err, E_CONFIG, "prompt");
}

static void test_check_knows_every_form(void **state UNUSED)
{
    static const char *const good[] = {"file:/x", "/x", "fd:3", "credential:a", "env:A", "prompt"};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_ok(secret_source_check(good[i], &err), &err);
    }
}

static void test_check_refuses_other_forms(void **state UNUSED)
{
    static const char *const bad[] = {"",     "1234",       "pin",     "pass:1234", "cmd:cat x",
                                      "FD:3", "./relative", " prompt", "file",      "exec:x"};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_fails(secret_source_check(bad[i], &err), &err, E_CONFIG, "must be file:PATH");
    }
}

/* Somebody may have put the secret itself there. */
static void test_text_of_a_bad_source_is_never_repeated(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_fails(secret_source_check("hunter2", &err), &err, E_CONFIG, "");
    assert_lacks(err.msg, "hunter2");
    assert_fails(get("hunter2", &strict, &secret, &err), &err, E_CONFIG, "PIN of token 'x'");
    assert_lacks(err.msg, "hunter2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_is_read),
        cmocka_unit_test(test_absolute_path_alone_is_a_file),
        cmocka_unit_test(test_file_that_others_can_read_is_refused),
        cmocka_unit_test(test_descriptor_is_read),
        cmocka_unit_test(test_descriptor_must_be_a_number),
        cmocka_unit_test(test_credential_is_read_from_the_systemd_directory),
        cmocka_unit_test(test_credential_without_systemd_is_explained),
        cmocka_unit_test(test_credential_cannot_leave_its_directory),
        cmocka_unit_test(test_environment_is_refused_unless_allowed),
        cmocka_unit_test(test_environment_variable_that_is_not_set),
        cmocka_unit_test(test_prompt_asks_for_what_is_needed),
        cmocka_unit_test(test_prompt_without_a_terminal),
        cmocka_unit_test(test_prompt_is_the_whole_word),
        cmocka_unit_test(test_check_knows_every_form),
        cmocka_unit_test(test_check_refuses_other_forms),
        cmocka_unit_test(test_text_of_a_bad_source_is_never_repeated),
    };

    return UNIT_RUN(tests);
}
