#include "app/app.h"

#include "base/log.h"
#include "base/str.h"

/* "(none)" is the section of somebody who has none: everything came as options then, and must come
 * again. */
bool app_has_section(const char *name)
{
    return !str_equal(name, "(none)");
}

static const char *section_name(const char *name)
{
    return app_has_section(name) ? name : NULL;
}

bool app_select_for(struct app *app, const struct order *order, struct err *err)
{
    struct config_choice choice = {.profile = section_name(order->profile),
                                   .ca = section_name(order->ca),
                                   .token = section_name(order->token)};
    unsigned need =
        CONFIG_NEED(CONFIG_PROFILE) | CONFIG_NEED(CONFIG_CA) | CONFIG_NEED(CONFIG_TOKEN);

    if (!config_select(app->config, &choice, need, &app->selection, err)) {
        return err_wrap(err, "order %lld", (long long)order->id);
    }
    return true;
}

bool app_find_ca_order(const struct app *app, struct journal *journal, int64_t number, int64_t *id,
                       struct err *err)
{
    const char *ca = app->selection.ca->name;
    enum ca_kind selected = (enum ca_kind)app->selection.profile->kind;
    char text[24];

    (void)snprintf(text, sizeof(text), "%lld", (long long)number);
    for (int kind = 0; kind < CA_KINDS; kind++) {
        const char *name = kind == CA_KIND_TLS ? NULL : ca_kind_name((enum ca_kind)kind);
        int64_t other = 0;
        if ((enum ca_kind)kind != selected &&
            !journal_find_ca_order(journal, ca, name, text, &other, err)) {
            return false;
        }
        if (other != 0) {
            return err_set(err, E_USAGE,
                           "number %s at CA '%s' is that of order %lld, of the kind '%s', and the "
                           "profile is for '%s': name the order, or a profile of its kind",
                           text, ca, (long long)other, ca_kind_name((enum ca_kind)kind),
                           ca_kind_name(selected));
        }
    }
    return journal_find_ca_order(
        journal, ca, selected == CA_KIND_TLS ? NULL : ca_kind_name(selected), text, id, err);
}

static bool is_for_ca(const struct order *order)
{
    switch (order_state_action(order->state)) {
    case ACTION_MAKE_KEY:
    case ACTION_SIGN:
    case ACTION_SUBMIT:
    case ACTION_FIND:
    case ACTION_POLL:
    case ACTION_COLLECT:
        return true;
    case ACTION_APPROVE: /* see is_approved() */
    case ACTION_VERIFY:
    case ACTION_BIND:
    case ACTION_NONE:
        break;
    }
    return false;
}

/* An order that awaits approval needs no CA, and no login there, before it has it. */
static bool is_approved(struct app *app, struct journal *journal, const struct order *order)
{
    enum order_approval approval = APPROVAL_AWAITED;
    struct err ignored = ERR_INIT;

    return order->state == ORDER_AWAITING &&
           app_approval_ask(app, journal, order, &approval, &ignored) && approval == APPROVAL_GIVEN;
}

bool app_needs_ca(struct app *app, struct journal *journal, const struct order *order)
{
    return is_for_ca(order) || is_approved(app, journal, order);
}

/* The stored answer did not pass once more: the CA may have put it right since. */
static bool fetch_again(struct app *app, struct journal *journal, bool once, struct order *order,
                        struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    struct err why = *err;
    struct err asking = ERR_INIT;
    bool fresh = false;

    if (!app_ca_open(app, &connection, &asking) ||
        !order_collect_again(journal, connection.ca, order, &fresh, &asking)) {
        return err_set(err, E_CERT_REJECTED,
                       "%.600s; and the CA could not be asked for it anew: %.300s", why.msg,
                       asking.msg);
    }
    if (fresh) {
        return app_drive(app, journal, connection.ca, order, once, err);
    }
    return err_set(err, E_CERT_REJECTED, "%.800s; the CA gives the same certificate still",
                   why.msg);
}

bool app_resume(struct app *app, int64_t id, bool once, struct order *order, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(order_lock) struct order_lock lock = ORDER_LOCK_INIT;

    if (!app_journal(app, &journal, err) || !order_lock_take(journal, id, &lock, err) ||
        !journal_load(journal, id, order, err) || !app_select_for(app, order, err)) {
        return false;
    }
    bool was_rejected = order->state == ORDER_REJECTED;
    if (!order_look_again(journal, order, err)) {
        return false;
    }
    log_set_order((long)id);
    if (app_needs_ca(app, journal, order) && !app_ca_open(app, &connection, err)) {
        return false;
    }
    if (app_drive(app, journal, connection.ca, order, once, err)) {
        return true;
    }
    return was_rejected && order->state == ORDER_REJECTED && err->code == E_CERT_REJECTED &&
           fetch_again(app, journal, once, order, err);
}

bool app_abandon(struct app *app, int64_t id, struct order *order, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(order_lock) struct order_lock lock = ORDER_LOCK_INIT;

    return journal_open(app->state_dir, app->clock, &journal, err) &&
           order_lock_take(journal, id, &lock, err) && journal_load(journal, id, order, err) &&
           order_abandon(journal, order, err);
}
