/* What is sent for renewals, replacements, devices, persons, decisions and updates: golden texts.
 */
#include "ca/scm/scm.h"

#include "unit/unit.h"

#include <stdlib.h>

typedef bool build_fn(const struct ca_request *request, struct buf *out, struct err *err);

static bool device(const struct ca_request *request, struct buf *out, struct err *err)
{
    return scm_build_device(request, 103, out, err);
}

static bool smime(const struct ca_request *request, struct buf *out, struct err *err)
{
    return scm_build_smime(request, 103, out, err);
}

static void builds(build_fn *build, const struct ca_request *request, const char *want)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    struct err err = ERR_INIT;

    assert_ok(build(request, &out, &err), &err);
    assert_string_equal(buf_str(&out), want);
}

static void refuses(build_fn *build, const struct ca_request *request, enum err_code code,
                    const char *words)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    struct err err = ERR_INIT;

    assert_fails(build(request, &out, &err), &err, code, words);
    assert_int_equal(out.len, 0);
}

/* Names of a text, for a request. */
static void names_of(const char *text, struct x509_names *out)
{
    struct err err = ERR_INIT;

    assert_ok(x509_names_add_list(out, text, &err), &err);
}

static void test_renewal_with_the_same_key_is_an_empty_object(void **state UNUSED)
{
    builds(scm_build_renew, &(struct ca_request){.csr_pem = "CSR", .same_key = true}, "{}");
}

static void test_renewal_with_a_request(void **state UNUSED)
{
    builds(scm_build_renew, &(struct ca_request){.csr_pem = "CSR\n"}, "{\"csr\":\"CSR\\n\"}");
}

static void test_replacement_leaves_the_names_as_they_are(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    names_of("a.example b.example", &names);
    builds(scm_build_replace,
           &(struct ca_request){
               .csr_pem = "CSR", .reason = "lost", .names = &names, .send_names = CA_NAMES_NEVER},
           "{\"csr\":\"CSR\",\"reason\":\"lost\"}");
}

static void test_replacement_with_names_sends_an_array(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    names_of("a.example b.example", &names);
    builds(scm_build_replace,
           &(struct ca_request){
               .csr_pem = "CSR", .reason = "lost", .names = &names, .send_names = CA_NAMES_ALWAYS},
           "{\"csr\":\"CSR\",\"reason\":\"lost\",\"subjectAlternativeNames\":[\"a.example\","
           "\"b.example\"],\"commonName\":\"a.example\"}");
}

static void test_name_that_is_too_long_for_a_common_name_is_none(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(buf) struct buf want = BUF_INIT(500);
    const char *name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example";

    names_of(name, &names);
    buf_addf(&want, "{\"csr\":\"CSR\",\"reason\":\"x\",\"subjectAlternativeNames\":[\"%s\"]}",
             name);
    builds(scm_build_replace,
           &(struct ca_request){
               .csr_pem = "CSR", .reason = "x", .names = &names, .send_names = CA_NAMES_ALWAYS},
           buf_str(&want));
}

static void test_replaced_device_is_not_revoked(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    names_of("a.example", &names);
    builds(scm_build_replace,
           &(struct ca_request){.kind = CA_KIND_DEVICE,
                                .csr_pem = "CSR",
                                .reason = "x",
                                .names = &names,
                                .send_names = CA_NAMES_ALWAYS},
           "{\"csr\":\"CSR\",\"reason\":\"x\",\"revoke\":false}");
}

static void test_reason_of_a_replacement_has_its_limits(void **state UNUSED)
{
    char longest[CA_REASON_TEXT_MAX + 2];

    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    refuses(scm_build_replace, &(struct ca_request){.csr_pem = "CSR"}, E_USAGE, "sentence on why");
    refuses(scm_build_replace, &(struct ca_request){.csr_pem = "CSR", .reason = ""}, E_USAGE,
            "sentence on why");
    refuses(scm_build_replace, &(struct ca_request){.csr_pem = "CSR", .reason = longest}, E_USAGE,
            "of 1 to 512");
}

static void test_device(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    names_of("meter.example", &names);
    builds(device,
           &(struct ca_request){.csr_pem = "CSR",
                                .names = &names,
                                .product_id = 2001,
                                .term_days = 365,
                                .mark = "p11e-1",
                                .comments = "rack 7",
                                .custom_fields = "a=b"},
           "{\"orgId\":103,\"certType\":2001,\"term\":365,\"csr\":\"CSR\",\"comments\":\"p11e-1 "
           "rack 7\",\"customFields\":[{\"name\":\"a\",\"value\":\"b\"}]}");
}

