/*
 * What is noted before an order is sent, and compared with what was noted when it was planned:
 * whether somebody else has renewed or replaced the certificate since, as far as this API tells.
 */
#include "ca/enrollment/enrollment.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* More of one name, and nobody can tell which one is new. */
enum { KNOWN_MAX = 200 };

/* The ids that are listed under a name. */
struct known {
    struct enrollment_id list[KNOWN_MAX];
    size_t count;
    bool listed; /* there is a list, and these are all */
};

static bool add_rows(const json *doc, const char *cn, struct known *out)
{
    for (const json *row = json_first(doc); row != NULL; row = json_next(row)) {
        struct enrollment_id id;
        struct err ignored = ERR_INIT;
        const char *name = NULL;
        if (!enrollment_parse_id(row, &id, &ignored) ||
            (json_find_string(row, "commonName", &name) && cn != NULL &&
             !str_equal_nocase(name, cn))) {
            continue;
        }
        if (out->count == KNOWN_MAX) {
            return false;
        }
        out->list[out->count++] = id;
    }
    return true;
}

static bool list_known(struct enrollment *e, const char *cn, struct known *out, struct err *err)
{
    size_t rows = ENROLLMENT_PAGE;

    out->listed = true;
    for (int page = 0; page < ENROLLMENT_PAGES_MAX && rows == ENROLLMENT_PAGE && out->listed;
         page++) {
        AUTO(answer) struct scm_answer answer;
        AUTO(json) json *doc = NULL;
        scm_answer_init(&answer);
        if (!enrollment_get_page(e, (int64_t)page * ENROLLMENT_PAGE, &answer, &doc, err)) {
            if (!enrollment_has_no_list(&answer)) {
                return false;
            }
            err_clear(err);
            out->listed = false;
            return true;
        }
        rows = json_count(doc);
        out->listed = add_rows(doc, cn, out);
    }
    return true;
}

static bool was_known(const json *known, const struct enrollment_id *id)
{
    for (const json *item = json_first(known); item != NULL; item = json_next(item)) {
        if (str_equal(json_string(item), id->text)) {
            return true;
        }
    }
    return false;
}

static bool is_serial_of(X509 *leaf, const char *serial)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    struct err ignored = ERR_INIT;

    return x509_info(leaf, &info, &ignored) && ca_same_serial(info.serial, serial);
}

/* Renewals keep the key: a certificate for it that was not listed when this one was planned is one.
 */
static bool check_since(struct enrollment *e, const struct ca_request *request,
                        const struct known *now, struct err *err)
{
    AUTO(json) json *before = NULL;
    AUTO(x509_req) X509_REQ *csr = NULL;
    uint8_t spki_hash[X509_SPKI_HASH_LEN];

    if (request->before == NULL || !now->listed) {
        return true;
    }
    if (!json_parse((const uint8_t *)request->before, strlen(request->before), &before, err) ||
        !x509_csr_parse(request->csr_pem, &csr, err) || !x509_csr_spki_hash(csr, spki_hash, err)) {
        return false;
    }
    const json *known = json_member(before, "known");
    for (size_t i = 0; json_is_array(known) && i < now->count; i++) {
        AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
        X509 *leaf = NULL;
        if (was_known(known, &now->list[i]) ||
            (request->is_other != NULL &&
             request->is_other(request->other_ctx, now->list[i].text))) {
            continue;
        }
        if (!enrollment_fetch_for(e, &now->list[i], spki_hash, &certs, &leaf, err)) {
            return false;
        }
        if (leaf != NULL && !is_serial_of(leaf, request->parent_serial)) {
            return scm_was_renewed(request->parent, now->list[i].text, err);
        }
    }
    return true;
}

static char *note(const struct enrollment *e, const struct known *known)
{
    AUTO(json) json *doc = json_new_object();
    AUTO(buf) struct buf text = BUF_INIT(32 * 1024);
    json *list = known->listed ? json_new_array() : NULL;
    struct err ignored = ERR_INIT;
    bool ok = doc != NULL && (list != NULL || !known->listed) &&
              json_add_int(doc, "sent", clock_wall_s(e->scm.settings.clock));

    for (size_t i = 0; ok && known->listed && i < known->count; i++) {
        ok = json_append_string(list, known->list[i].text);
    }
    if (!ok) {
        json_free(list);
        return NULL;
    }
    if (list != NULL && !json_add(doc, "known", list)) {
        return NULL;
    }
    return json_print(doc, &text, &ignored) ? str_dup(buf_str(&text)) : NULL;
}

/* When it was sent: an older certificate for the same key is not what it became. */
bool enrollment_before_submit(void *impl, const struct ca_request *request, char **before,
                              struct err *err)
{
    struct enrollment *e = impl;
    AUTO(mem) void *memory = calloc(1, sizeof(struct known));
    struct known *known = memory;
    AUTO(ca_record) struct ca_record old = {.id = request->parent};

    if (known == NULL) {
        return err_nomem(err);
    }
    if (request->how != CA_ENROLL &&
        (!enrollment_record(e, request->kind, request->parent, &old, err) ||
         !scm_check_old(request, &old, err))) {
        return false;
    }
    if (request->how == CA_RENEW &&
        (!list_known(e, old.common_name, known, err) || !check_since(e, request, known, err))) {
        return false;
    }
    *before = note(e, known);
    return *before != NULL || err_nomem(err);
}
