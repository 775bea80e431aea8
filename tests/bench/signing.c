/* Signatures per second, and what they cost: see ways.h. */
#include "ways.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 8, BATCH = 16, MESSAGE = 64, POINTS = 10 };

static const uint8_t message[MESSAGE] = "what all ways sign";

/* One thread that signs in one way. */
struct signer {
    struct bench *b;
    void (*op)(struct signer *s);
    double seconds;
    /* what the way needs for itself */
    struct raw raw;
    CK_OBJECT_HANDLE handle;
    OSSL_LIB_CTX *lib;
    EVP_PKEY *key;
    EVP_PKEY_CTX *kept;
    uint8_t digest[32];
    /* result */
    long count;
    double cpu;
};

static double clock_of(clockid_t id)
{
    struct timespec t;

    (void)clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void op_raw(struct signer *s)
{
    raw_sign(&s->raw, s->handle, s->b->rsa, s->digest);
}

/* One context for many digests: EVP_PKEY_sign() of what the raw way signs. */
static void op_kept(struct signer *s)
{
    uint8_t value[512];
    size_t len = sizeof(value);

    if (EVP_PKEY_sign(s->kept, value, &len, s->digest, sizeof(s->digest)) != 1) {
        die("EVP_PKEY_sign", 0);
    }
}

/* As TLS does it: a context for each signature, and the message is hashed as well. */
static void op_digest(struct signer *s)
{
    uint8_t value[512];
    size_t len = sizeof(value);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (EVP_DigestSignInit_ex(ctx, NULL, "SHA256", s->lib, NULL, s->key, NULL) != 1 ||
        EVP_DigestSign(ctx, value, &len, message, sizeof(message)) != 1) {
        die("EVP_DigestSign", 0);
    }
    EVP_MD_CTX_free(ctx);
}

static void *run(void *arg)
{
    struct signer *s = arg;
    double cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
    double end = clock_of(CLOCK_MONOTONIC) + s->seconds;

    do {
        for (int i = 0; i < BATCH; i++) {
            s->op(s);
        }
        s->count += BATCH;
    } while (clock_of(CLOCK_MONOTONIC) < end);
    s->cpu = clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
    return NULL;
}

/* One way in one round, with so many threads; prints "rate cpu". */
static void measure(struct signer *signers, int threads)
{
    pthread_t thread[THREADS_MAX];
    double start = clock_of(CLOCK_MONOTONIC);
    double cpu = 0;
    long count = 0;

    if (signers[0].op == NULL) {
        printf("0 0 ");
        return;
    }
    for (int i = 0; i < threads; i++) {
        signers[i].count = 0;
        if (pthread_create(&thread[i], NULL, run, &signers[i]) != 0) {
            die("pthread_create", 0);
        }
    }
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(thread[i], NULL);
        count += signers[i].count;
        cpu += signers[i].cpu;
    }
    printf("%.2f %.3f ", (double)count / (clock_of(CLOCK_MONOTONIC) - start),
           1e6 * cpu / (double)count);
}

static struct signer signer_of(struct bench *b, void (*op)(struct signer *s), double seconds)
{
    struct signer s = {.b = b, .op = op, .seconds = seconds};

    if (EVP_Q_digest(NULL, "SHA256", NULL, message, sizeof(message), s.digest, NULL) != 1) {
        die("EVP_Q_digest", 0);
    }
    return s;
}

static struct signer raw_signer(struct bench *b, CK_OBJECT_HANDLE handle, double seconds)
{
    struct signer s = signer_of(b, op_raw, seconds);

    s.raw = raw_another_session(&b->raw);
    s.handle = handle;
    return s;
}

static struct signer key_signer(struct bench *b, void (*op)(struct signer *s), OSSL_LIB_CTX *lib,
                                EVP_PKEY *key, double seconds)
{
    struct signer s = signer_of(b, key != NULL ? op : NULL, seconds);

    s.lib = lib;
    s.key = key;
    if (op == op_kept) {
        s.kept = EVP_PKEY_CTX_new_from_pkey(lib, key, NULL);
        if (s.kept == NULL || EVP_PKEY_sign_init(s.kept) != 1 ||
            EVP_PKEY_CTX_set_signature_md(s.kept, EVP_sha256()) != 1) {
            die("EVP_PKEY_sign_init", 0);
        }
    }
    return s;
}

static void prepare(struct bench *b)
{
    way_open_provider(b);
    b->provider_key = way_load(b, b->lib, b->uri);
    way_open_engine(b); /* before there are copies: it would take one of them for the key */
    b->raw = raw_open(b->module, b->token, b->pin, 0);
    b->raw_key = raw_find(&b->raw, b->label);
    way_open_peer(b);
    b->raw_copy = raw_copy(&b->raw, b->raw_key);
}

int bench_sign(struct bench *b, char **argv)
{
    enum { RAW, COPY, KEPT, OURS, PEER, ENGINE_WAY, WAYS };
    static struct signer signers[WAYS][THREADS_MAX];

    b->rsa = strcmp(argv[0], "rsa") == 0;
    long rounds = strtol(argv[1], NULL, 10);
    double seconds = strtod(argv[2], NULL) / 1000;
    int threads = (int)strtol(argv[3], NULL, 10);

    prepare(b);
    for (int i = 0; i < threads && i < THREADS_MAX; i++) {
        signers[RAW][i] = raw_signer(b, b->raw_key, seconds);
        signers[COPY][i] = raw_signer(b, b->raw_copy, seconds);
        signers[KEPT][i] = key_signer(b, op_kept, b->lib, b->provider_key, seconds);
        signers[OURS][i] = key_signer(b, op_digest, b->lib, b->provider_key, seconds);
        signers[PEER][i] = key_signer(b, op_digest, b->peer_lib, b->peer_key, seconds);
        signers[ENGINE_WAY][i] = key_signer(b, op_digest, NULL, b->engine_key, seconds);
    }
    for (long round = 0; round < rounds; round++) {
        for (int way = 0; way < WAYS; way++) {
            measure(signers[way], threads);
        }
        printf("\n");
    }
    return 0;
}

int bench_many(struct bench *b, char **argv)
{
    long count = strtol(argv[0], NULL, 10);

    way_open_provider(b);
    b->provider_key = way_load(b, b->lib, b->uri);
    struct signer s = key_signer(b, op_digest, b->lib, b->provider_key, 0);
    for (long i = 0; i <= count; i++) {
        if (i % (count / POINTS) == 0) {
            printf("%ld %ld\n", i, resident_kb());
            (void)fflush(stdout);
        }
        s.op(&s);
    }
    return 0;
}
