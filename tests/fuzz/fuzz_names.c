/* Names for a certificate, and subjects: what was accepted is accepted again, unchanged. */
#include "fuzz/fuzz.h"

#include "base/str.h"
#include "x509/x509.h"

#include <openssl/err.h>

static void check_names(const char *text)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(x509_names) struct x509_names again = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    if (!x509_names_add_list(&names, text, &err)) {
        CHECK_ERR(err);
    }
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.list[i];
        CHECK(str_is_printable((const uint8_t *)name, strlen(name)));
        CHECK(strpbrk(name, ", \t\r\n") == NULL && strlen(name) <= 254);
        CHECK(x509_names_add(&again, name, &err));
    }
    CHECK(again.count == names.count);
    AUTO(str) char *a = x509_names_join(&names, ',');
    AUTO(str) char *b = x509_names_join(&again, ',');
    CHECK(str_equal(a, b));
}

static void check_subject(const char *text)
{
    AUTO(x509_name) X509_NAME *name = NULL;
    struct err err = ERR_INIT;

    if (x509_subject_parse(text, &name, &err)) {
        CHECK(X509_NAME_entry_count(name) > 0);
    } else {
        CHECK_ERR(err);
        CHECK(name == NULL);
    }
    CHECK(ERR_peek_error() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(str) char *text = fuzz_text(data, size);

    ERR_clear_error();
    check_names(text);
    check_subject(text);
    return 0;
}
