#include "hsm/uri.h"

#include "unit/unit.h"

#include "base/str.h"

#include <stdlib.h>

/* Cases that expect success use this; hsm_uri_done() is the caller's. */
static void parse(const char *text, struct hsm_uri *uri)
{
    struct err err = ERR_INIT;

    assert_ok(hsm_uri_parse(text, uri, &err), &err);
}

static void refuses(const char *text, const char *words)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct err err = ERR_INIT;

    assert_fails(hsm_uri_parse(text, &uri, &err), &err, E_USAGE, words);
}

static void formats_as(const char *text, const char *want)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(buf) struct buf out = BUF_INIT(HSM_URI_MAX);

    parse(text, &uri);
    hsm_uri_format(&uri, &out);
    assert_string_equal(buf_str(&out), want);
}

static void formats_as_itself(const char *text)
{
    formats_as(text, text);
}

/* The scheme */

static void test_empty_path_is_every_token(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:", &uri);
    assert_false(hsm_uri_names_token(&uri));
    assert_false(hsm_uri_names_object(&uri));
    assert_int_equal(uri.type, HSM_URI_ANY);
}

static void test_scheme_is_known_in_any_case(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    assert_true(hsm_uri_is("pkcs11:"));
    assert_true(hsm_uri_is("PKCS11:token=a"));
    assert_true(hsm_uri_is("PkCs11:x"));
    parse("PKCS11:token=a", &uri);
    assert_string_equal(uri.token, "a");
}

static void test_other_schemes_are_no_uri(void **state UNUSED)
{
    assert_false(hsm_uri_is("pkcs11"));
    assert_false(hsm_uri_is("pkcs12:"));
    assert_false(hsm_uri_is(""));
    assert_false(hsm_uri_is(" pkcs11:"));
    assert_false(hsm_uri_is("file:/x"));
    refuses("token=a", "does not begin with 'pkcs11:'");
    refuses("", "does not begin with");
    refuses("/etc/key.pem", "does not begin with");
}

/* Path attributes */

static void test_token_attributes(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=T;manufacturer=M;serial=S;model=O;slot-manufacturer=A;slot-description=D;"
          "slot-id=7",
          &uri);
    assert_string_equal(uri.token, "T");
    assert_string_equal(uri.manufacturer, "M");
    assert_string_equal(uri.serial, "S");
    assert_string_equal(uri.model, "O");
    assert_string_equal(uri.slot_manufacturer, "A");
    assert_string_equal(uri.slot_description, "D");
    assert_true(uri.has_slot_id);
    assert_int_equal(uri.slot_id, 7);
}

static void test_library_attributes(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:library-manufacturer=M;library-description=D;library-version=2.6", &uri);
    assert_string_equal(uri.library_manufacturer, "M");
    assert_string_equal(uri.library_description, "D");
    assert_string_equal(uri.library_version, "2.6");
    assert_false(hsm_uri_names_token(&uri));
}

static void test_object_attributes(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:object=www;type=private;id=%01%02", &uri);
    assert_string_equal(uri.object, "www");
    assert_int_equal(uri.type, HSM_URI_PRIVATE);
    assert_true(uri.id.set);
    assert_int_equal(uri.id.len, 2);
    assert_memory_equal(uri.id.data, "\x01\x02", 2);
}

static void test_every_type_word(void **state UNUSED)
{
    static const struct {
        const char *text;
        enum hsm_uri_type type;
    } cases[] = {{"pkcs11:type=private", HSM_URI_PRIVATE},
                 {"pkcs11:type=public", HSM_URI_PUBLIC},
                 {"pkcs11:type=cert", HSM_URI_CERT},
                 {"pkcs11:type=secret-key", HSM_URI_SECRET_KEY},
                 {"pkcs11:type=data", HSM_URI_DATA}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(hsm_uri) struct hsm_uri uri = {0};
        parse(cases[i].text, &uri);
        assert_int_equal(uri.type, cases[i].type);
        assert_string_equal(hsm_uri_type_name(uri.type), strchr(cases[i].text, '=') + 1);
    }
    assert_string_equal(hsm_uri_type_name(HSM_URI_ANY), "");
}

