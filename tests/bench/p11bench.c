/*
 * The measuring half of the benchmarks; tests/bench/run.py prepares tokens and does the sums.
 *
 *   p11bench populate MODULE TOKEN FIRST LAST     P-256 pairs k-FIRST .. k-(LAST-1), and RSA "rsa"
 *   p11bench floor    MODULE TOKEN LABEL          one cold start: load, log in, find, sign
 *   p11bench sign     MODULE TOKEN LABEL KIND ROUNDS MS
 *   p11bench lookup   MODULE TOKEN LABEL ROUNDS MS
 *
 * The PIN is the first line of standard input. "sign" and "lookup" print one line for each round:
 * operations per second of the raw token, of the provider and, if it is installed, of the pkcs11
 * engine, measured one after the other in each round on the same token in the same process.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the engine, our peer, has no other door */
#include "raw.h"

#include <openssl/engine.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PIN = 128, URI = 512 };

struct bench {
    const char *module;
    const char *token;
    const char *label;
    char pin[PIN];
    struct raw raw;
    CK_OBJECT_HANDLE raw_key;
    int rsa;
    OSSL_LIB_CTX *lib;
    char uri[URI];
    EVP_PKEY *provider_key;
    EVP_PKEY *engine_key;
};

static const uint8_t message[] = "what all three ways sign";

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static EVP_PKEY *load(const struct bench *b)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(b->uri, b->lib, NULL, NULL, NULL, NULL, NULL, NULL);
    if (store == NULL) {
        die("OSSL_STORE_open_ex", 0);
    }
    OSSL_STORE_INFO *info = OSSL_STORE_load(store);
    EVP_PKEY *key = info == NULL ? NULL : OSSL_STORE_INFO_get1_PKEY(info);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    if (key == NULL) {
        die("the provider does not find the key", 0);
    }
    return key;
}

/* The provider in a library context of its own, as a program that configures it has it. */
static void open_provider(struct bench *b)
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
    (void)snprintf(b->uri, sizeof(b->uri),
                   "pkcs11:token=%s;object=%s;type=private?module-path=%s&pin-source=%s", b->token,
                   b->label, b->module, pin_source);
}

static EVP_PKEY *load_from_engine(const struct bench *b, ENGINE *engine)
{
    char uri[URI];

    (void)snprintf(uri, sizeof(uri), "pkcs11:token=%s;object=%s;type=private", b->token, b->label);
    return ENGINE_load_private_key(engine, uri, NULL, NULL);
}

static ENGINE *open_engine(const struct bench *b)
{
    ENGINE_load_dynamic();
    ENGINE *engine = ENGINE_by_id("pkcs11");
    if (engine == NULL) {
        return NULL;
    }
    if (ENGINE_ctrl_cmd_string(engine, "MODULE_PATH", b->module, 0) != 1 ||
        ENGINE_ctrl_cmd_string(engine, "PIN", b->pin, 0) != 1 || ENGINE_init(engine) != 1) {
        die("the pkcs11 engine does not start", 0);
    }
    return engine;
}

static void sign(const struct bench *b, EVP_PKEY *key)
{
    uint8_t sig[512];
    size_t len = sizeof(sig);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    /* the engine's key belongs to the default library context */
    OSSL_LIB_CTX *lib = key == b->engine_key ? NULL : b->lib;
    if (EVP_DigestSignInit_ex(ctx, NULL, "SHA256", lib, NULL, key, NULL) != 1 ||
        EVP_DigestSign(ctx, sig, &len, message, sizeof(message)) != 1) {
        die("EVP_DigestSign", 0);
    }
    EVP_MD_CTX_free(ctx);
}

static void op_raw_sign(struct bench *b)
{
    uint8_t digest[32];

    if (EVP_Q_digest(NULL, "SHA256", NULL, message, sizeof(message), digest, NULL) != 1) {
        die("EVP_Q_digest", 0);
    }
    raw_sign(&b->raw, b->raw_key, b->rsa, digest);
}

