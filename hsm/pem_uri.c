#include "hsm/pem_uri.h"

#include "base/str.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

static const char description[] = "PKCS#11 Provider URI v1.0";

/* DER tags (X.690 section 8) */
enum { TAG_UTF8_STRING = 0x0C, TAG_VISIBLE_STRING = 0x1A, TAG_SEQUENCE = 0x30 };
enum { SHORT_LENGTH_MAX = 0x7F, LENGTH_OF_ONE = 0x81, LENGTH_OF_TWO = 0x82, BYTE_BITS = 8 };

DEFINE_AUTO(bio, BIO *, BIO_free_all)

/* What PEM_read_bio() gives; the content may have a PIN in it. */
struct block {
    char *label, *header;
    unsigned char *data;
    long len;
};

static void block_done(struct block *block)
{
    OPENSSL_free(block->label);
    OPENSSL_free(block->header);
    OPENSSL_clear_free(block->data, block->len > 0 ? (size_t)block->len : 0);
}

DEFINE_AUTO_DONE(block, struct block, block_done)

void hsm_pem_uri_wipe(struct buf *buf)
{
    if (buf->data != NULL) {
        OPENSSL_cleanse(buf->data, buf->cap);
    }
    buf_done(buf);
}

void hsm_pem_uri_room(struct buf *buf)
{
    AUTO(mem) void *zeros = calloc(1, buf->max);

    if (zeros == NULL) {
        buf->failed = true;
        return;
    }
    buf_add(buf, zeros, buf->max);
    buf_reset(buf);
}

static size_t header_size(size_t len)
{
    return len <= SHORT_LENGTH_MAX ? 2 : len <= UINT8_MAX ? 3 : 4;
}

static void add_header(struct buf *out, uint8_t tag, size_t len)
{
    buf_add_byte(out, tag);
    if (len > UINT8_MAX) {
        buf_add_byte(out, LENGTH_OF_TWO);
        buf_add_byte(out, (uint8_t)(len >> BYTE_BITS));
    } else if (len > SHORT_LENGTH_MAX) {
        buf_add_byte(out, LENGTH_OF_ONE);
    }
    buf_add_byte(out, (uint8_t)len);
}

static bool check_uri(const char *uri, size_t len, struct err *err)
{
    if (len > HSM_URI_MAX) {
        return err_set(err, E_USAGE, "the PKCS#11 URI is longer than %d characters", HSM_URI_MAX);
    }
    return (str_is_utf8((const uint8_t *)uri, len) && hsm_uri_is(uri)) ||
           err_set(err, E_USAGE, "the text does not begin with 'pkcs11:' or is not UTF-8");
}

bool hsm_pem_uri_encode(const char *uri, struct buf *der, struct err *err)
{
    size_t text_len = strlen(description);
    size_t uri_len = strlen(uri);

    if (!check_uri(uri, uri_len, err)) {
        return false;
    }
    add_header(der, TAG_SEQUENCE,
               header_size(text_len) + text_len + header_size(uri_len) + uri_len);
    add_header(der, TAG_VISIBLE_STRING, text_len);
    buf_add(der, description, text_len);
    add_header(der, TAG_UTF8_STRING, uri_len);
    buf_add(der, uri, uri_len);
    return buf_ok(der) || err_nomem(err);
}

/* What of the input is left. */
struct reader {
    const uint8_t *p;
    size_t left;
};

/* Enters an element with that tag: *content is what is in it, and `in` moves behind it. DER has one
 * way to write a length, the shortest. */
static bool take_element(struct reader *in, uint8_t tag, struct reader *content)
{
    if (in->left < 2 || in->p[0] != tag) {
        return false;
    }
    size_t len = in->p[1];
    if (len > SHORT_LENGTH_MAX) {
        size_t more = len - SHORT_LENGTH_MAX - 1;
        if (more < 1 || more > 2 || in->left < 2 + more) {
            return false;
        }
        len = more == 1 ? in->p[2] : (size_t)in->p[2] << BYTE_BITS | in->p[3];
    }
    size_t header = header_size(len);
    if (in->p[1] != (header == 2   ? len
                     : header == 3 ? (size_t)LENGTH_OF_ONE
                                   : (size_t)LENGTH_OF_TWO) ||
        len > in->left - header) {
        return false;
    }
    *content = (struct reader){.p = in->p + header, .left = len};
    in->p += header + len;
    in->left -= header + len;
    return true;
}

