#include "app/app.h"

#include "base/log.h"
#include "base/str.h"
#include "x509/x509.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 200, OVERLAP = 2 * BATCH, ANSWER_MAX = 1 << 20 };

/* The list tells the status of a certificate only by being narrowed to it. The last one, of all, is
 * for what has none of these. */
static const char *const stages[] = {"Issued",   "Expired",    "Revoked",  "Replaced", "Requested",
                                     "Approved", "Applied",    "Declined", "Rejected", "Invalid",
                                     "Init",     "SAApproved", NULL};

/* Texts of a row that outlive the visit. */
enum { TEXTS = 12 };
struct kept {
    struct inventory_row row;
    char *texts[TEXTS];
};

/* One reading at work. */
struct reading {
    struct app *app;
    enum ca_kind kind;
    struct journal *journal;
    struct inventory *inventory;
    struct app_ca connection;
    struct inventory_sync sync;
    const char *source; /* "list" or "report" */
    const char *status; /* that the rows of this stage have; NULL: not said */
    struct kept batch[BATCH];
    size_t count;
    size_t rows, conflicts; /* of this stage */
    int64_t asked;
};

static void forget_batch(struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++) {
        for (size_t j = 0; j < TEXTS; j++) {
            free(reading->batch[i].texts[j]);
        }
    }
    reading->count = 0;
}

static void reading_free(struct reading *reading)
{
    if (reading != NULL) {
        forget_batch(reading);
        app_ca_close(&reading->connection);
        inventory_close(reading->inventory);
        journal_close(reading->journal);
        free(reading);
    }
}

DEFINE_AUTO(reading, struct reading *, reading_free)

bool app_inventory_open(struct app *app, enum ca_kind kind, struct journal **journal,
                        struct inventory **out, struct err *err)
{
    return journal_open(app->state_dir, app->clock, journal, err) &&
           inventory_open(journal_db(*journal), app->clock, app->selection.ca->name,
                          ca_kind_name(kind), out, err);
}

static const char *or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool begin(struct reading *reading, struct err *err)
{
    if (!inventory_begin(reading->inventory, reading->source, &reading->sync, err)) {
        return false;
    }
    if (reading->sync.resumed) {
        log_line(LOG_INFO, "inventory", "a reading that was interrupted is gone on with");
    }
    return true;
}

static bool flush(struct reading *reading, struct err *err)
{
    struct inventory_row rows[BATCH];

    /* A report that is refused begins nothing. */
    if (reading->sync.id == 0 && !begin(reading, err)) {
        return false;
    }
    for (size_t i = 0; i < reading->count; i++) {
        rows[i] = reading->batch[i].row;
    }
    bool ok = inventory_put(reading->inventory, &reading->sync, rows, reading->count,
                            &reading->conflicts, err);
    forget_batch(reading);
    return ok;
}

/* Serial numbers are kept in one spelling, so that they can be looked up. */
static char *plain_serial(const char *serial)
{
    AUTO(buf) struct buf text = BUF_INIT(CA_SERIAL_TEXT_MAX);

    if (or_null(serial) == NULL) {
        return NULL;
    }
    return ca_serial_text(serial, &text) ? str_dup(buf_str(&text)) : str_dup(serial);
}

/* Of the list of devices the status alone: each is asked for, and says the rest in its own words.
 */
static bool is_bare(const struct reading *reading, const struct ca_row *row)
{
    return reading->kind == CA_KIND_DEVICE && !row->full;
}

static bool keep(struct reading *reading, const struct ca_row *row, struct err *err)
{
    struct kept *kept = &reading->batch[reading->count];
    bool bare = is_bare(reading, row);
    const char *status =
        row->full || reading->status == NULL ? or_null(row->status) : reading->status;
    char *serial = plain_serial(row->serial);
    const char *const texts[TEXTS] = {
        or_null(serial),
        bare ? NULL : or_null(row->common_name),
        bare ? NULL : or_null(row->names),
        status,
        or_null(row->product),
        or_null(row->issued),
        or_null(row->expires),
        or_null(row->revoked_at),
        or_null(row->requester),
        or_null(row->external_requester),
        or_null(row->comments),
        bare ? NULL : or_null(row->subject),
    };
    bool ok = true;

    reading->count++;
    for (size_t i = 0; i < TEXTS; i++) {
        kept->texts[i] = str_dup(texts[i]);
        ok = ok && (texts[i] == NULL || kept->texts[i] != NULL);
    }
    free(serial);
    kept->row = (struct inventory_row){.ca_id = row->id,
                                       .serial = kept->texts[0],
                                       .common_name = kept->texts[1],
                                       .names = kept->texts[2],
                                       .status = kept->texts[3],
                                       .product = kept->texts[4],
                                       .issued = kept->texts[5],
                                       .expires = kept->texts[6],
                                       .revoked = kept->texts[7],
                                       .requester = kept->texts[8],
                                       .external_requester = kept->texts[9],
                                       .comments = kept->texts[10],
                                       .subject = kept->texts[11],
                                       .details = row->full};
    return ok || err_nomem(err);
}

