/*
 * Token keys under load: many threads of one process sign and verify with several keys at once, and
 * then forked children do, all of them after the parent has logged in.
 *
 *   p11stress SECONDS URI...
 *
 * Prints "threads: N signed, N failed", the same for each child, and the first errors. Ends with 0
 * if nothing failed.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/store.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS = 8,
    CHILDREN = 4,
    CHILD_ROUNDS = 25,
    KEYS_MAX = 8,
    MESSAGE = 200,
    ERRORS_SHOWN = 5
};

struct key {
    EVP_PKEY *pkey;
    atomic_ulong signed_count;
    atomic_ulong failed_count;
};

static struct {
    struct key keys[KEYS_MAX];
    size_t key_count;
    atomic_bool stop;
    atomic_int errors_shown;
} stress;

static EVP_PKEY *load(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;

    while (store != NULL && key == NULL && OSSL_STORE_eof(store) == 0) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    return key;
}

/* Ed25519 signs messages whole and takes no digest. */
static const char *digest_of(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") == 1 ? NULL : "SHA256";
}

static bool verify(EVP_PKEY *key, const unsigned char *message, const unsigned char *signature,
                   size_t len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md != NULL &&
              EVP_DigestVerifyInit_ex(md, NULL, digest_of(key), NULL, NULL, key, NULL) == 1 &&
              EVP_DigestVerify(md, signature, len, message, MESSAGE) == 1;

    EVP_MD_CTX_free(md);
    return ok;
}

static bool sign_and_verify(EVP_PKEY *key)
{
    unsigned char message[MESSAGE];
    unsigned char signature[1024];
    size_t len = sizeof(signature);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md != NULL && RAND_bytes(message, sizeof(message)) == 1 &&
              EVP_DigestSignInit_ex(md, NULL, digest_of(key), NULL, NULL, key, NULL) == 1 &&
              EVP_DigestSign(md, signature, &len, message, sizeof(message)) == 1;

    EVP_MD_CTX_free(md);
    return ok && verify(key, message, signature, len);
}

static void one_round(struct key *key)
{
    if (sign_and_verify(key->pkey)) {
        atomic_fetch_add(&key->signed_count, 1);
        return;
    }
    atomic_fetch_add(&key->failed_count, 1);
    if (atomic_fetch_add(&stress.errors_shown, 1) < ERRORS_SHOWN) {
        ERR_print_errors_fp(stderr);
    }
    ERR_clear_error();
}

static void *work(void *arg)
{
    size_t at = *(const size_t *)arg;

    while (!atomic_load(&stress.stop)) {
        one_round(&stress.keys[at++ % stress.key_count]);
    }
    return NULL;
}

/* Prints the counts of all keys; true if nothing failed and every key was used. */
static bool report(const char *who)
{
    unsigned long good = 0;
    unsigned long bad = 0;
    bool each = true;

    for (size_t i = 0; i < stress.key_count; i++) {
        unsigned long count = atomic_load(&stress.keys[i].signed_count);
        each = each && count > 0;
        good += count;
        bad += atomic_load(&stress.keys[i].failed_count);
    }
    printf("%s: %lu signed, %lu failed\n", who, good, bad);
    (void)fflush(stdout);
    return each && bad == 0;
}

static void forget_counts(void)
{
    for (size_t i = 0; i < stress.key_count; i++) {
        atomic_store(&stress.keys[i].signed_count, 0);
        atomic_store(&stress.keys[i].failed_count, 0);
    }
    atomic_store(&stress.errors_shown, 0);
}

static bool run_threads(unsigned seconds)
{
    pthread_t threads[THREADS];
    size_t starts[THREADS];
    size_t started = 0;
    struct timespec pause = {.tv_sec = (time_t)seconds};

    for (size_t i = 0; i < THREADS; i++) {
        starts[i] = i;
        started += pthread_create(&threads[i], NULL, work, &starts[i]) == 0 ? 1 : 0;
    }
    while (nanosleep(&pause, &pause) != 0) {
    }
    atomic_store(&stress.stop, true);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    return report("threads") && started == THREADS;
}

/* Leaves by exit(), as programs do: the module's end in a child is part of what is tried. */
static void be_child(int number, int start_fd)
{
    char who[32];
    char byte = 0;

    forget_counts();
    (void)!read(start_fd, &byte, 1); /* ends when the parent closes its end: all start together */
    for (size_t i = 0; i < CHILD_ROUNDS * stress.key_count; i++) {
        one_round(&stress.keys[i % stress.key_count]);
    }
    (void)snprintf(who, sizeof(who), "child %d", number);
    exit(report(who) ? 0 : 1);
}

static bool run_children(void)
{
    pid_t pids[CHILDREN];
    int ends[2];
    bool ok = true;

    if (pipe(ends) != 0) {
        return false;
    }
    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            (void)close(ends[1]);
            be_child(i + 1, ends[0]);
        }
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    for (int i = 0; i < CHILDREN; i++) {
        int status = 0;
        ok = pids[i] > 0 && waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) &&
             WEXITSTATUS(status) == 0 && ok;
    }
    return ok;
}

/* The parent's own keys work on after its children have ended. */
static bool run_parent(void)
{
    forget_counts();
    for (size_t i = 0; i < stress.key_count; i++) {
        one_round(&stress.keys[i]);
    }
    return report("parent");
}

int main(int argc, char **argv)
{
    for (int i = 2; i < argc && i < KEYS_MAX + 2; i++) {
        struct key *key = &stress.keys[stress.key_count++];
        key->pkey = load(argv[i]);
        if (key->pkey == NULL) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
    }
    if (stress.key_count == 0) {
        (void)fprintf(stderr, "usage: p11stress SECONDS URI...\n");
        return 2;
    }
    bool threads = run_threads((unsigned)strtoul(argv[1], NULL, 10));
    bool children = run_children();
    bool parent = run_parent();
    for (size_t i = 0; i < stress.key_count; i++) {
        EVP_PKEY_free(stress.keys[i].pkey);
    }
    return threads && children && parent ? 0 : 1;
}
