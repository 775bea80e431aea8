#include "hsm/record.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "hsm/module.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES = 16 };

char *hsm_record_path(const char *folder, const char *const parts[], size_t count,
                      const char *suffix)
{
    const char *dir = hsm_process_state_dir();
    AUTO(buf) struct buf identity = BUF_INIT(HSM_RECORD_MAX);
    AUTO(buf) struct buf path = BUF_INIT(8192);
    uint8_t hash[EVP_MAX_MD_SIZE];
    size_t hash_len = 0;

    if (dir == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const char *part = parts[i] != NULL ? parts[i] : "";
        buf_add(&identity, part, strlen(part) + 1);
    }
    if (!buf_ok(&identity) ||
        EVP_Q_digest(NULL, "SHA256", NULL, identity.data, identity.len, hash, &hash_len) != 1) {
        return NULL;
    }
    buf_addf(&path, "%s/%s/", dir, folder);
    str_add_hex(&path, hash, NAME_BYTES, '\0');
    buf_add_str(&path, suffix);
    return buf_take_str(&path);
}

bool hsm_record_read(const char *path, hsm_record_line_fn *take, void *ctx, bool *found,
                     struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(HSM_RECORD_MAX);
    char *save = NULL;

    *found = file_exists(path);
    if (!*found) {
        return true;
    }
    if (!file_read(path, &text, err)) {
        return false;
    }
    AUTO(str) char *copy = buf_take_str(&text);
    if (copy == NULL) {
        return err_nomem(err);
    }
    for (char *line = strtok_r(copy, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, '=');
        if (value != NULL && line[0] != '#') {
            *value++ = '\0';
            take(ctx, line, value);
        }
    }
    return true;
}

void hsm_record_add(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "%s=", name);
    for (const char *c = value; *c != '\0'; c++) {
        buf_add_byte(out, (unsigned char)*c < 0x20 ? (uint8_t)'?' : (uint8_t)*c);
    }
    buf_add_byte(out, '\n');
}

bool hsm_record_write(const char *path, const char *folder, const struct buf *text, struct err *err)
{
    AUTO(str) char *dir = file_join(hsm_process_state_dir(), folder);

    if (dir == NULL || !buf_ok(text)) {
        return err_nomem(err);
    }
    return file_make_private_dir(dir, err) &&
           file_write_atomic(path, text->data, text->len, 0600, err);
}

void hsm_record_remove(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        log_line(LOG_WARN, "hsm", "%s cannot be removed: %s", path, strerror(errno));
    }
}
