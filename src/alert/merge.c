#include "alert/alert.h"

#include "base/str.h"

#include <string.h>

enum { DAY_S = 86400, LONG_SERIAL = 23, ROOM_FIRST = 16 }; /* "AB:...": eight bytes */

static void item_done(struct alert_item *item)
{
    char *const texts[] = {item->subject, item->name, item->names, item->serial,
                           item->ca,      item->uri,  item->text};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        free(texts[i]);
    }
}

void alerts_done(struct alerts *alerts)
{
    for (size_t i = 0; i < alerts->count; i++) {
        item_done(&alerts->list[i]);
    }
    free(alerts->list);
    *alerts = (struct alerts)ALERTS_INIT;
}

static bool copy(char **field, struct err *err)
{
    if (*field != NULL) {
        *field = str_dup(*field);
        return *field != NULL || err_nomem(err);
    }
    return true;
}

static bool make_room(struct alerts *alerts, struct err *err)
{
    if (alerts->count < alerts->room) {
        return true;
    }
    size_t room = alerts->room > 0 ? alerts->room * 2 : ROOM_FIRST;
    struct alert_item *grown = reallocarray(alerts->list, room, sizeof(*grown));
    if (grown == NULL) {
        return err_nomem(err);
    }
    alerts->list = grown;
    alerts->room = room;
    return true;
}

bool alerts_add(struct alerts *alerts, const struct alert_item *item, struct err *err)
{
    struct alert_item added = *item;
    char **const texts[] = {&added.subject, &added.name, &added.names, &added.serial,
                            &added.ca,      &added.uri,  &added.text};

    if (!make_room(alerts, err)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!copy(texts[i], err)) {
            for (size_t k = 0; k < i; k++) {
                free(*texts[k]);
            }
            return false;
        }
    }
    alerts->list[alerts->count++] = added;
    return true;
}

/* What is the same comes to stand beside each other; an exact end before one known to the day. */
static int by_identity(const void *a, const void *b)
{
    const struct alert_item *x = a;
    const struct alert_item *y = b;

    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    int serials = strcmp(x->serial != NULL ? x->serial : "", y->serial != NULL ? y->serial : "");
    if (serials != 0) {
        return serials;
    }
    if (x->is_day != y->is_day) {
        return x->is_day ? 1 : -1;
    }
    return x->at_s != y->at_s ? (x->at_s < y->at_s ? -1 : 1) : 0;
}

/* A day may be that of another time zone. */
static bool same_end(const struct alert_item *a, const struct alert_item *b)
{
    int64_t apart = b->at_s > a->at_s ? b->at_s - a->at_s : a->at_s - b->at_s;

    return a->is_day || b->is_day ? apart <= ALERT_DAYS_APART * DAY_S : apart == 0;
}

static bool same(const struct alert_item *a, const struct alert_item *b)
{
    return a->kind == ALERT_CERTIFICATE && b->kind == ALERT_CERTIFICATE && a->serial != NULL &&
           str_equal(a->serial, b->serial) && same_end(a, b) &&
           (!a->has_spki || !b->has_spki || memcmp(a->spki, b->spki, ALERT_SPKI_LEN) == 0);
}

static void take_text(char **into, char **from)
{
    if (*into == NULL) {
        *into = TAKE(*from);
    }
}

/* What one source does not know, another may. */
static void absorb(struct alert_item *into, struct alert_item *from)
{
    into->sources |= from->sources;
    into->order = into->order != 0 ? into->order : from->order;
    into->ca_order = into->ca_order != 0 ? into->ca_order : from->ca_order;
    into->lead_s = into->lead_s != 0 ? into->lead_s : from->lead_s;
    into->over = into->over || from->over;
    into->superseded = into->superseded || from->superseded;
    into->outlived = into->outlived || from->outlived;
    if (!into->has_spki && from->has_spki) {
        into->has_spki = true;
        memcpy(into->spki, from->spki, ALERT_SPKI_LEN);
    }
    take_text(&into->name, &from->name);
    take_text(&into->names, &from->names);
    take_text(&into->ca, &from->ca);
    take_text(&into->uri, &from->uri);
    item_done(from);
}

