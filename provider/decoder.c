#include "provider/decoder.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/pem_uri.h"
#include "provider/locate.h"
#include "provider/prov_err.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <string.h>

DEFINE_AUTO(bio, BIO *, BIO_free)

enum { LINE_MAX_LEN = 256, LOOK = 32 };

/*
 * Why no key came of the last block in this thread. Where OpenSSL reads a file through its store,
 * it makes the key with a decoder context of its own and drops the errors of that.
 */
static _Thread_local struct err dropped;

static const char begin[] = "-----BEGIN ";
static const char our_begin[] = "-----BEGIN " HSM_PEM_URI_LABEL "-----";
static const char our_end[] = "-----END " HSM_PEM_URI_LABEL "-----";

/* Neither decoder remembers anything: the provider's context serves as theirs. */
static void *new_ctx(void *provctx)
{
    return provctx;
}

static void free_ctx(void *ctx UNUSED)
{
}

static bool starts_with(const char *line, const char *what)
{
    return strncmp(line, what, strlen(what)) == 0;
}

/* Reads a line or, of a longer one, the next piece. *whole: the piece began a line. */
static bool next_line(BIO *in, char line[static LINE_MAX_LEN], bool *whole)
{
    bool ended = line[0] == '\0' || strchr(line, '\n') != NULL;

    *whole = ended;
    return BIO_gets(in, line, LINE_MAX_LEN) > 0;
}

/* True if the next PEM block has our label. Its first line is in `line` then. */
static bool find_block(BIO *in, char line[static LINE_MAX_LEN])
{
    bool whole = true;

    line[0] = '\0';
    while (next_line(in, line, &whole)) {
        if (whole && starts_with(line, begin)) {
            return starts_with(line, our_begin);
        }
    }
    return false;
}

/* Reads on to the end of the block even if it is too long: what follows it may be of use. */
static void collect_block(BIO *in, char line[static LINE_MAX_LEN], struct buf *block)
{
    bool whole = true;

    do {
        buf_add_str(block, line);
    } while (!(whole && starts_with(line, our_end)) && next_line(in, line, &whole));
}

/* Reads the block that has been found, down to the URI in it. */
static bool read_block(BIO *in, char line[static LINE_MAX_LEN], struct buf *der, struct err *err)
{
    AUTO(pem_uri) struct buf block = BUF_INIT(HSM_PEM_URI_TEXT_MAX);
    AUTO(pem_uri) struct buf uri = BUF_INIT(HSM_URI_MAX);

    hsm_pem_uri_room(&block);
    hsm_pem_uri_room(&uri);
    hsm_pem_uri_room(der);
    collect_block(in, line, &block);
    if (!buf_ok(&block)) {
        return err_set(err, E_USAGE, "'" HSM_PEM_URI_LABEL "': the block is longer than %d bytes",
                       HSM_PEM_URI_TEXT_MAX);
    }
    return hsm_pem_uri_read(buf_str(&block), block.len, der, err) &&
           hsm_pem_uri_decode(der->data, der->len, &uri, err);
}

/* key_type: which decoders are to be asked; NULL: all. */
static bool give_der(const struct buf *der, const char *key_type, OSSL_CALLBACK *cb, void *cb_arg)
{
    int type = OSSL_OBJECT_PKEY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE,
                                         (char *)(uintptr_t)PROV_DECODER_STRUCTURE, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der->data, der->len),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *)(uintptr_t)key_type,
                                         0),
        OSSL_PARAM_END,
    };

    if (key_type == NULL) {
        params[3] = OSSL_PARAM_construct_end();
    }
    return cb(params, cb_arg) == 1;
}

/*
 * While our key management is hidden, the DER is handed over once in vain (see key_decode()), and
 * as one kind of key: OpenSSL 3.5 keeps the list of key management that it made for this question,
 * and must make another for the next.
 */
static void give_in_vain(const struct buf *der, OSSL_CALLBACK *cb, void *cb_arg)
{
    (void)ERR_set_mark();
    (void)give_der(der, "RSA", cb, cb_arg);
    (void)ERR_pop_to_mark();
}

