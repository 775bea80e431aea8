#include "hsm/evidence.h"

#include "base/secret.h"
#include "base/str.h"
#include "hsm/ckr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PKCS#11 3.0; p11-kit's header may lack it. */
#ifndef CKA_UNIQUE_ID
#define CKA_UNIQUE_ID 4UL
#endif

enum { CLAIM_BYTES_MAX = 4096 };

enum kind { FLAG, MECHANISM, MECHANISMS, BYTES };

/* clang-format off */
static const struct {
    CK_ATTRIBUTE_TYPE type;
    const char *name;
    enum kind kind;
} asked[] = {
    {CKA_TOKEN,               "CKA_TOKEN",               FLAG},
    {CKA_PRIVATE,             "CKA_PRIVATE",             FLAG},
    {CKA_SENSITIVE,           "CKA_SENSITIVE",           FLAG},
    {CKA_EXTRACTABLE,         "CKA_EXTRACTABLE",         FLAG},
    {CKA_ALWAYS_SENSITIVE,    "CKA_ALWAYS_SENSITIVE",    FLAG},
    {CKA_NEVER_EXTRACTABLE,   "CKA_NEVER_EXTRACTABLE",   FLAG},
    {CKA_LOCAL,               "CKA_LOCAL",               FLAG},
    {CKA_KEY_GEN_MECHANISM,   "CKA_KEY_GEN_MECHANISM",   MECHANISM},
    {CKA_MODIFIABLE,          "CKA_MODIFIABLE",          FLAG},
    {CKA_COPYABLE,            "CKA_COPYABLE",            FLAG},
    {CKA_DESTROYABLE,         "CKA_DESTROYABLE",         FLAG},
    {CKA_WRAP_WITH_TRUSTED,   "CKA_WRAP_WITH_TRUSTED",   FLAG},
    {CKA_ALWAYS_AUTHENTICATE, "CKA_ALWAYS_AUTHENTICATE", FLAG},
    {CKA_SIGN,                "CKA_SIGN",                FLAG},
    {CKA_SIGN_RECOVER,        "CKA_SIGN_RECOVER",        FLAG},
    {CKA_DECRYPT,             "CKA_DECRYPT",             FLAG},
    {CKA_UNWRAP,              "CKA_UNWRAP",              FLAG},
    {CKA_DERIVE,              "CKA_DERIVE",              FLAG},
    {CKA_ALLOWED_MECHANISMS,  "CKA_ALLOWED_MECHANISMS",  MECHANISMS},
    {CKA_UNIQUE_ID,           "CKA_UNIQUE_ID",           BYTES},
};

static const struct {
    CK_MECHANISM_TYPE type;
    const char *name;
} mechanism_names[] = {
    {CKM_RSA_PKCS_KEY_PAIR_GEN,    "CKM_RSA_PKCS_KEY_PAIR_GEN"},
    {CKM_RSA_X9_31_KEY_PAIR_GEN,   "CKM_RSA_X9_31_KEY_PAIR_GEN"},
    {CKM_EC_KEY_PAIR_GEN,          "CKM_EC_KEY_PAIR_GEN"},
    {CKM_EC_EDWARDS_KEY_PAIR_GEN,  "CKM_EC_EDWARDS_KEY_PAIR_GEN"},
    {CKM_RSA_PKCS,                 "CKM_RSA_PKCS"},
    {CKM_SHA256_RSA_PKCS,          "CKM_SHA256_RSA_PKCS"},
    {CKM_SHA384_RSA_PKCS,          "CKM_SHA384_RSA_PKCS"},
    {CKM_SHA512_RSA_PKCS,          "CKM_SHA512_RSA_PKCS"},
    {CKM_RSA_PKCS_PSS,             "CKM_RSA_PKCS_PSS"},
    {CKM_SHA256_RSA_PKCS_PSS,      "CKM_SHA256_RSA_PKCS_PSS"},
    {CKM_SHA384_RSA_PKCS_PSS,      "CKM_SHA384_RSA_PKCS_PSS"},
    {CKM_SHA512_RSA_PKCS_PSS,      "CKM_SHA512_RSA_PKCS_PSS"},
    {CKM_ECDSA,                    "CKM_ECDSA"},
    {CKM_ECDSA_SHA256,             "CKM_ECDSA_SHA256"},
    {CKM_ECDSA_SHA384,             "CKM_ECDSA_SHA384"},
    {CKM_ECDSA_SHA512,             "CKM_ECDSA_SHA512"},
    {CKM_EDDSA,                    "CKM_EDDSA"},
    {CK_UNAVAILABLE_INFORMATION,   "unavailable"},
};
/* clang-format on */

void hsm_claims_done(struct hsm_claims *claims)
{
    for (size_t i = 0; i < claims->count; i++) {
        free(claims->list[i].text);
    }
    claims->count = 0;
}

static void add_mechanism(struct buf *out, CK_MECHANISM_TYPE type)
{
    for (size_t i = 0; i < ARRAY_LEN(mechanism_names); i++) {
        if (mechanism_names[i].type == type) {
            buf_add_str(out, mechanism_names[i].name);
            return;
        }
    }
    buf_addf(out, "0x%08lx", (unsigned long)type);
}

