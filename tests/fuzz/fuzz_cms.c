/* A signature from outside, over a text: taken apart and found wanting, whatever it is. */
#include "fuzz/fuzz.h"

#include "x509/x509.h"

#include <openssl/err.h>

static const char text[] = "{\"decision\":\"approve\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(x509) X509 *signer = NULL;
    struct err err = ERR_INIT;

    ERR_clear_error();
    if (x509_cms_verify(data, size, (const uint8_t *)text, strlen(text), NULL, &signer, &err)) {
        CHECK(signer != NULL);
        if (!x509_may_sign(signer, 1785542400, &err)) {
            CHECK_ERR(err);
        }
    } else {
        CHECK_ERR(err);
        CHECK(signer == NULL);
    }
    CHECK(ERR_peek_error() == 0);
    return 0;
}
