/*
 * The ways to a token's key that are compared: the raw token, a session copy of its key, the
 * provider, and the peers that are installed. Everything here ends the program when it fails.
 */
#ifndef BENCH_WAYS_H
#define BENCH_WAYS_H

#include "raw.h"

#include <openssl/evp.h>

struct bench {
    const char *module;
    const char *token;
    const char *label;
    char pin[128];
    struct raw raw;
    CK_OBJECT_HANDLE raw_key;
    CK_OBJECT_HANDLE raw_copy;
    int rsa;
    OSSL_LIB_CTX *lib; /* of p11enroll.so */
    char uri[512];
    char query[256];
    EVP_PKEY *provider_key;
    OSSL_LIB_CTX *peer_lib; /* of pkcs11-provider; NULL: it is not there */
    EVP_PKEY *peer_key;
    EVP_PKEY *engine_key;
};

/* The provider in a library context of its own, as a program that configures it has it. The
 * environment says where: P11ENROLL_PROVIDER_DIR, P11ENROLL_PIN_SOURCE. */
void way_open_provider(struct bench *b);

/* Loads b->label through a library context. */
EVP_PKEY *way_load(const struct bench *b, OSSL_LIB_CTX *lib, const char *uri);

/* P11BENCH_PEER_CONF names an openssl.cnf with pkcs11-provider; without it there is none. */
void way_open_peer(struct bench *b);

/* The pkcs11 engine of libp11, if it is installed. */
void way_open_engine(struct bench *b);

/* ROUNDS MS THREADS: one line for each round, "rate cpu" of each way: raw, copy, p11enroll with a
 * context that is kept, p11enroll, pkcs11-provider, engine; zeros for who is not there. */
int bench_sign(struct bench *b, char **argv);

/* The query part of a URI: where the module and the PIN are. */
const char *way_query(const struct bench *b);

/* Memory of this process, in kB. */
long resident_kb(void);

/* One line: objects and milliseconds of the raw token, objects, milliseconds to the first and to
 * the last through p11enroll.so, and by how many kB the process grew. */
int bench_list(struct bench *b);

/* COUNT: so many signatures in one process; prints resident memory (kB) and the token's sessions at
 * eleven points. */
int bench_many(struct bench *b, char **argv);

#endif
