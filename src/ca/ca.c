#include "ca/ops.h"

#include "base/str.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ca {
    const struct ca_ops *ops;
    void *impl;
    struct http_client *http;
    const struct clock *clock;
};

/* The back ends. */
static const struct ca_ops *const all_ops[] = {&ca_scm_ops, &ca_enrollment_ops};

static const struct ca_ops *find_ops(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(all_ops); i++) {
        if (str_equal(all_ops[i]->type, type)) {
            return all_ops[i];
        }
    }
    return NULL;
}

bool ca_type_has_fixed_product(const char *type)
{
    const struct ca_ops *ops = find_ops(type);

    return ops != NULL && ops->fixed_product;
}

bool ca_type_check(const char *type, enum ca_login login, const char *url, struct err *err)
{
    const struct ca_ops *ops = find_ops(type);

    return ops == NULL || ops->check_type == NULL || ops->check_type(login, url, err);
}

const struct ca_ops *ca_ops_of(const struct ca *ca)
{
    return ca->ops;
}

void *ca_impl_of(struct ca *ca)
{
    return ca->impl;
}

void ca_close(struct ca *ca)
{
    if (ca != NULL) {
        ca->ops->close(ca->impl);
        free(ca);
    }
}

bool ca_open(const struct ca_settings *settings, struct ca **out, struct err *err)
{
    const struct ca_ops *ops = find_ops(settings->type);

    if (ops == NULL) {
        return err_set(err, E_CONFIG, "there is no CA type '%s'", settings->type);
    }
    struct ca *ca = calloc(1, sizeof(*ca));
    if (ca == NULL) {
        return err_nomem(err);
    }
    ca->ops = ops;
    ca->http = settings->http;
    ca->clock = settings->clock;
    if (!ops->open(settings, &ca->impl, err)) {
        free(ca);
        return false;
    }
    *out = ca;
    return true;
}

void ca_set_deadline(struct ca *ca, int64_t mono_ms)
{
    ca->ops->set_deadline(ca->impl, mono_ms);
}

bool ca_products(struct ca *ca, struct ca_products *out, struct err *err)
{
    return ca->ops->products(ca->impl, CA_KIND_TLS, out, err);
}

bool ca_products_of(struct ca *ca, enum ca_kind kind, struct ca_products *out, struct err *err)
{
    return ca->ops->products(ca->impl, kind, out, err);
}

void ca_turn(struct ca *ca, void *user)
{
    ca->ops->turn(ca->impl, user);
}

bool ca_is_under_way(const struct ca *ca)
{
    return ca->ops->is_under_way(ca->impl);
}

void ca_forget(struct ca *ca, const void *user)
{
    ca->ops->forget(ca->impl, user);
}

bool ca_hear(struct ca *ca, int64_t wait_ms, struct ca_heard *out)
{
    return ca->ops->hear(ca->impl, wait_ms, out);
}

bool ca_check_request(struct ca *ca, const struct ca_request *request, struct err *err)
{
    return ca->ops->check_request(ca->impl, request, err);
}

bool ca_before_submit(struct ca *ca, const struct ca_request *request, char **before,
                      struct err *err)
{
    *before = NULL;
    return ca->ops->before_submit(ca->impl, request, before, err);
}

enum ca_submit ca_submit(struct ca *ca, const struct ca_request *request, char **state,
                         struct err *err)
{
    return ca->ops->submit(ca->impl, request, state, err);
}

bool ca_poll(struct ca *ca, const char *state, struct ca_status *out, struct err *err)
{
    return ca->ops->poll(ca->impl, state, out, err);
}

bool ca_collect(struct ca *ca, const char *state, bool *ready, struct buf *out, struct err *err)
{
    return ca->ops->collect(ca->impl, state, NULL, ready, out, err);
}

const char *ca_format_at(struct ca *ca, size_t i)
{
    return ca->ops->formats[i];
}

