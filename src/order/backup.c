#include "order/journal_impl.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A copy in the making, and what SQLite may leave beside it. */
static void remove_copy(char *path)
{
    static const char *const tails[] = {"", "-journal", "-wal", "-shm"};

    for (size_t i = 0; path != NULL && i < ARRAY_LEN(tails); i++) {
        AUTO(str) char *name = NULL;
        if (asprintf(&name, "%s%s", path, tails[i]) < 0) {
            name = NULL;
            continue;
        }
        (void)unlink(name);
    }
    free(path);
}

DEFINE_AUTO(copy, char *, remove_copy)

static bool is_journal(const struct journal *journal, const struct stat *there)
{
    AUTO(str) char *path = file_join(journal->dir, "journal.db");
    struct stat own;

    return path != NULL && stat(path, &own) == 0 && own.st_dev == there->st_dev &&
           own.st_ino == there->st_ino;
}

static bool may_write(const struct journal *journal, const char *path, bool overwrite,
                      struct err *err)
{
    struct stat there;

    if (stat(path, &there) != 0) {
        return true;
    }
    if (is_journal(journal, &there)) {
        return err_set(err, E_USAGE, "%s is the journal itself", path);
    }
    if (!S_ISREG(there.st_mode)) {
        return err_set(err, E_IO, "%s is no file", path);
    }
    return overwrite || err_set(err, E_OBJECT_EXISTS,
                                "%s is there already, and was left as it is; --overwrite puts the "
                                "backup in its place",
                                path);
}

static bool make_empty(const char *path, char **out, struct err *err)
{
    AUTO(str) char *name = NULL;

    if (asprintf(&name, "%s.XXXXXX", path) < 0) {
        name = NULL;
        return err_nomem(err);
    }
    int fd = mkostemp(name, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        return err_set_errno(err, E_IO, errno, "creating a file beside %s", path);
    }
    (void)close(fd);
    *out = TAKE(name);
    return true;
}

static bool count_rows(struct db *db, const char *sql, int64_t *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(db, sql, &query, err) || !db_step(query, &row, err)) {
        return false;
    }
    *out = row ? db_int(query, 0) : 0;
    return true;
}

/* What the copy has, as it is read back. */
static bool count_copy(const char *path, struct journal_copy *out, struct err *err)
{
    AUTO(db) struct db *copy = NULL;

    return db_open_as_is(path, &copy, err) &&
           count_rows(copy, "SELECT count(*) FROM orders", &out->orders, err) &&
           count_rows(copy, "SELECT count(*) FROM events", &out->events, err);
}

static bool digest_all(int fd, EVP_MD_CTX *digest, int64_t *bytes)
{
    uint8_t chunk[65536];

    for (;;) {
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0;
        }
        *bytes += got;
        if (EVP_DigestUpdate(digest, chunk, (size_t)got) != 1) {
            errno = ENOMEM;
            return false;
        }
    }
}

static bool digest_copy(const char *path, struct journal_copy *out, struct err *err)
{
    AUTO(buf) struct buf hex = BUF_INIT(JOURNAL_DIGEST_TEXT);
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    bool ok = fd >= 0 && digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
              digest_all(fd, digest, &out->bytes) && EVP_DigestFinal_ex(digest, hash, &len) == 1;
    int cause = errno;
    EVP_MD_CTX_free(digest);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!ok) {
        return err_set_errno(err, E_IO, cause, "reading the copy %s", path);
    }
    str_add_hex(&hex, hash, len, '\0');
    (void)snprintf(out->sha256, sizeof(out->sha256), "%s", buf_str(&hex));
    return true;
}

bool journal_backup(struct journal *journal, const char *path, bool overwrite,
                    struct journal_copy *out, struct err *err)
{
    AUTO(copy) char *temp = NULL;
    struct journal_copy made = {.orders = 0};

    if (!may_write(journal, path, overwrite, err) || !make_empty(path, &temp, err)) {
        return false;
    }
    if (!db_copy(journal->db, temp, journal->clock, err) || !count_copy(temp, &made, err) ||
        !digest_copy(temp, &made, err) || !file_put_in_place(temp, path, overwrite, err)) {
        return err_wrap(err, "backup of the journal in %s", journal->dir);
    }
    free(TAKE(temp)); /* it has its name now */
    *out = made;
    return true;
}