static void test_type_refuses_other_words(void **state UNUSED)
{
    refuses("pkcs11:type=Private", "PKCS#11 URI: type: the value is not one of private, public");
    refuses("pkcs11:type=", "not one of");
    refuses("pkcs11:type=key", "not one of");
    refuses("pkcs11:type=private%20", "not one of");
}

static void test_type_with_a_nul_byte_is_refused(void **state UNUSED)
{
    refuses("pkcs11:type=private%00x", "type");
}

static void test_id_may_hold_every_byte(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:id=%00%ff%80a%3B", &uri);
    assert_int_equal(uri.id.len, 5);
    assert_memory_equal(uri.id.data,
                        "\x00\xff\x80"
                        "a;",
                        5);
}

static void test_id_may_be_plain_characters(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:id=abc", &uri);
    assert_int_equal(uri.id.len, 3);
    assert_memory_equal(uri.id.data, "abc", 3);
}

static void test_empty_id_is_an_id(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:id=", &uri);
    assert_true(uri.id.set);
    assert_int_equal(uri.id.len, 0);
    assert_true(hsm_uri_names_object(&uri));
}

static void id_of(size_t len, char *out)
{
    strcpy(out, "pkcs11:id=");
    memset(out + strlen(out), 'a', len);
    out[strlen("pkcs11:id=") + len] = '\0';
}

static void test_longest_id_fits(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    char text[300] = "";

    id_of(HSM_ID_MAX, text);
    parse(text, &uri);
    assert_int_equal(uri.id.len, HSM_ID_MAX);
}

static void test_longer_id_is_refused(void **state UNUSED)
{
    char text[300] = "";

    id_of(HSM_ID_MAX + 1, text);
    refuses(text, "id: the value is longer than 256 bytes");
}

static void test_empty_values_are_kept(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=;object=", &uri);
    assert_string_equal(uri.token, "");
    assert_string_equal(uri.object, "");
    assert_true(hsm_uri_names_token(&uri));
    assert_true(hsm_uri_names_object(&uri));
}

static void test_slot_id_is_a_number(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:slot-id=0", &uri);
    assert_true(uri.has_slot_id);
    assert_int_equal(uri.slot_id, 0);
    assert_true(hsm_uri_names_token(&uri));
}

static void test_slot_id_takes_the_largest_number(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:slot-id=18446744073709551615", &uri);
    assert_true(uri.slot_id == UINT64_MAX);
}

static void test_slot_id_refuses_what_is_no_number(void **state UNUSED)
{
    refuses("pkcs11:slot-id=", "slot-id: the value is not a number");
    refuses("pkcs11:slot-id=0x1", "not a number");
    refuses("pkcs11:slot-id=-1", "not a number");
    refuses("pkcs11:slot-id=18446744073709551616", "not a number");
}

static void test_slot_id_with_a_nul_byte_is_refused(void **state UNUSED)
{
    refuses("pkcs11:slot-id=1%00x", "slot-id");
}

static void test_value_may_contain_equals_signs(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=a=b==", &uri);
    assert_string_equal(uri.token, "a=b==");
}

static void test_value_may_contain_an_ampersand_in_the_path(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=a&b;object=c", &uri);
    assert_string_equal(uri.token, "a&b");
    assert_string_equal(uri.object, "c");
}

/* Percent encoding */

static void test_percent_is_decoded(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;object=a%3bb%3Fc%25", &uri);
    assert_string_equal(uri.token, "The Software PKCS#11 Softtoken");
    assert_string_equal(uri.object, "a;b?c%");
}