bool hsm_pem_uri_decode(const uint8_t *der, size_t len, struct buf *uri, struct err *err)
{
    struct reader in = {.p = der, .left = len};
    struct reader sequence;
    struct reader text;
    struct reader value;

    if (!take_element(&in, TAG_SEQUENCE, &sequence) || in.left != 0 ||
        !take_element(&sequence, TAG_VISIBLE_STRING, &text) ||
        !take_element(&sequence, TAG_UTF8_STRING, &value) || sequence.left != 0) {
        return err_set(err, E_USAGE,
                       "'" HSM_PEM_URI_LABEL
                       "': the content is not a SEQUENCE of VisibleString and UTF8String in DER");
    }
    if (text.left != strlen(description) || memcmp(text.p, description, text.left) != 0) {
        AUTO(buf) struct buf shown = BUF_INIT(256);
        str_add_quotable(&shown, (const char *)text.p, text.left, 40);
        return err_set(err, E_USAGE,
                       "'" HSM_PEM_URI_LABEL "': it is a '%s', and only '%s' is known",
                       buf_str(&shown), description);
    }
    size_t before = uri->len;
    buf_add(uri, value.p, value.left);
    if (!buf_ok(uri)) {
        return err_set(err, E_USAGE,
                       "'" HSM_PEM_URI_LABEL "': the URI is longer than %d characters",
                       HSM_URI_MAX);
    }
    return check_uri(buf_str(uri) + before, value.left, err) ||
           err_wrap(err, "'" HSM_PEM_URI_LABEL "'");
}

bool hsm_pem_uri_write(const char *uri, struct buf *pem, struct err *err)
{
    AUTO(pem_uri) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    AUTO(bio) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    hsm_pem_uri_room(&der);
    if (!hsm_pem_uri_encode(uri, &der, err)) {
        return false;
    }
    (void)ERR_set_mark();
    bool ok = bio != NULL && PEM_write_bio(bio, HSM_PEM_URI_LABEL, "", der.data, (long)der.len) > 0;
    (void)ERR_pop_to_mark();
    long len = ok ? BIO_get_mem_data(bio, &text) : 0;
    if (len <= 0) {
        return err_nomem(err);
    }
    buf_add(pem, text, (size_t)len);
    return buf_ok(pem) || err_nomem(err);
}

bool hsm_pem_uri_read(const char *pem, size_t len, struct buf *der, struct err *err)
{
    AUTO(bio) BIO *bio = len <= HSM_PEM_URI_TEXT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    AUTO(block) struct block block = {.label = NULL};

    if (len > HSM_PEM_URI_TEXT_MAX) {
        return err_set(err, E_USAGE, "'" HSM_PEM_URI_LABEL "': the block is longer than %d bytes",
                       HSM_PEM_URI_TEXT_MAX);
    }
    (void)ERR_set_mark();
    bool ok =
        bio != NULL && PEM_read_bio(bio, &block.label, &block.header, &block.data, &block.len) == 1;
    (void)ERR_pop_to_mark();
    if (!ok || strcmp(block.label, HSM_PEM_URI_LABEL) != 0 || block.len <= 0) {
        return err_set(err, E_USAGE, "'" HSM_PEM_URI_LABEL "': the block is not complete PEM");
    }
    if (block.header[0] != '\0') {
        return err_set(err, E_USAGE,
                       "'" HSM_PEM_URI_LABEL "': a block of this kind has no headers");
    }
    buf_add(der, block.data, (size_t)block.len);
    return buf_ok(der) ||
           err_set(err, E_USAGE, "'" HSM_PEM_URI_LABEL "': the content is longer than %d bytes",
                   HSM_PEM_URI_DER_MAX);
}
