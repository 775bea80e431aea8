#include "order/journal_impl.h"

#include "base/str.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void binding_done(struct binding *binding)
{
    for (size_t i = 0; i < binding->old_count; i++) {
        X509_free(binding->old[i].cert);
        free(binding->old[i].label);
    }
    free(binding->old);
    free(binding->who);
    free(binding->key_uri);
    X509_free(binding->cert);
    *binding = (struct binding){.id = 0};
}

/* "root@host", for people who look at the journal later. */
static char *user_and_host(void)
{
    char text[4096];
    char host[256] = "";
    struct passwd entry;
    struct passwd *found = NULL;
    char *who = NULL;

    bool known = getpwuid_r(getuid(), &entry, text, sizeof(text), &found) == 0 && found != NULL;
    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    int len = known ? asprintf(&who, "%s@%s", entry.pw_name, host)
                    : asprintf(&who, "%u@%s", (unsigned)getuid(), host);
    return len >= 0 ? who : NULL;
}

static bool bind_cert(struct db_query *query, int at, X509 *cert, struct err *err)
{
    unsigned char *der = NULL;
    int len = cert != NULL ? i2d_X509(cert, &der) : 0;

    if (len < 0) {
        return err_set_ssl(err, E_INTERNAL, "a certificate cannot be encoded");
    }
    db_bind_bytes(query, at, der, (size_t)len);
    OPENSSL_free(der);
    return true;
}

static bool read_cert(struct db_query *query, int column, X509 **out, struct err *err)
{
    size_t len = 0;
    const unsigned char *der = db_bytes(query, column, &len);

    *out = NULL;
    if (der == NULL || len == 0) {
        return true;
    }
    *out = d2i_X509(NULL, &der, (long)len);
    return *out != NULL || err_set_ssl(err, E_JOURNAL, "a certificate in the journal is damaged");
}

static bool is_same(X509 *a, X509 *b)
{
    return a == NULL || b == NULL ? a == b : X509_cmp(a, b) == 0;
}

static bool read_old(struct journal *journal, struct binding *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = true;

    if (!db_query(journal->db, "SELECT label, cert FROM replaced WHERE binding_id = ? ORDER BY id",
                  &query, err)) {
        return false;
    }
    db_bind_int(query, 1, out->id);
    while (db_step(query, &row, err)) {
        if (!row) {
            return true;
        }
        struct binding_old *grown =
            reallocarray(out->old, out->old_count + 1, sizeof(struct binding_old));
        if (grown == NULL) {
            return err_nomem(err);
        }
        out->old = grown;
        struct binding_old *old = &out->old[out->old_count++];
        const char *label = db_text(query, 0);
        old->cert = NULL;
        old->label = str_dup(label != NULL ? label : "");
        if (old->label == NULL || !read_cert(query, 1, &old->cert, err)) {
            return old->label != NULL ? false : err_nomem(err);
        }
    }
    return false;
}

bool journal_last_binding(struct journal *journal,
                          const uint8_t spki_hash[static X509_SPKI_HASH_LEN], struct binding *out,
                          struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    AUTO(binding) struct binding found = {.id = 0};
    bool row = false;

    *out = (struct binding){.id = 0};
    if (!db_query(journal->db,
                  "SELECT id, at_s, who, key_uri, cert FROM bindings "
                  "WHERE spki_hash = ? AND undone_s = 0 ORDER BY id DESC LIMIT 1",
                  &query, err)) {
        return false;
    }
    db_bind_bytes(query, 1, spki_hash, X509_SPKI_HASH_LEN);
    if (!db_step(query, &row, err)) {
        return false;
    }
    if (!row) {
        return true;
    }
    found.id = db_int(query, 0);
    found.at_s = db_int(query, 1);
    memcpy(found.spki_hash, spki_hash, X509_SPKI_HASH_LEN);
    if (!order_set(&found.who, db_text(query, 2), err) ||
        !order_set(&found.key_uri, db_text(query, 3), err) ||
        !read_cert(query, 4, &found.cert, err) || !read_old(journal, &found, err)) {
        return false;
    }
    *out = found;
    found = (struct binding){.id = 0};
    return true;
}

static bool insert(struct journal *journal, struct binding *binding, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(journal->db,
                  "INSERT INTO bindings (at_s, who, key_uri, spki_hash, cert, undone_s) "
                  "VALUES (?, ?, ?, ?, ?, 0)",
                  &query, err)) {
        return false;
    }
    db_bind_int(query, 1, binding->at_s);
    db_bind_text(query, 2, binding->who);
    db_bind_text(query, 3, binding->key_uri);
    db_bind_bytes(query, 4, binding->spki_hash, sizeof(binding->spki_hash));
    if (!bind_cert(query, 5, binding->cert, err) || !db_run(query, err)) {
        return false;
    }
    binding->id = db_last_id(journal->db);
    return true;
}

static bool insert_old(struct journal *journal, int64_t id, const struct binding_old *old,
                       struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(journal->db, "INSERT INTO replaced (binding_id, label, cert) VALUES (?, ?, ?)",
                  &query, err)) {
        return false;
    }
    db_bind_int(query, 1, id);
    db_bind_text(query, 2, old->label);
    return bind_cert(query, 3, old->cert, err) && db_run(query, err);
}

static bool has_old(const struct binding *binding, const struct binding_old *wanted)
{
    for (size_t i = 0; i < binding->old_count; i++) {
        if (is_same(binding->old[i].cert, wanted->cert) &&
            str_equal(binding->old[i].label, wanted->label)) {
            return true;
        }
    }
    return false;
}

/* Goes on in the entry of the same bind, if that is the key's newest. */
static bool note(struct journal *journal, struct binding *binding, struct err *err)
{
    AUTO(binding) struct binding last = {.id = 0};

    if (!journal_last_binding(journal, binding->spki_hash, &last, err)) {
        return false;
    }
    bool goes_on = last.id != 0 && binding->cert != NULL && is_same(last.cert, binding->cert);
    binding->id = last.id;
    if (!goes_on && !insert(journal, binding, err)) {
        return false;
    }
    for (size_t i = 0; i < binding->old_count; i++) {
        if ((!goes_on || !has_old(&last, &binding->old[i])) &&
            !insert_old(journal, binding->id, &binding->old[i], err)) {
            return false;
        }
    }
    return true;
}

bool journal_note_binding(struct journal *journal, struct binding *binding, struct err *err)
{
    binding->at_s = clock_wall_s(journal->clock);
    free(binding->who);
    binding->who = user_and_host();
    if (binding->who == NULL) {
        return err_nomem(err);
    }
    if (!db_begin(journal->db, err)) {
        return false;
    }
    if (note(journal, binding, err) && db_commit(journal->db, err)) {
        return true;
    }
    db_rollback(journal->db);
    return err_wrap(err, "the binding cannot be written down");
}

bool journal_binding_undone(struct journal *journal, int64_t id, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(journal->db, "UPDATE bindings SET undone_s = ? WHERE id = ?", &query, err)) {
        return false;
    }
    db_bind_int(query, 1, clock_wall_s(journal->clock));
    db_bind_int(query, 2, id);
    return db_run(query, err);
}
