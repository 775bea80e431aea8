#include "hsm/quirks.h"

#include "unit/unit.h"

#include <string.h>

/* Padded with blanks, as C_GetInfo has it. */
static CK_INFO info_of(const char *manufacturer, const char *description, unsigned char major,
                       unsigned char minor)
{
    CK_INFO info = {.libraryVersion = {.major = major, .minor = minor}};

    memset(info.manufacturerID, ' ', sizeof(info.manufacturerID));
    memset(info.libraryDescription, ' ', sizeof(info.libraryDescription));
    memcpy(info.manufacturerID, manufacturer, strlen(manufacturer));
    memcpy(info.libraryDescription, description, strlen(description));
    return info;
}

static void test_words(void **state UNUSED)
{
    static const struct {
        const char *text;
        unsigned quirks;
    } cases[] = {
        {NULL, 0},
        {"", 0},
        {" , ", 0},
        {"no-copy", HSM_QUIRK(NO_COPY)},
        {"no-copy,no-finalise", HSM_QUIRK(NO_COPY) | HSM_QUIRK(NO_FINALISE)},
        {" no-allowed-mechanisms , no-copy ",
         HSM_QUIRK(NO_COPY) | HSM_QUIRK(NO_ALLOWED_MECHANISMS)},
        {"no-copy no-copy", HSM_QUIRK(NO_COPY)},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        unsigned quirks = ~0U;
        assert_ok(hsm_quirks_parse(cases[i].text, &quirks, &err), &err);
        assert_int_equal(quirks, cases[i].quirks);
    }
}

static void test_unknown_word(void **state UNUSED)
{
    static const char *const texts[] = {"no-copy, no-fun", "no-fun", "no-fun,no-copy"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err err = ERR_INIT;
        unsigned quirks = 77;
        assert_false(hsm_quirks_parse(texts[i], &quirks, &err));
        assert_int_equal(err.code, E_CONFIG);
        assert_string_equal(err.msg,
                            "quirks: there is no 'no-fun'; there are no-finalise, "
                            "no-copy, no-allowed-mechanisms, "
                            "general-error-for-attributes, no-usage-denials, local-unknown");
        assert_int_equal(quirks, 77);
    }
}

static void test_part_of_a_word_is_none(void **state UNUSED)
{
    struct err err = ERR_INIT;
    unsigned quirks = 0;

    assert_false(hsm_quirks_parse("no", &quirks, &err));
    assert_false(hsm_quirks_parse("no-copy-at-all", &quirks, &err));
    assert_string_equal(err.msg, "quirks: there is no 'no-copy-at-all'; there are no-finalise, "
                                 "no-copy, no-allowed-mechanisms, "
                                 "general-error-for-attributes, no-usage-denials, local-unknown");
}

static void test_format(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(256);

    hsm_quirks_format(HSM_QUIRK(NO_ALLOWED_MECHANISMS) | HSM_QUIRK(NO_FINALISE), &out);
    assert_string_equal(buf_str(&out), "no-finalise, no-allowed-mechanisms");
}

static void test_modules(void **state UNUSED)
{
    static const struct {
        const char *manufacturer, *description;
        unsigned quirks;
    } cases[] = {
        {"Yubico (www.yubico.com)", "YubiHSM PKCS#11 Library", HSM_QUIRK(NO_FINALISE)},
        {"Yubico (www.yubico.com)", "PKCS#11 PIV Library (SP-800-73)", 0},
        {"tpm2-software.github.io", "TPM2.0 Cryptoki",
         HSM_QUIRK(NO_COPY) | HSM_QUIRK(NO_USAGE_DENIALS)},
        {"Mozilla Foundation", "NSS Internal Crypto Services",
         HSM_QUIRK(GENERAL_ERROR_FOR_ATTRIBUTES) | HSM_QUIRK(LOCAL_UNKNOWN)},
        {"SoftHSM", "Implementation of PKCS11", 0},
        {"", "", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CK_INFO info = info_of(cases[i].manufacturer, cases[i].description, 2, 6);
        assert_int_equal(hsm_quirks_known(&info), cases[i].quirks);
    }
}

static void test_version(void **state UNUSED)
{
    static const struct hsm_quirk_row row = {"Maker", "Thing", 2, 5, HSM_QUIRK(NO_COPY), "", ""};
    static const struct {
        unsigned char major, minor;
        bool fits;
    } cases[] = {{1, 9, true}, {2, 4, true}, {2, 5, false}, {2, 6, false}, {3, 0, false}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CK_INFO info = info_of("Maker Ltd.", "Thing", cases[i].major, cases[i].minor);
        assert_int_equal(hsm_quirk_row_fits(&row, &info), cases[i].fits);
    }
}

/* A row without a source is a rumour. */
static void test_rows_have_sources(void **state UNUSED)
{
    size_t i = 0;

    for (const struct hsm_quirk_row *row; (row = hsm_quirk_row_at(i)) != NULL; i++) {
        assert_memory_equal(row->source, "https://", 8);
        assert_int_not_equal(row->quirks, 0);
        assert_int_equal(row->fault[strlen(row->fault) - 1], '.');
        assert_true(row->manufacturer[0] != '\0' && strlen(row->manufacturer) <= 32);
        assert_true(strlen(row->description) <= 32);
    }
    assert_int_not_equal(i, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_unknown_word),
        cmocka_unit_test(test_part_of_a_word_is_none),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_modules),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_rows_have_sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
