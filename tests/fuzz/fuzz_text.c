/* The small readers of base/str.c, sources of secrets, and words for keys. */
#include "fuzz/fuzz.h"

#include "base/secret_source.h"
#include "base/str.h"
#include "hsm/alg.h"

static void check_numbers(const char *text)
{
    uint64_t u = 0;
    int i = 0;
    int64_t s = 0;
    bool b = false;

    if (str_to_u64(text, UINT64_MAX, &u)) {
        CHECK(strspn(text, "0123456789") == strlen(text));
    }
    if (str_to_int(text, -1000, 1000, &i)) {
        CHECK(i >= -1000 && i <= 1000);
    }
    if (str_to_seconds(text, &s)) {
        CHECK(s >= 0);
    }
    CHECK(str_to_bool(text, &b) || !b);
}

static void check_hex(const char *text)
{
    AUTO(buf) struct buf bytes = BUF_INIT(1 << 20);
    AUTO(buf) struct buf hex = BUF_INIT(1 << 22);
    AUTO(buf) struct buf again = BUF_INIT(1 << 20);

    if (str_from_hex(text, &bytes)) {
        str_add_hex(&hex, bytes.data, bytes.len, ':');
        CHECK(str_from_hex(buf_str(&hex), &again));
        CHECK(again.len == bytes.len);
        CHECK(bytes.len == 0 || memcmp(again.data, bytes.data, bytes.len) == 0);
    }
}

static void check_percent(const uint8_t *data, size_t size)
{
    AUTO(buf) struct buf encoded = BUF_INIT(1 << 22);
    AUTO(buf) struct buf decoded = BUF_INIT(1 << 20);

    str_percent_encode(&encoded, data, size, "/");
    CHECK(str_percent_decode(buf_str(&encoded), encoded.len, &decoded));
    CHECK(decoded.len == size && (size == 0 || memcmp(decoded.data, data, size) == 0));
    buf_reset(&decoded);
    CHECK(!str_percent_decode((const char *)data, size, &decoded) || decoded.len <= size);
}

static void check_quotable(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {0, 1, 2, 3, 7, 1 << 20};

    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        AUTO(buf) struct buf out = BUF_INIT(1 << 23);
        str_add_quotable(&out, (const char *)data, size, limits[i]);
        CHECK(buf_ok(&out));
        CHECK(str_is_utf8((const uint8_t *)buf_str(&out), out.len));
        for (size_t k = 0; k < out.len; k++) {
            CHECK(out.data[k] >= 0x20 && out.data[k] != 0x7f);
        }
    }
}

/* A mistyped source may be the secret itself: what was said of another one has to say as much. */
static void check_source(const char *text)
{
    struct err err = ERR_INIT;
    struct err other = ERR_INIT;

    if (secret_source_check(text, &err)) {
        return;
    }
    CHECK_ERR(err);
    CHECK(!secret_source_check("?", &other));
    CHECK(strlen(text) < 12 || strstr(err.msg, text) == NULL || strstr(other.msg, text) != NULL);
}

static void check_words(const char *text)
{
    struct hsm_key_spec spec;
    struct hsm_key_spec again;
    struct err err = ERR_INIT;

    if (hsm_key_spec_parse(text, &spec, &err)) {
        CHECK(hsm_key_spec_parse(hsm_key_spec_name(&spec), &again, &err));
        CHECK(hsm_key_spec_equal(&spec, &again));
    } else {
        CHECK_ERR(err);
    }
    check_source(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(str) char *text = fuzz_text(data, size);

    check_numbers(text);
    check_hex(text);
    check_percent(data, size);
    check_quotable(data, size);
    check_words(text);
    return 0;
}
