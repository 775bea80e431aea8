#include "cli/cli.h"

#include "base/str.h"
#include "cli/token.h"
#include "hsm/selftest.h"
#include "x509/x509.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SESSIONS_TRIED = 8, CERT_DAYS_S = 24 * 3600 };

/* The kinds of keys that 'key generate' makes. */
static const char *const kinds[] = {"rsa:2048", "rsa:3072", "rsa:4096", "ec:P-256",
                                    "ec:P-384", "ec:P-521", "ed25519",  "ed448"};

struct run {
    struct cli *cli;
    struct hsm_selftest test;
    struct keystore_token token;
    size_t passed, failed;
    struct err first; /* of the failures */
};

static const struct out_column columns[] = {
    {"check", "CHECK", 34, false},
    {"result", "RESULT", 11, false},
    {"reason", "REASON", 0, false},
};

static void report(struct run *run, const char *check, const char *result, const char *reason)
{
    const char *cells[] = {check, result, reason};

    out_row(&run->cli->out, cells);
}

/* One line; err is the reason of a failure. Returns ok. */
static bool note(struct run *run, const char *check, bool ok, const struct err *err)
{
    report(run, check, ok ? "ok" : "failed", ok ? NULL : err->msg);
    if (ok) {
        run->passed++;
    } else if (run->failed++ == 0) {
        run->first = *err;
    }
    return ok;
}

static void check_sessions(struct run *run)
{
    struct err err = ERR_INIT;
    size_t opened = 0;
    char what[48];

    bool ok = hsm_selftest_sessions(run->test.token, SESSIONS_TRIED, &opened, &err);
    (void)snprintf(what, sizeof(what), "%d sessions at a time", SESSIONS_TRIED);
    if (!ok) {
        (void)err_wrap(&err, "after %zu", opened);
    }
    (void)note(run, what, ok, &err);
}

/* A signature by the key in the token, verified by OpenSSL's own code with the public half alone.
 */
static bool sign_and_verify(const struct keystore_key *key, struct err *err)
{
    AUTO(buf) struct buf pem = BUF_INIT(1 << 16);
    AUTO(x509_req) X509_REQ *request = NULL;
    AUTO(x509_names) struct x509_names names = {.count = 0};
    struct x509_csr csr = {.subject = "CN=p11enroll token test", .names = &names};

    if (!x509_csr_create(&csr, key->pkey, &pem, err) ||
        !x509_csr_parse(buf_str(&pem), &request, err)) {
        return false;
    }
    return X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) == 1 ||
           err_set_ssl(err, E_TOKEN, "the signature does not verify");
}

static bool build_certificate(EVP_PKEY *key, X509 *cert)
{
    X509_NAME *name = X509_get_subject_name(cert);
    const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") == 1 || EVP_PKEY_is_a(key, "ED448") == 1
                           ? NULL
                           : EVP_sha256();

    return X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), 0) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), CERT_DAYS_S) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                      (const unsigned char *)"p11enroll token test", -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
           X509_sign(cert, key, md) > 0;
}

/* A certificate that the key signs for itself: written, read back in a new session. */
static bool put_certificate(struct run *run, const struct keystore_key *key, struct err *err)
{
    AUTO(x509) X509 *cert = X509_new();
    struct keystore_put_report done = {.cert_uri = NULL};

    if (cert == NULL || !build_certificate(key->pkey, cert)) {
        return err_set_ssl(err, E_TOKEN, "signing a certificate");
    }
    struct keystore_put put = {.cert = cert};
    bool ok = keystore_put(run->cli->keystore, &run->token, key->uri, &put, &done, err);
    free(done.cert_uri);
    return ok;
}

/* What is tried with the first key that could be made. The change of its id comes last. */
static void check_objects(struct run *run, const struct keystore_key *key)
{
    struct hsm_id id = {.set = true, .len = key->id_len};
    struct err err = ERR_INIT;

    memcpy(id.data, key->id, key->id_len);
    (void)note(run, "certificate: write, read back", put_certificate(run, key, &err), &err);
    err_clear(&err);
    bool copies = hsm_selftest_copy(&run->test, &id, &err);
    report(run, "copy of a key", copies ? "ok" : "not offered", copies ? NULL : err.msg);
    err_clear(&err);
    bool changes = hsm_selftest_change_id(&run->test, &id, &err);
    report(run, "change of an id", changes ? "ok" : "not offered", changes ? NULL : err.msg);
}

