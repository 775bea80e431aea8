#include "app/app.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

void app_bound_done(struct app_bound *bound)
{
    free(bound->report.cert_uri);
    free(bound->detached_dir);
    free(bound->key_uri);
    *bound = (struct app_bound){.detached_dir = NULL};
}

static bool fill_old(struct binding *binding, const struct app_note *note, struct err *err)
{
    binding->old = calloc(note->old_count, sizeof(struct binding_old));
    if (binding->old == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < note->old_count; i++) {
        struct binding_old *old = &binding->old[binding->old_count++];
        old->label = str_dup(note->old[i].label);
        if (old->label == NULL || X509_up_ref(note->old[i].cert) != 1) {
            return err_nomem(err);
        }
        old->cert = note->old[i].cert;
    }
    return true;
}

bool app_note_old(struct app *app, struct journal *journal, const struct app_note *note,
                  struct err *err)
{
    AUTO(journal) struct journal *opened = NULL;
    AUTO(binding) struct binding binding = {.id = 0};

    if (journal == NULL && app->state_dir == NULL) {
        return err_set(err, E_CONFIG,
                       "there is no place for the journal, where earlier certificates are kept; "
                       "name one with 'state_dir'");
    }
    if (journal == NULL && !journal_open(app->state_dir, app->clock, &opened, err)) {
        return false;
    }
    memcpy(binding.spki_hash, note->spki_hash, sizeof(binding.spki_hash));
    if (!order_set(&binding.key_uri, note->key_uri, err) || !fill_old(&binding, note, err)) {
        return false;
    }
    if (note->cert != NULL) {
        if (X509_up_ref(note->cert) != 1) {
            return err_nomem(err);
        }
        binding.cert = note->cert;
    }
    return journal_note_binding(journal != NULL ? journal : opened, &binding, err);
}

/* Who binds, for the note. */
struct noting {
    struct app *app;
    const struct app_put *put;
};

static bool note(void *ctx, const struct keystore_old *old, size_t count, struct err *err)
{
    const struct noting *noting = ctx;
    struct app_note what = {.key_uri = noting->put->key_uri,
                            .spki_hash = noting->put->spki_hash,
                            .cert = noting->put->leaf,
                            .old = old,
                            .old_count = count};

    return app_note_old(noting->app, noting->put->journal, &what, err);
}

static bool put_on_token(struct app *app, const struct app_put *put, struct app_bound *out,
                         struct err *err)
{
    const struct config_token *section = app->selection.token;
    struct keystore_token token = app_token(section);
    struct noting noting = {.app = app, .put = put};
    struct keystore_put how = {
        .cert = put->leaf,
        .chain = str_equal(app->selection.profile->chain, "token") ? put->chain : NULL,
        .keep_old = put->keep_old,
        .max_size = (size_t)section->max_certificate_size,
        .attestation_missing = section->attest_first && !put->attested,
        .note = note,
        .note_ctx = &noting};

    if (keystore_put(app->keystore, &token, put->key_uri, &how, &out->report, err)) {
        return true;
    }
    if (err->code == E_POLICY && how.attestation_missing) {
        return err_wrap(
            err,
            "'attest_first' is set for token '%s'; name an 'evidence_dir' in the profile, "
            "or collect the attestation with 'p11enroll key evidence' and bind with "
            "--attested",
            section->name);
    }
    return false;
}

/* "file:///etc/ssl/www/fullchain.pem"; free() it. */
static char *file_uri(const char *dir)
{
    AUTO(buf) struct buf text = BUF_INIT(8192);
    AUTO(str) char *full = realpath(dir, NULL);

    buf_add_str(&text, "file://");
    str_percent_encode(&text, (const uint8_t *)full, full != NULL ? strlen(full) : 0, "/");
    buf_add_str(&text, "/fullchain.pem");
    return full != NULL ? buf_take_str(&text) : NULL;
}

static bool put_into_files(struct app *app, const struct app_put *put, const char *dir,
                           struct app_bound *out, struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);
    AUTO(keystore_wrapped) struct keystore_wrapped key = {.uri = NULL};
    struct keystore_wrap how = {.name_module = put->name_module,
                                .name_pin_source = put->name_pin_source};
    struct app_detached files = {.dir = dir, .leaf = put->leaf, .chain = put->chain, .key = &key};

    if (!keystore_wrap(app->keystore, &token, put->key_uri, &how, &key, err) ||
        !app_detach(&files, err)) {
        return err_wrap(err, "putting the certificate into files");
    }
    out->report = (struct keystore_put_report){.cert_uri = file_uri(dir)};
    out->detached_dir = str_dup(dir);
    out->key_uri = TAKE(key.uri);
    return (out->detached_dir != NULL && out->report.cert_uri != NULL) || err_nomem(err);
}

static bool put_somewhere(struct app *app, const struct app_put *put, struct app_bound *out,
                          struct err *err)
{
    const struct config_token *section = app->selection.token;
    AUTO(str) char *dir = NULL;

    if (put->detached_dir != NULL) {
        return put_into_files(app, put, put->detached_dir, out, err);
    }
    if (section->certificates == CONFIG_CERTS_TOKEN) {
        return put_on_token(app, put, out, err);
    }
    if (section->detached_dir == NULL) {
        return err_set(err, E_CONFIG,
                       "certificates of token '%s' go into files ('certificates = detached'), and "
                       "it is not said where ('detached_dir', or 'cert bind --detached')",
                       section->name);
    }
    dir = app_detached_dir(section->detached_dir, put->leaf);
    return dir != NULL ? put_into_files(app, put, dir, out, err) : err_nomem(err);
}

bool app_put(struct app *app, const struct app_put *put, struct app_bound *out, struct err *err)
{
    struct app_put known = *put;
    bool attested = false;

    *out = (struct app_bound){.detached_dir = NULL};
    if (!app_evidence_gate(app, put->key_uri, &attested, err)) {
        return false;
    }
    known.attested = put->attested || attested;
    return put_somewhere(app, &known, out, err);
}