/* What others have for the same names says nothing of a certificate that is in use here; and the
 * journal knows what took the place of a certificate better than a guess by its key. */
static bool is_quiet(const struct alert_item *item)
{
    return item->over || (item->superseded && item->sources == ALERT_INVENTORY) ||
           (item->outlived && (item->sources & ALERT_JOURNAL) == 0);
}

const char *alert_subject_prefix(enum alert_kind kind)
{
    return kind == ALERT_ORDER ? "order:" : "certificate:";
}

/* An order that waits a second time is another one. A serial number of a public CA stands for
 * itself; a short one may be that of several. */
static bool name_subject(struct alert_item *item, struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(1024);

    buf_add_str(&text, alert_subject_prefix(item->kind));
    if (item->kind == ALERT_ORDER) {
        buf_addf(&text, "%lld@%lld", (long long)item->order, (long long)item->at_s);
    } else {
        buf_addf(&text, "%s", item->serial != NULL ? item->serial : "");
        if (item->serial == NULL || strlen(item->serial) < LONG_SERIAL) {
            buf_addf(&text, "@%lld", (long long)(item->at_s / DAY_S));
        }
    }
    item->subject = buf_take_str(&text);
    return item->subject != NULL || err_nomem(err);
}

bool alerts_merge(struct alerts *alerts, struct err *err)
{
    size_t kept = 0;

    if (alerts->count > 1) {
        qsort(alerts->list, alerts->count, sizeof(alerts->list[0]), by_identity);
    }
    for (size_t i = 0; i < alerts->count; i++) {
        if (kept > 0 && same(&alerts->list[kept - 1], &alerts->list[i])) {
            absorb(&alerts->list[kept - 1], &alerts->list[i]);
        } else {
            alerts->list[kept++] = alerts->list[i];
        }
    }
    alerts->count = kept;
    kept = 0;
    for (size_t i = 0; i < alerts->count; i++) {
        if (is_quiet(&alerts->list[i])) {
            item_done(&alerts->list[i]);
        } else {
            alerts->list[kept++] = alerts->list[i];
        }
    }
    alerts->count = kept;
    for (size_t i = 0; i < alerts->count; i++) {
        if (!name_subject(&alerts->list[i], err)) {
            return false;
        }
    }
    return true;
}

static bool judge(struct alert_item *item, const struct alert_rules *rules)
{
    int64_t left = item->at_s - rules->now_s;

    if (item->kind == ALERT_ORDER) {
        return alert_judge_waited(&rules->waited, -left, item);
    }
    if (item->is_day && left < 0 && left >= -DAY_S) {
        left = 0; /* it ends on this day, nobody knows when */
    }
    return left >= -rules->expired_s && alert_judge_left(&rules->left, item->lead_s, left, item);
}

static int worst_first(const void *a, const void *b)
{
    const struct alert_item *x = a;
    const struct alert_item *y = b;

    if (x->severity != y->severity) {
        return x->severity > y->severity ? -1 : 1;
    }
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    if (x->at_s != y->at_s) {
        return x->at_s < y->at_s ? -1 : 1;
    }
    return strcmp(x->subject, y->subject);
}

void alerts_judge(struct alerts *alerts, const struct alert_rules *rules)
{
    size_t kept = 0;

    for (size_t i = 0; i < alerts->count; i++) {
        if (judge(&alerts->list[i], rules)) {
            alerts->list[kept++] = alerts->list[i];
        } else {
            item_done(&alerts->list[i]);
        }
    }
    alerts->count = kept;
    if (kept > 1) {
        qsort(alerts->list, kept, sizeof(alerts->list[0]), worst_first);
    }
}