static bool has_format(struct ca *ca, const char *format, struct buf *all)
{
    const char *name = NULL;

    for (size_t i = 0; (name = ca_format_at(ca, i)) != NULL; i++) {
        if (str_equal(name, format)) {
            return true;
        }
        buf_addf(all, "%s%s", i > 0 ? ", " : "", name);
    }
    return false;
}

bool ca_collect_as(struct ca *ca, const char *state, const char *format, bool *ready,
                   struct buf *out, struct err *err)
{
    AUTO(buf) struct buf all = BUF_INIT(512);

    if (!has_format(ca, format, &all)) {
        return err_set(err, E_USAGE, "the CA has no format '%.40s'; it has: %s", format,
                       buf_str(&all));
    }
    return ca->ops->collect(ca->impl, state, format, ready, out, err);
}

bool ca_collect_id(struct ca *ca, enum ca_kind kind, int64_t id, bool *ready, struct buf *out,
                   struct err *err)
{
    char state[64]; /* of the form that ca_order_id() reads */

    (void)snprintf(state, sizeof(state), "{\"id\":%lld,\"kind\":\"%s\"}", (long long)id,
                   ca_kind_name(kind));
    return ca->ops->collect(ca->impl, state, NULL, ready, out, err);
}

bool ca_find_submitted(struct ca *ca, const struct ca_request *request, bool *found, char **state,
                       struct err *err)
{
    return ca->ops->find_submitted(ca->impl, request, found, state, err);
}

bool ca_lists_orders(const struct ca *ca)
{
    return ca->ops->lists_orders;
}

bool ca_can_show_absence(const struct ca *ca, const struct ca_request *request)
{
    return ca->ops->lists_orders && request->how == CA_ENROLL && request->kind != CA_KIND_SMIME;
}

bool ca_record_of(struct ca *ca, enum ca_kind kind, int64_t id, struct ca_record *out,
                  struct err *err)
{
    *out = (struct ca_record){.id = id};
    return ca->ops->record(ca->impl, kind, id, out, err);
}

bool ca_list(struct ca *ca, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
             struct err *err)
{
    return ca->ops->list(ca->impl, filter, visit, ctx, err);
}

enum ca_revoke ca_revoke(struct ca *ca, const struct ca_revocation *revocation, struct err *err)
{
    return ca->ops->revoke(ca->impl, revocation, err);
}

static bool check_message(const char *text, struct err *err)
{
    size_t len = text != NULL ? strlen(text) : 0;

    return (len > 0 && len <= CA_REASON_TEXT_MAX) ||
           err_set(err, E_USAGE, "the CA wants a message of 1 to %d characters with a decision",
                   CA_REASON_TEXT_MAX);
}

enum ca_outcome ca_decide(struct ca *ca, const struct ca_decision *decision, struct err *err)
{
    return check_message(decision->message, err) ? ca->ops->decide(ca->impl, decision, err)
                                                 : CA_NOT_DONE;
}

enum ca_outcome ca_update(struct ca *ca, const struct ca_update *update, struct err *err)
{
    return ca->ops->update(ca->impl, update, err);
}

bool ca_check_fields(struct ca *ca, enum ca_kind kind, const char *custom_fields, struct err *err)
{
    return ca->ops->check_fields(ca->impl, kind, custom_fields, err);
}

enum { SERIAL_HEX_MAX = CA_SERIAL_TEXT_MAX / 4 };

