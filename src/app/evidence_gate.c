#include "app/evidence.h"

#include "base/file.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static bool is_wanted(const struct config_profile *profile)
{
    return profile->evidence_dir != NULL && profile->evidence_dir[0] != '\0';
}

/* DIR/ID.json: the id of a key is never used twice, and no binding changes it. */
static bool path_of(const struct config_profile *profile, const struct keystore_key *key,
                    char **out, struct err *err)
{
    AUTO(buf) struct buf name = BUF_INIT(2 * KEYSTORE_ID_MAX + 8);

    if (key->id_len == 0) {
        return err_set(err, E_EVIDENCE, "key '%s' has no CKA_ID to name its evidence by",
                       key->label);
    }
    str_add_hex(&name, key->id, key->id_len, '\0');
    buf_add_str(&name, ".json");
    *out = file_join(profile->evidence_dir, buf_str(&name));
    return *out != NULL || err_nomem(err);
}

/* Whether the file is sound evidence of that very key. */
static bool is_of_key(const char *path, const struct keystore_key *key, bool need_attestation,
                      bool *attested, struct err *err)
{
    struct app_evidence_verdict verdict;
    struct app_evidence_files files = {.evidence = path};
    AUTO(buf) struct buf hex = BUF_INIT(APP_HASH_TEXT);
    uint8_t hash[X509_SPKI_HASH_LEN];

    if (!x509_spki_hash(key->pkey, hash, err) || !app_evidence_verify(&files, 0, &verdict, err)) {
        return false;
    }
    str_add_hex(&hex, hash, sizeof(hash), '\0');
    if (!str_equal(verdict.public_key_sha256, buf_str(&hex))) {
        return err_set(err, E_EVIDENCE, "%s is evidence of another key than '%s'", path,
                       key->label);
    }
    for (size_t i = 0; i < verdict.count; i++) {
        const struct app_evidence_check *check = &verdict.checks[i];
        bool is_missing = need_attestation && str_equal(check->name, "attestation") &&
                          check->result != APP_CHECK_OK;
        /* the policy is judged where the key is made or chosen */
        bool is_broken = check->result == APP_CHECK_FAILED && !str_equal(check->name, "policy");
        if (is_missing || is_broken) {
            return err_set(err, E_EVIDENCE, "%s: %s: %s", path, check->title, check->detail);
        }
    }
    *attested = verdict.attestation_kept;
    return true;
}

bool app_evidence_keep(struct app *app, const struct keystore_key *key, const char *dropped,
                       struct err *err)
{
    const struct config_profile *profile = app->selection.profile;
    AUTO(str) char *path = NULL;
    AUTO(app_evidence) struct app_evidence evidence;
    bool attested = false;

    app_evidence_init(&evidence);
    if (!is_wanted(profile)) {
        return true;
    }
    if (!path_of(profile, key, &path, err)) {
        return false;
    }
    if (file_exists(path)) { /* of an earlier run */
        return is_of_key(path, key, profile->require_attestation, &attested, err);
    }
    struct app_evidence_request request = {
        .key_uri = key->uri, .dropped = dropped, .need_attestation = profile->require_attestation};
    return file_make_private_dir(profile->evidence_dir, err) &&
           app_evidence_collect(app, &request, &evidence, err) &&
           file_write_atomic(path, buf_str(&evidence.document), evidence.document.len, 0644, err);
}

bool app_evidence_gate(struct app *app, const char *key_uri, bool *attested, struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);
    const struct config_profile *profile = app->selection.profile;
    AUTO(keystore_key) struct keystore_key key = {.pkey = NULL};
    AUTO(str) char *path = NULL;

    if (!is_wanted(profile)) {
        return true;
    }
    if (!keystore_find(app->keystore, &token, key_uri, &key, err) ||
        !path_of(profile, &key, &path, err)) {
        return false;
    }
    if (!file_exists(path)) {
        return err_set(err, E_EVIDENCE,
                       "the profile '%s' wants evidence of key '%s' before a certificate is bound, "
                       "because binding destroys the attestation on some devices, and %s is not "
                       "there; collect it with 'p11enroll key evidence %s --out %s'",
                       profile->name, key.label, path, key.uri, path);
    }
    return is_of_key(path, &key, profile->require_attestation, attested, err);
}