static void test_percent_decodes_utf8(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=W%C3%A4hler", &uri);
    assert_string_equal(uri.token, "W\xc3\xa4hler");
}

static void test_plain_utf8_is_taken(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=W\xc3\xa4hler", &uri);
    assert_string_equal(uri.token, "W\xc3\xa4hler");
}

static void test_plus_is_no_space(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=a+b", &uri);
    assert_string_equal(uri.token, "a+b");
}

static void test_percent_without_two_digits_is_refused(void **state UNUSED)
{
    refuses("pkcs11:token=a%", "token: a '%' is not followed by two hex digits");
    refuses("pkcs11:token=a%4", "two hex digits");
    refuses("pkcs11:token=a%4g", "two hex digits");
    refuses("pkcs11:token=%4;1", "two hex digits");
    refuses("pkcs11:id=%zz", "two hex digits");
    refuses("pkcs11:?pin-value=%1", "two hex digits");
}

static void test_percent_in_a_name_is_not_decoded(void **state UNUSED)
{
    refuses("pkcs11:t%6fken=a", "there is no attribute 't%6fken'");
}

static void test_invalid_utf8_is_refused(void **state UNUSED)
{
    refuses("pkcs11:token=%ff", "token: the value is not UTF-8 text");
    refuses("pkcs11:object=%c3", "not UTF-8");
    refuses("pkcs11:object=%ed%a0%80", "not UTF-8");
}

static void test_nul_in_a_text_is_refused(void **state UNUSED)
{
    refuses("pkcs11:token=a%00b", "not UTF-8");
    refuses("pkcs11:?module-path=/x%00y", "not UTF-8");
}

/* Queries */

static void test_query_attributes(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=a?module-path=/usr/lib/x.so&module-name=x&pin-source=file:/etc/pin&"
          "pin-value=12%2634",
          &uri);
    assert_string_equal(uri.module_path, "/usr/lib/x.so");
    assert_string_equal(uri.module_name, "x");
    assert_string_equal(uri.pin_source, "file:/etc/pin");
    assert_string_equal(secret_expose(&uri.pin_value), "12&34");
}

static void test_query_without_a_path(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:?module-path=/x.so", &uri);
    assert_string_equal(uri.module_path, "/x.so");
}

static void test_empty_query_is_nothing(void **state UNUSED)
{
    formats_as("pkcs11:token=a?", "pkcs11:token=a");
}

static void test_second_question_mark_belongs_to_the_value(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:?pin-source=a?b", &uri);
    assert_string_equal(uri.pin_source, "a?b");
}

static void test_semicolon_in_a_query_belongs_to_the_value(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:?pin-source=a;pin-value=b", &uri);
    assert_string_equal(uri.pin_source, "a;pin-value=b");
    assert_false(secret_is_set(&uri.pin_value));
}

static void test_pin_value_may_be_empty_and_of_any_bytes(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(hsm_uri) struct hsm_uri bytes = {0};

    parse("pkcs11:?pin-value=", &uri);
    assert_true(secret_is_set(&uri.pin_value));
    assert_int_equal(uri.pin_value.len, 0);
    parse("pkcs11:?pin-value=%00%ff", &bytes);
    assert_int_equal(bytes.pin_value.len, 2);
}

static void test_pin_longer_than_a_secret_is_refused(void **state UNUSED)
{
    static char text[HSM_URI_MAX];

    (void)snprintf(text, sizeof(text), "pkcs11:?pin-value=%07000d", 7);
    refuses(text, "pin-value: a secret is longer");
}

static void test_done_wipes_and_forgets(void **state UNUSED)
{
    struct hsm_uri uri = {0};

    parse("pkcs11:token=a;id=%01?pin-value=1234", &uri);
    hsm_uri_done(&uri);
    assert_null(uri.token);
    assert_false(uri.id.set);
    assert_int_equal(uri.id.data[0], 0);
    assert_false(secret_is_set(&uri.pin_value));
    hsm_uri_done(&uri);
}

