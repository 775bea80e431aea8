/*
 * The measuring half of the benchmarks; tests/bench/run.py prepares tokens and does the sums.
 *
 *   p11bench populate MODULE TOKEN FIRST LAST     P-256 pairs k-FIRST .. k-(LAST-1), and RSA "rsa"
 *   p11bench floor    MODULE TOKEN LABEL          one cold start: load, log in, find, sign
 *   p11bench sign     MODULE TOKEN LABEL KIND ROUNDS MS THREADS
 *   p11bench list     MODULE TOKEN -
 *   p11bench many     MODULE TOKEN LABEL COUNT
 *   p11bench lookup   MODULE TOKEN LABEL ROUNDS MS
 *
 * The PIN is the first line of standard input. "sign" prints what ways.h says; "lookup" prints one
 * line for each round, searches per second of the raw token and of the provider, measured one after
 * the other in each round on the same token in the same process.
 */
#include "raw.h"
#include "ways.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void op_raw_find(struct bench *b)
{
    (void)raw_find_pair(&b->raw, b->label);
}

/* The public half as well: the provider looks for it when somebody asks. */
static void op_provider_find(struct bench *b)
{
    unsigned char point[256];
    size_t len = 0;
    EVP_PKEY *key = way_load(b, b->lib, b->uri);

    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) !=
        1) {
        die("the provider does not find the public half", 0);
    }
    EVP_PKEY_free(key);
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

static int run_lookup(struct bench *b, char **argv)
{
    long rounds = strtol(argv[0], NULL, 10);
    double seconds = strtod(argv[1], NULL) / 1000;

    way_open_provider(b);
    EVP_PKEY_free(way_load(b, b->lib, b->uri));
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
    raw_sign(&b->raw, raw_find_pair(&b->raw, b->label), 0, digest);
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
    } else if (strcmp(argv[1], "sign") == 0 && argc == 9) {
        status = bench_sign(&b, argv + 5);
    } else if (strcmp(argv[1], "list") == 0 && argc == 5) {
        status = bench_list(&b);
    } else if (strcmp(argv[1], "many") == 0 && argc == 6) {
        status = bench_many(&b, argv + 5);
    } else if (strcmp(argv[1], "lookup") == 0 && argc == 7) {
        status = run_lookup(&b, argv + 5);
    }
    (void)fflush(stdout);
    _exit(status); /* three owners share one module here: none of them is asked to tidy up */
}
