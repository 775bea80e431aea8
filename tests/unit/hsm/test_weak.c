#include "hsm/weak.h"

#include "unit/unit.h"

#include <openssl/bn.h>
#include <openssl/evp.h>

DEFINE_AUTO(bignum, BIGNUM *, BN_free)
DEFINE_AUTO(bignum_ctx, BN_CTX *, BN_CTX_free)
DEFINE_AUTO(pkey, EVP_PKEY *, EVP_PKEY_free)

enum { PRIME_BITS = 512, PRIME_BYTES = PRIME_BITS / 8 };

static enum hsm_weakness weakness_of(const BIGNUM *n)
{
    uint8_t bytes[2 * PRIME_BYTES + 8];
    struct err err = ERR_INIT;
    enum hsm_weakness out = HSM_NOT_WEAK;
    int len = BN_bn2bin(n, bytes);

    assert_true(len > 0);
    assert_ok(hsm_weakness_of(bytes, (size_t)len, &out, &err), &err);
    return out;
}

static enum hsm_weakness weakness_of_product(const BIGNUM *p, const BIGNUM *q)
{
    AUTO(bignum_ctx) BN_CTX *ctx = BN_CTX_new();
    AUTO(bignum) BIGNUM *n = BN_new();

    assert_true(ctx != NULL && n != NULL && BN_mul(n, p, q, ctx) == 1);
    return weakness_of(n);
}

static BIGNUM *random_prime(void)
{
    BIGNUM *p = BN_new();

    assert_true(p != NULL && BN_generate_prime_ex(p, PRIME_BITS, 0, NULL, NULL, NULL) == 1);
    return p;
}

/* The product of the first 39 primes. */
static BIGNUM *primorial(void)
{
    BIGNUM *m = BN_new();

    assert_true(m != NULL && BN_set_word(m, 1) == 1);
    for (unsigned n = 2; n <= 167; n++) {
        bool prime = true;
        for (unsigned d = 2; d < n; d++) {
            prime = prime && n % d != 0;
        }
        assert_true(!prime || BN_mul_word(m, n) == 1);
    }
    return m;
}

/* A prime as the faulty library made them: k * M + (65537^a mod M). */
static BIGNUM *roca_prime(void)
{
    AUTO(bignum_ctx) BN_CTX *ctx = BN_CTX_new();
    AUTO(bignum) BIGNUM *m = primorial();
    AUTO(bignum) BIGNUM *k = BN_new();
    AUTO(bignum) BIGNUM *a = BN_new();
    AUTO(bignum) BIGNUM *generator = BN_new();
    BIGNUM *p = BN_new();

    assert_true(ctx != NULL && k != NULL && a != NULL && generator != NULL && p != NULL);
    assert_int_equal(BN_set_word(generator, 65537), 1);
    do {
        assert_int_equal(BN_rand(k, PRIME_BITS - BN_num_bits(m), BN_RAND_TOP_ONE, 0), 1);
        assert_int_equal(BN_rand(a, 62, BN_RAND_TOP_ANY, 0), 1);
        assert_true(BN_mod_exp(p, generator, a, m, ctx) == 1 && BN_mul(k, k, m, ctx) == 1 &&
                    BN_add(p, p, k) == 1);
    } while (BN_check_prime(p, ctx, NULL) != 1);
    return p;
}

/* The next prime after p whose difference from p takes Fermat's method about that many rounds:
 * the n-th finds p and q with (q - p)^2 = 8 n p. */
static BIGNUM *prime_at_rounds(const BIGNUM *p, unsigned rounds)
{
    AUTO(bignum_ctx) BN_CTX *ctx = BN_CTX_new();
    AUTO(bignum) BIGNUM *square = BN_dup(p);
    BIGNUM *q = BN_new();

    assert_true(ctx != NULL && square != NULL && q != NULL &&
                BN_mul_word(square, 8UL * rounds) == 1);
    /* the root, bit by bit from above */
    assert_int_equal(BN_set_word(q, 0), 1);
    for (int bit = BN_num_bits(square) / 2 + 1; bit >= 0; bit--) {
        AUTO(bignum) BIGNUM *try = BN_new();
        assert_true(try != NULL && BN_set_bit(q, bit) == 1 && BN_sqr(try, q, ctx) == 1);
        if (BN_cmp(try, square) > 0) {
            assert_int_equal(BN_clear_bit(q, bit), 1);
        }
    }
    assert_int_equal(BN_add(q, q, p), 1);
    assert_true(BN_is_odd(q) || BN_add_word(q, 1) == 1);
    while (BN_check_prime(q, ctx, NULL) != 1) {
        assert_int_equal(BN_add_word(q, 2), 1);
    }
    return q;
}

static void test_ordinary_moduli_are_not_weak(void **state UNUSED)
{
    for (int i = 0; i < 8; i++) {
        AUTO(bignum) BIGNUM *p = random_prime();
        AUTO(bignum) BIGNUM *q = random_prime();
        assert_int_equal(weakness_of_product(p, q), HSM_NOT_WEAK);
    }
}

