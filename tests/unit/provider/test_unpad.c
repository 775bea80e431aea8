#include "provider/unpad.h"

#include "unit/unit.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

enum { SIZE = 256, MAX_MESSAGE = SIZE - 11 };

static const uint8_t secret[UNPAD_SECRET_BYTES] = {1, 2, 3};

/* 00 02, bytes that are not zero, 00, the message. */
static void make_block(uint8_t em[static SIZE], const char *message, size_t len)
{
    memset(em, 0x55, SIZE);
    em[0] = 0;
    em[1] = 2;
    em[SIZE - len - 1] = 0;
    memcpy(em + SIZE - len, message, len);
}

static struct unpad_stand_in stand_in_for(uint8_t first)
{
    uint8_t ciphertext[SIZE] = {first};
    struct unpad_stand_in out;

    assert_true(unpad_stand_in(NULL, secret, ciphertext, SIZE, &out));
    return out;
}

static void check_stands_in(const uint8_t em[static SIZE])
{
    struct unpad_stand_in stand_in = stand_in_for(7);
    uint8_t out[SIZE];
    bool good = true;
    size_t len = unpad_pkcs1(em, &stand_in, out, &good);

    assert_false(good);
    assert_int_equal(len, stand_in.len);
    assert_memory_equal(out, stand_in.bytes + SIZE - len, len);
}

static void test_right_padding_gives_the_message(void **state UNUSED)
{
    static const size_t lengths[] = {0, 1, 48, MAX_MESSAGE};
    struct unpad_stand_in stand_in = stand_in_for(7);
    char message[SIZE];
    uint8_t em[SIZE];
    uint8_t out[SIZE];

    memset(message, 'm', sizeof(message));
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        bool good = false;
        make_block(em, message, lengths[i]);
        assert_int_equal(unpad_pkcs1(em, &stand_in, out, &good), lengths[i]);
        assert_true(good);
        assert_memory_equal(out, message, lengths[i]);
    }
}

static void test_wrong_padding_gives_the_stand_in(void **state UNUSED)
{
    uint8_t em[SIZE];

    make_block(em, "text", 4);
    em[0] = 1;
    check_stands_in(em);
    make_block(em, "text", 4);
    em[1] = 1;
    check_stands_in(em);
    make_block(em, "text", 4);
    em[9] = 0; /* seven bytes of padding */
    check_stands_in(em);
    make_block(em, "text", 4);
    em[SIZE - 5] = 1; /* nothing ends the padding */
    check_stands_in(em);
    memset(em, 0, sizeof(em));
    check_stands_in(em);
}

static void test_stand_in_follows_from_ciphertext_and_secret(void **state UNUSED)
{
    static const uint8_t other_secret[UNPAD_SECRET_BYTES] = {9};
    struct unpad_stand_in a = stand_in_for(1);
    struct unpad_stand_in b = stand_in_for(1);
    struct unpad_stand_in c = stand_in_for(2);
    uint8_t ciphertext[SIZE] = {1};
    struct unpad_stand_in d;

    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.bytes, b.bytes, SIZE);
    assert_memory_not_equal(a.bytes, c.bytes, SIZE);
    assert_true(unpad_stand_in(NULL, other_secret, ciphertext, SIZE, &d));
    assert_memory_not_equal(a.bytes, d.bytes, SIZE);
}

static void test_length_of_a_stand_in_is_that_of_a_message(void **state UNUSED)
{
    size_t first = stand_in_for(0).len;
    bool differ = false;

    for (int i = 0; i < 256; i++) {
        size_t len = stand_in_for((uint8_t)i).len;
        assert_true(len <= MAX_MESSAGE);
        differ = differ || len != first;
    }
    assert_true(differ);
}

static void test_modulus_that_is_too_small_has_no_stand_in(void **state UNUSED)
{
    uint8_t ciphertext[10] = {0};
    struct unpad_stand_in out;

    assert_false(unpad_stand_in(NULL, secret, ciphertext, sizeof(ciphertext), &out));
}

static void test_rebuilt_block_is_the_tokens_answer(void **state UNUSED)
{
    struct unpad_stand_in stand_in = stand_in_for(7);
    uint8_t em[SIZE];
    uint8_t out[SIZE];
    uint8_t message[SIZE] = {'a', 'b'};
    bool good = false;

    unpad_rebuild(message, 2, em, SIZE);
    assert_int_equal(unpad_pkcs1(em, &stand_in, out, &good), 2);
    assert_true(good);
    assert_memory_equal(out, "ab", 2);
    unpad_rebuild(NULL, 2, em, SIZE);
    check_stands_in(em);
    unpad_rebuild(message, MAX_MESSAGE + 1, em, SIZE);
    check_stands_in(em);
}

/* A premaster secret with a version, in a block; what comes out of it. */
static bool is_accepted(unsigned version, unsigned client, unsigned negotiated, size_t len)
{
    const unsigned versions[2] = {client, negotiated};
    char message[SIZE];
    uint8_t em[SIZE];
    uint8_t out[UNPAD_PREMASTER_BYTES];
    uint8_t random[UNPAD_PREMASTER_BYTES];

    memset(random, 0xee, sizeof(random));
    memcpy(out, random, sizeof(out));
    memset(message, 'p', sizeof(message));
    message[0] = (char)(version >> 8);
    message[1] = (char)version;
    make_block(em, message, len);
    unpad_premaster(em, SIZE, versions, out);
    if (memcmp(out, message, sizeof(out)) == 0) {
        return true;
    }
    assert_memory_equal(out, random, sizeof(out));
    return false;
}

static void test_premaster_secret(void **state UNUSED)
{
    assert_true(is_accepted(0x0303, 0x0303, 0, 48));
    assert_true(is_accepted(0x0301, 0x0303, 0x0301, 48));
    assert_false(is_accepted(0x0301, 0x0303, 0, 48));
    assert_false(is_accepted(0x0000, 0x0303, 0, 48)); /* "none" is no version */
    assert_false(is_accepted(0x0303, 0x0303, 0, 47));
    assert_false(is_accepted(0x0303, 0x0303, 0, 49));
}

static void test_oaep_says_no_and_leaves_no_error(void **state UNUSED)
{
    uint8_t em[SIZE] = {0};
    uint8_t out[SIZE];
    size_t len = sizeof(out);

    assert_false(unpad_oaep(em, SIZE, EVP_sha256(), EVP_sha256(), NULL, 0, out, &len));
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_padding_gives_the_message),
        cmocka_unit_test(test_wrong_padding_gives_the_stand_in),
        cmocka_unit_test(test_stand_in_follows_from_ciphertext_and_secret),
        cmocka_unit_test(test_length_of_a_stand_in_is_that_of_a_message),
        cmocka_unit_test(test_modulus_that_is_too_small_has_no_stand_in),
        cmocka_unit_test(test_rebuilt_block_is_the_tokens_answer),
        cmocka_unit_test(test_premaster_secret),
        cmocka_unit_test(test_oaep_says_no_and_leaves_no_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
