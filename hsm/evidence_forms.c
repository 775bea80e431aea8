/* THE list of vendors' forms. */
#include "hsm/evidence.h"

#include "base/str.h"

#include <openssl/err.h>
#include <string.h>

/* A card-verifiable certificate or request for one: tag 7F21 (certificate) or 67 (request with an
 * outer signature), ISO 7816-8. */
static bool cvc_recognise(const uint8_t *data, size_t len)
{
    return len > 4 && (data[0] == 0x67 || (data[0] == 0x7f && data[1] == 0x21));
}

static bool begins_with(const uint8_t *data, size_t len, const char *text)
{
    size_t at = 0;

    while (at < len && strchr(" \t\r\n", data[at]) != NULL && data[at] != '\0') {
        at++;
    }
    return len - at >= strlen(text) && memcmp(data + at, text, strlen(text)) == 0;
}

static bool json_recognise(const uint8_t *data, size_t len)
{
    return begins_with(data, len, "{");
}

static bool xml_recognise(const uint8_t *data, size_t len)
{
    return begins_with(data, len, "<?xml");
}

static bool gzip_recognise(const uint8_t *data, size_t len)
{
    return len > 2 && data[0] == 0x1f && data[1] == 0x8b;
}

static bool anything(const uint8_t *data UNUSED, size_t len UNUSED)
{
    return true;
}

static const struct hsm_form forms[] = {
    {.name = "yubikey-piv",
     .device = "YubiKey (PIV)",
     .proves = "the YubiKey made the key itself, and it cannot leave it",
     .source = "ykcs11 shows it beside the key; or 'yubico-piv-tool -a attest -s SLOT' and "
               "'-a read-certificate -s f9'.",
     .ca_name = "YUBIKEY",
     .collect = hsm_yubikey_collect,
     .recognise = hsm_yubikey_recognise,
     .parse = hsm_yubikey_parse,
     .payload = hsm_yubikey_payload},
    {.name = "luna-pkc",
     .device = "Thales Luna (public-key confirmation)",
     .proves = "the Luna HSM made the key itself, and keeps it in hardware",
     .source = "'cmu getpkc' of the vendor's client; the Chrysalis-ITS form is the better one.",
     .ca_name = "LUNA",
     .recognise = hsm_luna_recognise,
     .parse = hsm_luna_parse,
     .payload = hsm_luna_payload},
    {.name = "yubihsm2",
     .device = "YubiHSM 2",
     .proves = "the YubiHSM made the key itself; whether it may leave wrapped is not read here",
     .source = "'yubihsm-shell -a sign-attestation-certificate'.",
     .ca_name = "YUBIHSM2",
     .recognise = hsm_yubihsm_recognise,
     .parse = hsm_yubihsm_parse},
    {.name = "smartcard-hsm",
     .device = "SmartCard-HSM, Nitrokey HSM 2 (card-verifiable certificate)",
     .proves = "the card made the key itself; its signature is not checked here",
     .source = "read from the card right after generation; a certificate for the key is written "
               "over it.",
     .recognise = cvc_recognise},
    {.name = "nshield",
     .device = "Entrust nShield",
     .proves = "the security world describes how it protects the key; not checked here",
     .source = "'nfkmattest bundle'; 'nfkmattest verify' checks it.",
     .ca_name = "NSHIELD",
     .recognise = json_recognise},
    {.name = "google-cloud-hsm",
     .device = "Google Cloud HSM",
     .proves = "the HSM describes the key; not checked here",
     .source = "the Cloud KMS API.",
     .ca_name = "MARVELL_GOOGLE",
     .recognise = gzip_recognise},
    {.name = "securosys-primus",
     .device = "Securosys Primus HSM",
     .proves = "the HSM describes the key; not checked here",
     .source = "the vendor's tool: XML and a signature.",
     .recognise = xml_recognise},
    {.name = "other",
     .device = "unknown device",
     .proves = "nothing that is known here",
     .source = "the user.",
     .recognise = anything},
};

const struct hsm_form *hsm_form_at(size_t i)
{
    return i < ARRAY_LEN(forms) ? &forms[i] : NULL;
}

const struct hsm_form *hsm_form_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (str_equal(forms[i].name, name)) {
            return &forms[i];
        }
    }
    return NULL;
}

const struct hsm_form *hsm_form_of(const uint8_t *data, size_t len)
{
    size_t i = 0;

    (void)ERR_set_mark(); /* the error queue is the application's */
    while (i + 1 < ARRAY_LEN(forms) && !forms[i].recognise(data, len)) {
        i++;
    }
    (void)ERR_pop_to_mark();
    return &forms[i];
}

bool hsm_attests(const struct hsm_form *form, const struct hsm_attested *attested, const char **why)
{
    *why = form == &forms[ARRAY_LEN(forms) - 1] ? "its form is not known" : attested->why_not;
    return *why == NULL;
}

bool hsm_attestation_collect(struct hsm_session *session, const struct hsm_key *key,
                             const struct hsm_form **form, struct buf *out, struct err *err)
{
    *form = NULL;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (forms[i].collect == NULL) {
            continue;
        }
        if (!forms[i].collect(session, key, out, err)) {
            return err_wrap(err, "attestation by a %s", forms[i].device);
        }
        if (out->len > 0) {
            *form = &forms[i];
            return true;
        }
    }
    return true;
}

bool hsm_attestation_parse(const struct hsm_form *form, const uint8_t *data, size_t len,
                           struct hsm_attested *out, struct err *err)
{
    AUTO(hsm_attested) struct hsm_attested attested = {.count = 0};

    /* a name or an OID in a certificate that libcrypto cannot print leaves an error in its queue */
    (void)ERR_set_mark();
    bool ok = form->parse == NULL || form->parse(data, len, &attested, err);
    (void)ERR_pop_to_mark();
    if (!ok) {
        return err_wrap(err, "attestation by a %s", form->device);
    }
    *out = attested;
    memset(&attested, 0, sizeof(attested));
    return true;
}