bool ca_serial_text(const char *text, struct buf *out)
{
    AUTO(buf) struct buf digits = BUF_INIT(SERIAL_HEX_MAX);
    size_t used = 0;

    for (const char *p = text; *p != '\0'; p++) {
        if (*p != ':') {
            buf_add(&digits, p, 1);
        }
    }
    AUTO(buf) struct buf even = BUF_INIT(SERIAL_HEX_MAX + 1);
    AUTO(buf) struct buf bytes = BUF_INIT(SERIAL_HEX_MAX);
    buf_addf(&even, "%s%s", digits.len % 2 != 0 ? "0" : "", buf_str(&digits));
    if (!buf_ok(&digits) || digits.len == 0 || !str_from_hex(buf_str(&even), &bytes)) {
        return false;
    }
    /* a leading zero byte is DER's, not the number's */
    while (used + 1 < bytes.len && bytes.data[used] == 0) {
        used++;
    }
    for (size_t i = used; i < bytes.len; i++) {
        buf_addf(out, "%s%02X", i > used ? ":" : "", bytes.data[i]);
    }
    return buf_ok(out);
}

bool ca_same_serial(const char *a, const char *b)
{
    AUTO(buf) struct buf x = BUF_INIT(CA_SERIAL_TEXT_MAX);
    AUTO(buf) struct buf y = BUF_INIT(CA_SERIAL_TEXT_MAX);

    return a != NULL && b != NULL && ca_serial_text(a, &x) && ca_serial_text(b, &y) &&
           str_equal(buf_str(&x), buf_str(&y));
}

/* Certificates are put on hold, or taken off a list, by CAs alone. */
static const struct ca_reason reasons[] = {
    {"unspecified", 0}, {"keyCompromise", 1},        {"affiliationChanged", 3},
    {"superseded", 4},  {"cessationOfOperation", 5},
};

const struct ca_reason *ca_reason_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (str_equal_nocase(reasons[i].name, name)) {
            return &reasons[i];
        }
    }
    return NULL;
}

const struct ca_reason *ca_reason_at(size_t i)
{
    return i < ARRAY_LEN(reasons) ? &reasons[i] : NULL;
}

void ca_record_done(struct ca_record *record)
{
    char *owned[] = {record->status,
                     record->common_name,
                     record->names,
                     record->serial,
                     record->product,
                     record->requested,
                     record->issued,
                     record->expires,
                     record->revoked_at,
                     record->requester,
                     record->external_requester,
                     record->comments,
                     record->subject};

    for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
        free(owned[i]);
    }
    *record = (struct ca_record){.id = 0};
}

void ca_products_done(struct ca_products *products)
{
    for (size_t i = 0; i < products->count; i++) {
        free(products->list[i].name);
        free(products->list[i].description);
    }
    free(products->list);
    *products = (struct ca_products){.list = NULL};
}

/* The last product that equals() says is called that, and how many there are. */
static const struct ca_product *find_by_name(const struct ca_products *products, const char *wanted,
                                             bool (*equals)(const char *, const char *),
                                             unsigned *hits)
{
    const struct ca_product *found = NULL;

    *hits = 0;
    for (size_t i = 0; i < products->count; i++) {
        if (equals(products->list[i].name, wanted)) {
            found = &products->list[i];
            (*hits)++;
        }
    }
    return found;
}

static const struct ca_product *find_by_id(const struct ca_products *products, uint64_t id)
{
    for (size_t i = 0; i < products->count; i++) {
        if (products->list[i].id == (int64_t)id) {
            return &products->list[i];
        }
    }
    return NULL;
}

static void list_products(const struct ca_products *products, struct buf *out)
{
    for (size_t i = 0; i < products->count && i < 20; i++) {
        buf_addf(out, "%s%lld '%s'", i > 0 ? ", " : "", (long long)products->list[i].id,
                 products->list[i].name);
    }
    if (products->count == 0) {
        buf_add_str(out, "none");
    }
}

