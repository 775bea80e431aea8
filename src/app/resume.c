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

bool app_needs_ca(const struct order *order)
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

bool app_resume(struct app *app, int64_t id, bool once, struct order *order, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(order_lock) struct order_lock lock = ORDER_LOCK_INIT;

    if (!journal_open(app->state_dir, app->clock, &journal, err) ||
        !order_lock_take(journal, id, &lock, err) || !journal_load(journal, id, order, err) ||
        !app_select_for(app, order, err) || !order_look_again(journal, order, err)) {
        return false;
    }
    log_set_order((long)id);
    bool wanted = app_needs_ca(order) || is_approved(app, journal, order);
    if (wanted && !app_ca_open(app, &connection, err)) {
        return false;
    }
    return app_drive(app, journal, connection.ca, order, once, err);
}

bool app_abandon(struct app *app, int64_t id, struct order *order, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(order_lock) struct order_lock lock = ORDER_LOCK_INIT;

    return journal_open(app->state_dir, app->clock, &journal, err) &&
           order_lock_take(journal, id, &lock, err) && journal_load(journal, id, order, err) &&
           order_abandon(journal, order, err);
}
