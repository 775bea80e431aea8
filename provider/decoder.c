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

static void collect_block(BIO *in, char line[static LINE_MAX_LEN], struct buf *block)
{
    bool whole = true;

    do {
        buf_add_str(block, line);
    } while (buf_ok(block) && !(whole && starts_with(line, our_end)) &&
             next_line(in, line, &whole));
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

static bool give_der(const struct buf *der, const char *structure, OSSL_CALLBACK *cb, void *cb_arg)
{
    int type = OSSL_OBJECT_PKEY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE,
                                         (char *)(uintptr_t)structure, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der->data, der->len),
        OSSL_PARAM_END,
    };

    return cb(params, cb_arg) == 1;
}

/*
 * While our key management is hidden (provider.c: we come before "default"), the DER is handed over
 * once in vain: OpenSSL meets the default provider's key management on the way. Then ours is shown,
 * and OpenSSL reads all there is when it is asked for a kind that nobody has. In vain goes by
 * another name, for OpenSSL 3.5 keeps the decoders and the key management that it found for one.
 */
static void introduce(struct prov_ctx *prov, const struct buf *der, OSSL_CALLBACK *cb, void *cb_arg)
{
    struct prov_key *none = NULL;

    if (atomic_load(&prov->shows_keymgmt)) {
        return;
    }
    (void)ERR_set_mark();
    (void)give_der(der, "p11enroll-none", cb, cb_arg);
    atomic_store(&prov->shows_keymgmt, true);
    (void)prov_key_hand_over(&none, "p11enroll-none", cb, cb_arg);
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
    AUTO(bio) BIO *in = BIO_new_from_core_bio(prov->child, cin);
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
    introduce(prov, &der, cb, cb_arg);
    err_clear(&dropped);
    if (give_der(&der, PROV_DECODER_STRUCTURE, cb, cb_arg)) {
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

/* Which class of key is wanted; CKO_CERTIFICATE: none. */
static CK_OBJECT_CLASS wanted_class(const struct hsm_uri *uri, int selection)
{
    if (uri->type == HSM_URI_PUBLIC) {
        return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0
                   ? CKO_PUBLIC_KEY
                   : CKO_CERTIFICATE;
    }
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? CKO_PRIVATE_KEY
                                                                                : CKO_CERTIFICATE;
}

static bool find_key(struct prov_pin *pin, const char *text, struct hsm_uri *uri, int selection,
                     struct prov_key **key, struct err *err)
{
    if (!hsm_uri_parse(text, uri, err)) {
        return false;
    }
    if (uri->type != HSM_URI_ANY && uri->type != HSM_URI_PRIVATE && uri->type != HSM_URI_PUBLIC) {
        return err_set(err, E_USAGE, "the URI has type=%s, and a key is wanted",
                       hsm_uri_type_name(uri->type));
    }
    CK_OBJECT_CLASS class = wanted_class(uri, selection);
    return class == CKO_CERTIFICATE || prov_locate_key(pin, class, key, err);
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
    if (!ours || !atomic_load(&prov->shows_keymgmt)) {
        return 1;
    }
    if (!find_key(&pin, buf_str(&text), &uri, selection, &key, &err)) {
        dropped = err;
        prov_raise(prov, &err);
        return 0;
    }
    if (key == NULL) {
        return 1; /* a public key is wanted, and this is a private one */
    }
    bool ok = prov_key_hand_over(&key, prov_key_type(key), cb, cb_arg);
    prov_key_free(key); /* NULL if keymgmt's load took it over */
    return ok;
}

static int does_selection(void *provctx UNUSED, int selection)
{
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
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