static bool take_row(void *ctx, const struct ca_row *row, struct err *err)
{
    struct reading *reading = ctx;

    reading->rows++;
    if (!keep(reading, row, err)) {
        return false;
    }
    if (reading->count < BATCH) {
        return true;
    }
    reading->sync.position = row->full ? 0 : row->position + 1;
    return flush(reading, err);
}

static bool next_stage(struct reading *reading, int stage, struct err *err)
{
    reading->sync.stage = stage;
    reading->sync.position = 0;
    return flush(reading, err);
}

/* *done false: the account is not given a report, and the list may be read. */
static bool read_report(struct reading *reading, bool only, bool *done, struct err *err)
{
    struct ca_filter filter = {.kind = reading->kind, .source = CA_SOURCE_REPORT};

    *done = true;
    reading->source = "report";
    if (ca_list(reading->connection.ca, &filter, take_row, reading, err)) {
        return flush(reading, err);
    }
    /* E_USAGE: there is none for such certificates, or not with what is needed of them */
    bool may = err->code == E_FORBIDDEN || err->code == E_CA_REFUSED || err->code == E_PROTOCOL ||
               err->code == E_USAGE;
    if (only || !may || reading->rows > 0) {
        return false;
    }
    log_line(LOG_INFO, "inventory", "there is no report, so the list is read: %s", err->msg);
    err_clear(err);
    *done = false;
    return true;
}

/* Rows that have two statuses in one reading: the CA does not look at what it is asked for. */
static bool is_pointless(const struct reading *reading)
{
    return reading->rows > 1 && reading->conflicts == reading->rows;
}

static bool read_stage(struct reading *reading, int stage, struct err *err)
{
    int64_t from = reading->sync.position > OVERLAP ? reading->sync.position - OVERLAP : 0;
    struct ca_filter filter = {.kind = reading->kind, .status = stages[stage], .position = from};

    reading->status = stages[stage];
    reading->rows = 0;
    reading->conflicts = 0;
    if (ca_list(reading->connection.ca, &filter, take_row, reading, err)) {
        return true;
    }
    /* A word that this CA does not have: nothing has that status. */
    if (stages[stage] != NULL && err->code == E_CA_REFUSED && reading->rows == 0) {
        log_line(LOG_DEBUG, "inventory", "status '%s': %s", stages[stage], err->msg);
        err_clear(err);
        return true;
    }
    return false;
}

static bool read_list(struct reading *reading, struct err *err)
{
    int last = (int)ARRAY_LEN(stages) - 1;

    reading->source = "list";
    if (!begin(reading, err)) {
        return false;
    }
    /* Other lists say the status themselves. */
    int first = reading->kind == CA_KIND_TLS ? reading->sync.stage : last;
    for (int stage = first; stage <= last; stage++) {
        if (!read_stage(reading, stage, err) || !next_stage(reading, stage + 1, err)) {
            return false;
        }
        if (stage < last && is_pointless(reading)) {
            log_line(LOG_WARN, "inventory",
                     "the CA does not narrow its list by status, so each certificate is asked for");
            stage = last - 1;
        }
    }
    return true;
}

/* What the CA says of one certificate, written down. *missing: it has none of that number. */
static bool ask(struct reading *reading, int64_t ca_id, bool *missing, struct err *err)
{
    AUTO(ca_record) struct ca_record r = {.id = ca_id};
    size_t conflicts = 0;

    *missing = false;
    reading->asked++;
    if (!ca_record_of(reading->connection.ca, reading->kind, ca_id, &r, err)) {
        *missing = err->code == E_ORDER_MISSING;
        if (*missing) {
            err_clear(err);
        }
        return *missing;
    }
    AUTO(str) char *serial = plain_serial(r.serial);
    struct inventory_row row = {.ca_id = ca_id,
                                .serial = serial,
                                .common_name = r.common_name,
                                .names = r.names,
                                .subject = r.subject,
                                .status = r.status,
                                .product = r.product,
                                .issued = r.issued,
                                .expires = r.expires,
                                .revoked = r.revoked_at,
                                .requester = r.requester,
                                .external_requester = r.external_requester,
                                .comments = r.comments,
                                .details = true};
    return inventory_put(reading->inventory, &reading->sync, &row, 1, &conflicts, err);
}

/* Asks for each one that lacks something; who is not there any more is marked. */
static bool ask_for(struct reading *reading, enum inventory_which which, int64_t *gone,
                    struct err *err)
{
    bool missing = false;

