#include "app/app.h"

#include <stdlib.h>

void app_undone_done(struct app_undone *undone)
{
    free(undone->who);
    free(undone->cert_uri);
    *undone = (struct app_undone){.who = NULL};
}

/* Each old certificate is written and read back before the new one goes. */
static bool put_back(struct app *app, const char *key_uri, const struct binding *binding,
                     struct app_undone *out, struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);

    for (size_t i = 0; i < binding->old_count; i++) {
        struct keystore_put_report report = {.cert_uri = NULL};
        struct keystore_put how = {
            .cert = binding->old[i].cert, .label = binding->old[i].label, .keep_old = true};
        if (!keystore_put(app->keystore, &token, key_uri, &how, &report, err)) {
            return err_wrap(err, "putting an earlier certificate back");
        }
        free(out->cert_uri);
        out->cert_uri = report.cert_uri;
        out->put_back += report.already_there ? 0 : 1;
    }
    return binding->cert == NULL ||
           keystore_unbind(app->keystore, &token, key_uri, binding->cert, &out->removed, err);
}

bool app_undo(struct app *app, const char *key_uri, struct app_undone *out, struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);
    AUTO(keystore_key) struct keystore_key key = {.pkey = NULL};
    AUTO(journal) struct journal *journal = NULL;
    AUTO(binding) struct binding binding = {.id = 0};
    uint8_t hash[X509_SPKI_HASH_LEN];

    *out = (struct app_undone){.who = NULL};
    if (app->state_dir == NULL) {
        return err_set(err, E_CONFIG,
                       "there is no place for the journal; name one with 'state_dir'");
    }
    if (!keystore_find(app->keystore, &token, key_uri, &key, err) ||
        !x509_spki_hash(key.pkey, hash, err) ||
        !journal_open(app->state_dir, app->clock, &journal, err) ||
        !journal_last_binding(journal, hash, &binding, err)) {
        return false;
    }
    if (binding.id == 0) {
        return err_set(err, E_OBJECT_MISSING,
                       "the journal in %s knows of no certificate of %s that was replaced or "
                       "removed, and was not put back since",
                       app->state_dir, key.uri);
    }
    if (!put_back(app, key.uri, &binding, out, err)) {
        return false;
    }
    out->at_s = binding.at_s;
    out->who = TAKE(binding.who);
    return journal_binding_undone(journal, binding.id, err);
}
