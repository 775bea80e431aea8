#include "hsm/key.h"

#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/hashing.h"
#include "hsm/object.h"
#include "hsm/revive.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <string.h>

enum { CANDIDATES_SHOWN = 8, NAMESAKES_MAX = 8 };

DEFINE_AUTO(x509, X509 *, X509_free)
DEFINE_AUTO(x509_pubkey, X509_PUBKEY *, X509_PUBKEY_free)
DEFINE_AUTO(pkey_ctx, EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_AUTO(param_bld, OSSL_PARAM_BLD *, OSSL_PARAM_BLD_free)
DEFINE_AUTO(params, OSSL_PARAM *, OSSL_PARAM_free)
DEFINE_AUTO(bn, BIGNUM *, BN_free)

void hsm_public_done(struct hsm_public *public)
{
    free(public->modulus);
    free(public->exponent);
    memset(public, 0, sizeof(*public));
}

/* The session object behind a copy lives as long as the anchor's session does. */
static void destroy_copy(struct hsm_key *key)
{
    struct hsm_token *token = key->token;

    if (key->copy.state != HSM_COPY_READY || !hsm_token_is_live(token)) {
        return;
    }
    pthread_mutex_lock(&token->lock);
    bool is_current = key->copy.sessions_epoch == token->sessions_epoch &&
                      key->copy.objects_epoch == token->objects_epoch;
    CK_SESSION_HANDLE anchor = token->anchor;
    pthread_mutex_unlock(&token->lock);
    if (is_current && anchor != 0) {
        (void)ck_destroy_object(hsm_module_cryptoki(token->module), anchor, key->copy.handle);
    }
}

void hsm_key_done(struct hsm_key *key)
{
    destroy_copy(key);
    hsm_public_done(&key->public);
    free(key->label);
    memset(key, 0, sizeof(*key));
}

/* Copies a big-endian number without its leading zeros. */
static bool copy_number(const uint8_t *data, size_t len, uint8_t **out, size_t *out_len)
{
    while (len > 0 && data[0] == 0) {
        data++;
        len--;
    }
    if (len == 0 || len > HSM_RSA_BYTES_MAX) {
        return false;
    }
    *out = malloc(len);
    if (*out == NULL) {
        return false;
    }
    memcpy(*out, data, len);
    *out_len = len;
    return true;
}

static int bit_length(const uint8_t *number, size_t len)
{
    int bits = (int)(len * 8);

    for (uint8_t mask = 0x80; mask != 0 && (number[0] & mask) == 0; mask >>= 1) {
        bits--;
    }
    return bits;
}

static bool set_rsa(const uint8_t *n, size_t n_len, const uint8_t *e, size_t e_len,
                    struct hsm_key_spec *spec, struct hsm_public *out)
{
    if (!copy_number(n, n_len, &out->modulus, &out->modulus_len) ||
        !copy_number(e, e_len, &out->exponent, &out->exponent_len)) {
        hsm_public_done(out);
        return false;
    }
    *spec = (struct hsm_key_spec){
        .type = HSM_KEY_RSA, .bits = bit_length(out->modulus, out->modulus_len), .curve = NULL};
    out->known = true;
    return true;
}

static bool set_point(const struct hsm_curve *curve, const uint8_t *value, size_t len,
                      struct hsm_public *out)
{
    size_t point_len = 0;
    const uint8_t *point = hsm_ec_point(curve, value, len, &point_len);

    if (point == NULL || point_len > sizeof(out->point)) {
        return false;
    }
    memcpy(out->point, point, point_len);
    out->point_len = point_len;
    out->known = true;
    return true;
}

static bool from_attributes(const struct attr_values *values, struct hsm_key_spec *spec,
                            struct hsm_public *out)
{
    const struct attr_value *n = attr_values_find(values, CKA_MODULUS);
    const struct attr_value *e = attr_values_find(values, CKA_PUBLIC_EXPONENT);
    const struct attr_value *point = attr_values_find(values, CKA_EC_POINT);
    const struct attr_value *info = attr_values_find(values, CKA_PUBLIC_KEY_INFO);

    if (spec->type == HSM_KEY_RSA && n != NULL && e != NULL &&
        set_rsa(n->data, n->len, e->data, e->len, spec, out)) {
        return true;
    }
    if (spec->curve != NULL && point != NULL &&
        set_point(spec->curve, point->data, point->len, out)) {
        return true;
    }
    struct hsm_key_spec found = *spec;
    if (info != NULL && info->len > 0 && hsm_public_from_spki(info->data, info->len, &found, out)) {
        if (found.type == spec->type && (spec->curve == NULL || found.curve == spec->curve)) {
            *spec = found;
            return true;
        }
        hsm_public_done(out);
    }
    return false;
}

/* RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 A.1.1) */
static bool rsa_from_der(const uint8_t *der, size_t len, struct hsm_key_spec *spec,
                         struct hsm_public *out)
{
    const unsigned char *p = der;
    const unsigned char *number[2] = {NULL, NULL};
    long size = 0;
    long numbers[2] = {0, 0};
    int tag = 0;
    int class = 0;

    if ((ASN1_get_object(&p, &size, &tag, &class, (long)len) & 0x80) != 0 ||
        tag != V_ASN1_SEQUENCE) {
        return false;
    }
    const unsigned char *end = p + size;
    for (int i = 0; i < 2; i++) {
        if ((ASN1_get_object(&p, &numbers[i], &tag, &class, end - p) & 0x80) != 0 ||
            tag != V_ASN1_INTEGER || numbers[i] > end - p) {
            return false;
        }
        number[i] = p;
        p += numbers[i];
    }
    return set_rsa(number[0], (size_t)numbers[0], number[1], (size_t)numbers[1], spec, out);
}

static bool curve_from_oid(const ASN1_OBJECT *oid, const struct hsm_curve **curve)
{
    unsigned char der[32];
    unsigned char *p = der;
    int len = i2d_ASN1_OBJECT(oid, NULL);

    if (len <= 0 || (size_t)len > sizeof(der) || i2d_ASN1_OBJECT(oid, &p) != len) {
        return false;
    }
    *curve = hsm_curve_by_params(der, (size_t)len);
    return *curve != NULL;
}

/* The curve is the parameter of id-ecPublicKey (RFC 5480), and for Ed and X keys the algorithm
 * itself (RFC 8410). */
static bool curve_from_algorithm(const X509_ALGOR *algor, const struct hsm_curve **curve)
{
    const ASN1_OBJECT *algorithm = NULL;
    const void *parameter = NULL;
    int parameter_type = 0;

    X509_ALGOR_get0(&algorithm, &parameter_type, &parameter, algor);
    if (OBJ_obj2nid(algorithm) != NID_X9_62_id_ecPublicKey) {
        return parameter_type == V_ASN1_UNDEF && curve_from_oid(algorithm, curve) &&
               (*curve)->type != HSM_KEY_EC;
    }
    return parameter_type == V_ASN1_OBJECT && curve_from_oid(parameter, curve) &&
           (*curve)->type == HSM_KEY_EC;
}

static bool from_pubkey(X509_PUBKEY *pubkey, struct hsm_key_spec *spec, struct hsm_public *out)
{
    ASN1_OBJECT *algorithm = NULL;
    const unsigned char *bits = NULL;
    int bits_len = 0;
    X509_ALGOR *algor = NULL;
    const struct hsm_curve *curve = NULL;

    if (pubkey == NULL ||
        X509_PUBKEY_get0_param(&algorithm, &bits, &bits_len, &algor, pubkey) != 1 ||
        bits_len <= 0) {
        return false;
    }
    int nid = OBJ_obj2nid(algorithm);
    if (nid == NID_rsaEncryption || nid == NID_rsassaPss) {
        return rsa_from_der(bits, (size_t)bits_len, spec, out);
    }
    if (!curve_from_algorithm(algor, &curve) || !set_point(curve, bits, (size_t)bits_len, out)) {
        return false;
    }
    *spec = (struct hsm_key_spec){.type = curve->type, .bits = curve->bits, .curve = curve};
    return true;
}

bool hsm_public_from_spki(const uint8_t *der, size_t len, struct hsm_key_spec *spec,
                          struct hsm_public *out)
{
    const unsigned char *p = der;

    (void)ERR_set_mark(); /* the error queue is the application's */
    AUTO(x509_pubkey) X509_PUBKEY *pubkey = d2i_X509_PUBKEY(NULL, &p, (long)len);
    bool ok = pubkey != NULL && p == der + len && from_pubkey(pubkey, spec, out);
    (void)ERR_pop_to_mark();
    return ok;
}

bool hsm_public_from_x509(X509 *cert, struct hsm_key_spec *spec, struct hsm_public *out)
{
    (void)ERR_set_mark();
    bool ok = from_pubkey(X509_get_X509_PUBKEY(cert), spec, out);
    (void)ERR_pop_to_mark();
    return ok;
}

bool hsm_public_equal(const struct hsm_key_spec *a_spec, const struct hsm_public *a,
                      const struct hsm_key_spec *b_spec, const struct hsm_public *b)
{
    if (!a->known || !b->known || a_spec->type != b_spec->type || a_spec->curve != b_spec->curve) {
        return false;
    }
    if (a_spec->type == HSM_KEY_RSA) {
        return a->modulus_len == b->modulus_len && a->exponent_len == b->exponent_len &&
               memcmp(a->modulus, b->modulus, a->modulus_len) == 0 &&
               memcmp(a->exponent, b->exponent, a->exponent_len) == 0;
    }
    return a->point_len == b->point_len && memcmp(a->point, b->point, a->point_len) == 0;
}

/*
 * CKK_EC goes with every curve: that is what tokens had before PKCS#11 3.0. The two newer types are
 * not told apart, because SoftHSM calls X25519 keys Edwards keys.
 */
static bool curve_fits(CK_ULONG type, const struct hsm_curve *curve)
{
    return type == CKK_EC ||
           ((type == CKK_EC_EDWARDS || type == CKK_EC_MONTGOMERY) && curve->type != HSM_KEY_EC);
}

static void spec_from_attributes(const struct attr_values *values, struct hsm_key_spec *spec)
{
    CK_ULONG type = CK_UNAVAILABLE_INFORMATION;
    const struct attr_value *params = attr_values_find(values, CKA_EC_PARAMS);
    const struct attr_value *n = attr_values_find(values, CKA_MODULUS);

    *spec = (struct hsm_key_spec){.type = HSM_KEY_OTHER};
    (void)attr_values_ulong(values, CKA_KEY_TYPE, &type);
    if (type == CKK_RSA) {
        spec->type = HSM_KEY_RSA;
        spec->bits = n != NULL && n->len > 0 ? bit_length(n->data, n->len) : 0;
        return;
    }
    const struct hsm_curve *curve =
        params != NULL ? hsm_curve_by_params(params->data, params->len) : NULL;
    if (curve != NULL && curve_fits(type, curve)) {
        *spec = (struct hsm_key_spec){.type = curve->type, .bits = curve->bits, .curve = curve};
    }
}

static bool is_pss(CK_MECHANISM_TYPE mechanism)
{
    static const CK_MECHANISM_TYPE table[] = {
        CKM_RSA_PKCS_PSS,        CKM_SHA1_RSA_PKCS_PSS,   CKM_SHA224_RSA_PKCS_PSS,
        CKM_SHA256_RSA_PKCS_PSS, CKM_SHA384_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS,
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i] == mechanism) {
            return true;
        }
    }
    return false;
}

