#include "app/app.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 1 << 20 };

/* The first name of a certificate, without what has a meaning in paths. */
static bool first_name(X509 *leaf, struct buf *out)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err why = ERR_INIT;
    char cn[256] = "";
    const char *name = cn;

    if (x509_names_of_cert(leaf, &names, &why) && names.count > 0) {
        name = names.list[0];
    } else if (X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, cn,
                                         sizeof(cn)) <= 0) {
        name = "certificate";
    }
    for (size_t i = 0; name[i] != '\0'; i++) {
        bool plain = strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-@",
                            name[i]) != NULL;
        buf_add_byte(out, plain && !(i == 0 && name[i] == '.') ? (uint8_t)name[i] : '_');
    }
    return buf_ok(out);
}

char *app_detached_dir(const char *base, X509 *leaf)
{
    AUTO(buf) struct buf name = BUF_INIT(512);

    return first_name(leaf, &name) ? file_join(base, buf_str(&name)) : NULL;
}

static bool write_file(const char *dir, const char *name, const char *text, struct err *err)
{
    AUTO(str) char *path = file_join(dir, name);

    return path != NULL ? file_write_atomic(path, text, strlen(text), 0644, err) : err_nomem(err);
}

static const char *const file_names[] = {"key.uri",  "key.pem",      "chain.pem",
                                         "cert.pem", "combined.pem", "fullchain.pem"};

/* Whether a line begins a private key in PEM, of whatever kind. What stands for a key in a token is
 * called otherwise. */
static bool has_private_key(const char *text, size_t len)
{
    static const char begin[] = "-----BEGIN ";
    const char *end = text + len;

    while ((text = memmem(text, (size_t)(end - text), begin, strlen(begin))) != NULL) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t line_len = (size_t)((line_end != NULL ? line_end : end) - text);
        if (memmem(text, line_len, "PRIVATE KEY", strlen("PRIVATE KEY")) != NULL) {
            return true;
        }
        text += strlen(begin);
    }
    return false;
}

/* Servers' files often hold certificate and key: that key may be somebody's only one. */
static bool check_no_key_in(const char *dir, const char *name, struct err *err)
{
    AUTO(str) char *path = file_join(dir, name);
    AUTO(buf) struct buf text = BUF_INIT(FILE_MAX);

    if (path == NULL) {
        return err_nomem(err);
    }
    if (!file_exists(path)) {
        return true;
    }
    bool read = file_read(path, &text, err);
    bool found = read && text.data != NULL && has_private_key(buf_str(&text), text.len);
    if (text.data != NULL) {
        explicit_bzero(text.data, text.len);
    }
    if (!read) {
        return err_wrap(err, "looking whether a file that would be written over holds a key");
    }
    return !found || err_set(err, E_OBJECT_EXISTS,
                             "%s holds a private key, and is not written over; nothing was "
                             "written; move it away first",
                             path);
}

static bool check_files(const char *dir, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(file_names); i++) {
        if (!check_no_key_in(dir, file_names[i], err)) {
            return false;
        }
    }
    return true;
}

/* A key.pem that is there must be one of ours, or it might be somebody's only private key. */
static bool check_key_file(const char *dir, struct err *err)
{
    AUTO(str) char *path = file_join(dir, "key.pem");
    AUTO(buf) struct buf text = BUF_INIT(FILE_MAX);

    if (path == NULL) {
        return err_nomem(err);
    }
    if (!file_exists(path)) {
        return true;
    }
    bool ours = file_read(path, &text, err) && keystore_is_wrapped(buf_str(&text), text.len);
    if (text.data != NULL) {
        explicit_bzero(text.data, text.len);
    }
    if (ours) {
        return true;
    }
    return err->code != E_NONE ? false
                               : err_set(err, E_OBJECT_EXISTS,
                                         "%s is no file that stands for a key in a token, and is "
                                         "not written over; move it away first",
                                         path);
}

/* The directory is for programs that run as others: it is public, as its files are. */
static bool make_dir(const char *dir, struct err *err)
{
    bool there = file_exists(dir);

    if (!file_make_private_dir(dir, err)) {
        return false;
    }
    return there || chmod(dir, 0755) == 0 || err_set_errno(err, E_IO, errno, "%s", dir);
}

bool app_detach(const struct app_detached *files, struct err *err)
{
    AUTO(buf) struct buf cert = BUF_INIT(FILE_MAX);
    AUTO(buf) struct buf chain = BUF_INIT(FILE_MAX);
    AUTO(buf) struct buf all = BUF_INIT(FILE_MAX);
    AUTO(buf) struct buf uri = BUF_INIT(FILE_MAX);
    AUTO(buf) struct buf both = BUF_INIT(FILE_MAX);

    if (!x509_to_pem(files->leaf, &cert, err) ||
        (files->chain != NULL && !x509_chain_to_pem(files->chain, &chain, err))) {
        return false;
    }
    buf_add_str(&all, buf_str(&cert));
    buf_add_str(&all, buf_str(&chain));
    buf_addf(&uri, "%s\n", files->key->uri);
    buf_addf(&both, "%s%s", buf_str(&all), files->key->pem);
    if (!buf_ok(&all) || !buf_ok(&uri) || !buf_ok(&both)) {
        return err_nomem(err);
    }
    /* What servers read comes last, and each is complete by itself. */
    return make_dir(files->dir, err) && check_key_file(files->dir, err) &&
           check_files(files->dir, err) && write_file(files->dir, "key.uri", buf_str(&uri), err) &&
           write_file(files->dir, "key.pem", files->key->pem, err) &&
           write_file(files->dir, "chain.pem", buf_str(&chain), err) &&
           write_file(files->dir, "cert.pem", buf_str(&cert), err) &&
           write_file(files->dir, "combined.pem", buf_str(&both), err) &&
           write_file(files->dir, "fullchain.pem", buf_str(&all), err);
}

bool app_detach_again(struct app *app, const char *key_uri, const char *dir, struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);
    struct keystore_source source = {.key = key_uri, .token = token};
    AUTO(keystore_identity) struct keystore_identity identity = {.key = NULL};
    AUTO(keystore_wrapped) struct keystore_wrapped key = {.uri = NULL};
    struct keystore_wrap how = {.name_module = false};
    AUTO(str) char *there = file_join(dir, "fullchain.pem");

    if (there == NULL) {
        return err_nomem(err);
    }
    if (!keystore_open(app->keystore, &source, &identity, err)) {
        if (err->code == E_KEYSTORE && file_exists(there)) {
            err_clear(err); /* no certificate on the token: the files are all there is */
            return true;
        }
        return false;
    }
    struct app_detached files = {
        .dir = dir, .leaf = identity.cert, .chain = identity.chain, .key = &key};
    return keystore_wrap(app->keystore, &token, key_uri, &how, &key, err) &&
           app_detach(&files, err);
}
