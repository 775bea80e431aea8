/* A decision on an order that awaits approval here, and what there is of decisions. */
#include "app/approval.h"

#include "base/file.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* What one decision works with. */
struct work {
    struct journal *journal;
    struct order order;
    struct order_lock lock;
    struct judgement judgement;
    const struct config_token *token; /* where the approver's key is */
};

static void work_init(struct work *work)
{
    *work = (struct work){.lock = ORDER_LOCK_INIT};
    order_init(&work->order);
    judgement_init(&work->judgement);
}

static void work_done(struct work *work)
{
    judgement_done(&work->judgement);
    order_lock_release(&work->lock);
    order_done(&work->order);
    journal_close(work->journal);
}

DEFINE_AUTO_DONE(work, struct work, work_done)

/* The order under the sections it was made with; the token stays the one that was chosen now. */
static bool load(struct app *app, int64_t id, struct work *work, struct err *err)
{
    work->token = app->selection.token;
    return journal_open(app->state_dir, app->clock, &work->journal, err) &&
           journal_load(work->journal, id, &work->order, err) &&
           app_select_for(app, &work->order, err);
}

static bool lock_and_load(struct app *app, int64_t id, struct work *work, struct err *err)
{
    work->token = app->selection.token;
    return journal_open(app->state_dir, app->clock, &work->journal, err) &&
           order_lock_take(work->journal, id, &work->lock, err) &&
           journal_load(work->journal, id, &work->order, err) &&
           app_select_for(app, &work->order, err);
}

bool app_order_request(struct app *app, int64_t id, bool decline, struct buf *out, struct err *err)
{
    AUTO(work) struct work work;

    work_init(&work);
    return load(app, id, &work, err) &&
           approval_text(&app->selection, &work.order, !decline, out, err);
}

/* Whether there is anything to decide. */
static bool may_be_decided(struct app *app, struct work *work, struct err *err)
{
    const struct order *order = &work->order;
    long long id = (long long)order->id;

    if (order->state != ORDER_AWAITING) {
        return err_set(err, E_USAGE, "order %lld is in the state '%s' and awaits no approval: %s",
                       id, order_state_name(order->state), order_state_sentence(order->state));
    }
    if (!approval_judge(app, work->journal, order, &work->judgement, err)) {
        return false;
    }
    if (!work->judgement.late || str_equal(work->judgement.settings.late, "report")) {
        return true;
    }
    (void)err_set(err, E_ORDER_FAILED,
                  "order %lld was not approved within its time "
                  "('approval_time') and is declined",
                  id);
    struct err why = *err;
    if (order_decline_late(work->journal, &work->order, why.msg, err)) {
        *err = why;
    }
    return false;
}

static bool sign_with_key(struct app *app, const struct app_decision *decision,
                          const struct work *work, const struct buf *text,
                          struct approval *approval, struct err *err)
{
    AUTO(keystore_identity) struct keystore_identity identity = {.key = NULL};
    AUTO(buf) struct buf signature = BUF_INIT(X509_CMS_MAX);
    struct keystore_source source = {
        .key = decision->key_uri, .cert = decision->cert_path, .token = app_token(work->token)};

    if (!keystore_open(app->keystore, &source, &identity, err)) {
        return err_wrap(err, "the approver's key");
    }
    if (!x509_cms_sign(identity.cert, identity.key, text->data, text->len, &signature, err)) {
        return false;
    }
    approval->signature_len = signature.len;
    approval->signature = (uint8_t *)buf_take_str(&signature);
    return approval->signature != NULL || err_nomem(err);
}

static bool read_signature(const char *path, struct approval *approval, struct err *err)
{
    AUTO(buf) struct buf signature = BUF_INIT(X509_CMS_MAX);

    if (!file_read(path, &signature, err)) {
        return false;
    }
    approval->signature_len = signature.len;
    approval->signature = (uint8_t *)buf_take_str(&signature);
    return approval->signature != NULL || err_nomem(err);
}