/* An absent or empty list allows everything (PKCS#11 3.0, section 4.8, says so of the absent one;
 * SoftHSM gives an empty one). */
static bool allows_pss_alone(const struct attr_values *values)
{
    const struct attr_value *v = attr_values_find(values, CKA_ALLOWED_MECHANISMS);

    if (v == NULL || v->len == 0 || v->len % sizeof(CK_MECHANISM_TYPE) != 0) {
        return false;
    }
    for (size_t at = 0; at < v->len; at += sizeof(CK_MECHANISM_TYPE)) {
        CK_MECHANISM_TYPE mechanism = 0;
        memcpy(&mechanism, v->data + at, sizeof(mechanism));
        if (!is_pss(mechanism)) {
            return false;
        }
    }
    return true;
}

/* Reads an object, whatever its class: key->class says what it is. */
static bool load_any(struct hsm_session *session, CK_OBJECT_HANDLE handle, struct hsm_key *key,
                     struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
        CKA_CLASS,
        CKA_ID,
        CKA_LABEL,
        CKA_KEY_TYPE,
        CKA_MODULUS,
        CKA_PUBLIC_EXPONENT,
        CKA_EC_PARAMS,
        CKA_EC_POINT,
        CKA_PUBLIC_KEY_INFO,
        CKA_ALWAYS_AUTHENTICATE,
        CKA_ALLOWED_MECHANISMS, /* the last one: see below */
    };
    AUTO(attr_values) struct attr_values values = {.count = 0};
    size_t count = ARRAY_LEN(types);

    if (hsm_module_has_quirk(session->token->module, HSM_QUIRK_NO_ALLOWED_MECHANISMS)) {
        count--;
    }

    memset(key, 0, sizeof(*key));
    key->token = session->token;
    key->handle = handle;
    key->epoch = hsm_token_objects_epoch(session->token);
    key->class = CK_UNAVAILABLE_INFORMATION;
    if (!hsm_read(session, handle, types, count, &values, err) ||
        !hsm_object_name(&values, &key->id, &key->label, err)) {
        return false;
    }
    (void)attr_values_ulong(&values, CKA_CLASS, &key->class);
    spec_from_attributes(&values, &key->spec);
    (void)attr_values_bool(&values, CKA_ALWAYS_AUTHENTICATE, &key->always_authenticate);
    const struct attr_value *allowed = attr_values_find(&values, CKA_ALLOWED_MECHANISMS);
    if (allowed != NULL) {
        hsm_hashing_allow(key, allowed->data, allowed->len);
    }
    key->pss_only = key->spec.type == HSM_KEY_RSA && allows_pss_alone(&values);
    (void)from_attributes(&values, &key->spec, &key->public);
    return true;
}