static struct ca_request of_person(const char *person, const struct x509_names *names)
{
    return (struct ca_request){.csr_pem = "CSR",
                               .names = names,
                               .product_id = 3001,
                               .term_days = 365,
                               .mark = "p11e-1",
                               .person = person};
}

static void test_person_with_three_names_and_two_addresses(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    names_of("ada@b.example a@b.example", &names);
    struct ca_request request = of_person(" Ada King Noel  Lovelace ", &names);
    builds(smime, &request,
           "{\"orgId\":103,\"certType\":3001,\"term\":365,\"csr\":\"CSR\",\"secondaryEmails\":["
           "\"a@b.example\"],\"email\":\"ada@b.example\",\"firstName\":\"Ada\",\"lastName\":"
           "\"Lovelace\",\"middleName\":\"King Noel\",\"comments\":\"p11e-1\"}");
}

static void test_person_that_is_not_complete(void **state UNUSED)
{
    static const char *const persons[] = {
        NULL,  "",      " ",
        "Ada", " Ada ", "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa Lllllllllllllllllllllllllllllll"};

    for (size_t i = 0; i < ARRAY_LEN(persons); i++) {
        AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
        names_of("ada@b.example", &names);
        struct ca_request request = of_person(persons[i], &names);
        refuses(smime, &request, E_CONFIG, "first and the last name");
    }
}

static void test_person_has_addresses_alone(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    names_of("ada@b.example www.b.example", &names);
    struct ca_request request = of_person("Ada Lovelace", &names);
    refuses(smime, &request, E_USAGE, "'www.b.example' is none");
}

static void updates(const struct ca_update *update, const char *want)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    struct err err = ERR_INIT;

    assert_ok(scm_build_update(update, &out, &err), &err);
    assert_string_equal(buf_str(&out), want);
}

static void test_update_has_what_changes_alone(void **state UNUSED)
{
    updates(&(struct ca_update){.id = 5000000000, .comments = "x"},
            "{\"sslId\":5000000000,\"comments\":\"x\"}");
    updates(&(struct ca_update){.id = 7, .comments = ""}, "{\"sslId\":7,\"comments\":\"\"}");
    updates(&(struct ca_update){.kind = CA_KIND_DEVICE, .id = 7, .comments = "x"},
            "{\"comments\":\"x\"}");
}

static void test_update_of_everything(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    names_of("a.example", &names);
    updates(&(struct ca_update){.id = 7,
                                .term_days = 365,
                                .product_id = 1013,
                                .org_id = 103,
                                .names = &names,
                                .csr_pem = "CSR",
                                .comments = "c",
                                .external_requester = "a@b.c",
                                .custom_fields = "x=y"},
            "{\"sslId\":7,\"term\":365,\"certTypeId\":1013,\"orgId\":103,\"csr\":\"CSR\","
            "\"comments\":\"c\",\"externalRequester\":\"a@b.c\",\"subjectAlternativeNames\":["
            "\"a.example\"],\"commonName\":\"a.example\",\"customFields\":[{\"name\":\"x\","
            "\"value\":\"y\"}]}");
}

static void test_update_that_is_too_long_or_not_for_devices(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    struct err err = ERR_INIT;
    char comments[1026];

    memset(comments, 'x', sizeof(comments));
    comments[sizeof(comments) - 1] = '\0';
    struct ca_update longest = {.id = 7, .comments = comments};
    assert_fails(scm_build_update(&longest, &out, &err), &err, E_USAGE, "at most 1024");
    struct ca_update requester = {.id = 7, .external_requester = comments};
    assert_fails(scm_build_update(&requester, &out, &err), &err, E_USAGE, "at most 512");
    struct ca_update device = {.kind = CA_KIND_DEVICE, .id = 7, .term_days = 1};
    assert_fails(scm_build_update(&device, &out, &err), &err, E_USAGE, "custom fields alone");
}

static void test_decision(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(2000);
    struct err err = ERR_INIT;

    assert_ok(scm_build_decision(&(struct ca_decision){.message = "\"no\""}, &out, &err), &err);
    assert_string_equal(buf_str(&out), "{\"message\":\"\\\"no\\\"\"}");
}

/* What the journal keeps */