static void op_provider_sign(struct bench *b)
{
    sign(b, b->provider_key);
}

static void op_engine_sign(struct bench *b)
{
    sign(b, b->engine_key);
}

static void op_raw_find(struct bench *b)
{
    raw_find_pair(&b->raw, b->label);
}

static void op_provider_find(struct bench *b)
{
    EVP_PKEY_free(load(b));
}

/* Operations per second over at least the given time. */
static double rate(struct bench *b, void (*op)(struct bench *), double seconds)
{
    long count = 0;
    double start = now();
    double end = start;

    do {
        op(b);
        count++;
        end = now();
    } while (end - start < seconds);
    return (double)count / (end - start);
}

static int run_sign(struct bench *b, char **argv)
{
    b->rsa = strcmp(argv[0], "rsa") == 0;
    long rounds = strtol(argv[1], NULL, 10);
    double seconds = strtod(argv[2], NULL) / 1000;

    open_provider(b);
    b->provider_key = load(b);
    b->raw = raw_open(b->module, b->token, b->pin, 0);
    b->raw_key = raw_find(&b->raw, b->label);
    ENGINE *engine = open_engine(b);
    b->engine_key = engine == NULL ? NULL : load_from_engine(b, engine);
    for (long i = 0; i < rounds; i++) {
        double raw = rate(b, op_raw_sign, seconds);
        double provider = rate(b, op_provider_sign, seconds);
        double peer = b->engine_key == NULL ? 0 : rate(b, op_engine_sign, seconds);
        printf("%.2f %.2f %.2f\n", raw, provider, peer);
    }
    return 0;
}

static int run_lookup(struct bench *b, char **argv)
{
    long rounds = strtol(argv[0], NULL, 10);
    double seconds = strtod(argv[1], NULL) / 1000;

    open_provider(b);
    EVP_PKEY_free(load(b));
    b->raw = raw_open(b->module, b->token, b->pin, 0);
    for (long i = 0; i < rounds; i++) {
        double raw = rate(b, op_raw_find, seconds);
        double provider = rate(b, op_provider_find, seconds);
        printf("%.2f %.2f 0\n", raw, provider);
    }
    return 0;
}

static int run_floor(struct bench *b)
{
    uint8_t digest[32] = {0};

    b->raw = raw_open(b->module, b->token, b->pin, 0);
    raw_sign(&b->raw, raw_find(&b->raw, b->label), 0, digest);
    (void)b->raw.p11->C_Finalize(NULL);
    return 0;
}

static int run_populate(struct bench *b, char **argv)
{
    long first = strtol(argv[-1], NULL, 10);

    b->raw = raw_open(b->module, b->token, b->pin, 1);
    raw_generate_ec(&b->raw, first, strtol(argv[0], NULL, 10));
    if (first == 0) {
        raw_generate_rsa(&b->raw, "rsa");
    }
    (void)b->raw.p11->C_Finalize(NULL);
    return 0;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    int status = 2;

    if (argc < 5 || fgets(b.pin, sizeof(b.pin), stdin) == NULL) {
        (void)fputs("p11bench: see the head of p11bench.c; the PIN comes on standard input\n",
                    stderr);
        return status;
    }
    b.pin[strcspn(b.pin, "\n")] = '\0';
    b.module = argv[2];
    b.token = argv[3];
    b.label = argv[4];
    if (strcmp(argv[1], "populate") == 0 && argc == 6) {
        status = run_populate(&b, argv + 5);
    } else if (strcmp(argv[1], "floor") == 0 && argc == 5) {
        status = run_floor(&b);
    } else if (strcmp(argv[1], "sign") == 0 && argc == 8) {
        status = run_sign(&b, argv + 5);
    } else if (strcmp(argv[1], "lookup") == 0 && argc == 7) {
        status = run_lookup(&b, argv + 5);
    }
    (void)fflush(stdout);
    _exit(status); /* three owners share one module here: none of them is asked to tidy up */
}
