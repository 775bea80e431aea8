#include "app/approval.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

void judgement_init(struct judgement *judgement)
{
    *judgement = (struct judgement){.good = 0};
    buf_init(&judgement->text, APPROVAL_TEXT_MAX);
}

void judgement_done(struct judgement *judgement)
{
    approvers_done(&judgement->approvers);
    approvals_done(&judgement->given);
    buf_done(&judgement->text);
}

bool approval_may(const struct config_approval *settings, const struct order *order,
                  const struct approver *approver, struct err *err)
{
    bool own = false;

    if (settings->own != NULL && str_to_bool(settings->own, &own) && own) {
        return true;
    }
    return !order_has_requester(order, approver->identity) ||
           err_set(err, E_FORBIDDEN,
                   "%s has ordered it, or changed it, and nobody approves an order of his own "
                   "('approve_own')",
                   approver->identity);
}

/* A signature is looked at again each time: the journal is only where it is kept. */
static bool check_signature(const struct app *app, const struct judgement *judgement,
                            const struct approval *approval, const struct approver **whose,
                            struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *known = approvers_certs(&judgement->approvers);
    AUTO(x509) X509 *signer = NULL;

    if (known == NULL) {
        return err_nomem(err);
    }
    if (!x509_cms_verify(approval->signature, approval->signature_len,
                         (const uint8_t *)approval->text, strlen(approval->text), known, &signer,
                         err)) {
        return false;
    }
    *whose = approvers_find_cert(&judgement->approvers, signer);
    if (*whose == NULL) {
        return err_set(err, E_FORBIDDEN,
                       "the certificate of the signer is not among the 'approvers'");
    }
    return x509_may_sign(signer, clock_wall_s(app->clock), err);
}

static bool check_user(const struct judgement *judgement, const struct approval *approval,
                       const struct approver **whose, struct err *err)
{
    *whose = approvers_find_user(&judgement->approvers, approval->user_name);
    return *whose != NULL ||
           err_set(err, E_FORBIDDEN, "the system user '%.80s' is not among the 'approvers'",
                   approval->user_name);
}

bool approval_counts(const struct app *app, const struct judgement *judgement,
                     const struct order *order, const struct approval *approval,
                     const struct approver **whose, struct err *err)
{
    *whose = NULL;
    if (!str_equal(approval->text, buf_str(&judgement->text))) {
        return err_set(err, E_FORBIDDEN,
                       "it is for the order as it was then; the order, or what "
                       "is configured for it, has changed since");
    }
    bool known = approval->user_name != NULL
                     ? check_user(judgement, approval, whose, err)
                     : check_signature(app, judgement, approval, whose, err);
    return known && approval_may(&judgement->settings, order, *whose, err);
}

/* Whether an earlier one of the list that counts is of the same approver. */
static bool is_counted(const char *const counted[], size_t count, const char *identity)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(counted[i], identity)) {
            return true;
        }
    }
    return false;
}

static void count_good(const struct app *app, const struct order *order, struct judgement *j)
{
    const char *counted[APPROVERS_MAX] = {NULL};

    for (size_t i = 0; i < j->given.count && j->good < APPROVERS_MAX; i++) {
        const struct approval *approval = &j->given.list[i];
        const struct approver *whose = NULL;
        struct err why = ERR_INIT;
        if (!approval->approve) {
            continue;
        }
        if (!approval_counts(app, j, order, approval, &whose, &why)) {
            log_line(LOG_DEBUG, "approval", "the approval of %s does not count: %s", approval->who,
                     why.msg);
        } else if (!is_counted(counted, j->good, whose->identity)) {
            counted[j->good++] = whose->identity;
        }
    }
}

bool approval_judge(struct app *app, struct journal *journal, const struct order *order,
                    struct judgement *out, struct err *err)
{
    out->settings = config_approval(&app->selection);
    if (!approvers_read(out->settings.approvers, &out->approvers, err) ||
        !journal_approvals(journal, order->id, &out->given, err) ||
        !approval_text(&app->selection, order, true, &out->text, err)) {
        return false;
    }
    int64_t age = clock_wall_s(app->clock) - order->awaiting_s;
    out->late = out->settings.time_s != 0 && order->awaiting_s != 0 && age >= out->settings.time_s;
    count_good(app, order, out);
    return true;
}

static void list_approvers(const struct judgement *j, const struct order *order, struct buf *out)
{
    struct err ignored = ERR_INIT;

    for (size_t i = 0; i < j->approvers.count; i++) {
        const struct approver *a = &j->approvers.list[i];
        if (approval_may(&j->settings, order, a, &ignored)) {
            buf_addf(out, "%s%s", out->len > 0 ? "; " : "", a->label);
        }
    }
    if (out->len == 0) {
        buf_add_str(out, "nobody");
    }
}