/* Whether the bytes are of the attribute's kind; then they are in the claim. */
static bool take_value(struct hsm_claim *claim, enum kind kind, const uint8_t *data, size_t len,
                       struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(4 * CLAIM_BYTES_MAX);
    CK_MECHANISM_TYPE type = 0;

    claim->is_flag = kind == FLAG;
    if (kind == FLAG && len == sizeof(CK_BBOOL)) {
        claim->flag = data[0] != 0;
        return true;
    }
    if (kind == BYTES) {
        str_add_hex(&text, data, len, '\0');
    } else if (kind != FLAG && len % sizeof(type) == 0 &&
               (kind == MECHANISMS || len == sizeof(type))) {
        for (size_t at = 0; at < len; at += sizeof(type)) {
            memcpy(&type, data + at, sizeof(type));
            buf_add_str(&text, at > 0 ? " " : "");
            add_mechanism(&text, type);
        }
    } else {
        (void)snprintf(claim->why, sizeof(claim->why), "a value of %zu bytes", len);
        return true;
    }
    claim->text = buf_take_str(&text);
    return claim->text != NULL || err_nomem(err);
}

/* An answer about the attribute, and not about session, device or our own memory. */
static bool is_answer(CK_RV rv)
{
    return rv == CKR_OK ||
           (!ckr_is_stale(rv) && rv != CKR_HOST_MEMORY && rv != CKR_OBJECT_HANDLE_INVALID &&
            rv != CKR_USER_NOT_LOGGED_IN && rv != CKR_TOKEN_NOT_PRESENT);
}

static bool failed(const struct hsm_session *session, const char *name, CK_RV rv, struct err *err)
{
    (void)ckr_set(err, rv, "C_GetAttributeValue");
    return err_wrap(err, "reading %s of the key on %s", name,
                    hsm_token_name(&session->token->info));
}

static bool read_claim(struct hsm_session *session, CK_OBJECT_HANDLE object, size_t row,
                       struct hsm_claim *claim, struct err *err)
{
    uint8_t data[CLAIM_BYTES_MAX];
    CK_ATTRIBUTE attribute = {.type = asked[row].type, .pValue = data, .ulValueLen = sizeof(data)};

    *claim = (struct hsm_claim){.name = asked[row].name};
    CK_RV rv = ck_get_attribute_value(hsm_session_cryptoki(session), session->handle, object,
                                      &attribute, 1);
    if (!is_answer(rv)) {
        return failed(session, claim->name, rv, err);
    }
    if (rv != CKR_OK) {
        (void)snprintf(claim->why, sizeof(claim->why), "%s", ckr_name(rv));
        return true;
    }
    if (attribute.ulValueLen > sizeof(data)) { /* CK_UNAVAILABLE_INFORMATION as well */
        (void)snprintf(claim->why, sizeof(claim->why), "CKR_OK without a value");
        return true;
    }
    return take_value(claim, asked[row].kind, data, (size_t)attribute.ulValueLen, err);
}

bool hsm_claims_read(struct hsm_session *session, const struct hsm_key *key, struct hsm_claims *out,
                     struct err *err)
{
    AUTO(hsm_claims) struct hsm_claims claims = {.count = 0};

    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        if (!read_claim(session, key->handle, i, &claims.list[i], err)) {
            return false;
        }
        claims.count++;
    }
    *out = claims;
    claims.count = 0;
    return true;
}

/* The value is asked for, into memory that is wiped: a length alone may be told by a module that
 * would refuse the value. */
static CK_RV try_value(struct hsm_session *session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                       size_t *len, struct err *err)
{
    AUTO(secret) struct secret room = SECRET_INIT;
    static const uint8_t zeros[SECRET_MAX];

    if (!secret_set(&room, zeros, sizeof(zeros), err)) {
        return CKR_HOST_MEMORY;
    }
    CK_ATTRIBUTE attribute = {.type = type, .pValue = room.data, .ulValueLen = SECRET_MAX};
    CK_RV rv = ck_get_attribute_value(hsm_session_cryptoki(session), session->handle, object,
                                      &attribute, 1);
    *len = rv == CKR_OK && attribute.ulValueLen <= SECRET_MAX ? (size_t)attribute.ulValueLen : 0;
    return rv;
}

bool hsm_secret_try(struct hsm_session *session, const struct hsm_key *key,
                    struct hsm_secret_try *out, struct err *err)
{
    bool is_rsa = key->spec.type == HSM_KEY_RSA;
    size_t len = 0;

    *out = (struct hsm_secret_try){.attribute = is_rsa ? "CKA_PRIVATE_EXPONENT" : "CKA_VALUE"};
    CK_RV rv =
        try_value(session, key->handle, is_rsa ? CKA_PRIVATE_EXPONENT : CKA_VALUE, &len, err);
    if (!is_answer(rv)) {
        return failed(session, out->attribute, rv, err);
    }
    out->refused = rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID;
    if (rv == CKR_OK) {
        (void)snprintf(out->answer, sizeof(out->answer), "CKR_OK with %zu bytes", len);
    } else {
        (void)snprintf(out->answer, sizeof(out->answer), "%s", ckr_name(rv));
    }
    return true;
}