bool hsm_key_load(struct hsm_session *session, CK_OBJECT_HANDLE handle, CK_OBJECT_CLASS class,
                  bool want_public, struct hsm_key *key, struct err *err)
{
    if (!load_any(session, handle, key, err)) {
        return false;
    }
    key->class = class;
    if (key->public.known || !want_public) {
        return true;
    }
    if (!hsm_key_find_public(session, key, err)) {
        hsm_key_done(key);
        return false;
    }
    return true;
}

static bool public_from_object(struct hsm_session *session, CK_OBJECT_HANDLE handle,
                               struct hsm_key *key, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_KEY_TYPE,  CKA_MODULUS,  CKA_PUBLIC_EXPONENT,
                                              CKA_EC_PARAMS, CKA_EC_POINT, CKA_PUBLIC_KEY_INFO};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct hsm_key_spec spec;

    if (!hsm_read(session, handle, types, ARRAY_LEN(types), &values, err)) {
        return false;
    }
    spec_from_attributes(&values, &spec);
    if (spec.type == key->spec.type && spec.curve == key->spec.curve &&
        from_attributes(&values, &spec, &key->public)) {
        key->public.borrowed = true;
        key->spec = spec; /* a private object that shows no modulus does not tell its size */
    }
    return true;
}

static bool public_from_certificate(struct hsm_session *session, CK_OBJECT_HANDLE handle,
                                    struct hsm_key *key, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_VALUE};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};
    AUTO(hsm_public) struct hsm_public public = {.known = false};

    if (!hsm_read(session, handle, types, ARRAY_LEN(types), &values, err)) {
        return false;
    }
    const struct attr_value *v = attr_values_find(&values, CKA_VALUE);
    const unsigned char *p = v != NULL ? v->data : NULL;
    (void)ERR_set_mark(); /* the error queue is the application's */
    AUTO(x509) X509 *cert = v != NULL ? d2i_X509(NULL, &p, (long)v->len) : NULL;
    (void)ERR_pop_to_mark();
    if (cert != NULL && hsm_public_from_x509(cert, &spec, &public) && spec.type == key->spec.type &&
        spec.curve == key->spec.curve) {
        key->spec = spec;
        key->public = public;
        key->public.borrowed = true;
        memset(&public, 0, sizeof(public));
    }
    return true;
}

