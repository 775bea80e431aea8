#include "app/app.h"

#include "base/str.h"

struct live {
    struct ca *ca;
    const char *name;
    const struct ca_filter *filter;
    inventory_row_fn *visit;
    void *ctx;
};

/* A record of the CA as a row of the inventory. */
static bool tell_record(const struct live *live, int64_t id, struct err *err)
{
    AUTO(ca_record) struct ca_record r = {.id = id};

    if (!ca_record_of(live->ca, live->filter->kind, id, &r, err)) {
        return false;
    }
    /* What the CA's filters mean is not documented in full: another serial number does not fit. */
    if (live->filter->serial != NULL && !ca_same_serial(r.serial, live->filter->serial)) {
        return true;
    }
    struct inventory_row row = {.ca = live->name,
                                .kind = ca_kind_name(live->filter->kind),
                                .ca_id = id,
                                .serial = r.serial,
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
    return live->visit(live->ctx, &row, err);
}

/* A row with another serial number does not fit; not every list has them. */
static bool tell_row(void *ctx, const struct ca_row *row, struct err *err)
{
    struct live *live = ctx;

    if (live->filter->serial != NULL && row->serial[0] != '\0' &&
        !ca_same_serial(row->serial, live->filter->serial)) {
        return true;
    }
    return tell_record(live, row->id, err);
}

static bool find_live(struct app *app, const struct app_find *request, inventory_row_fn *visit,
                      void *ctx, struct err *err)
{
    const struct inventory_query *query = request->query;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    struct ca_filter filter = {.kind = request->kind,
                               .serial = query->serial,
                               .common_name = query->common_name,
                               .name = query->name};
    struct live live = {
        .name = app->selection.ca->name, .filter = &filter, .visit = visit, .ctx = ctx};

    if (!app_ca_open(app, &connection, err)) {
        return false;
    }
    live.ca = connection.ca;
    if (query->ca_id == 0) {
        return ca_list(connection.ca, &filter, tell_row, &live, err);
    }
    bool told = tell_record(&live, query->ca_id, err);
    bool missing = !told && err->code == E_ORDER_MISSING;
    if (missing) {
        err_clear(err);
    }
    return told || missing || err->code == E_NONE;
}

bool app_inventory_find(struct app *app, const struct app_find *request, inventory_row_fn *visit,
                        void *ctx, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(inventory) struct inventory *inventory = NULL;
    struct inventory_state state;

    if (request->live) {
        return find_live(app, request, visit, ctx, err) ||
               err_wrap(err, "CA '%s'", app->selection.ca->name);
    }
    if (!app_inventory_open(app, request->kind, &journal, &inventory, err) ||
        !inventory_state(inventory, &state, err)) {
        return false;
    }
    if (state.last_s == 0 && !state.open) {
        return err_set(err, E_USAGE,
                       "what the account sees at CA '%s' was never read, of the kind '%s': "
                       "'p11enroll inventory sync' reads it, and --live asks the CA",
                       app->selection.ca->name, ca_kind_name(request->kind));
    }
    return inventory_find(inventory, request->query, visit, ctx, err);
}
