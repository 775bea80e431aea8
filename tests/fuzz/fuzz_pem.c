/* PEM files with client identities, through keystore_open(). */
#include "fuzz/fuzz.h"

#include "fuzz/memory_file.h"
#include "keystore/ks.h"

#include <openssl/err.h>
#include <openssl/evp.h>

/* The base64 of each line begins at a multiple of four, so lines decode by themselves. */
static bool is_slow(const char *text)
{
    unsigned char der[4096];
    size_t used = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, "\r\n");
        if (len > 0 && len % 4 == 0 && len < 1024 && used + len < sizeof(der) && text[0] != '-') {
            int got = EVP_DecodeBlock(der + used, (const unsigned char *)text, (int)len);
            used += got > 0 ? (size_t)got : 0;
        }
        text += len;
        text += strspn(text, "\r\n");
    }
    return memory_file_is_slow(der, used);
}

static void try(const char *path, const char *source)
{
    struct keystore store = {.secrets = {.prompt = memory_file_password}};
    struct keystore_source from = {.cert = path, .password_source = source};
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
    AUTO(str) char *text = fuzz_text(data, size);
    AUTO(memory_file) struct memory_file file = {.fd = -1};

    /* Without the words of PEM the bytes would be taken for PKCS#12, which has a target. */
    if (strstr(text, "-----BEGIN ") == NULL || is_slow(text)) {
        return 0;
    }
    memory_file_open(&file, data, size);
    try(file.path, "prompt");
    try(file.path, NULL);
    return 0;
}
