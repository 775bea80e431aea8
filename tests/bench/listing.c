/* Listing a whole token: how many objects come, when the first does, and when the last. */
#include "ways.h"

#include <openssl/store.h>
#include <stdio.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int bench_list(struct bench *b)
{
    char uri[256];
    long count = 0;
    double first = 0;

    way_open_provider(b);
    b->raw = raw_open(b->module, b->token, b->pin, 0);
    double start = now_ms();
    long raw = raw_list(&b->raw);
    double raw_ms = now_ms() - start;

    (void)snprintf(uri, sizeof(uri), "pkcs11:token=%s?%s", b->token, way_query(b));
    long before = resident_kb();
    start = now_ms();
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, b->lib, NULL, NULL, NULL, NULL, NULL, NULL);
    while (store != NULL && OSSL_STORE_eof(store) == 0) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        count += info != NULL ? 1 : 0;
        first = count == 1 && first == 0 ? now_ms() - start : first;
        OSSL_STORE_INFO_free(info);
    }
    double total = now_ms() - start;
    long after = resident_kb();
    OSSL_STORE_close(store);
    printf("%ld %.1f %ld %.1f %.1f %ld\n", raw, raw_ms, count, first, total, after - before);
    return 0;
}