bool hsm_key_find_public(struct hsm_session *session, struct hsm_key *key, struct err *err)
{
    static const CK_OBJECT_CLASS classes[] = {CKO_PUBLIC_KEY, CKO_CERTIFICATE};

    for (size_t c = 0; c < ARRAY_LEN(classes) && key->id.set && !key->public.known; c++) {
        struct attrs template = ATTRS_INIT;
        AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
        attrs_add_ulong(&template, CKA_CLASS, classes[c]);
        attrs_add_bytes(&template, CKA_ID, key->id.data, key->id.len);
        if (!hsm_find_some(session, &template, &found, err)) {
            return false;
        }
        for (size_t i = 0; i < found.count && !key->public.known; i++) {
            bool ok = classes[c] == CKO_PUBLIC_KEY
                          ? public_from_object(session, found.list[i], key, err)
                          : public_from_certificate(session, found.list[i], key, err);
            if (!ok) {
                return false;
            }
        }
    }
    return true;
}

bool hsm_key_search_public(struct hsm_session *session, const struct hsm_key *key,
                           struct hsm_public *out, struct err *err)
{
    /* Handle, epoch and copy are left out: they change while others use the key. */
    struct hsm_key probe = {
        .token = key->token, .class = key->class, .spec = key->spec, .id = key->id};
    bool ok = hsm_key_find_public(session, &probe, err);

