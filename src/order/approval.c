#include "order/journal_impl.h"

#include "base/str.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void order_user(char out[static ORDER_USER_MAX])
{
    char text[4096];
    struct passwd entry;
    struct passwd *found = NULL;

    bool named = getpwuid_r(getuid(), &entry, text, sizeof(text), &found) == 0 && found != NULL &&
                 strlen(entry.pw_name) < ORDER_USER_MAX && strchr(entry.pw_name, ',') == NULL;
    if (named) {
        (void)snprintf(out, ORDER_USER_MAX, "%s", entry.pw_name);
    } else {
        (void)snprintf(out, ORDER_USER_MAX, "%lu", (unsigned long)getuid());
    }
}

void approval_done(struct approval *approval)
{
    free(approval->who);
    free(approval->user_name);
    free(approval->text);
    free(approval->signature);
    free(approval->message);
    X509_free(approval->cert);
    *approval = (struct approval){.id = 0};
}

void approvals_done(struct approvals *approvals)
{
    for (size_t i = 0; i < approvals->count; i++) {
        approval_done(&approvals->list[i]);
    }
    free(approvals->list);
    *approvals = (struct approvals){.list = NULL};
}

static bool bind_cert(struct db_query *query, int at, X509 *cert, struct err *err)
{
    unsigned char *der = NULL;
    int len = cert != NULL ? i2d_X509(cert, &der) : 0;

    if (len < 0) {
        return err_set_ssl(err, E_INTERNAL, "an approver's certificate cannot be encoded");
    }
    db_bind_bytes(query, at, der, (size_t)len);
    OPENSSL_free(der);
    return true;
}

static bool insert(struct journal *journal, const struct order *order, struct approval *approval,
                   struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;

    if (!db_query(journal->db,
                  "INSERT INTO approvals (order_id, at_s, approve, who, user_name, text, cert, "
                  "signature, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  &query, err)) {
        return false;
    }
    db_bind_int(query, 1, order->id);
    db_bind_int(query, 2, approval->at_s);
    db_bind_int(query, 3, approval->approve ? 1 : 0);
    db_bind_text(query, 4, approval->who);
    db_bind_text(query, 5, approval->user_name);
    db_bind_text(query, 6, approval->text);
    if (!bind_cert(query, 7, approval->cert, err)) {
        return false;
    }
    db_bind_bytes(query, 8, approval->signature, approval->signature_len);
    db_bind_text(query, 9, approval->message);
    if (!db_run(query, err)) {
        return false;
    }
    approval->id = db_last_id(journal->db);
    return true;
}

bool journal_add_approval(struct journal *journal, struct order *order, struct approval *approval,
                          const char *event, struct err *err)
{
    approval->at_s = clock_wall_s(journal->clock);
    if (!db_begin(journal->db, err)) {
        return false;
    }
    if (insert(journal, order, approval, err) && journal_write(journal, order, event, err) &&
        db_commit(journal->db, err)) {
        order->saved = order->state;
        return true;
    }
    db_rollback(journal->db);
    return err_wrap(err, "the decision on order %lld cannot be saved", (long long)order->id);
}

ANALYZER_LOSES_OWNER
static bool read_bytes(struct db_query *query, int column, uint8_t **out, size_t *len,
                       struct err *err)
{
    size_t size = 0;
    const uint8_t *data = db_bytes(query, column, &size);

    *len = 0;
    if (data == NULL || size == 0) {
        return true;
    }
    *out = malloc(size);
    if (*out == NULL) {
        return err_nomem(err);
    }
    memcpy(*out, data, size);
    *len = size;
    return true;
}
ANALYZER_LOSES_OWNER_END

static bool read_row(struct db_query *query, struct approval *out, struct err *err)
{
    size_t len = 0;
    const unsigned char *der = db_bytes(query, 6, &len);

    out->id = db_int(query, 0);
    out->at_s = db_int(query, 1);
    out->approve = db_int(query, 2) != 0;
    if (der != NULL && len > 0) {
        out->cert = d2i_X509(NULL, &der, (long)len);
        if (out->cert == NULL) {
            return err_set_ssl(err, E_JOURNAL, "the certificate of an approval is damaged");
        }
    }
    return order_set(&out->who, db_text(query, 3), err) &&
           order_set(&out->user_name, db_text(query, 4), err) &&
           order_set(&out->text, db_text(query, 5), err) &&
           read_bytes(query, 7, &out->signature, &out->signature_len, err) &&
           order_set(&out->message, db_text(query, 8), err);
}

bool journal_approvals(struct journal *journal, int64_t id, struct approvals *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    AUTO(approvals) struct approvals found = {.list = NULL};
    bool row = true;

    *out = (struct approvals){.list = NULL};
    if (!db_query(journal->db,
                  "SELECT id, at_s, approve, who, user_name, text, cert, signature, message "
                  "FROM approvals WHERE order_id = ? ORDER BY id",
                  &query, err)) {
        return false;
    }
    db_bind_int(query, 1, id);
    while (db_step(query, &row, err)) {
        if (!row) {
            *out = found;
            found = (struct approvals){.list = NULL};
            return true;
        }
        struct approval *grown = reallocarray(found.list, found.count + 1, sizeof(struct approval));
        if (grown == NULL) {
            return err_nomem(err);
        }
        found.list = grown;
        found.list[found.count] = (struct approval){.id = 0};
        if (!read_row(query, &found.list[found.count++], err)) {
            return false;
        }
    }
    return false;
}
