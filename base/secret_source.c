#include "base/secret_source.h"

#include "base/file.h"
#include "base/str.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef bool read_fn(const char *rest, const char *what, const struct secret_policy *policy,
                     struct secret *out, struct err *err);

static bool read_file_source(const char *rest, const char *what UNUSED,
                             const struct secret_policy *policy UNUSED, struct secret *out,
                             struct err *err)
{
    return file_read_secret(rest, out, err);
}

static bool read_fd_source(const char *rest, const char *what UNUSED,
                           const struct secret_policy *policy UNUSED, struct secret *out,
                           struct err *err)
{
    int fd = -1;

    if (!str_to_int(rest, 0, INT_MAX, &fd)) {
        return err_set(err, E_CONFIG, "'fd:%s' does not name a file descriptor", rest);
    }
    return file_read_secret_fd(fd, out, err);
}

static bool read_credential_source(const char *rest, const char *what UNUSED,
                                   const struct secret_policy *policy UNUSED, struct secret *out,
                                   struct err *err)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");

    if (rest[0] == '\0' || strchr(rest, '/') != NULL) {
        return err_set(err, E_CONFIG, "'credential:%s' does not name a credential", rest);
    }
    if (dir == NULL) {
        return err_set(err, E_PIN_NEEDED,
                       "credential '%s': this process was given no systemd credentials "
                       "(LoadCredential= in its unit)",
                       rest);
    }
    AUTO(str) char *path = file_join(dir, rest);
    if (path == NULL) {
        return err_nomem(err);
    }
    return file_read_credential(path, out, err);
}

static bool read_env_source(const char *rest, const char *what UNUSED,
                            const struct secret_policy *policy, struct secret *out, struct err *err)
{
    if (!policy->allow_env) {
        return err_set(err, E_CONFIG,
                       "a secret from the environment ('env:%s') needs 'allow_env_secrets = yes' "
                       "in p11enroll.conf, or 'allow-env-secrets = yes' in openssl.cnf",
                       rest);
    }
    const char *value = getenv(rest);
    if (value == NULL) {
        return err_set(err, E_PIN_NEEDED, "the environment variable %s is not set", rest);
    }
    return secret_set(out, value, strlen(value), err);
}

static bool read_prompt_source(const char *rest UNUSED, const char *what,
                               const struct secret_policy *policy, struct secret *out,
                               struct err *err)
{
    if (policy->prompt == NULL) {
        return err_set(err, E_PIN_NEEDED, "there is no terminal to ask for the %s", what);
    }
    return policy->prompt(policy->prompt_ctx, what, out, err);
}

static const struct {
    const char *prefix;
    bool exact; /* the whole word, nothing behind it */
    read_fn *read;
} forms[] = {
    {"file:", false, read_file_source},
    {"fd:", false, read_fd_source},
    {"credential:", false, read_credential_source},
    {"env:", false, read_env_source},
    {"prompt", true, read_prompt_source},
};

static read_fn *form_of(const char *source, const char **rest)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        bool matches = forms[i].exact ? str_equal(source, forms[i].prefix)
                                      : str_starts_with(source, forms[i].prefix);
        if (matches) {
            *rest = source + strlen(forms[i].prefix);
            return forms[i].read;
        }
    }
    if (source[0] == '/') {
        *rest = source;
        return read_file_source;
    }
    return NULL;
}

bool secret_source_check(const char *source, struct err *err)
{
    const char *rest = NULL;

    if (form_of(source, &rest) == NULL) {
        /* The text is not repeated: somebody may have put the secret itself there. */
        return err_set(err, E_CONFIG,
                       "a secret source must be file:PATH, fd:NUMBER, credential:NAME, env:NAME or "
                       "prompt");
    }
    return true;
}

bool secret_source_is_prompt(const char *source)
{
    return str_equal(source, "prompt");
}

bool secret_source_read(const char *source, const char *what, const struct secret_policy *policy,
                        struct secret *out, struct err *err)
{
    const char *rest = NULL;

    if (!secret_source_check(source, err)) {
        return err_wrap(err, "%s", what);
    }
    read_fn *read = form_of(source, &rest);
    if (!read(rest, what, policy, out, err)) {
        return err_wrap(err, "%s", what);
    }
    return true;
}