/* Raises err, unless it is the newest error in the queue already. */
static void raise_once(struct prov_ctx *prov, const struct err *err)
{
    const char *data = NULL;
    int flags = 0;
    bool there = ERR_peek_last_error_all(NULL, NULL, NULL, &data, &flags) != 0 &&
                 (flags & ERR_TXT_STRING) != 0 && str_equal(data, err->msg);

    if (err->code != E_NONE && !there) {
        prov_raise(prov, err);
    }
}

static bool decode_pem(struct prov_ctx *prov, OSSL_CORE_BIO *cin, OSSL_CALLBACK *cb, void *cb_arg)
{
    AUTO(bio) BIO *in = BIO_new_from_core_bio(prov_child_libctx(prov->child), cin);
    AUTO(pem_uri) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    struct err err = ERR_INIT;
    char line[LINE_MAX_LEN];

    if (in == NULL) {
        return false;
    }
    if (!find_block(in, line)) {
        return true; /* somebody else's */
    }
    if (!read_block(in, line, &der, &err)) {
        prov_raise(prov, &err);
        return false;
    }
    if (!atomic_load(&prov->shows_keymgmt)) {
        give_in_vain(&der, cb, cb_arg);
    }
    err_clear(&dropped);
    if (give_der(&der, NULL, cb, cb_arg)) {
        return true;
    }
    raise_once(prov, &dropped);
    return false;
}

/* Programs look at errno when reading a key file failed, and would blame the file (Python does). */
static int pem_decode(void *ctx, OSSL_CORE_BIO *cin, int selection UNUSED, OSSL_CALLBACK *cb,
                      void *cb_arg, OSSL_PASSPHRASE_CALLBACK *pw_cb UNUSED, void *pw_cb_arg UNUSED)
{
    int before = errno;
    bool ok = decode_pem(ctx, cin, cb, cb_arg);

    errno = before;
    return ok;
}

/* SEQUENCE, its length, and a VisibleString: no key and no certificate begins like this. */
static bool looks_like_ours(const uint8_t *p, size_t len)
{
    enum { SEQUENCE = 0x30, VISIBLE_STRING = 0x1A, LONG = 0x80, TWO_MORE = 0x82 };

    if (len < LOOK || p[0] != SEQUENCE || p[1] > TWO_MORE) {
        return false;
    }
    return p[p[1] > LONG ? 2 + p[1] - LONG : 2] == VISIBLE_STRING;
}

static bool read_uri(struct prov_ctx *prov, OSSL_CORE_BIO *cin, struct buf *text, bool *ours,
                     struct err *err)
{
    AUTO(pem_uri) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    uint8_t look[LOOK];
    size_t got = 0;

    *ours = prov->core_bio_read != NULL &&
            prov->core_bio_read(cin, look, sizeof(look), &got) == 1 && looks_like_ours(look, got);
    if (!*ours) {
        return true;
    }
    hsm_pem_uri_room(&der);
    hsm_pem_uri_room(text);
    do {
        buf_add(&der, look, got);
    } while (buf_ok(&der) && prov->core_bio_read(cin, look, sizeof(look), &got) == 1 && got > 0);
    OPENSSL_cleanse(look, sizeof(look));
    if (!buf_ok(&der)) {
        *ours = false;
        return true;
    }
    return hsm_pem_uri_decode(der.data, der.len, text, err);
}

/* A URI says type=private or nothing; type=public only where any kind of key will do. */
static bool find_key(struct prov_pin *pin, const char *text, struct hsm_uri *uri, int selection,
                     struct prov_key **key, struct err *err)
{
    if (!hsm_uri_parse(text, uri, err)) {
        return false;
    }
    bool public = uri->type == HSM_URI_PUBLIC && selection == 0;
    if (uri->type != HSM_URI_ANY && uri->type != HSM_URI_PRIVATE && !public) {
        return err_set(err, E_USAGE, "the URI has type=%s, and a private key is wanted",
                       hsm_uri_type_name(uri->type));
    }
    return prov_locate_key(pin, public ? CKO_PUBLIC_KEY : CKO_PRIVATE_KEY, key, err);
}

