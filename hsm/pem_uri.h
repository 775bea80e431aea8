/*
 * A PEM file that carries a PKCS#11 URI, for programs that take file names and nothing else:
 *
 *   -----BEGIN PKCS#11 PROVIDER URI-----
 *   SEQUENCE { VisibleString "PKCS#11 Provider URI v1.0", UTF8String uri }
 *   -----END PKCS#11 PROVIDER URI-----
 *
 * It is the form of the OpenSSL provider "pkcs11-provider", so files can be moved between the two.
 * A file of this kind holds no key; it may hold a PIN if its URI does.
 */
#ifndef HSM_PEM_URI_H
#define HSM_PEM_URI_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/uri.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HSM_PEM_URI_LABEL "PKCS#11 PROVIDER URI"

enum {
    HSM_PEM_URI_DER_MAX = HSM_URI_MAX + 64,
    HSM_PEM_URI_TEXT_MAX = 2 * HSM_URI_MAX + 256 /* base64, line ends and both boundaries */
};

/* Appends the DER form. E_USAGE if the text is no PKCS#11 URI by its scheme, or too long. */
bool hsm_pem_uri_encode(const char *uri, struct buf *der, struct err *err) NODISCARD;

/* Appends the URI of a DER form, which must be exactly that and nothing more. E_USAGE says what is
 * wrong. */
bool hsm_pem_uri_decode(const uint8_t *der, size_t len, struct buf *uri, struct err *err) NODISCARD;

/* Appends the PEM form. E_USAGE, E_MEMORY. */
bool hsm_pem_uri_write(const char *uri, struct buf *pem, struct err *err) NODISCARD;

/* Appends the DER form inside a PEM block with our label; text before it does not matter. E_USAGE.
 */
bool hsm_pem_uri_read(const char *pem, size_t len, struct buf *der, struct err *err) NODISCARD;

/* Frees a buffer after wiping it: the URI in it may have a PIN. Forms are best built in a buffer of
 * this kind that was given its room at once (hsm_pem_uri_room()). */
void hsm_pem_uri_wipe(struct buf *buf);

/* Makes a buffer allocate all it may need, so that growing leaves no copy behind. */
void hsm_pem_uri_room(struct buf *buf);

DEFINE_AUTO_DONE(pem_uri, struct buf, hsm_pem_uri_wipe)

#endif
