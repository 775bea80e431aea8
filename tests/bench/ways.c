#define OPENSSL_SUPPRESS_DEPRECATED /* the engine, a peer, has no other door */
#include "ways.h"

#include <openssl/engine.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

EVP_PKEY *way_load(const struct bench *b, OSSL_LIB_CTX *lib, const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, lib, NULL, NULL, NULL, NULL, NULL, NULL);

    if (store == NULL) {
        die("OSSL_STORE_open_ex", 0);
    }
    OSSL_STORE_INFO *info = OSSL_STORE_load(store);
    EVP_PKEY *key = info == NULL ? NULL : OSSL_STORE_INFO_get1_PKEY(info);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    if (key == NULL) {
        die(b->label, 0);
    }
    return key;
}

void way_open_provider(struct bench *b)
{
    const char *dir = getenv("P11ENROLL_PROVIDER_DIR");
    const char *pin_source = getenv("P11ENROLL_PIN_SOURCE");

    b->lib = OSSL_LIB_CTX_new();
    if (dir == NULL || pin_source == NULL ||
        OSSL_PROVIDER_set_default_search_path(b->lib, dir) != 1 ||
        OSSL_PROVIDER_load(b->lib, "default") == NULL ||
        OSSL_PROVIDER_load(b->lib, "p11enroll") == NULL) {
        die("the provider does not load", 0);
    }
    (void)snprintf(b->query, sizeof(b->query), "module-path=%s&pin-source=%s", b->module,
                   pin_source);
    (void)snprintf(b->uri, sizeof(b->uri), "pkcs11:token=%s;object=%s;type=private?%s", b->token,
                   b->label, b->query);
}

const char *way_query(const struct bench *b)
{
    return b->query;
}

void way_open_peer(struct bench *b)
{
    const char *conf = getenv("P11BENCH_PEER_CONF");
    char uri[256];

    if (conf == NULL) {
        return;
    }
    b->peer_lib = OSSL_LIB_CTX_new();
    if (OSSL_LIB_CTX_load_config(b->peer_lib, conf) != 1) {
        die("pkcs11-provider does not load", 0);
    }
    (void)snprintf(uri, sizeof(uri), "pkcs11:token=%s;object=%s;type=private", b->token, b->label);
    b->peer_key = way_load(b, b->peer_lib, uri);
}

void way_open_engine(struct bench *b)
{
    char uri[256];

    ENGINE_load_dynamic();
    ENGINE *engine = ENGINE_by_id("pkcs11");
    if (engine == NULL) {
        return;
    }
    if (ENGINE_ctrl_cmd_string(engine, "MODULE_PATH", b->module, 0) != 1 ||
        ENGINE_ctrl_cmd_string(engine, "PIN", b->pin, 0) != 1 || ENGINE_init(engine) != 1) {
        die("the pkcs11 engine does not start", 0);
    }
    (void)snprintf(uri, sizeof(uri), "pkcs11:token=%s;object=%s;type=private", b->token, b->label);
    b->engine_key = ENGINE_load_private_key(engine, uri, NULL, NULL);
}

long resident_kb(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long total = 0;
    long resident = 0;

    if (file == NULL || fscanf(file, "%ld %ld", &total, &resident) != 2) {
        die("/proc/self/statm", 0);
    }
    (void)fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}