/* Why an order cannot be sent, and who can change that. */
static bool explain(const struct judgement *j, const struct order *order, struct err *err)
{
    AUTO(buf) struct buf who = BUF_INIT(16 * 1024);
    long long id = (long long)order->id;

    list_approvers(j, order, &who);
    return err_set(
        err, E_ORDER_APPROVAL,
        "order %lld is not sent before it is approved: %zu of %lld approvals are there%s; "
        "may approve: %.640s",
        id, j->good, (long long)j->settings.count,
        j->late ? ", and the time for them ('approval_time') is over" : "", buf_str(&who));
}

bool app_approval_ask(struct app *app, struct journal *journal, const struct order *order,
                      enum order_approval *out, struct err *err)
{
    AUTO(judgement) struct judgement judgement;
    bool needed = false;

    judgement_init(&judgement);
    judgement.settings = config_approval(&app->selection);
    if (!approval_is_needed(&judgement.settings, order, &needed, err)) {
        return false;
    }
    if (!needed) {
        *out = APPROVAL_GIVEN;
        return true;
    }
    if (!approval_judge(app, journal, order, &judgement, err)) {
        return false;
    }
    if (judgement.good >= (size_t)judgement.settings.count) {
        *out = APPROVAL_GIVEN;
        return true;
    }
    bool decline = judgement.late && !str_equal(judgement.settings.late, "report");
    *out = decline ? APPROVAL_REFUSED : APPROVAL_AWAITED;
    (void)explain(&judgement, order, err);
    if (decline) {
        err->code = E_ORDER_FAILED;
        (void)err_wrap(err, "declined");
    }
    return true;
}

bool app_approval_check(struct app *app, const struct order *order, struct err *err)
{
    struct config_approval settings = config_approval(&app->selection);
    AUTO(approvers) struct approvers approvers = {.count = 0};
    bool needed = false;
    bool own = false;

    if (!approval_is_needed(&settings, order, &needed, err) ||
        !approvers_read(settings.approvers, &approvers, err)) {
        return false;
    }
    if (settings.own != NULL && !str_to_bool(settings.own, &own)) {
        own = false;
    }
    size_t may = approvers_who_may(&approvers, order, own);
    return !needed || may >= (size_t)settings.count ||
           err_set(err, E_CONFIG,
                   "this order has to be approved by %lld, and %zu could do that ('approvers', "
                   "'approvals'; nobody approves an order of his own unless 'approve_own' is set)",
                   (long long)settings.count, may);
}

/* What the order would be after the change, as far as rules look at it; the texts are borrowed. */
static struct order changed_order(const struct order *order, const struct ca_update *update,
                                  char *names)
{
    static char none[] = "";
    struct order changed = {.id = order->id, .validation = order->validation};

    changed.names = names != NULL ? names : order->names != NULL ? order->names : none;
    changed.product = update->product_id == 0 && order->product != NULL ? order->product : none;
    changed.product_id = update->product_id != 0 ? update->product_id : order->product_id;
    return changed;
}

static bool is_rule_for(struct app *app, const struct order *order, bool *needed, struct err *err)
{
    struct config_approval settings = config_approval(&app->selection);

    return approval_is_needed(&settings, order, needed, err);
}

/* Rules look at a product's name and validation and at all names: of another product they are not
 * known here, and a request has names of its own. So where there is a rule at all, it counts. */
static bool is_unknown_to_rules(const struct app *app, const struct ca_update *update)
{
    struct config_approval settings = config_approval(&app->selection);

    return str_equal(settings.rule, "required") &&
           (update->product_id != 0 || update->csr_pem != NULL);
}

bool app_approval_allows(struct app *app, const struct order *order, const struct ca_update *update,
                         struct err *err)
{
    AUTO(str) char *names = update->names != NULL ? x509_names_join(update->names, ',') : NULL;
    struct order changed = changed_order(order, update, names);
    struct ca_product product = {.id = update->product_id};
    bool before = false;
    bool after = false;

    if (update->names != NULL && names == NULL) {
        return err_nomem(err);
    }
    if (update->names == NULL && update->csr_pem == NULL && update->term_days == 0 &&
        update->product_id == 0 && update->org_id == 0) {
        return true; /* notes beside the certificate */
    }
    if ((order->id != 0 &&
         (!app_select_for(app, order, err) || !is_rule_for(app, order, &before, err))) ||
        !is_rule_for(app, &changed, &after, err) ||
        (product.id != 0 && !app_check_catalog(&app->selection, NULL, &product, err))) {
        return false;
    }
    return (!before && !after && !is_unknown_to_rules(app, update)) ||
           err_set(err, E_FORBIDDEN,
                   "such an order has to be approved here as it is ('approval'), so it is not "
                   "changed at the CA; have it declined there and order anew");
}