    *out = probe.public;
    return ok;
}

bool hsm_key_none_found(const struct hsm_token *token, const struct hsm_uri *uri, const char *what,
                        struct err *err)
{
    AUTO(buf) struct buf wanted = BUF_INIT(HSM_URI_MAX);

    hsm_uri_format(uri, &wanted);
    return err_set(err, E_OBJECT_MISSING, "%s has no %s that matches %s",
                   hsm_token_name(&token->info), what, buf_str(&wanted));
}

bool hsm_key_several_found(struct hsm_session *session, const struct hsm_uri *uri,
                           const struct hsm_handles *found, const char *what, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_ID, CKA_LABEL};
    AUTO(buf) struct buf list = BUF_INIT(1024);
    AUTO(buf) struct buf wanted = BUF_INIT(HSM_URI_MAX);

    hsm_uri_format(uri, &wanted);
    for (size_t i = 0; i < found->count && i < CANDIDATES_SHOWN; i++) {
        AUTO(attr_values) struct attr_values values = {.count = 0};
        AUTO(str) char *label = NULL;
        struct hsm_id id;
        if (!hsm_read(session, found->list[i], types, ARRAY_LEN(types), &values, err) ||
            !hsm_object_name(&values, &id, &label, err)) {
            return false;
        }
        buf_addf(&list, "%s'", i > 0 ? ", " : "");
        str_add_quotable(&list, label, strlen(label), 64);
        buf_add_str(&list, "' (id ");
        str_add_hex(&list, id.data, id.len, '\0');
        buf_add_str(&list, ")");
    }
    return err_set(err, E_OBJECT_AMBIGUOUS, "%s has %zu %ss that match %s: %s%s",
                   hsm_token_name(&session->token->info), found->count, what, buf_str(&wanted),
                   buf_str(&list), found->count > CANDIDATES_SHOWN ? ", ..." : "");
}

bool hsm_key_find(struct hsm_session *session, const struct hsm_uri *uri, CK_OBJECT_CLASS class,
                  bool want_public, struct hsm_key *key, struct err *err)
{
    const char *what = class == CKO_PRIVATE_KEY ? "private key" : "public key";
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    hsm_uri_to_template(uri, class, &template);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    if (found.count == 0) {
        return hsm_key_none_found(session->token, uri, what, err);
    }
    if (found.count > 1) {
        return hsm_key_several_found(session, uri, &found, what, err);
    }
    return hsm_key_load(session, found.list[0], class, want_public, key, err);
}