/* The certificate that signed, and for people whose it is. */
static bool note_signer(const struct work *work, struct approval *approval, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *known = approvers_certs(&work->judgement.approvers);
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    if (known == NULL) {
        return err_nomem(err);
    }
    if (!x509_cms_verify(approval->signature, approval->signature_len,
                         (const uint8_t *)approval->text, strlen(approval->text), known,
                         &approval->cert, err)) {
        return err_wrap(err, "the signature is not over what 'order request' gives for this "
                             "decision now, or not a good one");
    }
    return x509_info(approval->cert, &info, err) && order_set(&approval->who, info.subject, err);
}

static bool note_user(struct approval *approval, struct err *err)
{
    char name[APPROVER_NAME_MAX];

    return approval_user(name, err) && order_set(&approval->user_name, name, err) &&
           order_set(&approval->who, name, err);
}

/* Who decides what, by which proof. */
static bool prove(struct app *app, const struct app_decision *decision, struct work *work,
                  struct approval *approval, struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(APPROVAL_TEXT_MAX);

    approval->approve = decision->approve;
    if (!approval_text(&app->selection, &work->order, decision->approve, &text, err) ||
        !order_set(&approval->text, buf_str(&text), err) ||
        !order_set(&approval->message, decision->message, err)) {
        return false;
    }
    if (decision->key_uri == NULL && decision->signature_path == NULL) {
        return note_user(approval, err);
    }
    bool is_signed = decision->key_uri != NULL
                         ? sign_with_key(app, decision, work, &text, approval, err)
                         : read_signature(decision->signature_path, approval, err);
    return is_signed && note_signer(work, approval, err);
}

/* Whether whoever it is may decide that. */
static bool is_entitled(struct app *app, struct work *work, const struct approval *approval,
                        const struct approver **whose, struct err *err)
{
    struct judgement *j = &work->judgement;

    if (approval->user_name != NULL) {
        *whose = approvers_find_user(&j->approvers, approval->user_name);
    } else {
        *whose = approvers_find_cert(&j->approvers, approval->cert);
    }
    if (*whose == NULL) {
        return err_set(
            err, E_FORBIDDEN, "%.200s is not among the 'approvers' of this order%s", approval->who,
            approval->user_name != NULL ? "; a certificate approves with --key or --signature"
                                        : "");
    }
    if (approval->cert != NULL && !x509_may_sign(approval->cert, clock_wall_s(app->clock), err)) {
        return err_wrap(err, "%.200s", approval->who);
    }
    return approval_may(&j->settings, &work->order, *whose, err);
}

/* Whether the same approver has agreed to the same text before. */
static bool has_approved(const struct app *app, const struct work *work, const struct approver *who)
{
    const struct judgement *j = &work->judgement;

    for (size_t i = 0; i < j->given.count; i++) {
        const struct approver *whose = NULL;
        struct err ignored = ERR_INIT;
        if (j->given.list[i].approve &&
            approval_counts(app, j, &work->order, &j->given.list[i], &whose, &ignored) &&
            str_equal(whose->identity, who->identity)) {
            return true;
        }
    }
    return false;
}

static bool write_down(struct work *work, struct approval *approval, struct err *err)
{
    AUTO(buf) struct buf event = BUF_INIT(4096);
    struct order *order = &work->order;
    const char *message = approval->message;

    buf_addf(&event, "%s by %s%s", approval->approve ? "approved" : "declined",
             approval->user_name != NULL ? "the system user " : "", approval->who);
    if (message != NULL) {
        buf_add_str(&event, ": ");
        str_add_quotable(&event, message, strlen(message), 512);
    }
    enum order_state before = order->state;
    if (!approval->approve) {
        order->state = ORDER_DECLINED;
        if (!order_set(&order->last_error, buf_str(&event), err)) {
            return false;
        }
    }
    if (!journal_add_approval(work->journal, order, approval, buf_str(&event), err)) {
        order->state = before;
        return false;
    }
    return true;
}