/* What is refused */

static void test_parse_rejects_unknown_attribute(void **state UNUSED)
{
    refuses("pkcs11:tokne=a", "there is no attribute 'tokne'");
    refuses("pkcs11:token=a;lable=b", "there is no attribute 'lable'");
    refuses("pkcs11:token=a?pinvalue=1", "behind the '?' is none of module-path");
}

static void test_parse_rejects_names_in_another_case(void **state UNUSED)
{
    refuses("pkcs11:Token=a", "there is no attribute 'Token'");
    refuses("pkcs11:ID=%01", "there is no attribute 'ID'");
}

static void test_parse_rejects_prefixes_of_names(void **state UNUSED)
{
    refuses("pkcs11:tok=a", "'tok'");
    refuses("pkcs11:tokens=a", "'tokens'");
    refuses("pkcs11:token =a", "'token '");
    refuses("pkcs11: token=a", "' token'");
}

static void test_parse_rejects_duplicates(void **state UNUSED)
{
    refuses("pkcs11:token=a;token=a", "'token' is given twice");
    refuses("pkcs11:id=%01;object=x;id=%02", "'id' is given twice");
    refuses("pkcs11:?pin-value=1&pin-value=2", "'pin-value' is given twice");
    refuses("pkcs11:type=cert;type=private", "'type' is given twice");
    refuses("pkcs11:slot-id=1;slot-id=1", "'slot-id' is given twice");
}

static void test_parse_rejects_path_attributes_in_the_query(void **state UNUSED)
{
    refuses("pkcs11:?token=a", "'token' belongs before the '?'");
    refuses("pkcs11:token=a?id=%01", "'id' belongs before the '?'");
}

static void test_parse_rejects_query_attributes_in_the_path(void **state UNUSED)
{
    refuses("pkcs11:pin-value=1234", "'pin-value' belongs behind the '?'");
    refuses("pkcs11:token=a;module-path=/x", "'module-path' belongs behind the '?'");
}

static void test_parse_rejects_what_has_no_equals_sign(void **state UNUSED)
{
    refuses("pkcs11:token", "'token' is not of the form name=value");
    refuses("pkcs11:token=a;b", "'b' is not of the form name=value");
    refuses("pkcs11:=a", "is not of the form name=value");
    refuses("pkcs11:token=a?x", "a part behind the '?' is not of the form");
}

/* A PIN with an unescaped '&' falls into pieces, and a misspelt separator makes it a name. */
static void test_pieces_of_a_pin_are_not_repeated(void **state UNUSED)
{
    static const char *const texts[] = {"pkcs11:?pin-value=12&3456", "pkcs11:?pin-value:3456",
                                        "pkcs11:?pin-value=1&3456=7"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct hsm_uri uri;
        struct err err = ERR_INIT;
        assert_fails(hsm_uri_parse(texts[i], &uri, &err), &err, E_USAGE, "behind the '?'");
        assert_lacks(err.msg, "3456");
        hsm_uri_done(&uri);
    }
}

static void test_text_that_is_not_utf8_stays_out_of_a_uri(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct err err = ERR_INIT;

    assert_ok(hsm_uri_set(&uri.object, "M\xfcller", &err), &err);
    assert_null(uri.object);
    assert_ok(hsm_uri_set(&uri.object, "M\xc3\xbcller", &err), &err);
    assert_string_equal(uri.object, "M\xc3\xbcller");
}

static void test_parse_rejects_empty_attributes(void **state UNUSED)
{
    refuses("pkcs11:;token=a", "'' is not of the form");
    refuses("pkcs11:token=a;;object=b", "'' is not of the form");
    refuses("pkcs11:?&pin-value=1", "a part behind the '?' is not of the form");
}

static void test_parse_allows_a_separator_at_the_end(void **state UNUSED)
{
    formats_as("pkcs11:token=a;", "pkcs11:token=a");
    formats_as("pkcs11:token=a;?module-path=/x&", "pkcs11:token=a");
}

