#include "hsm/pem_uri.h"

#include "unit/unit.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static const char uri[] = "pkcs11:token=t;object=k";
/* Made by hand from the definition. */
static const char pem[] = "-----BEGIN PKCS#11 PROVIDER URI-----\n"
                          "MDQaGVBLQ1MjMTEgUHJvdmlkZXIgVVJJIHYxLjAMF3BrY3MxMTp0b2tlbj10O29i\n"
                          "amVjdD1r\n"
                          "-----END PKCS#11 PROVIDER URI-----\n";

/* A URI of that length: an object with a long label. */
static char *long_uri(size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, 'a', len);
    memcpy(text, "pkcs11:object=", strlen("pkcs11:object="));
    text[len] = '\0';
    return text;
}

static void written_as_the_peer_writes(void **state)
{
    AUTO(buf) struct buf out = BUF_INIT(HSM_PEM_URI_TEXT_MAX);
    struct err err = ERR_INIT;

    (void)state;
    assert_ok(hsm_pem_uri_write(uri, &out, &err), &err);
    assert_string_equal(buf_str(&out), pem);
}

static void read_back(const char *text)
{
    AUTO(buf) struct buf out = BUF_INIT(HSM_PEM_URI_TEXT_MAX);
    AUTO(buf) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    AUTO(buf) struct buf again = BUF_INIT(HSM_URI_MAX);
    struct err err = ERR_INIT;

    assert_ok(hsm_pem_uri_write(text, &out, &err), &err);
    assert_ok(hsm_pem_uri_read(buf_str(&out), out.len, &der, &err), &err);
    assert_ok(hsm_pem_uri_decode(der.data, der.len, &again, &err), &err);
    assert_string_equal(buf_str(&again), text);
}

static void every_form_of_length_is_read_back(void **state)
{
    static const size_t lengths[] = {14,  60,  70,  98,  99,  100, 127,  128,
                                     129, 220, 230, 255, 256, 257, 4096, HSM_URI_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        AUTO(str) char *text = long_uri(lengths[i]);
        read_back(text);
    }
}

static void a_uri_too_long_is_refused(void **state)
{
    AUTO(str) char *text = long_uri(HSM_URI_MAX + 1);
    AUTO(buf) struct buf out = BUF_INIT(HSM_PEM_URI_TEXT_MAX);
    struct err err = ERR_INIT;

    (void)state;
    assert_fails(hsm_pem_uri_write(text, &out, &err), &err, E_USAGE, "longer than 8192 characters");
}

static void another_scheme_is_refused(void **state)
{
    AUTO(buf) struct buf out = BUF_INIT(HSM_PEM_URI_TEXT_MAX);
    struct err err = ERR_INIT;

    (void)state;
    assert_fails(hsm_pem_uri_write("file:/etc/key", &out, &err), &err, E_USAGE,
                 "does not begin with 'pkcs11:'");
}

static void refuses_der(const char *hex, const char *words)
{
    AUTO(buf) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    AUTO(buf) struct buf out = BUF_INIT(HSM_URI_MAX);
    struct err err = ERR_INIT;

    assert_true(str_from_hex(hex, &der));
    assert_fails(hsm_pem_uri_decode(der.data, der.len, &out, &err), &err, E_USAGE, words);
}

/* the VisibleString */
#define TEXT "1a19504b43532331312050726f7669646572205552492076312e30"
#define TEXT_V2 "1a19504b43532331312050726f7669646572205552492076322e30"

static void der_is_strict(void **state)
{
    (void)state;
    refuses_der("", "is not a SEQUENCE");
    refuses_der("30", "is not a SEQUENCE");
    refuses_der("3080", "is not a SEQUENCE");
    refuses_der("3000", "is not a SEQUENCE");
    /* behind the end */
    refuses_der("3027" TEXT "0c0a706b637331313a613d6200", "is not a SEQUENCE");
    /* longer than what is there */
    refuses_der("3028" TEXT "0c0a706b637331313a613d62", "is not a SEQUENCE");
    /* a length that is not the shortest */
    refuses_der("308127" TEXT "0c0a706b637331313a613d62", "is not a SEQUENCE");
    refuses_der("3028" TEXT "0c810a706b637331313a613d62", "is not a SEQUENCE");
    /* another string type, a third element */
    refuses_der("3027" TEXT "130a706b637331313a613d62", "is not a SEQUENCE");
    refuses_der("3029" TEXT "0c0a706b637331313a613d620500", "is not a SEQUENCE");
}

static void another_version_is_named(void **state)
{
    (void)state;
    refuses_der("3027" TEXT_V2 "0c0a706b637331313a613d62",
                "it is a 'PKCS#11 Provider URI v2.0', and only");
}

static void text_that_is_no_uri_is_refused(void **state)
{
    (void)state;
    refuses_der("3027" TEXT "0c0a66696c653a2f612f6262", "does not begin with 'pkcs11:'");
    refuses_der("3027" TEXT "0c0a706b637331313a61003d", "is not UTF-8");
    refuses_der("3027" TEXT "0c0a706b637331313a61ff3d", "is not UTF-8");
}

static void refuses_pem(const char *text, const char *words)
{
    AUTO(buf) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    struct err err = ERR_INIT;

    assert_fails(hsm_pem_uri_read(text, strlen(text), &der, &err), &err, E_USAGE, words);
}

static void broken_pem_is_refused(void **state)
{
    (void)state;
    refuses_pem("", "is not complete PEM");
    refuses_pem("-----BEGIN PKCS#11 PROVIDER URI-----\nMDQa\n", "is not complete PEM");
    refuses_pem("-----BEGIN PKCS#11 PROVIDER URI-----\n!!!!\n-----END PKCS#11 PROVIDER URI-----\n",
                "is not complete PEM");
    refuses_pem("-----BEGIN PRIVATE KEY-----\nMDQa\n-----END PRIVATE KEY-----\n",
                "is not complete PEM");
    refuses_pem("-----BEGIN PKCS#11 PROVIDER URI-----\nProc-Type: 4,ENCRYPTED\n\nMDQa\n"
                "-----END PKCS#11 PROVIDER URI-----\n",
                "has no headers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_as_the_peer_writes),
        cmocka_unit_test(every_form_of_length_is_read_back),
        cmocka_unit_test(a_uri_too_long_is_refused),
        cmocka_unit_test(another_scheme_is_refused),
        cmocka_unit_test(der_is_strict),
        cmocka_unit_test(another_version_is_named),
        cmocka_unit_test(text_that_is_no_uri_is_refused),
        cmocka_unit_test(broken_pem_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