bool app_decide(struct app *app, const struct app_decision *decision, struct app_decided *out,
                struct err *err)
{
    AUTO(work) struct work work;
    AUTO(approval) struct approval approval = {.id = 0};
    const struct approver *whose = NULL;

    work_init(&work);
    *out = (struct app_decided){.given = 0};
    if (!lock_and_load(app, decision->order, &work, err) || !may_be_decided(app, &work, err) ||
        !prove(app, decision, &work, &approval, err) ||
        !is_entitled(app, &work, &approval, &whose, err)) {
        return false;
    }
    if (decision->approve && has_approved(app, &work, whose)) {
        return err_set(err, E_FORBIDDEN, "%s has approved order %lld already, and counts once",
                       whose->identity, (long long)decision->order);
    }
    if (!write_down(&work, &approval, err)) {
        return false;
    }
    out->given = work.judgement.good + (decision->approve ? 1 : 0);
    out->wanted = (size_t)work.judgement.settings.count;
    out->state = work.order.state;
    (void)snprintf(out->who, sizeof(out->who), "%s", approval.who);
    return true;
}

static bool show_one(struct app *app, const struct work *work, const struct approval *approval,
                     app_approval_fn *visit, void *ctx, struct err *err)
{
    const struct approver *whose = NULL;
    struct err why = ERR_INIT;
    struct app_approval shown = {.id = approval->id,
                                 .at_s = approval->at_s,
                                 .approve = approval->approve,
                                 .who = approval->who,
                                 .is_user = approval->user_name != NULL,
                                 .message = approval->message,
                                 .text = approval->text,
                                 .signature = approval->signature,
                                 .signature_len = approval->signature_len,
                                 .cert = approval->cert,
                                 .why_not = ""};

    if (approval->approve) {
        shown.counts = approval_counts(app, &work->judgement, &work->order, approval, &whose, &why);
        shown.why_not = why.msg;
    }
    return visit(ctx, &shown, err);
}

bool app_approvals(struct app *app, int64_t id, struct app_approvals *out, app_approval_fn *visit,
                   void *ctx, struct err *err)
{
    AUTO(work) struct work work;

    work_init(&work);
    *out = (struct app_approvals){.good = 0};
    if (!load(app, id, &work, err)) {
        return false;
    }
    struct config_approval settings = config_approval(&app->selection);
    if (!approval_is_needed(&settings, &work.order, &out->needed, err) ||
        !approval_judge(app, work.journal, &work.order, &work.judgement, err)) {
        return false;
    }
    const struct judgement *j = &work.judgement;
    out->good = j->good;
    out->wanted = (size_t)settings.count;
    out->late = j->late;
    out->until_s = settings.time_s != 0 && work.order.awaiting_s != 0
                       ? work.order.awaiting_s + settings.time_s
                       : 0;
    for (size_t i = 0; i < j->given.count; i++) {
        if (!show_one(app, &work, &j->given.list[i], visit, ctx, err)) {
            return false;
        }
    }
    return true;
}

bool app_approvers(struct app *app, int64_t id, app_approver_fn *visit, void *ctx, struct err *err)
{
    AUTO(work) struct work work;

    work_init(&work);
    if (!load(app, id, &work, err)) {
        return false;
    }
    struct config_approval settings = config_approval(&app->selection);
    AUTO(approvers) struct approvers approvers = {.count = 0};
    if (!approvers_read(settings.approvers, &approvers, err)) {
        return false;
    }
    for (size_t i = 0; i < approvers.count; i++) {
        struct err why = ERR_INIT;
        const struct approver *a = &approvers.list[i];
        bool may = approval_may(&settings, &work.order, a, &why);
        if (a->cert != NULL) {
            may = may && x509_may_sign(a->cert, clock_wall_s(app->clock), &why);
        }
        if (!visit(ctx, a->identity, a->label, may, why.msg, err)) {
            return false;
        }
    }
    return true;
}