static void test_parse_ignores_vendor_attributes(void **state UNUSED)
{
    formats_as("pkcs11:x-vendor=1;token=a;x-vendor=2;x-b=%zz", "pkcs11:token=a");
    formats_as("pkcs11:token=a?x-query=1&x-query=2", "pkcs11:token=a");
}

static void test_vendor_prefix_alone_is_no_vendor_attribute(void **state UNUSED)
{
    refuses("pkcs11:x-=1", "there is no attribute 'x-'");
    refuses("pkcs11:X-vendor=1", "there is no attribute 'X-vendor'");
    refuses("pkcs11:x-vendor", "is not of the form name=value");
}

static void test_long_unknown_name_is_cut_in_the_message(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct err err = ERR_INIT;
    static char text[500];

    (void)snprintf(text, sizeof(text), "pkcs11:%0400d=a", 7);
    assert_false(hsm_uri_parse(text, &uri, &err));
    assert_true(strlen(err.msg) < 100);
}

static void test_message_never_repeats_a_value(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct err err = ERR_INIT;

    assert_fails(hsm_uri_parse("pkcs11:?pin-value=hunter2%", &uri, &err), &err, E_USAGE, "");
    assert_lacks(err.msg, "hunter2");
    hsm_uri_done(&uri);
    assert_fails(hsm_uri_parse("pkcs11:pin-value=hunter2", &uri, &err), &err, E_USAGE, "");
    assert_lacks(err.msg, "hunter2");
    hsm_uri_done(&uri);
    assert_fails(hsm_uri_parse("pkcs11:?pin=hunter2", &uri, &err), &err, E_USAGE, "");
    assert_lacks(err.msg, "hunter2");
}

static void test_text_of_the_maximum_length_is_parsed(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    static char text[HSM_URI_MAX + 2];

    (void)snprintf(text, sizeof(text), "pkcs11:token=%0*d", HSM_URI_MAX - 13, 7);
    assert_int_equal(strlen(text), HSM_URI_MAX);
    parse(text, &uri);
    assert_int_equal(strlen(uri.token), HSM_URI_MAX - 13);
}

static void test_longer_text_is_refused(void **state UNUSED)
{
    static char text[HSM_URI_MAX + 2];

    (void)snprintf(text, sizeof(text), "pkcs11:token=%0*d", HSM_URI_MAX - 12, 7);
    refuses(text, "longer than 8192 characters");
}

static void test_failed_parse_can_be_freed(void **state UNUSED)
{
    struct hsm_uri uri = {0};
    struct err err = ERR_INIT;

    assert_false(hsm_uri_parse("pkcs11:token=a;object=b?pin-value=1&bad=1", &uri, &err));
    hsm_uri_done(&uri);
}

/* RFC 7512, section 3 */

static void test_rfc7512_public_key(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:object=my-pubkey;type=public", &uri);
    assert_string_equal(uri.object, "my-pubkey");
    assert_int_equal(uri.type, HSM_URI_PUBLIC);
}

static void test_rfc7512_private_key_with_pin_source(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:object=my-key;type=private?pin-source=file:/etc/token", &uri);
    assert_string_equal(uri.pin_source, "file:/etc/token");
}

static void test_rfc7512_certificate_by_token_serial_and_model(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;"
          "manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=cert;"
          "id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
          &uri);
    assert_string_equal(uri.manufacturer, "Snake Oil, Inc.");
    assert_string_equal(uri.serial, "");
    assert_int_equal(uri.id.len, 8);
    assert_memory_equal(uri.id.data, "\x69\x95\x3e\x5c\xf4\xbd\xec\x91", 8);
}

static void test_rfc7512_module_and_pin(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1&"
          "pin-value=the-pin",
          &uri);
    assert_string_equal(uri.module_path, "/mnt/libmypkcs11.so.1");
    assert_string_equal(secret_expose(&uri.pin_value), "the-pin");
}