/* Keys and certificates of one name, as they were read. */
struct namesakes {
    struct hsm_key list[NAMESAKES_MAX];
    size_t count;
};

static void namesakes_done(struct namesakes *namesakes)
{
    for (size_t i = 0; i < namesakes->count; i++) {
        hsm_key_done(&namesakes->list[i]);
    }
}

DEFINE_AUTO_DONE(namesakes, struct namesakes, namesakes_done)

static bool read_namesakes(struct hsm_session *session, const struct hsm_handles *found,
                           struct namesakes *out, struct err *err)
{
    for (out->count = 0; out->count < found->count; out->count++) {
        if (!load_any(session, found->list[out->count], &out->list[out->count], err)) {
            return false;
        }
    }
    return true;
}

/* Whether the one is the public object of the other, as far as id and kind tell. */
static bool is_public_of(const struct hsm_key *public, const struct hsm_key *key)
{
    return public->class == CKO_PUBLIC_KEY && public->public.known && key->id.set &&
           public->id.set && public->id.len == key->id.len &&
           memcmp(public->id.data, key->id.data, key->id.len) == 0 &&
           public->spec.type == key->spec.type && public->spec.curve == key->spec.curve;
}

/* The one private key among them, with the public half that another of them has. */
static bool choose_private(struct hsm_session *session, const struct hsm_uri *uri,
                           struct namesakes *all, struct hsm_key *key, struct err *err)
{
    CK_OBJECT_HANDLE handles[NAMESAKES_MAX];
    struct hsm_handles privates = {.list = handles, .count = 0};
    struct hsm_key *chosen = NULL;

    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i].class == CKO_PRIVATE_KEY) {
            chosen = &all->list[i];
            handles[privates.count++] = chosen->handle;
        }
    }
    if (privates.count != 1) {
        return privates.count == 0
                   ? hsm_key_none_found(session->token, uri, "private key", err)
                   : hsm_key_several_found(session, uri, &privates, "private key", err);
    }
    for (size_t i = 0; i < all->count && !chosen->public.known; i++) {
        if (is_public_of(&all->list[i], chosen)) {
            chosen->spec = all->list[i].spec; /* with the size; see public_from_object() */
            chosen->public = all->list[i].public;
            chosen->public.borrowed = true;
            memset(&all->list[i].public, 0, sizeof(all->list[i].public));
        }
    }
    *key = *chosen;
    memset(chosen, 0, sizeof(*chosen));
    return true;
}

bool hsm_key_find_pair(struct hsm_session *session, const struct hsm_uri *uri, struct hsm_key *key,
                       struct err *err)
{
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    AUTO(namesakes) struct namesakes all = {.count = 0};

    hsm_uri_to_template_any(uri, &template);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    if (found.count > NAMESAKES_MAX) {
        return hsm_key_find(session, uri, CKO_PRIVATE_KEY, false, key, err);
    }
    return read_namesakes(session, &found, &all, err) &&
           choose_private(session, uri, &all, key, err);
}

/* Whether what was found is the key that we had. */
static bool is_same(const struct hsm_key *key, const struct hsm_key *found)
{
    if (found->spec.type != key->spec.type || found->spec.curve != key->spec.curve) {
        return false;
    }
    /* A key of that name whose public half is not to be seen may be any key. */
    return !key->public.known ||
           hsm_public_equal(&key->spec, &key->public, &found->spec, &found->public);
}

bool hsm_key_is_same_object(const struct hsm_key *a, const struct hsm_key *b)
{
    struct hsm_token *token = a->token;

    if (token == NULL || token != b->token || a->class != b->class) {
        return false;
    }
    pthread_mutex_lock(&token->lock);
    bool same = a->handle == b->handle && a->epoch == token->objects_epoch &&
                b->epoch == token->objects_epoch;
    pthread_mutex_unlock(&token->lock);
    return same;
}