static void test_fingerprint_is_found(void **state UNUSED)
{
    for (int i = 0; i < 4; i++) {
        AUTO(bignum) BIGNUM *p = roca_prime();
        AUTO(bignum) BIGNUM *q = roca_prime();
        assert_int_equal(weakness_of_product(p, q), HSM_WEAK_ROCA);
    }
}

static void test_one_prime_of_that_kind_is_no_fingerprint(void **state UNUSED)
{
    AUTO(bignum) BIGNUM *p = roca_prime();
    AUTO(bignum) BIGNUM *q = random_prime();

    assert_int_equal(weakness_of_product(p, q), HSM_NOT_WEAK);
}

static void test_neighbours_are_found(void **state UNUSED)
{
    AUTO(bignum) BIGNUM *p = random_prime();
    AUTO(bignum) BIGNUM *q = prime_at_rounds(p, 0);

    assert_int_equal(weakness_of_product(p, q), HSM_WEAK_CLOSE_PRIMES);
}

static void test_square_of_a_prime_is_found(void **state UNUSED)
{
    AUTO(bignum) BIGNUM *p = random_prime();

    assert_int_equal(weakness_of_product(p, p), HSM_WEAK_CLOSE_PRIMES);
}

static void test_hundred_rounds_are_made_and_no_more(void **state UNUSED)
{
    AUTO(bignum) BIGNUM *p = random_prime();
    AUTO(bignum) BIGNUM *near = prime_at_rounds(p, HSM_FERMAT_ROUNDS - 10);
    AUTO(bignum) BIGNUM *far = prime_at_rounds(p, HSM_FERMAT_ROUNDS + 10);

    assert_int_equal(weakness_of_product(p, near), HSM_WEAK_CLOSE_PRIMES);
    assert_int_equal(weakness_of_product(p, far), HSM_NOT_WEAK);
}

static void test_modulus_of_hostile_size_is_survived(void **state UNUSED)
{
    static const uint8_t tiny[] = {1};
    enum hsm_weakness out = HSM_NOT_WEAK;
    struct err err = ERR_INIT;

    assert_ok(hsm_weakness_of(tiny, 0, &out, &err), &err);
    assert_ok(hsm_weakness_of(tiny, sizeof(tiny), &out, &err), &err);
}

static EVP_PKEY *public_key(const BIGNUM *p, const BIGNUM *q)
{
    AUTO(bignum_ctx) BN_CTX *ctx = BN_CTX_new();
    AUTO(bignum) BIGNUM *n = BN_new();
    uint8_t native[2 * PRIME_BYTES];
    uint32_t e = 65537;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);

    assert_true(ctx != NULL && n != NULL && maker != NULL && BN_mul(n, p, q, ctx) == 1);
    assert_int_equal(BN_bn2nativepad(n, native, sizeof(native)), (int)sizeof(native));
    OSSL_PARAM params[] = {OSSL_PARAM_BN("n", native, sizeof(native)), OSSL_PARAM_uint32("e", &e),
                           OSSL_PARAM_END};
    assert_int_equal(EVP_PKEY_fromdata_init(maker), 1);
    assert_int_equal(EVP_PKEY_fromdata(maker, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(maker);
    return key;
}

static void test_weak_key_is_refused_in_words(void **state UNUSED)
{
    AUTO(bignum) BIGNUM *p = roca_prime();
    AUTO(bignum) BIGNUM *q = roca_prime();
    AUTO(bignum) BIGNUM *r = random_prime();
    AUTO(bignum) BIGNUM *s = prime_at_rounds(r, 0);
    AUTO(pkey) EVP_PKEY *roca = public_key(p, q);
    AUTO(pkey) EVP_PKEY *close = public_key(r, s);
    AUTO(pkey) EVP_PKEY *good = public_key(p, r);
    struct err err = ERR_INIT;

    assert_fails(hsm_weak_check(roca, &err), &err, E_POLICY, "ROCA, CVE-2017-15361");
    assert_fails(hsm_weak_check(close, &err), &err, E_POLICY, "primes that are close together");
    err_clear(&err);
    assert_ok(hsm_weak_check(good, &err), &err);
}

static void test_other_keys_are_not_judged(void **state UNUSED)
{
    AUTO(pkey) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    struct err err = ERR_INIT;

    assert_non_null(key);
    assert_ok(hsm_weak_check(key, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary_moduli_are_not_weak),
        cmocka_unit_test(test_fingerprint_is_found),
        cmocka_unit_test(test_one_prime_of_that_kind_is_no_fingerprint),
        cmocka_unit_test(test_neighbours_are_found),
        cmocka_unit_test(test_square_of_a_prime_is_found),
        cmocka_unit_test(test_hundred_rounds_are_made_and_no_more),
        cmocka_unit_test(test_modulus_of_hostile_size_is_survived),
        cmocka_unit_test(test_weak_key_is_refused_in_words),
        cmocka_unit_test(test_other_keys_are_not_judged),
    };

    return UNIT_RUN(tests);
}
