/* What a CA sends as certificates: taken apart, sorted, checked, written and read again. */
#include "fuzz/fuzz.h"

#include "x509/x509.h"

#include <openssl/err.h>

static void check_sorted(STACK_OF(X509) * certs)
{
    AUTO(x509) X509 *leaf = NULL;
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    struct x509_names none = X509_NAMES_INIT;
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;

    if (!x509_cert_spki_hash(sk_X509_value(certs, 0), hash, &err)) {
        CHECK_ERR(err);
        return;
    }
    CHECK(x509_sort_answer(certs, hash, &leaf, &chain, &err));
    CHECK(leaf != NULL && chain != NULL && sk_X509_num(chain) <= sk_X509_num(certs));
    struct x509_expectation expect = {.spki_hash = hash, .names = &none, .now_s = 1785542400};
    CHECK(!x509_verify_issued(leaf, chain, &expect, &err)); /* there are no roots */
    CHECK_ERR(err);
}

static void check_round_trip(STACK_OF(X509) * certs)
{
    AUTO(buf) struct buf pem = BUF_INIT(1 << 24);
    AUTO(x509_stack) STACK_OF(X509) *again = NULL;
    struct err err = ERR_INIT;

    CHECK(x509_chain_to_pem(certs, &pem, &err));
    if (pem.len < 1 << 20) {
        CHECK(x509_bundle_parse(pem.data, pem.len, &again, &err));
        CHECK(sk_X509_num(again) == sk_X509_num(certs));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    struct err err = ERR_INIT;

    ERR_clear_error();
    if (!x509_bundle_parse(data, size, &certs, &err)) {
        CHECK_ERR(err);
        CHECK(ERR_peek_error() == 0);
        return 0;
    }
    CHECK(sk_X509_num(certs) > 0 && sk_X509_num(certs) <= X509_BUNDLE_MAX);
    CHECK(ERR_peek_error() == 0);
    check_sorted(certs);
    check_round_trip(certs);
    return 0;
}
