#include "order/order.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const origin_names[] = {"enroll", "renew", "renew-same-key", "replace"};

const char *order_origin_name(enum order_origin origin)
{
    return origin_names[origin];
}

bool order_origin_parse(const char *name, enum order_origin *out)
{
    for (size_t i = 0; i < ARRAY_LEN(origin_names); i++) {
        if (str_equal(origin_names[i], name != NULL ? name : "enroll")) {
            *out = (enum order_origin)i;
            return true;
        }
    }
    return false;
}

static enum ca_how how_of(enum order_origin origin)
{
    switch (origin) {
    case ORIGIN_RENEW:
    case ORIGIN_RENEW_SAME_KEY:
        return CA_RENEW;
    case ORIGIN_REPLACE:
        return CA_REPLACE;
    case ORIGIN_ENROLL:
        break;
    }
    return CA_ENROLL;
}

static bool not_usable(const struct order *order, const char *what, struct err *err)
{
    return err_set(err, E_JOURNAL, "the journal has no usable %s for order %lld", what,
                   (long long)order->id);
}

bool order_request(const struct order *order, struct x509_names *names, struct ca_request *request,
                   struct err *err)
{
    enum order_origin origin = ORIGIN_ENROLL;
    enum ca_kind kind = CA_KIND_TLS;
    uint64_t parent = 0;

    if (!order_origin_parse(order->origin, &origin) || !ca_kind_parse(order->kind, &kind)) {
        return not_usable(order, "kind", err);
    }
    if (origin != ORIGIN_ENROLL &&
        !str_to_u64(order->parent != NULL ? order->parent : "", INT64_MAX, &parent)) {
        return not_usable(order, "number of what it renews or replaces", err);
    }
    if (!x509_names_add_list(names, order->names, err)) {
        return false;
    }
    *request = (struct ca_request){
        .kind = kind,
        .how = how_of(origin),
        .parent = (int64_t)parent,
        .parent_serial = order->parent_serial,
        .same_key = origin == ORIGIN_RENEW_SAME_KEY,
        .reason = order->reason,
        .person = order->person,
        .before = order->ca_state,
        .created_s = order->created_s,
        .csr_pem = order->csr_pem != NULL ? order->csr_pem : "",
        .names = names,
        .product_id = order->product_id,
        .term_days = order->term_days,
        .mark = order->mark,
        .comments = order->comments,
        .external_requester = order->external_requester,
        .custom_fields = order->custom_fields,
        .optional_fields = order->optional_fields,
        .send_names = (enum ca_send_names)order->send_names,
    };
    return true;
}

/* The certificate for the order's key; NULL: there is none. */
static X509 *for_our_key(const struct order *order, STACK_OF(X509) * answer)
{
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    struct err ignored = ERR_INIT;
    X509 *leaf = NULL;

    return x509_sort_answer(answer, order->spki_hash, &leaf, &chain, &ignored) ? leaf : NULL;
}

bool order_has_old(const struct order *order, STACK_OF(X509) * answer)
{
    for (int i = 0; i < sk_X509_num(answer); i++) {
        AUTO(x509_info) struct x509_info info = {.subject = NULL};
        struct err ignored = ERR_INIT;
        if (x509_info(sk_X509_value(answer, i), &info, &ignored) &&
            ca_same_serial(info.serial, order->parent_serial)) {
            return true;
        }
    }
    return false;
}

bool order_is_stale(const struct order *order, STACK_OF(X509) * answer, bool *stale,
                    struct err *err)
{
    enum order_origin origin = ORIGIN_ENROLL;

    *stale = false;
    if (!order_origin_parse(order->origin, &origin)) {
        return not_usable(order, "kind", err);
    }
    if (origin != ORIGIN_REPLACE) {
        return true;
    }
    AUTO(x509) X509 *leaf = for_our_key(order, answer);
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    if (leaf != NULL && !x509_info(leaf, &info, err)) {
        return false;
    }
    *stale = leaf == NULL || ca_same_serial(info.serial, order->parent_serial);
    if (*stale) {
        bool old = order_has_old(order, answer);
        (void)err_set(err, E_ORDER_PENDING,
                      "order %lld (%s at the CA): the CA gives %s, and not one for the key of this "
                      "order",
                      (long long)order->id, order->ca_order_id,
                      old ? "the certificate that is being replaced still"
                          : "a certificate for another key");
    }
    return true;
}

/* Who else has the certificates that are new at the CA. */
struct others {
    struct journal *journal;
    const struct order *order;
};

/* Orders of ours that do not renew the same certificate. */
static bool is_other(void *ctx, const char *number)
{
    const struct others *others = ctx;
    const struct order *order = others->order;
    AUTO(order) struct order found;
    struct err ignored = ERR_INIT;
    int64_t id = 0;

    order_init(&found);
    return journal_find_ca_order(others->journal, order->ca, order->kind, number, &id, &ignored) &&
           id != 0 && id != order->id && journal_load(others->journal, id, &found, &ignored) &&
           !str_equal(found.parent, order->parent);
}

bool order_look(struct journal *journal, struct ca *ca, struct order *order, bool again,
                struct err *err)
{
    struct others others = {.journal = journal, .order = order};
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct ca_request request;
    char *before = NULL;

    if (!order_request(order, &names, &request, err)) {
        return false;
    }
    request.again = again;
    request.is_other = is_other;
    request.other_ctx = &others;
    if (!ca_before_submit(ca, &request, &before, err)) {
        return false;
    }
    free(order->ca_state);
    order->ca_state = before;
    return true;
}

void order_mark_renewal(struct ca *ca, const struct order *order, char said[static 256])
{
    AUTO(buf) struct buf comments = BUF_INIT(1024);
    enum order_origin origin = ORIGIN_ENROLL;
    enum ca_kind kind = CA_KIND_TLS;
    struct err err = ERR_INIT;
    uint64_t id = 0;

    said[0] = '\0';
    if (!order_origin_parse(order->origin, &origin) || how_of(origin) != CA_RENEW ||
        !ca_kind_parse(order->kind, &kind) || kind == CA_KIND_SMIME ||
        !str_to_u64(order->ca_order_id, INT64_MAX, &id)) {
        return;
    }
    buf_addf(&comments, "%s%s%s", order->mark, order->comments != NULL ? " " : "",
             order->comments != NULL ? order->comments : "");
    struct ca_update update = {
        .kind = kind,
        .id = (int64_t)id,
        .comments = buf_ok(&comments) ? buf_str(&comments) : order->mark,
    };
    if (ca_update(ca, &update, &err) == CA_DONE) {
        (void)snprintf(said, 256, "marked at the CA");
    } else {
        (void)snprintf(said, 256, "the mark is not in the CA's record: %.180s", err.msg);
    }
}
