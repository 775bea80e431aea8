/* libcrypto's own OAEP decoding is what has been studied for side channels; it is deprecated along
 * with all that works on blocks instead of keys. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "provider/unpad.h"

#include "base/cleanup.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

enum {
    BLOCK_PREFIX = 2,      /* 00 02 */
    BLOCK_PADDING_MIN = 8, /* of at least as many bytes that are not zero */
    CANDIDATES = 128,      /* lengths that are tried, of two bytes each */
    CANDIDATE_BYTES = 2,
    MAC_BYTES = 32,
    LABEL_MAX = 8,
};

/* The compiler must not turn a mask back into a branch. */
static size_t barrier(size_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

/* Masks: all ones for true, zero for false. */
static size_t mask_of_top_bit(size_t value)
{
    return (size_t)0 - (barrier(value) >> (sizeof(value) * 8 - 1));
}

static size_t mask_zero(size_t value)
{
    return mask_of_top_bit(~value & (value - 1));
}

static size_t mask_equal(size_t a, size_t b)
{
    return mask_zero(a ^ b);
}

static size_t mask_less(size_t a, size_t b)
{
    return mask_of_top_bit(a ^ ((a ^ b) | ((a - b) ^ b)));
}

static size_t choose(size_t mask, size_t a, size_t b)
{
    return (barrier(mask) & a) | (barrier(~mask) & b);
}

/* The draft's IRPRF: blocks of HMAC over a counter, a label and the length of the result in bits.
 */
static bool expand(OSSL_LIB_CTX *libctx, const uint8_t key[static MAC_BYTES], const char *label,
                   uint8_t *out, size_t size)
{
    size_t bits = size * 8;

    for (size_t at = 0, i = 0; at < size; at += MAC_BYTES, i++) {
        uint8_t input[2 + LABEL_MAX + 2] = {(uint8_t)(i >> 8), (uint8_t)i};
        uint8_t block[MAC_BYTES];
        size_t len = 0;
        size_t label_len = OPENSSL_strlcpy((char *)input + 2, label, LABEL_MAX + 1);
        input[2 + label_len] = (uint8_t)(bits >> 8);
        input[2 + label_len + 1] = (uint8_t)bits;
        if (EVP_Q_mac(libctx, "HMAC", NULL, "SHA256", NULL, key, MAC_BYTES, input,
                      2 + label_len + 2, block, sizeof(block), &len) == NULL) {
            return false;
        }
        memcpy(out + at, block, size - at < MAC_BYTES ? size - at : MAC_BYTES);
        OPENSSL_cleanse(block, sizeof(block));
    }
    return true;
}

/* The last candidate that is no longer than a message can be; none: the empty message. */
static size_t choose_length(const uint8_t candidates[static CANDIDATES * CANDIDATE_BYTES],
                            size_t size)
{
    size_t limit = size - BLOCK_PREFIX - BLOCK_PADDING_MIN;
    size_t cover = limit;
    size_t len = 0;

    for (unsigned shift = 1; shift < sizeof(limit) * 8; shift *= 2) {
        cover |= cover >> shift;
    }
    for (size_t i = 0; i < CANDIDATES; i++) {
        const uint8_t *two = candidates + i * CANDIDATE_BYTES;
        size_t candidate = (((size_t)two[0] << 8) | two[1]) & cover;
        len = choose(mask_less(candidate, limit), candidate, len);
    }
    return len;
}

bool unpad_stand_in(OSSL_LIB_CTX *libctx, const uint8_t secret[static UNPAD_SECRET_BYTES],
                    const uint8_t *ciphertext, size_t size, struct unpad_stand_in *out)
{
    uint8_t key[MAC_BYTES];
    uint8_t candidates[CANDIDATES * CANDIDATE_BYTES];
    size_t key_len = 0;

    if (size < BLOCK_PREFIX + BLOCK_PADDING_MIN + 1 || size > sizeof(out->bytes)) {
        return false;
    }
    bool ok = EVP_Q_mac(libctx, "HMAC", NULL, "SHA256", NULL, secret, UNPAD_SECRET_BYTES,
                        ciphertext, size, key, sizeof(key), &key_len) != NULL &&
              expand(libctx, key, "length", candidates, sizeof(candidates)) &&
              expand(libctx, key, "message", out->bytes, size);
    if (ok) {
        out->size = size;
        out->len = choose_length(candidates, size);
    }
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(candidates, sizeof(candidates));
    return ok;
}

size_t unpad_pkcs1(const uint8_t *em, const struct unpad_stand_in *stand_in, uint8_t *out,
                   bool *good)
{
    size_t size = stand_in->size;
    size_t right = mask_zero(em[0]) & mask_equal(em[1], 2);
    size_t found = 0;
    size_t separator = 0;

    for (size_t i = BLOCK_PREFIX; i < size; i++) {
        size_t first = mask_zero(em[i]) & ~found;
        separator = choose(first, i, separator);
        found |= first;
    }
    right &= found & ~mask_less(separator, BLOCK_PREFIX + BLOCK_PADDING_MIN);
    size_t start = choose(right, separator + 1, size - stand_in->len);
    for (size_t i = start; i < size; i++) {
        out[i - start] = (uint8_t)choose(right, em[i], stand_in->bytes[i]);
    }
    *good = (right & 1) != 0;
    return size - start;
}

static size_t mask_version(const uint8_t *message, unsigned version)
{
    size_t found = mask_equal(((size_t)message[0] << 8) | message[1], version);

    return found & ~mask_zero(version);
}

void unpad_premaster(const uint8_t *em, size_t size, const unsigned versions[static 2],
                     uint8_t out[static UNPAD_PREMASTER_BYTES])
{
    size_t separator = size - UNPAD_PREMASTER_BYTES - 1;
    const uint8_t *message = em + separator + 1;
    size_t right = mask_zero(em[0]) & mask_equal(em[1], 2) & mask_zero(em[separator]) &
                   (mask_version(message, versions[0]) | mask_version(message, versions[1]));

    for (size_t i = BLOCK_PREFIX; i < separator; i++) {
        right &= ~mask_zero(em[i]);
    }
    for (size_t i = 0; i < UNPAD_PREMASTER_BYTES; i++) {
        out[i] = (uint8_t)choose(right, message[i], out[i]);
    }
}

void unpad_rebuild(const uint8_t *message, size_t len, uint8_t *em, size_t size)
{
    memset(em, 0, size);
    if (message == NULL || len + BLOCK_PREFIX + BLOCK_PADDING_MIN + 1 > size) {
        return;
    }
    em[1] = 2;
    memset(em + BLOCK_PREFIX, UINT8_MAX, size - BLOCK_PREFIX - 1 - len);
    memcpy(em + size - len, message, len);
}

bool unpad_oaep(const uint8_t *em, size_t size, const EVP_MD *md, const EVP_MD *mgf1,
                const uint8_t *label, size_t label_len, uint8_t *out, size_t *out_len)
{
    (void)ERR_set_mark();
    int len = RSA_padding_check_PKCS1_OAEP_mgf1(out, (int)*out_len, em, (int)size, (int)size, label,
                                                (int)label_len, md, mgf1);
    (void)ERR_pop_to_mark();
    if (len < 0) {
        return false;
    }
    *out_len = (size_t)len;
    return true;
}