static void test_rfc7512_library_attributes(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse("pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;"
          "library-description=Soft%20Token%20Library;library-version=1.23",
          &uri);
    assert_string_equal(uri.library_description, "Soft Token Library");
}

static void test_rfc7512_vendor_attributes(void **state UNUSED)
{
    formats_as("pkcs11:token=my-token;object=my-certificate;type=cert;x-vend-aaa=value-a?"
               "pin-source=file:/etc/token_pin&x-vend-bbb=value-b",
               "pkcs11:token=my-token;object=my-certificate;type=cert");
}

/* Formatting */

static void test_format_has_a_fixed_order(void **state UNUSED)
{
    formats_as("pkcs11:id=%01;type=private;object=o;slot-id=3;model=m;serial=s;manufacturer=f;"
               "token=t",
               "pkcs11:token=t;manufacturer=f;serial=s;model=m;slot-id=3;object=o;type=private;"
               "id=%01");
}

static void test_format_of_nothing(void **state UNUSED)
{
    formats_as_itself("pkcs11:");
}

static void test_format_keeps_empty_values(void **state UNUSED)
{
    formats_as_itself("pkcs11:token=;object=;id=");
}

static void test_format_encodes_id_bytes_and_delimiters(void **state UNUSED)
{
    formats_as("pkcs11:id=abc", "pkcs11:id=%61%62%63");
    formats_as("pkcs11:token=a%3Bb%3Fc%23d%2Fe%20f%25", "pkcs11:token=a%3Bb%3Fc%23d%2Fe%20f%25");
    formats_as_itself("pkcs11:token=:[]@!$'()*+,=&-._~");
}

static void test_format_leaves_the_query_out(void **state UNUSED)
{
    formats_as("pkcs11:token=a?module-path=/x.so&module-name=n&pin-source=file:/p&pin-value=1234",
               "pkcs11:token=a");
}

static void test_format_of_all_attributes_round_trips(void **state UNUSED)
{
    formats_as_itself(
        "pkcs11:token=t;manufacturer=m;serial=s;model=o;library-manufacturer=lm;"
        "library-description=ld;library-version=2;slot-manufacturer=sm;slot-description=sd;"
        "slot-id=18446744073709551615;object=o%C3%A4;type=secret-key;id=%00%FF");
}

static void test_format_with_module_adds_only_the_module(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(hsm_uri) struct hsm_uri again = {0};
    AUTO(buf) struct buf out = BUF_INIT(HSM_URI_MAX);

    parse("pkcs11:token=t;id=%01?pin-value=1234&pin-source=file:/p", &uri);
    hsm_uri_format_with_module(&uri, "/usr/lib/a b&c.so", &out);
    assert_string_equal(buf_str(&out), "pkcs11:token=t;id=%01?module-path=/usr/lib/a%20b%26c.so");
    parse(buf_str(&out), &again);
    assert_string_equal(again.module_path, "/usr/lib/a b&c.so");
}

/* Matching */

static const struct hsm_uri_token prod = {.label = "prod",
                                          .manufacturer = "SoftHSM project",
                                          .serial = "12af",
                                          .model = "SoftHSM v2",
                                          .slot_manufacturer = "maker",
                                          .slot_description = "slot 1",
                                          .slot_id = 5};

static bool matches(const char *text)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    parse(text, &uri);
    return hsm_uri_matches_token(&uri, &prod);
}

static void test_uri_without_attributes_matches_every_token(void **state UNUSED)
{
    assert_true(matches("pkcs11:"));
    assert_true(matches("pkcs11:object=x;id=%01;type=cert"));
}

