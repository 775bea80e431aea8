#include "app/app.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>

/* What one revocation works with. */
struct work {
    struct journal *journal;
    struct order order; /* id 0: the journal does not know it */
    struct order_lock lock;
    struct app_ca connection;
};

static void work_done(struct work *work)
{
    app_ca_close(&work->connection);
    order_lock_release(&work->lock);
    order_done(&work->order);
    journal_close(work->journal);
}

DEFINE_AUTO_DONE(work, struct work, work_done)

static bool load(struct app *app, struct work *work, int64_t id, struct err *err)
{
    return order_lock_take(work->journal, id, &work->lock, err) &&
           journal_load(work->journal, id, &work->order, err) &&
           app_select_for(app, &work->order, err);
}

/* The list of devices does not show serial numbers: then those that it gives for one are asked for,
 * and more than a few mean that it was not narrowed. */
enum { UNSURE_MAX = 100 };

struct looking {
    const char *serial;
    int64_t id;
    int64_t unsure[UNSURE_MAX]; /* rows that say no serial number */
    size_t unsure_count;
};

/* Whatever the CA makes of the filter: a row with another serial number is not the one. */
static bool take_id(void *ctx, const struct ca_row *row, struct err *err UNUSED)
{
    struct looking *looking = ctx;

    if (row->serial[0] == '\0') {
        if (looking->unsure_count < UNSURE_MAX) {
            looking->unsure[looking->unsure_count++] = row->id;
        }
        return looking->unsure_count < UNSURE_MAX;
    }
    if (!ca_same_serial(row->serial, looking->serial)) {
        return true;
    }
    looking->id = row->id;
    return false;
}

/* The one of them whose record has the serial number. One that stands alone is what was looked for,
 * and is looked at again before anything is sent. */
static bool ask_unsure(struct ca *ca, enum ca_kind kind, struct looking *looking, struct err *err)
{
    if (looking->unsure_count == 1) {
        looking->id = looking->unsure[0];
        return true;
    }
    if (looking->unsure_count == UNSURE_MAX) {
        return err_set(err, E_PROTOCOL,
                       "the CA lists %d certificates and more for one serial number; "
                       "'--ca-order' says which by its number there",
                       UNSURE_MAX);
    }
    for (size_t i = 0; i < looking->unsure_count && looking->id == 0; i++) {
        AUTO(ca_record) struct ca_record record = {.id = 0};
        if (!ca_record_of(ca, kind, looking->unsure[i], &record, err)) {
            return false;
        }
        looking->id = ca_same_serial(record.serial, looking->serial) ? looking->unsure[i] : 0;
    }
    return true;
}

/* The CA's number of the certificate with that serial number. */
static bool find_serial(struct ca *ca, enum ca_kind kind, const char *serial, int64_t *id,
                        struct err *err)
{
    struct ca_filter filter = {.kind = kind, .serial = serial};
    struct looking looking = {.serial = serial};

    bool listed = ca_list(ca, &filter, take_id, &looking, err) &&
                  (looking.id != 0 || ask_unsure(ca, kind, &looking, err));
    *id = looking.id;
    return listed &&
           (*id != 0 || err_set(err, E_ORDER_MISSING,
                                "the CA lists no certificate of the kind '%s' with the serial "
                                "number %.80s to this account ('--kind' looks among others: ssl, "
                                "device or smime)",
                                ca_kind_name(kind), serial));
}

/* The newest order of ours whose certificate has that serial number. */
struct recall {
    const char *serial, *ca;
    int64_t id;
};

static bool recall_one(void *ctx, const struct order *order)
{
    struct recall *recall = ctx;

    if (!str_equal(order->ca, recall->ca) || !ca_same_serial(order->serial, recall->serial)) {
        return true;
    }
    recall->id = order->id;
    return false;
}

/* Not every CA has a list to look in: then the journal may know the serial number. */
static bool find_serial_somewhere(struct app *app, struct work *work, const char *serial,
                                  int64_t *ca_order, struct err *err)
{
    struct recall recall = {.serial = serial, .ca = app->selection.ca->name};
    AUTO(order) struct order order;
    struct err ignored = ERR_INIT;
    char text[64];
    uint64_t number = 0;

    order_init(&order);
    if (find_serial(work->connection.ca, (enum ca_kind)app->selection.profile->kind, serial,
                    ca_order, err)) {
        return true;
    }
    if (err->code == E_AUTH || err->code == E_ORDER_MISSING || err_code_retryable(err->code)) {
        return false;
    }
    if (!journal_list(work->journal, false, INT32_MAX, recall_one, &recall, &ignored) ||
        recall.id == 0 || !journal_load(work->journal, recall.id, &order, &ignored)) {
        return err_wrap(err, "the serial number %.80s, which no order of the journal has", serial);
    }
    ca_order_id(order.ca_state, text);
    if (!str_to_u64(text, INT64_MAX, &number) || number == 0) {
        return false;
    }
    log_line(LOG_INFO, "order", "the certificate with that serial number is that of order %lld",
             (long long)recall.id);
    err_clear(err);
    *ca_order = (int64_t)number;
    return true;
}

/* The order of ours behind the CA's number, if there is one. */
static bool find_ours(struct app *app, struct work *work, int64_t ca_order, struct err *err)
{
    int64_t id = 0;

    if (!app_find_ca_order(app, work->journal, ca_order, &id, err)) {
        return false;
    }
    return id == 0 || (order_lock_take(work->journal, id, &work->lock, err) &&
                       journal_load(work->journal, id, &work->order, err));
}

