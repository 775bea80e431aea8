/*
 * Looks over all keys and certificates of a token: whether they fit together the way that other
 * programs expect, and mends what can be mended without touching a private key.
 *
 * What belongs together is told by the public half, not by ids or labels. A private key that shows
 * none has that of the public object with its id; where there is none, a signature tells, and for
 * keys that want a PIN for each, the id of a certificate.
 */
#ifndef HSM_CERT_CHECK_H
#define HSM_CERT_CHECK_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/cert.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hsm_finding_kind {
#define X(symbol, name, sentence) symbol,
#include "hsm/findings.def"
#undef X
    HSM_FINDING_KINDS
};

const char *hsm_finding_name(enum hsm_finding_kind kind);
const char *hsm_finding_sentence(enum hsm_finding_kind kind);

/* One thing that is wrong. Borrowed, for the time of the call. */
struct hsm_finding {
    enum hsm_finding_kind kind;
    CK_OBJECT_CLASS class; /* of the object that it is about */
    const char *label;
    const struct hsm_id *id;
    const char *key_label; /* of the private key concerned; NULL: none */
    bool fixed;
    const char *fix_failed; /* why it could not be mended; NULL: it was not tried, or it was */
};

/* False ends the check. */
typedef bool hsm_finding_fn(void *ctx, const struct hsm_finding *finding);

struct hsm_check {
    int64_t now_s;
    int64_t soon_s;         /* what expires within that time is reported */
    bool chains;            /* issuers belong on the token */
    STACK_OF(X509) * roots; /* that chains may end at; NULL: any root will do */
    bool fix;
    hsm_finding_fn *visit;
    void *ctx;
};

struct hsm_check_report {
    size_t keys, certificates;
    size_t findings, fixed;
};

/*
 * Checks, and with `fix` mends ids and labels of certificates and public keys: changed in place
 * where the token allows it, else written anew before the old object is removed; read back in a new
 * session. A label is changed only if no other certificate has it, and a certificate is written
 * anew only if no other one stands under the id. What another process changed meanwhile is not
 * removed. The user is logged in. A mending that fails is part of its finding; E_TOKEN if the token
 * cannot be read.
 */
bool hsm_cert_check(struct hsm_token *token, const struct hsm_check *check,
                    struct hsm_check_report *report, struct err *err) NODISCARD;

#endif