static void test_each_attribute_matches_and_differs(void **state UNUSED)
{
    static const char *const names[][2] = {{"token", "prod"},
                                           {"manufacturer", "SoftHSM%20project"},
                                           {"serial", "12af"},
                                           {"slot-id", "5"},
                                           {"model", "SoftHSM%20v2"},
                                           {"slot-manufacturer", "maker"},
                                           {"slot-description", "slot%201"}};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(matches(tmp_printf("pkcs11:%s=%s", names[i][0], names[i][1])));
        assert_false(matches(tmp_printf("pkcs11:%s=%s1", names[i][0], names[i][1])));
    }
}

static void test_all_attributes_must_match(void **state UNUSED)
{
    assert_true(matches("pkcs11:token=prod;serial=12af;slot-id=5"));
    assert_false(matches("pkcs11:token=prod;serial=12af;slot-id=6"));
    assert_false(matches("pkcs11:token=test;serial=12af"));
}

static void test_prefix_of_a_label_does_not_match(void **state UNUSED)
{
    assert_false(matches("pkcs11:token=pro"));
    assert_false(matches("pkcs11:token=prod%20"));
    assert_false(matches("pkcs11:token=PROD"));
}

static void test_empty_label_does_not_match_a_named_token(void **state UNUSED)
{
    assert_false(matches("pkcs11:token="));
    assert_false(matches("pkcs11:serial="));
}

static void test_empty_label_matches_an_empty_label(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_uri_token nameless = {.label = ""};
    struct hsm_uri_token unknown = {.label = NULL};

    parse("pkcs11:token=", &uri);
    assert_true(hsm_uri_matches_token(&uri, &nameless));
    assert_false(hsm_uri_matches_token(&uri, &unknown));
}

