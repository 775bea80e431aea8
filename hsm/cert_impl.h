/* Between the files of hsm/cert.h: writing one certificate object, and looking whether it is there.
 */
#ifndef HSM_CERT_IMPL_H
#define HSM_CERT_IMPL_H

#include "hsm/cert.h"

/* Creates the object. E_TOKEN says what the refusal means, and whether the login was lost over it.
 */
bool hsm_cert_write(struct hsm_session *session, X509 *cert, const struct hsm_id *id,
                    const char *label, CK_OBJECT_HANDLE *handle, struct err *err) NODISCARD;

/* Whether a certificate is small enough; 0: any size is. E_TOKEN. */
bool hsm_cert_fits(const struct hsm_token *token, X509 *cert, size_t max_size,
                   struct err *err) NODISCARD;

/* The certificate of that content and label (NULL: any) among those found; NULL: not there. */
const struct hsm_cert *hsm_certs_same(const struct hsm_certs *certs, X509 *cert, const char *label);

/* Looks in a session that took no part in writing, and compares. E_TOKEN. */
bool hsm_cert_read_back(struct hsm_token *token, const struct hsm_id *id, const char *label,
                        X509 *cert, struct err *err) NODISCARD;

/* Whether the object's subject, issuer and serial number are the certificate's. With `strict`, what
 * the object lacks differs, too. */
bool hsm_cert_has_names(struct hsm_session *session, const struct hsm_cert *cert, bool strict,
                        bool *same, struct err *err) NODISCARD;

#endif
