#include "app/app.h"

bool app_csr(struct app *app, const char *key_uri, const char *subject,
             const struct x509_names *names, struct buf *out, struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);
    AUTO(keystore_key) struct keystore_key key = {.pkey = NULL};
    struct x509_csr request = {.subject = subject, .names = names};

    return keystore_find(app->keystore, &token, key_uri, &key, err) &&
           keystore_check_strength(&key, err) && x509_csr_create(&request, key.pkey, out, err);
}
