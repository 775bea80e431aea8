/* PEM files with a PKCS#11 URI: what was read is written and read again, to the same bytes. */
#include "fuzz/fuzz.h"

#include "hsm/pem_uri.h"

static void check_der(const uint8_t *data, size_t size)
{
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    AUTO(buf) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    struct err err = ERR_INIT;

    if (!hsm_pem_uri_decode(data, size, &uri, &err)) {
        CHECK_ERR(err);
        return;
    }
    CHECK(uri.len <= HSM_URI_MAX && strlen(buf_str(&uri)) == uri.len);
    CHECK(hsm_pem_uri_encode(buf_str(&uri), &der, &err));
    CHECK(der.len == size && memcmp(der.data, data, size) == 0);
}

static void check_pem(const uint8_t *data, size_t size)
{
    AUTO(buf) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    struct err err = ERR_INIT;

    if (!hsm_pem_uri_read((const char *)data, size, &der, &err)) {
        CHECK_ERR(err);
        return;
    }
    CHECK(der.len <= HSM_PEM_URI_DER_MAX);
    check_der(der.data, der.len);
}

static void check_write(const char *text)
{
    AUTO(buf) struct buf pem = BUF_INIT(HSM_PEM_URI_TEXT_MAX);
    AUTO(buf) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    struct err err = ERR_INIT;

    if (!hsm_pem_uri_write(text, &pem, &err)) {
        CHECK_ERR(err);
        return;
    }
    CHECK(hsm_pem_uri_read(buf_str(&pem), pem.len, &der, &err));
    CHECK(hsm_pem_uri_decode(der.data, der.len, &uri, &err));
    CHECK(strcmp(buf_str(&uri), text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(str) char *text = fuzz_text(data, size);

    check_der(data, size);
    check_pem(data, size);
    check_write(text);
    return 0;
}
