/* One certificate in DER: what people are shown of it, its names, its public key. */
#include "fuzz/fuzz.h"

#include "base/str.h"
#include "hsm/key.h"
#include "x509/x509.h"

#include <openssl/err.h>

static void check_info(X509 *cert)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    struct err err = ERR_INIT;

    if (!x509_info(cert, &info, &err)) {
        CHECK_ERR(err);
        return;
    }
    CHECK(info.subject != NULL && info.issuer != NULL && info.serial != NULL);
    CHECK(info.can_client_auth || info.has_eku);
    for (const char *p = info.subject; *p != '\0'; p++) {
        CHECK((unsigned char)*p >= 0x20 && *p != 0x7f); /* goes to terminals */
    }
}

static void check_names(X509 *cert)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(x509_names) struct x509_names again = X509_NAMES_INIT;
    AUTO(buf) struct buf missing = BUF_INIT(1024);
    struct err err = ERR_INIT;

    if (!x509_names_of_cert(cert, &names, &err)) {
        CHECK_ERR(err);
        return;
    }
    if (names.count > X509_NAMES_MAX) {
        return; /* more than can be asked for */
    }
    AUTO(str) char *text = x509_names_join(&names, ',');
    CHECK(text != NULL);
    CHECK(x509_names_add_list(&again, text, &err));
    CHECK(again.count <= names.count); /* a certificate may repeat itself */
    CHECK(x509_names_cover(&names, &again, &missing));
}

static void check_public(X509 *cert)
{
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};

    if (hsm_public_from_x509(cert, &spec, &public)) {
        CHECK(public.known);
        CHECK(hsm_public_equal(&spec, &public, &spec, &public));
        CHECK(spec.type == HSM_KEY_RSA  ? public.modulus_len > 0
              : spec.type != HSM_KEY_EC ? public.point_len == spec.curve->field_bytes
                                        : public.point_len == 1 + 2 * spec.curve->field_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const unsigned char *p = data;
    AUTO(x509) X509 *cert = d2i_X509(NULL, &p, (long)size);

    if (cert != NULL) {
        check_info(cert);
        check_names(cert);
        check_public(cert);
    }
    ERR_clear_error();
    return 0;
}
