/* PKCS#12 files with client identities, through keystore_open(). */
#include "fuzz/fuzz.h"

#include "fuzz/memory_file.h"
#include "keystore/ks.h"

#include <openssl/err.h>

static void try(const char *path, const char *alias, const char *source)
{
    struct keystore store = {.secrets = {.prompt = memory_file_password}};
    struct keystore_source from = {.cert = path, .alias = alias, .password_source = source};
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(memory_file) struct memory_file file = {.fd = -1};

    if (memory_file_is_slow(data, size)) {
        return 0;
    }
    memory_file_open(&file, data, size);
    try(file.path, NULL, "prompt");
    try(file.path, "first", "prompt");
    try(file.path, NULL, NULL);
    return 0;
}