bool hsm_key_find_again(struct hsm_session *session, struct hsm_key *key, struct err *err)
{
    struct hsm_token *token = key->token;
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    CK_OBJECT_HANDLE handle = 0;
    size_t count = 0;
    unsigned epoch = hsm_token_objects_epoch(token);

    attrs_add_ulong(&template, CKA_CLASS, key->class);
    attrs_add_bool(&template, CKA_TOKEN, true);
    if (key->id.set) {
        attrs_add_bytes(&template, CKA_ID, key->id.data, key->id.len);
    }
    if (key->label[0] != '\0') {
        attrs_add_string(&template, CKA_LABEL, key->label);
    }
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        AUTO(hsm_key) struct hsm_key candidate = {0};
        if (!hsm_key_load(session, found.list[i], key->class, key->public.known, &candidate, err)) {
            return false;
        }
        if (is_same(key, &candidate)) {
            handle = found.list[i];
            count++;
        }
    }
    if (count != 1) {
        return err_set(err, count == 0 ? E_OBJECT_MISSING : E_OBJECT_AMBIGUOUS,
                       count == 0
                           ? "key '%s' is no longer to be seen on %s: it was removed, or this "
                             "process may not read it"
                           : "there are several keys like '%s' on %s now",
                       key->label, hsm_token_name(&token->info));
    }
    pthread_mutex_lock(&token->lock);
    key->handle = handle;
    key->epoch = epoch;
    pthread_mutex_unlock(&token->lock);
    return true;
}

bool hsm_key_uri(const struct hsm_key *key, struct hsm_uri *uri, struct err *err)
{
    if (!hsm_token_uri(&key->token->info, uri, err)) {
        return false;
    }
    uri->id = key->id;
    uri->type = key->class == CKO_PRIVATE_KEY ? HSM_URI_PRIVATE : HSM_URI_PUBLIC;
    return key->label[0] == '\0' || hsm_uri_set(&uri->object, key->label, err);
}

bool hsm_key_file_uri(const struct hsm_key *key, struct hsm_uri *uri, struct err *err)
{
    if (!hsm_key_uri(key, uri, err)) {
        return false;
    }
    free(uri->manufacturer);
    free(uri->model);
    uri->manufacturer = NULL;
    uri->model = NULL;
    return true;
}

static OSSL_PARAM *public_params(const struct hsm_key *key)
{
    AUTO(param_bld) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    const struct hsm_public *pub = &key->public;

    if (bld == NULL) {
        return NULL;
    }
    if (key->spec.type == HSM_KEY_RSA) {
        AUTO(bn) BIGNUM *n = BN_bin2bn(pub->modulus, (int)pub->modulus_len, NULL);
        AUTO(bn) BIGNUM *e = BN_bin2bn(pub->exponent, (int)pub->exponent_len, NULL);
        if (n == NULL || e == NULL || !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) ||
            !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e)) {
            return NULL;
        }
        return OSSL_PARAM_BLD_to_param(bld);
    }
    if ((key->spec.type == HSM_KEY_EC &&
         !OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, key->spec.curve->group,
                                          0)) ||
        !OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, pub->point,
                                          pub->point_len)) {
        return NULL;
    }
    return OSSL_PARAM_BLD_to_param(bld);
}

const char *hsm_key_evp_type(const struct hsm_key *key)
{
    return key->pss_only ? "RSA-PSS" : hsm_key_spec_evp(&key->spec);
}

bool hsm_key_public_evp(const struct hsm_key *key, EVP_PKEY **out, struct err *err)
{
    if (!key->public.known || key->spec.type == HSM_KEY_OTHER) {
        return err_set(err, E_TOKEN, "%s: the public half of key '%s' is nowhere on the token",
                       hsm_token_name(&key->token->info), key->label);
    }
    EVP_PKEY *made = NULL; /* fromdata would reuse what it finds */
    AUTO(params) OSSL_PARAM *params = public_params(key);
    AUTO(pkey_ctx)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, hsm_key_evp_type(key), NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        return err_set_ssl(err, E_TOKEN, "%s: the public half of key '%s' is not a valid key",
                           hsm_token_name(&key->token->info), key->label);
    }
    *out = made;
    return true;
}