/* The token refused attributes, and was asked for less. */
static void tell_refusal(void *ctx, const char *left_out UNUSED, const char *sentence)
{
    report(ctx, "attributes of a key", "not all", sentence);
}

/* Makes a key of the kind and signs with it. True if there is one now. */
static bool check_kind(struct run *run, const char *kind, struct keystore_key *key)
{
    struct hsm_key_spec spec;
    struct hsm_id id = {.set = false};
    struct err err = ERR_INIT;
    char what[48];
    char label[96];
    char why[128] = "";

    if (!hsm_key_spec_parse(kind, &spec, &err)) {
        return note(run, kind, false, &err);
    }
    (void)snprintf(what, sizeof(what), "%s: generate, read back", hsm_key_spec_name(&spec));
    if (!hsm_selftest_offers(run->test.token, &spec, why, sizeof(why))) {
        report(run, what, "not offered", why);
        return false;
    }
    (void)snprintf(label, sizeof(label), "%s-%s", run->test.label, kind);
    struct keystore_new wanted = {
        .key_type = kind, .id = id.data, .label = label, .told = tell_refusal, .ctx = run};
    bool made = hsm_selftest_id(&run->test, &id, &err);
    wanted.id_len = id.len;
    made = made && keystore_generate(run->cli->keystore, &run->token, &wanted, key, &err);
    if (!note(run, what, made, &err)) {
        return false;
    }
    (void)snprintf(what, sizeof(what), "%s: sign, verify", hsm_key_spec_name(&spec));
    (void)note(run, what, sign_and_verify(key, &err), &err);
    return true;
}

static void check_kinds(struct run *run)
{
    bool tried_objects = false;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        AUTO(keystore_key) struct keystore_key key = {.pkey = NULL};
        if (run->cli->env->stop != NULL && *run->cli->env->stop) {
            return;
        }
        if (check_kind(run, kinds[i], &key) && !tried_objects) {
            tried_objects = true;
            check_objects(run, &key);
        }
    }
}

/* Whatever happened before: everything that was made goes, and a new session looks for it. */
static void clean_up(struct run *run)
{
    struct err err = ERR_INIT;
    size_t removed = 0;
    size_t left = 0;

    bool ok = hsm_selftest_clean(&run->test, &removed, &err);
    struct err looking = ERR_INIT;
    if (hsm_selftest_left(&run->test, &left, &looking) && left > 0) {
        (void)(ok ? err_set(&err, E_TOKEN, "%zu objects are left", left)
                  : err_wrap(&err, "%zu objects are left, labelled %s...", left, run->test.label));
        ok = false;
    } else if (looking.code != E_NONE) {
        err = looking;
        ok = false;
    }
    (void)note(run, "everything removed again", ok, &err);
}

static bool may_write(const struct opts_token_test *opts, struct err *err)
{
    return opts->yes || isatty(STDIN_FILENO) == 1 ||
           err_set(err, E_USAGE,
                   "the test makes keys on the token and removes them again, which may take "
                   "minutes on a card and cost money on a service: --yes says that this is meant");
}

bool cmd_token_test(struct cli *cli, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    struct run run = {.cli = cli, .token = app_token(cli->selection.token)};

    if (!may_write(cli->opts, err) || !cli_app(cli, err) ||
        !cli_token_open(cli, NULL, true, &opened, err) ||
        !hsm_selftest_begin(&run.test, opened.token, err)) {
        return false;
    }
    out_text(&cli->out, "token", "Token", opened.token->info.label);
    out_text(&cli->out, "serial", "Serial", opened.token->info.serial);
    out_text(&cli->out, "label_prefix", "Labels begin with", run.test.label);
    out_table(&cli->out, "checks", columns, ARRAY_LEN(columns), NULL);
    (void)note(&run, "login", true, err);
    check_sessions(&run);
    check_kinds(&run);
    clean_up(&run);
    out_table_end(&cli->out);
    out_number(&cli->out, "passed", "Passed", (int64_t)run.passed);
    out_number(&cli->out, "failed", "Failed", (int64_t)run.failed);
    if (cli->env->stop != NULL && *cli->env->stop) {
        return err_set(err, E_INTERRUPTED, "interrupted; what was made is removed");
    }
    if (run.failed > 0) {
        *err = run.first;
        return err_wrap(err, "%zu of %zu checks failed, the first", run.failed,
                        run.failed + run.passed);
    }
    return true;
}
