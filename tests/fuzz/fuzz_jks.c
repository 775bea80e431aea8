/* Java keystores, as client identities and as trust stores. */
#include "fuzz/fuzz.h"

#include "fuzz/memory_file.h"
#include "keystore/jks.h"
#include "keystore/ks.h"
#include "x509/x509.h"

#include <openssl/err.h>

/* keytool takes no password shorter than this. */
static bool password(void *ctx UNUSED, const char *what UNUSED, struct secret *out, struct err *err)
{
    return secret_set(out, "123456", 6, err);
}

static void try_identity(const char *path, const char *alias)
{
    struct keystore store = {.secrets = {.prompt = password}};
    struct keystore_source from = {.cert = path, .alias = alias, .password_source = "prompt"};
    AUTO(keystore_identity) struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    if (keystore_open(&store, &from, &identity, &err)) {
        CHECK(identity.key != NULL && identity.cert != NULL && identity.chain != NULL);
    } else {
        CHECK_ERR(err);
        CHECK(identity.key == NULL);
    }
    ERR_clear_error();
}

static void try_trust(const char *path)
{
    struct keystore store = {.secrets = {.prompt = password}};
    struct keystore_trust from = {.path = path, .type = KEYSTORE_JKS};
    AUTO(x509_store) X509_STORE *trust = NULL;
    struct err err = ERR_INIT;

    if (!keystore_trust_open(&store, &from, &trust, &err)) {
        CHECK_ERR(err);
        CHECK(trust == NULL);
    }
    ERR_clear_error();
}

/* The digest keeps most changed inputs from what is behind it, so keys are tried without it. */
static void try_keys(const uint8_t *data, size_t size)
{
    AUTO(jks) struct jks jks = {.entries = NULL};
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    if (!jks_parse(data, size, &jks, &err)) {
        CHECK_ERR(err);
        CHECK(jks.entries == NULL);
        return;
    }
    CHECK(secret_set(&secret, "123456", 6, &err));
    for (size_t i = 0; i < jks.count; i++) {
        AUTO(secret) struct secret plain = SECRET_INIT;
        bool fits = false;
        CHECK(jks.entries[i].cert_count <= JKS_CHAIN_MAX);
        if (jks.entries[i].is_key &&
            !jks_unlock(&jks.entries[i].key, &secret, &fits, &plain, &err)) {
            CHECK_ERR(err);
        }
    }
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(memory_file) struct memory_file file = {.fd = -1};

    try_keys(data, size);
    if (!jks_is(data, size)) {
        return 0;
    }
    memory_file_open(&file, data, size);
    try_identity(file.path, NULL);
    try_identity(file.path, "admin");
    try_trust(file.path);
    return 0;
}