static bool no_number(const struct order *order, const char *text, struct err *err)
{
    if (text[0] != '\0') {
        return err_set(err, E_USAGE,
                       "order %lld is '%s' at the CA, which is no number: this command cannot "
                       "revoke it, an administrator "
                       "of the CA account can",
                       (long long)order->id, text);
    }
    return err_set(err, E_USAGE,
                   "order %lld is in the state '%s': the CA has given it no number, so there is "
                   "nothing to revoke",
                   (long long)order->id, order_state_name(order->state));
}

/* Settles which certificate is meant: ours, and the CA's number. */
static bool settle(struct app *app, const struct app_revoke *request, struct work *work,
                   int64_t *ca_order, struct err *err)
{
    char text[64];
    uint64_t number = 0;

    if (request->order != 0) {
        if (!load(app, work, request->order, err)) {
            return false;
        }
        ca_order_id(work->order.ca_state, text);
        if (!str_to_u64(text, INT64_MAX, &number) || number == 0) {
            return no_number(&work->order, text, err);
        }
        *ca_order = (int64_t)number;
        return app_ca_open(app, &work->connection, err);
    }
    *ca_order = request->ca_order;
    return app_ca_open(app, &work->connection, err) &&
           (request->serial == NULL ||
            find_serial_somewhere(app, work, request->serial, ca_order, err)) &&
           find_ours(app, work, *ca_order, err);
}

static bool note(struct work *work, const char *text, struct err *err)
{
    return work->order.id == 0 || journal_save(work->journal, &work->order, text, err);
}

/* Sends it, between intent and outcome in the journal. */
static bool revoke(struct work *work, const struct ca_revocation *revocation,
                   struct app_revoked *out, struct err *err)
{
    AUTO(buf) struct buf event = BUF_INIT(2048);
    struct err unsaved = ERR_INIT;

    buf_addf(&event, "asking the CA to revoke %lld: reason %d, '%s'", (long long)revocation->id,
             revocation->reason, revocation->text);
    if (!note(work, buf_str(&event), err)) {
        return false;
    }
    enum ca_revoke outcome = ca_revoke(work->connection.ca, revocation, err);
    out->was_revoked = outcome == CA_WAS_REVOKED;
    if (outcome == CA_REVOKED || outcome == CA_WAS_REVOKED) {
        const char *text = out->was_revoked ? "the CA had revoked it before" : "revoked at the CA";
        return work->order.id == 0 || order_revoked(work->journal, &work->order, text, err) ||
               err_wrap(err, "the certificate is revoked");
    }
    if (!note(work, err->msg, &unsaved)) {
        log_line(LOG_WARN, "order", "%s", unsaved.msg);
    }
    return false;
}

/* The CA's number stays when a certificate is replaced there: what is meant is the one certificate.
 */
static bool check_serial(const char *wanted, const struct ca_record *record, struct err *err)
{
    /* One that is revoked already need not be told any more. */
    bool silent = record->revoked && record->serial == NULL;

    return wanted == NULL || silent || ca_same_serial(wanted, record->serial) ||
           err_set(err, E_CA_REFUSED,
                   "number %lld at the CA is a certificate with the serial number %.80s now, and "
                   "not %.80s, so nothing was revoked: it was replaced there, or the CA found "
                   "another one",
                   (long long)record->id, record->serial != NULL ? record->serial : "(none)",
                   wanted);
}

/* Of our own order as it was made, of others as the profile says. */
static bool kind_of(const struct app *app, const struct order *order, enum ca_kind *out,
                    struct err *err)
{
    *out = (enum ca_kind)app->selection.profile->kind;
    return order->id == 0 || ca_kind_parse(order->kind, out) ||
           err_set(err, E_JOURNAL, "order %lld is of a kind this program does not know",
                   (long long)order->id);
}

bool app_revoke(struct app *app, const struct app_revoke *request, struct app_revoked *out,
                struct err *err)
{
    AUTO(work) struct work work = {.lock = ORDER_LOCK_INIT};
    enum ca_kind kind = CA_KIND_TLS;
    int64_t ca_order = 0;

    *out = (struct app_revoked){.order = 0};
    order_init(&work.order);
    if (!app_journal(app, &work.journal, err) || !settle(app, request, &work, &ca_order, err) ||
        !kind_of(app, &work.order, &kind, err) ||
        !ca_record_of(work.connection.ca, kind, ca_order, &out->record, err)) {
        return false;
    }
    out->order = work.order.id;
    const char *serial = request->serial != NULL ? request->serial
                         : request->order != 0   ? work.order.serial
                                                 : NULL;
    if (!check_serial(serial, &out->record, err)) {
        return false;
    }
    if (!request->confirmed) {
        return err_set(err, E_USAGE,
                       "nothing was revoked: a revocation cannot be taken back; with --yes the "
                       "certificate above is revoked");
    }
    struct ca_revocation revocation = {.kind = kind,
                                       .id = ca_order,
                                       .serial = serial,
                                       .reason = request->reason,
                                       .text = request->text};
    return revoke(&work, &revocation, out, err) ||
           err_wrap(err, "revoking %lld at CA '%s'", (long long)ca_order, app->selection.ca->name);
}
