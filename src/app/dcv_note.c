/*
 * What a hook has published is written down before it is called, in a file for each domain: so that
 * a record which outlived its run (one that waits for the CA, a process that was killed) is removed
 * by the next one.
 */
#include "app/dcv_note.h"

#include "app/app.h"
#include "base/file.h"
#include "base/str.h"
#include "json/json.h"

#include <errno.h>
#include <unistd.h>

/* a hook may write 64 KiB, which are noted as hex digits */
enum { OUTPUT_MAX = 64 * 1024, NOTE_MAX = 16 * 1024 + 2 * OUTPUT_MAX };

static const char *const kinds[] = {"cname", "txt", "file"};

/* state/dcv/DOMAIN; NULL if there is no place, or no memory. free() it. */
static char *path_of(const struct app *app, const char *domain)
{
    AUTO(str) char *dir = app->state_dir != NULL ? file_join(app->state_dir, "dcv") : NULL;

    return dir != NULL && ca_domain_name_ok(domain) ? file_join(dir, domain) : NULL;
}

static bool build(const struct dcv_record *record, const struct buf *output, struct buf *out,
                  struct err *err)
{
    AUTO(json) json *doc = json_new_object();
    AUTO(buf) struct buf hex = BUF_INIT(2 * OUTPUT_MAX + 1);

    str_add_hex(&hex, output->data, output->len, '\0');
    if (doc == NULL || !json_add_string(doc, "kind", kinds[record->kind]) ||
        !json_add_string(doc, "name", record->name) ||
        !json_add_string(doc, "value", record->value) ||
        (record->url != NULL && !json_add_string(doc, "url", record->url)) ||
        (hex.len > 0 && !json_add_string(doc, "output", buf_str(&hex)))) {
        return err_nomem(err);
    }
    return json_print(doc, out, err);
}

bool dcv_note_write(const struct app *app, const char *domain, const struct dcv_record *record,
                    const struct buf *output, struct err *err)
{
    AUTO(str) char *path = path_of(app, domain);
    AUTO(str) char *dir = app->state_dir != NULL ? file_join(app->state_dir, "dcv") : NULL;
    AUTO(buf) struct buf text = BUF_INIT(NOTE_MAX);

    if (path == NULL || dir == NULL) {
        return true;
    }
    return build(record, output, &text, err) && file_make_private_dir(dir, err) &&
           file_write_atomic(path, text.data, text.len, 0600, err);
}

/* Everything is looked at as if the CA had said it anew. */
static bool parse(const json *doc, const char *domain, struct dcv_record *out, struct buf *output,
                  struct err *err)
{
    const char *hex = NULL;
    const char *kind = NULL;
    const char *name = NULL;
    const char *value = NULL;
    const char *url = NULL;

    if (!json_get_string(doc, "kind", &kind, err) || !json_get_string(doc, "name", &name, err) ||
        !json_get_string(doc, "value", &value, err)) {
        return false;
    }
    if (json_find_string(doc, "output", &hex) && !str_from_hex(hex, output)) {
        return err_set(err, E_PROTOCOL, "'output' is not what a hook can have written");
    }
    if (!str_equal(kind, kinds[DCV_FILE])) {
        return dcv_record_dns(out, domain, str_equal(kind, kinds[DCV_TXT]) ? DCV_TXT : DCV_CNAME,
                              name, value, err);
    }
    size_t len = strcspn(value, "\n");
    AUTO(str) char *first = str_ndup(value, len);
    if (first == NULL) {
        return err_nomem(err);
    }
    return json_get_string(doc, "url", &url, err) &&
           dcv_record_file(out, domain, url, first, value[len] == '\n' ? value + len + 1 : NULL,
                           err);
}

bool dcv_note_read(const struct app *app, const char *domain, struct dcv_record *out,
                   struct buf *output, bool *found, struct err *err)
{
    AUTO(str) char *path = path_of(app, domain);
    AUTO(buf) struct buf text = BUF_INIT(NOTE_MAX);
    AUTO(json) json *doc = NULL;

    *found = false;
    if (path == NULL || !file_exists(path)) {
        return true;
    }
    if (!file_read(path, &text, err)) {
        return false;
    }
    *found = json_parse((const uint8_t *)buf_str(&text), text.len, &doc, err) &&
             parse(doc, domain, out, output, err);
    return *found || err_wrap(err, "%s", path);
}

void dcv_note_remove(const struct app *app, const char *domain)
{
    AUTO(str) char *path = path_of(app, domain);

    if (path != NULL) {
        (void)unlink(path); /* one that stays is read again, and its record removed once more */
    }
}