bool ca_product_find(const struct ca_products *products, const char *wanted,
                     const struct ca_product **out, struct err *err)
{
    AUTO(buf) struct buf there = BUF_INIT(4096);
    const struct ca_product *found = NULL;
    uint64_t id = 0;
    unsigned hits = 0;

    if (str_to_u64(wanted, INT64_MAX, &id)) {
        found = find_by_id(products, id);
    } else {
        found = find_by_name(products, wanted, str_equal, &hits);
        if (found == NULL) {
            found = find_by_name(products, wanted, str_equal_nocase, &hits);
        }
    }
    if (hits > 1) {
        return err_set(err, E_CA_REFUSED, "several products are called '%s'; use the number",
                       wanted);
    }
    if (found != NULL) {
        *out = found;
        return true;
    }
    list_products(products, &there);
    return err_set(err, E_CA_REFUSED, "this account has no product '%s'; it has: %s", wanted,
                   buf_str(&there));
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether a phrase stands in a text as words of its own, in whatever case. */
static bool has_words(const char *text, const char *phrase)
{
    size_t len = strlen(phrase);

    for (const char *p = strcasestr(text, phrase); p != NULL; p = strcasestr(p + 1, phrase)) {
        if ((p == text || !is_letter(p[-1])) && !is_letter(p[len])) {
            return true;
        }
    }
    return false;
}

bool ca_product_is_ev(const struct ca_product *product)
{
    const char *texts[] = {product->name, product->description};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i] != NULL &&
            (has_words(texts[i], "ev") || has_words(texts[i], "extended validation"))) {
            return true;
        }
    }
    return false;
}

static bool check_term(const struct ca_product *product, int64_t *term, struct err *err)
{
    AUTO(buf) struct buf terms = BUF_INIT(512);
    int64_t shortest = 0;

    for (size_t i = 0; i < product->term_count; i++) {
        if (product->terms[i] == *term) {
            return true;
        }
        shortest = shortest == 0 || product->terms[i] < shortest ? product->terms[i] : shortest;
        buf_addf(&terms, "%s%lld", i > 0 ? ", " : "", (long long)product->terms[i]);
    }
    if (*term == 0 && shortest > 0) {
        *term = product->default_term > 0 ? product->default_term : shortest;
        return true;
    }
    return err_set(err, E_CA_REFUSED, "product '%s' has no term of %lld days; it has: %s",
                   product->name, (long long)*term,
                   product->term_count > 0 ? buf_str(&terms) : "none");
}

bool ca_product_check(const struct ca_product *product, const char *key_kind, int64_t *term_days,
                      struct err *err)
{
    AUTO(buf) struct buf kinds = BUF_INIT(1024);

    if (!check_term(product, term_days, err)) {
        return false;
    }
    for (size_t i = 0; i < product->key_type_count; i++) {
        if (str_equal_nocase(product->key_types[i], key_kind)) {
            return true;
        }
        buf_addf(&kinds, "%s%s", i > 0 ? ", " : "", product->key_types[i]);
    }
    /* A product that says nothing about keys leaves the decision to the CA. */
    return product->key_type_count == 0 ||
           err_set(err, E_CA_REFUSED, "product '%s' does not take %s keys; it takes: %s",
                   product->name, key_kind, buf_str(&kinds));
}

bool ca_adopt(struct ca *ca, const struct ca_request *request, const char *order_id, char **state,
              struct err *err)
{
    return ca->ops->adopt(request, order_id, state, err);
}

void ca_order_id(const char *state, char out[static 64])
{
    AUTO(json) json *doc = NULL;
    struct err ignored = ERR_INIT;
    const char *text = NULL;
    int64_t id = 0;

    out[0] = '\0';
    if (state == NULL || !json_parse((const uint8_t *)state, strlen(state), &doc, &ignored)) {
        return;
    }
    if (json_find_string(doc, "id", &text)) {
        (void)snprintf(out, 64, "%.63s", text);
    } else if (json_find_int(doc, "id", &id)) {
        (void)snprintf(out, 64, "%lld", (long long)id);
    }
}

void ca_check(struct ca *ca, struct ca_checks *out)
{
    static const char *const steps[CA_CONNECTION_STEPS] = {"name lookup", "connection", "proxy",
                                                           "TLS", "HTTP"};

    if (ca_check_connection(ca->http, steps, clock_wall_s(ca->clock), out)) {
        ca->ops->check(ca->impl, out);
    }
}