static int key_decode(void *ctx, OSSL_CORE_BIO *cin, int selection, OSSL_CALLBACK *cb, void *cb_arg,
                      OSSL_PASSPHRASE_CALLBACK *pw_cb, void *pw_cb_arg)
{
    struct prov_ctx *prov = ctx;
    AUTO(pem_uri) struct buf text = BUF_INIT(HSM_URI_MAX);
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct prov_pin pin = {.prov = prov, .uri = &uri, .callback = pw_cb, .callback_arg = pw_cb_arg};
    struct prov_key *key = NULL;
    struct err err = ERR_INIT;
    bool ours = false;

    if (!read_uri(prov, cin, &text, &ours, &err)) {
        prov_raise(prov, &err);
        return 0;
    }
    if (!ours) {
        return 1;
    }
    /*
     * OpenSSL made its list of key management while ours was hidden. It can be introduced from
     * here, but not from pem_decode(): there the callback may be a store loader's of another
     * provider, which would take our reference for one of its own.
     */
    if (!prov_ctx_shows_keymgmt(prov)) {
        prov_key_introduce(prov, cb, cb_arg);
        return 1;
    }
    if (!find_key(&pin, buf_str(&text), &uri, selection, &key, &err)) {
        dropped = err;
        prov_raise(prov, &err);
        return 0;
    }
    bool ok = prov_key_hand_over(&key, prov_key_type(key), cb, cb_arg);
    prov_key_free(key); /* NULL if keymgmt's load took it over */
    return ok;
}

/* Public keys, those of certificates above all, are read often and never through a URI. */
static int does_selection(void *provctx UNUSED, int selection)
{
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

static const OSSL_PARAM *settable_ctx_params(void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

/* The same for PEM: OpenSSL does without a decoder that declines the structure that is wanted. */
static int set_ctx_params(void *ctx UNUSED, const OSSL_PARAM params[])
{
    static const char *const for_private_keys[] = {"PrivateKeyInfo", "EncryptedPrivateKeyInfo"};
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_OBJECT_PARAM_DATA_STRUCTURE);
    const char *structure = NULL;

    if (p == NULL || OSSL_PARAM_get_utf8_string_ptr(p, &structure) != 1) {
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(for_private_keys); i++) {
        if (str_equal_nocase(structure, for_private_keys[i])) {
            return 1;
        }
    }
    return 0;
}

/*
 * OpenSSL found key management of another provider for the key. That happens when its list was made
 * while ours was hidden, or when another kind or another provider was asked for.
 */
static int export_object(void *ctx, const void *reference, size_t reference_sz, OSSL_CALLBACK *cb,
                         void *cb_arg)
{
    struct prov_key *key = NULL;
    struct err err = ERR_INIT;

    if (reference == NULL || reference_sz != sizeof(key)) {
        return 0;
    }
    memcpy(&key, reference, sizeof(key));
    if (key == NULL) {
        return 0;
    }
    if (!prov_key_is_private(key)) {
        return prov_key_export_public(key, cb, cb_arg);
    }
    (void)err_set(&err, E_CONFIG,
                  "the key '%s' (%s) was found on %s, but OpenSSL did not choose 'p11enroll' to "
                  "work with it; list 'default' before 'p11enroll' in openssl.cnf",
                  key->hsm.label, prov_key_type(key), hsm_token_name(&key->hsm.token->info));
    prov_raise((struct prov_ctx *)ctx, &err);
    return 0;
}

const OSSL_DISPATCH prov_decoder_pem[] = {
    {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))new_ctx},
    {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))free_ctx},
    {OSSL_FUNC_DECODER_SETTABLE_CTX_PARAMS, (void (*)(void))settable_ctx_params},
    {OSSL_FUNC_DECODER_SET_CTX_PARAMS, (void (*)(void))set_ctx_params},
    {OSSL_FUNC_DECODER_DECODE, (void (*)(void))pem_decode},
    {0, NULL},
};

const OSSL_DISPATCH prov_decoder_key[] = {
    {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))new_ctx},
    {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))free_ctx},
    {OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))does_selection},
    {OSSL_FUNC_DECODER_DECODE, (void (*)(void))key_decode},
    {OSSL_FUNC_DECODER_EXPORT_OBJECT, (void (*)(void))export_object},
    {0, NULL},
};