static void keeps(const struct scm_state *kept, const char *text)
{
    AUTO(json) json *doc = NULL;
    struct scm_state read;
    struct err err = ERR_INIT;
    char *made = scm_state_text(kept);

    assert_string_equal(made, text);
    assert_ok(scm_state_read(made, &doc, &read, &err), &err);
    assert_int_equal(read.id, kept->id);
    assert_int_equal(read.kind, kept->kind);
    assert_int_equal(read.replaces, kept->replaces);
    assert_int_equal(read.renews, kept->renews);
    assert_int_equal(read.known.count, kept->known.count);
    for (size_t i = 0; i < read.known.count; i++) {
        assert_int_equal(read.known.list[i], kept->known.list[i]);
    }
    assert_string_equal(read.comments, kept->comments != NULL ? kept->comments : "");
    free(made);
}

static void test_state_is_kept_and_read(void **state UNUSED)
{
    keeps(&(struct scm_state){.id = 5000000000}, "{\"id\":5000000000}");
    keeps(&(struct scm_state){.id = 7, .kind = CA_KIND_DEVICE}, "{\"id\":7,\"kind\":\"device\"}");
    keeps(&(struct scm_state){.id = 7, .replaces = true}, "{\"id\":7,\"replaces\":true}");
    keeps(&(struct scm_state){.renews = 7, .known = {{9, 5000000000}, 2}, .comments = "a \"b\""},
          "{\"renews\":7,\"known\":[\"9\",\"5000000000\"],\"comments\":\"a \\\"b\\\"\"}");
}

static void test_full_state_can_be_kept(void **state UNUSED)
{
    struct scm_state full = {.renews = INT64_MAX};
    char comments[1025];

    memset(comments, '"', sizeof(comments));
    comments[sizeof(comments) - 1] = '\0';
    full.comments = comments;
    for (int64_t i = 0; i < SCM_IDS_MAX; i++) {
        scm_ids_add(&full.known, INT64_MAX - i);
    }
    char *text = scm_state_text(&full);
    assert_non_null(text);
    free(text);
}

static void test_number_is_new_if_it_was_not_listed(void **state UNUSED)
{
    struct scm_ids before = {.list = {7, 5000000000, 9}, .count = 3};

    assert_false(scm_ids_is_new(&before, 9));
    assert_false(scm_ids_is_new(&before, 5000000000));
    assert_true(scm_ids_is_new(&before, 8));
    assert_true(scm_ids_is_new(&before, 1));
    before.count = 0;
    assert_true(scm_ids_is_new(&before, 1));
}

/* Of a list that was cut off below, what is below was not seen. */
static void test_number_below_a_full_list_is_not_new(void **state UNUSED)
{
    struct scm_ids before = {.count = 0};

    for (int64_t i = 0; i < SCM_IDS_MAX; i++) {
        scm_ids_add(&before, 1000 + 2 * i);
    }
    assert_false(scm_ids_is_new(&before, 999));
    assert_true(scm_ids_is_new(&before, 1001));
    assert_true(scm_ids_is_new(&before, 9000));
}

static void test_state_without_a_number_is_none(void **state UNUSED)
{
    static const char *const texts[] = {
        "", "x", "[]", "{}", "{\"id\":0}", "{\"id\":-1}", "{\"id\":7,\"kind\":\"boat\"}"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO(json) json *doc = NULL;
        struct scm_state read;
        struct err err = ERR_INIT;
        assert_fails(scm_state_read(texts[i], &doc, &read, &err), &err, E_JOURNAL,
                     "no usable number");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_renewal_with_the_same_key_is_an_empty_object),
        cmocka_unit_test(test_renewal_with_a_request),
        cmocka_unit_test(test_replacement_leaves_the_names_as_they_are),
        cmocka_unit_test(test_replacement_with_names_sends_an_array),
        cmocka_unit_test(test_name_that_is_too_long_for_a_common_name_is_none),
        cmocka_unit_test(test_replaced_device_is_not_revoked),
        cmocka_unit_test(test_reason_of_a_replacement_has_its_limits),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_person_with_three_names_and_two_addresses),
        cmocka_unit_test(test_person_that_is_not_complete),
        cmocka_unit_test(test_person_has_addresses_alone),
        cmocka_unit_test(test_update_has_what_changes_alone),
        cmocka_unit_test(test_update_of_everything),
        cmocka_unit_test(test_update_that_is_too_long_or_not_for_devices),
        cmocka_unit_test(test_decision),
        cmocka_unit_test(test_state_is_kept_and_read),
        cmocka_unit_test(test_full_state_can_be_kept),
        cmocka_unit_test(test_number_is_new_if_it_was_not_listed),
        cmocka_unit_test(test_number_below_a_full_list_is_not_new),
        cmocka_unit_test(test_state_without_a_number_is_none),
    };

    return UNIT_RUN(tests);
}