static void test_names_token_and_object(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool token, object;
    } cases[] = {
        {"pkcs11:token=a", true, false},
        {"pkcs11:slot-id=0", true, false},
        {"pkcs11:slot-description=a", true, false},
        {"pkcs11:slot-manufacturer=a", true, false},
        {"pkcs11:manufacturer=a", true, false},
        {"pkcs11:model=a", true, false},
        {"pkcs11:serial=a", true, false},
        {"pkcs11:object=a", false, true},
        {"pkcs11:id=%01", false, true},
        {"pkcs11:type=cert", false, false},
        {"pkcs11:token=a;id=%01", true, true},
        {"pkcs11:?module-path=/x", false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(hsm_uri) struct hsm_uri uri = {0};
        parse(cases[i].text, &uri);
        assert_int_equal(hsm_uri_names_token(&uri), cases[i].token);
        assert_int_equal(hsm_uri_names_object(&uri), cases[i].object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_path_is_every_token),
        cmocka_unit_test(test_scheme_is_known_in_any_case),
        cmocka_unit_test(test_other_schemes_are_no_uri),
        cmocka_unit_test(test_token_attributes),
        cmocka_unit_test(test_library_attributes),
        cmocka_unit_test(test_object_attributes),
        cmocka_unit_test(test_every_type_word),
        cmocka_unit_test(test_type_refuses_other_words),
        cmocka_unit_test(test_type_with_a_nul_byte_is_refused),
        cmocka_unit_test(test_id_may_hold_every_byte),
        cmocka_unit_test(test_id_may_be_plain_characters),
        cmocka_unit_test(test_empty_id_is_an_id),
        cmocka_unit_test(test_longest_id_fits),
        cmocka_unit_test(test_longer_id_is_refused),
        cmocka_unit_test(test_empty_values_are_kept),
        cmocka_unit_test(test_slot_id_is_a_number),
        cmocka_unit_test(test_slot_id_takes_the_largest_number),
        cmocka_unit_test(test_slot_id_refuses_what_is_no_number),
        cmocka_unit_test(test_slot_id_with_a_nul_byte_is_refused),
        cmocka_unit_test(test_value_may_contain_equals_signs),
        cmocka_unit_test(test_value_may_contain_an_ampersand_in_the_path),
        cmocka_unit_test(test_percent_is_decoded),
        cmocka_unit_test(test_percent_decodes_utf8),
        cmocka_unit_test(test_plain_utf8_is_taken),
        cmocka_unit_test(test_plus_is_no_space),
        cmocka_unit_test(test_percent_without_two_digits_is_refused),
        cmocka_unit_test(test_percent_in_a_name_is_not_decoded),
        cmocka_unit_test(test_invalid_utf8_is_refused),
        cmocka_unit_test(test_nul_in_a_text_is_refused),
        cmocka_unit_test(test_query_attributes),
        cmocka_unit_test(test_query_without_a_path),
        cmocka_unit_test(test_empty_query_is_nothing),
        cmocka_unit_test(test_second_question_mark_belongs_to_the_value),
        cmocka_unit_test(test_semicolon_in_a_query_belongs_to_the_value),
        cmocka_unit_test(test_pin_value_may_be_empty_and_of_any_bytes),
        cmocka_unit_test(test_pin_longer_than_a_secret_is_refused),
        cmocka_unit_test(test_done_wipes_and_forgets),
        cmocka_unit_test(test_parse_rejects_unknown_attribute),
        cmocka_unit_test(test_parse_rejects_names_in_another_case),
        cmocka_unit_test(test_parse_rejects_prefixes_of_names),
        cmocka_unit_test(test_parse_rejects_duplicates),
        cmocka_unit_test(test_parse_rejects_path_attributes_in_the_query),
        cmocka_unit_test(test_parse_rejects_query_attributes_in_the_path),
        cmocka_unit_test(test_parse_rejects_what_has_no_equals_sign),
        cmocka_unit_test(test_pieces_of_a_pin_are_not_repeated),
        cmocka_unit_test(test_text_that_is_not_utf8_stays_out_of_a_uri),
        cmocka_unit_test(test_parse_rejects_empty_attributes),
        cmocka_unit_test(test_parse_allows_a_separator_at_the_end),
        cmocka_unit_test(test_parse_ignores_vendor_attributes),
        cmocka_unit_test(test_vendor_prefix_alone_is_no_vendor_attribute),
        cmocka_unit_test(test_long_unknown_name_is_cut_in_the_message),
        cmocka_unit_test(test_message_never_repeats_a_value),
        cmocka_unit_test(test_text_of_the_maximum_length_is_parsed),
        cmocka_unit_test(test_longer_text_is_refused),
        cmocka_unit_test(test_failed_parse_can_be_freed),
        cmocka_unit_test(test_rfc7512_public_key),
        cmocka_unit_test(test_rfc7512_private_key_with_pin_source),
        cmocka_unit_test(test_rfc7512_certificate_by_token_serial_and_model),
        cmocka_unit_test(test_rfc7512_module_and_pin),
        cmocka_unit_test(test_rfc7512_library_attributes),
        cmocka_unit_test(test_rfc7512_vendor_attributes),
        cmocka_unit_test(test_format_has_a_fixed_order),
        cmocka_unit_test(test_format_of_nothing),
        cmocka_unit_test(test_format_keeps_empty_values),
        cmocka_unit_test(test_format_encodes_id_bytes_and_delimiters),
        cmocka_unit_test(test_format_leaves_the_query_out),
        cmocka_unit_test(test_format_of_all_attributes_round_trips),
        cmocka_unit_test(test_format_with_module_adds_only_the_module),
        cmocka_unit_test(test_uri_without_attributes_matches_every_token),
        cmocka_unit_test(test_each_attribute_matches_and_differs),
        cmocka_unit_test(test_all_attributes_must_match),
        cmocka_unit_test(test_prefix_of_a_label_does_not_match),
        cmocka_unit_test(test_empty_label_does_not_match_a_named_token),
        cmocka_unit_test(test_empty_label_matches_an_empty_label),
        cmocka_unit_test(test_names_token_and_object),
    };

    return UNIT_RUN(tests);
}
