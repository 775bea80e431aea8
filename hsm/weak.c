#include "hsm/weak.h"

#include "base/cleanup.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

DEFINE_AUTO(bignum, BIGNUM *, BN_free)
DEFINE_AUTO(bignum_ctx, BN_CTX *, BN_CTX_free)

enum { GENERATOR = 65537, GREATEST_PRIME = 167 };

/*
 * The odd primes of the product M that belongs to the smallest keys. The M of larger keys has more
 * of them, and these as well.
 */
static const unsigned primes[] = {3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,
                                  47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103,
                                  107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};

/* Whether n mod p is a power of the generator: the discrete logarithm exists. */
static bool is_power(unsigned residue, unsigned p)
{
    unsigned power = 1;

    for (unsigned i = 0; i < p; i++) {
        if (power == residue) {
            return true;
        }
        power = power * (GENERATOR % p) % p;
    }
    return false;
}

/*
 * The faulty library made primes k * M + (65537^a mod M). So every such prime, and the product of
 * two, is a power of 65537 modulo each prime of M; of other moduli one in some hundred million is.
 */
static bool has_roca_fingerprint(const BIGNUM *n)
{
    for (size_t i = 0; i < ARRAY_LEN(primes); i++) {
        BN_ULONG residue = BN_mod_word(n, primes[i]);
        if (residue > GREATEST_PRIME || !is_power((unsigned)residue, primes[i])) {
            return false;
        }
    }
    return true;
}

/* The greatest root with root^2 <= n, by Newton's method from above. */
static bool square_root(BIGNUM *root, const BIGNUM *n, BN_CTX *ctx)
{
    AUTO(bignum) BIGNUM *next = BN_new();

    if (BN_is_zero(n)) {
        BN_zero(root);
        return true;
    }
    if (next == NULL || !BN_set_word(root, 1) ||
        !BN_lshift(root, root, (BN_num_bits(n) + 1) / 2 + 1)) {
        return false;
    }
    for (;;) {
        if (!BN_div(next, NULL, n, root, ctx) || !BN_add(next, next, root) ||
            !BN_rshift1(next, next)) {
            return false;
        }
        if (BN_cmp(next, root) >= 0) {
            return true;
        }
        if (BN_copy(root, next) == NULL) {
            return false;
        }
    }
}

static bool is_square(const BIGNUM *n, BN_CTX *ctx, bool *out)
{
    AUTO(bignum) BIGNUM *root = BN_new();
    AUTO(bignum) BIGNUM *square = BN_new();

    if (root == NULL || square == NULL || !square_root(root, n, ctx) ||
        !BN_sqr(square, root, ctx)) {
        return false;
    }
    *out = BN_cmp(square, n) == 0;
    return true;
}

/* n = a^2 - b^2 with an a that is not far above the root of n. False if memory ran out. */
static bool has_close_primes(const BIGNUM *n, BN_CTX *ctx, bool *out)
{
    AUTO(bignum) BIGNUM *a = BN_new();
    AUTO(bignum) BIGNUM *rest = BN_new();

    *out = false;
    if (a == NULL || rest == NULL || !square_root(a, n, ctx) || !BN_sqr(rest, a, ctx) ||
        (BN_cmp(rest, n) < 0 && !BN_add_word(a, 1))) {
        return false;
    }
    for (int round = 0; round < HSM_FERMAT_ROUNDS && !*out; round++) {
        if (!BN_sqr(rest, a, ctx) || !BN_sub(rest, rest, n) || !is_square(rest, ctx, out) ||
            !BN_add_word(a, 1)) {
            return false;
        }
    }
    return true;
}

static bool weakness_of(const BIGNUM *n, enum hsm_weakness *out)
{
    AUTO(bignum_ctx) BN_CTX *ctx = BN_CTX_new();
    bool close = false;

    if (has_roca_fingerprint(n)) {
        *out = HSM_WEAK_ROCA;
        return true;
    }
    if (ctx == NULL || !has_close_primes(n, ctx, &close)) {
        return false;
    }
    *out = close ? HSM_WEAK_CLOSE_PRIMES : HSM_NOT_WEAK;
    return true;
}

bool hsm_weakness_of(const uint8_t *modulus, size_t len, enum hsm_weakness *out, struct err *err)
{
    AUTO(bignum) BIGNUM *n = BN_bin2bn(modulus, (int)len, NULL);

    return (n != NULL && weakness_of(n, out)) || err_nomem(err);
}

const char *hsm_weakness_text(enum hsm_weakness weakness)
{
    switch (weakness) {
    case HSM_WEAK_ROCA:
        return "a modulus with the fingerprint of a faulty smartcard library (ROCA, "
               "CVE-2017-15361): its primes can be found";
    case HSM_WEAK_CLOSE_PRIMES:
        return "primes that are close together: Fermat's method finds them";
    case HSM_NOT_WEAK:
        break;
    }
    return NULL;
}

bool hsm_weak_check(const EVP_PKEY *key, struct err *err)
{
    BIGNUM *modulus = NULL;
    enum hsm_weakness weakness = HSM_NOT_WEAK;

    if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "RSA-PSS")) {
        return true;
    }
    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus) != 1) {
        return err_set_ssl(err, E_TOKEN, "reading the modulus of the key");
    }
    AUTO(bignum) BIGNUM *n = modulus;
    if (!weakness_of(n, &weakness)) {
        return err_nomem(err);
    }
    return weakness == HSM_NOT_WEAK ||
           err_set(err, E_POLICY,
                   "the RSA key is weak and no public CA may accept it: it has %s; make another "
                   "key, on another token",
                   hsm_weakness_text(weakness));
}