    for (int64_t id = 0;;) {
        if (!inventory_next(reading->inventory, &reading->sync, which, id, &id, err)) {
            return false;
        }
        if (id == 0) {
            return true;
        }
        if (!ask(reading, id, &missing, err) ||
            (missing && !inventory_mark_gone(reading->inventory, id, err))) {
            return err_wrap(err, "certificate %lld", (long long)id);
        }
        *gone += missing ? 1 : 0;
    }
}

/* The one with that serial number out of what was collected. */
static bool note_key(struct reading *reading, int64_t id, const char *serial,
                     const struct buf *answer, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    uint8_t hash[X509_SPKI_HASH_LEN];

    if (!x509_bundle_parse(answer->data, answer->len, &certs, err)) {
        return false;
    }
    for (int i = 0; i < sk_X509_num(certs); i++) {
        AUTO(x509_info) struct x509_info info = {.subject = NULL};
        X509 *cert = sk_X509_value(certs, i);
        if (!x509_info(cert, &info, err)) {
            return false;
        }
        if (ca_same_serial(info.serial, serial)) {
            return x509_cert_spki_hash(cert, hash, err) &&
                   inventory_set_key(reading->inventory, id, hash, err);
        }
    }
    log_line(LOG_WARN, "inventory", "%lld: what was collected has no certificate %s", (long long)id,
             serial);
    return true;
}

static bool take_serial(void *ctx, const struct inventory_row *row, struct err *err UNUSED)
{
    char **serial = ctx;

    free(*serial);
    *serial = str_dup(row->serial);
    return false;
}

static bool collect(struct reading *reading, int64_t id, struct err *err)
{
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    AUTO(str) char *serial = NULL;
    struct inventory_query query = {.ca_id = id};
    bool ready = false;

    reading->asked++;
    if (!inventory_find(reading->inventory, &query, take_serial, &serial, err)) {
        return false;
    }
    if (serial == NULL) {
        return true;
    }
    if (!ca_collect_id(reading->connection.ca, reading->kind, id, &ready, &answer, err)) {
        bool refused = err->code == E_CA_REFUSED || err->code == E_FORBIDDEN;
        if (refused) {
            log_line(LOG_WARN, "inventory", "certificate %lld: %s", (long long)id, err->msg);
            err_clear(err);
        }
        return refused;
    }
    return !ready || note_key(reading, id, serial, &answer, err);
}

static bool collect_all(struct reading *reading, struct err *err)
{
    for (int64_t id = 0;;) {
        if (!inventory_next(reading->inventory, &reading->sync, INVENTORY_NO_KEY, id, &id, err)) {
            return false;
        }
        if (id == 0) {
            return true;
        }
        if (!collect(reading, id, err)) {
            return err_wrap(err, "certificate %lld", (long long)id);
        }
    }
}

static bool read_all(struct reading *reading, enum ca_source source, struct app_synced *out,
                     struct err *err)
{
    bool done = false;

    bool ok = (source == CA_SOURCE_LIST ||
               read_report(reading, source == CA_SOURCE_REPORT, &done, err)) &&
              (done || read_list(reading, err));
    out->source = reading->source;
    return ok;
}

static bool run(struct reading *reading, const struct app_sync *request, struct app_synced *out,
                struct err *err)
{
    /* A device that was replaced looks the same in the list: there are no serial numbers in it. */
    bool ok = read_all(reading, request->source, out, err) &&
              (reading->kind != CA_KIND_DEVICE || str_equal(reading->source, "report") ||
               ask_for(reading, INVENTORY_MET, &out->gone, err)) &&
              ask_for(reading, INVENTORY_NOT_MET, &out->gone, err) &&
              ask_for(reading, INVENTORY_NO_STATUS, &out->gone, err) &&
              (!request->details || ask_for(reading, INVENTORY_NO_DETAILS, &out->gone, err)) &&
              inventory_learn_orders(reading->inventory, err) &&
              (!request->certificates || collect_all(reading, err)) &&
              inventory_finish(reading->inventory, &reading->sync, err);

    out->resumed = reading->sync.resumed;
    out->added = reading->sync.added;
    out->changed = reading->sync.changed;
    out->asked = reading->asked;
    return ok;
}

bool app_inventory_sync(struct app *app, const struct app_sync *request, struct app_synced *out,
                        struct err *err)
{
    AUTO(reading) struct reading *reading = calloc(1, sizeof(*reading));

    *out = (struct app_synced){.source = NULL};
    if (reading == NULL) {
        return err_nomem(err);
    }
    reading->app = app;
    reading->kind = request->kind;
    if (!app_inventory_open(app, request->kind, &reading->journal, &reading->inventory, err) ||
        !journal_ready(reading->journal, err) || !app_ca_open(app, &reading->connection, err)) {
        return false;
    }
    if (!run(reading, request, out, err)) {
        return err_wrap(err, "CA '%s'", app->selection.ca->name);
    }
    return inventory_state(reading->inventory, &out->state, err);
}
