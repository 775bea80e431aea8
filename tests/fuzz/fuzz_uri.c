/* PKCS#11 URIs: what was parsed is formatted, parsed again, and must say the same. */
#include "fuzz/fuzz.h"

#include "base/str.h"
#include "hsm/uri.h"

static void check_round_trip(const struct hsm_uri *uri)
{
    AUTO(buf) struct buf first = BUF_INIT(8 * HSM_URI_MAX);
    AUTO(buf) struct buf second = BUF_INIT(8 * HSM_URI_MAX);
    AUTO(hsm_uri) struct hsm_uri again = {0};
    struct err err = ERR_INIT;

    hsm_uri_format(uri, &first);
    CHECK(buf_ok(&first));
    CHECK(str_is_printable((const uint8_t *)buf_str(&first), first.len));
    if (first.len > HSM_URI_MAX) {
        return; /* every byte may become three */
    }
    CHECK(hsm_uri_parse(buf_str(&first), &again, &err));
    hsm_uri_format(&again, &second);
    CHECK(strcmp(buf_str(&first), buf_str(&second)) == 0);
    CHECK(again.type == uri->type);
    CHECK(again.id.set == uri->id.set && again.id.len == uri->id.len);
    CHECK(memcmp(again.id.data, uri->id.data, uri->id.len) == 0);
    CHECK(hsm_uri_names_token(&again) == hsm_uri_names_token(uri));
    CHECK(!secret_is_set(&again.pin_value) && again.pin_source == NULL);
}

static void check_module(const struct hsm_uri *uri)
{
    AUTO(buf) struct buf text = BUF_INIT(8 * HSM_URI_MAX);
    AUTO(hsm_uri) struct hsm_uri again = {0};
    struct err err = ERR_INIT;

    if (uri->module_path == NULL) {
        return;
    }
    hsm_uri_format_with_module(uri, uri->module_path, &text);
    CHECK(buf_ok(&text));
    if (text.len <= HSM_URI_MAX) {
        CHECK(hsm_uri_parse(buf_str(&text), &again, &err));
        CHECK(str_equal(again.module_path, uri->module_path));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(str) char *text = fuzz_text(data, size);
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_uri_token token = {.label = "prod", .serial = "1", .model = "", .slot_id = 3};
    struct err err = ERR_INIT;

    if (!hsm_uri_parse(text, &uri, &err)) {
        CHECK_ERR(err);
        return 0;
    }
    check_round_trip(&uri);
    check_module(&uri);
    (void)hsm_uri_matches_token(&uri, &token);
    (void)hsm_uri_names_object(&uri);
    (void)hsm_uri_type_name(uri.type);
    return 0;
}
