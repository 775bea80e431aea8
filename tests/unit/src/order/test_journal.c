#include "order/order.h"

#include "unit/unit.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A clock that stands where it is put. */
static int64_t now_s = 1000;

static int64_t fixed_wall(void *ctx UNUSED)
{
    return now_s;
}

static int64_t fixed_mono(void *ctx UNUSED)
{
    return 0;
}

static bool no_sleep(void *ctx UNUSED, int64_t ms UNUSED)
{
    return true;
}

static const struct clock fixed = {
    .wall_s = fixed_wall, .mono_ms = fixed_mono, .sleep_ms = no_sleep};

static struct journal *open_in(const char *dir)
{
    struct journal *journal = NULL;
    struct err err = ERR_INIT;

    now_s = 1000;
    assert_ok(journal_open(dir, &fixed, &journal, &err), &err);
    return journal;
}

static void set(char **field, const char *value)
{
    struct err err = ERR_INIT;

    assert_ok(order_set(field, value, &err), &err);
}

/* A new order with what every order has. */
static void plan(struct order *order, const char *dedupe)
{
    struct err err = ERR_INIT;

    order_init(order);
    assert_ok(order_new_mark(order->mark, &err), &err);
    set(&order->dedupe, dedupe);
    set(&order->names, "www.example.org");
}

/* Adds an order and returns its id; 0 if another was in the way. */
static int64_t add(struct journal *journal, const char *dedupe, bool again, int64_t *other)
{
    AUTO(order) struct order order;
    struct err err = ERR_INIT;

    plan(&order, dedupe);
    assert_ok(journal_add(journal, &order, again, other, &err), &err);
    return order.id;
}

static int64_t add_one(struct journal *journal)
{
    static unsigned number;
    int64_t other = 0;

    return add(journal, tmp_printf("thing-%u", number++), false, &other);
}

/* Walks an order to a state, by the shortest way. */
static void bring_to(struct journal *journal, int64_t id, enum order_state to, int64_t not_after)
{
    AUTO(order) struct order order;
    struct err err = ERR_INIT;

    order_init(&order);
    assert_ok(journal_load(journal, id, &order, &err), &err);
    order.state = to;
    order.not_after_s = not_after;
    assert_ok(journal_save(journal, &order, "brought", &err), &err);
}

/* Adding and loading */

static void test_new_order_has_a_number_and_dates(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    AUTO(order) struct order order;
    int64_t other = 7;
    struct err err = ERR_INIT;

    plan(&order, "a");
    now_s = 1234;
    assert_ok(journal_add(journal, &order, false, &other, &err), &err);
    assert_int_equal(order.id, 1);
    assert_int_equal(other, 0);
    assert_int_equal(order.created_s, 1234);
    assert_int_equal(order.updated_s, 1234);
}

static void fill(struct order *o)
{
    plan(o, "dedupe");
    set(&o->ca, "ca");
    set(&o->profile, "profile");
    set(&o->token, "token");
    set(&o->subject, "CN=\xc3\xa4");
    set(&o->product, "OV");
    set(&o->comments, "comments 'quoted' \"twice\"");
    set(&o->external_requester, "a@b.c");
    set(&o->custom_fields, "a=b;c=d");
    set(&o->key_type, "RSA-3072");
    set(&o->key_uri, "pkcs11:token=a;id=%01");
    set(&o->key_label, "label");
    set(&o->csr_pem, "-----BEGIN\n-----END\n");
    set(&o->ca_state, "{\"id\":5}");
    set(&o->ca_order_id, "5");
    set(&o->ca_text, "Applied");
    set(&o->answer_pem, "answer");
    set(&o->cert_pem, "cert");
    set(&o->chain_pem, "");
    set(&o->serial, "01ab");
    set(&o->cert_uri, "pkcs11:token=a;type=cert");
    set(&o->last_error, "x");
    o->state = ORDER_WAITING;
    o->product_id = INT64_C(5000000000);
    o->term_days = 365;
    o->send_names = CA_NAMES_NEVER;
    o->key_is_ours = true;
    o->not_after_s = INT64_C(4102444800);
    memset(o->key_id, 0xab, ORDER_ID_BYTES_MAX);
    o->key_id_len = ORDER_ID_BYTES_MAX;
    for (size_t i = 0; i < sizeof(o->spki_hash); i++) {
        o->spki_hash[i] = (uint8_t)i;
    }
}

static void same_order(const struct order *a, const struct order *b)
{
    assert_string_equal(a->mark, b->mark);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->created_s, b->created_s);
    assert_int_equal(a->updated_s, b->updated_s);
    char *const *const texts[][2] = {
        {&a->dedupe, &b->dedupe},
        {&a->ca, &b->ca},
        {&a->profile, &b->profile},
        {&a->token, &b->token},
        {&a->names, &b->names},
        {&a->subject, &b->subject},
        {&a->product, &b->product},
        {&a->comments, &b->comments},
        {&a->external_requester, &b->external_requester},
        {&a->custom_fields, &b->custom_fields},
        {&a->key_type, &b->key_type},
        {&a->key_uri, &b->key_uri},
        {&a->key_label, &b->key_label},
        {&a->csr_pem, &b->csr_pem},
        {&a->ca_state, &b->ca_state},
        {&a->ca_order_id, &b->ca_order_id},
        {&a->ca_text, &b->ca_text},
        {&a->answer_pem, &b->answer_pem},
        {&a->cert_pem, &b->cert_pem},
        {&a->chain_pem, &b->chain_pem},
        {&a->serial, &b->serial},
        {&a->cert_uri, &b->cert_uri},
        {&a->last_error, &b->last_error},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_string_equal(*texts[i][0], *texts[i][1]);
    }
    assert_int_equal(a->product_id, b->product_id);
    assert_int_equal(a->term_days, b->term_days);
    assert_int_equal(a->send_names, b->send_names);
    assert_int_equal(a->key_is_ours, b->key_is_ours);
    assert_int_equal(a->not_after_s, b->not_after_s);
    assert_int_equal(a->key_id_len, b->key_id_len);
    assert_memory_equal(a->key_id, b->key_id, a->key_id_len);
    assert_memory_equal(a->spki_hash, b->spki_hash, sizeof(a->spki_hash));
}

static void test_every_field_survives_adding(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    AUTO(order) struct order order;
    AUTO(order) struct order loaded;
    int64_t other = 0;
    struct err err = ERR_INIT;

    fill(&order);
    order_init(&loaded);
    assert_ok(journal_add(journal, &order, false, &other, &err), &err);
    assert_ok(journal_load(journal, order.id, &loaded, &err), &err);
    same_order(&order, &loaded);
}

static void test_every_field_survives_saving(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    AUTO(order) struct order order;
    AUTO(order) struct order loaded;
    struct err err = ERR_INIT;
    int64_t id = add_one(journal);

    fill(&order);
    order.id = id;
    order.created_s = 1000;
    order_init(&loaded);
    now_s = 2000;
    assert_ok(journal_save(journal, &order, "changed", &err), &err);
    assert_ok(journal_load(journal, id, &loaded, &err), &err);
    assert_int_equal(loaded.updated_s, 2000);
    assert_int_equal(loaded.created_s, 1000);
    same_order(&order, &loaded);
}

static void test_unknown_fields_stay_unknown(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    AUTO(order) struct order loaded;
    struct err err = ERR_INIT;

    order_init(&loaded);
    assert_ok(journal_load(journal, add_one(journal), &loaded, &err), &err);
    assert_null(loaded.key_uri);
    assert_null(loaded.last_error);
    assert_int_equal(loaded.key_id_len, 0);
    assert_int_equal(loaded.state, ORDER_PLANNED);
}

static void test_loading_an_order_that_is_not_there(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(journal) struct journal *journal = open_in(dir);
    AUTO(order) struct order order;
    struct err err = ERR_INIT;

    order_init(&order);
    assert_fails(journal_load(journal, 99, &order, &err), &err, E_ORDER_MISSING,
                 tmp_printf("there is no order 99 in %s", dir));
}

static void test_saving_an_order_that_is_not_there(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    AUTO(order) struct order order;
    struct err err = ERR_INIT;

    plan(&order, "a");
    order.id = 99;
    assert_fails(journal_save(journal, &order, "x", &err), &err, E_JOURNAL,
                 "order 99 cannot be saved");
}

static bool count_event(void *ctx, int64_t at_s UNUSED, const char *state UNUSED,
                        const char *text UNUSED)
{
    (*(int *)ctx)++;
    return true;
}

/* The lock prevents it; this is what is left if it does not (a file system without locks). */
static void test_order_that_another_process_brought_on_is_not_overwritten(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(journal) struct journal *ours = open_in(dir);
    AUTO(journal) struct journal *theirs = open_in(dir);
    AUTO(order) struct order order;
    AUTO(order) struct order now;
    struct err err = ERR_INIT;
    int64_t id = add_one(ours);
    int events = 0;

    order_init(&order);
    order_init(&now);
    assert_ok(journal_load(ours, id, &order, &err), &err);
    bring_to(theirs, id, ORDER_SUBMITTING, 0);
    order.state = ORDER_KEY_READY;
    assert_fails(journal_save(ours, &order, "x", &err), &err, E_ORDER_BUSY,
                 "order 1 cannot be saved: another process has brought it from the state 'planned' "
                 "to 'submitting' meanwhile");
    assert_ok(journal_load(ours, id, &now, &err), &err);
    assert_int_equal(now.state, ORDER_SUBMITTING);
    assert_ok(journal_events(ours, id, count_event, &events, &err), &err);
    assert_int_equal(events, 2);
}

static void test_order_may_be_saved_again_and_again(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    AUTO(order) struct order order;
    struct err err = ERR_INIT;
    int64_t other = 0;

    plan(&order, "a");
    assert_ok(journal_add(journal, &order, false, &other, &err), &err);
    for (int to = ORDER_KEY_READY; to <= ORDER_SUBMITTING; to++) {
        order.state = (enum order_state)to;
        assert_ok(journal_save(journal, &order, "on", &err), &err);
        assert_ok(journal_save(journal, &order, "a note", &err), &err);
    }
}

static void test_mark_is_unique(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    AUTO(order) struct order a;
    AUTO(order) struct order b;
    int64_t other = 0;
    struct err err = ERR_INIT;

    plan(&a, "a");
    plan(&b, "b");
    memcpy(b.mark, a.mark, sizeof(a.mark));
    assert_ok(journal_add(journal, &a, false, &other, &err), &err);
    assert_fails(journal_add(journal, &b, false, &other, &err), &err, E_JOURNAL, "UNIQUE");
    assert_int_equal(b.id, 0);
}

static void test_marks_are_random_and_recognisable(void **state UNUSED)
{
    char a[ORDER_MARK_SIZE];
    char b[ORDER_MARK_SIZE];
    struct err err = ERR_INIT;

    assert_ok(order_new_mark(a, &err), &err);
    assert_ok(order_new_mark(b, &err), &err);
    assert_memory_equal(a, "p11e-", 5);
    assert_int_equal(strlen(a), 5 + 32);
    assert_string_not_equal(a, b);
}

/* The same thing twice */

static void test_open_order_of_the_same_thing_is_in_the_way(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;
    int64_t first = add(journal, "a", false, &other);

    assert_int_equal(add(journal, "a", false, &other), 0);
    assert_int_equal(other, first);
}

static void test_order_of_another_thing_is_not_in_the_way(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;

    assert_int_equal(add(journal, "a", false, &other), 1);
    assert_int_equal(add(journal, "b", false, &other), 2);
    assert_int_equal(other, 0);
}

static void test_done_and_valid_order_is_in_the_way(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;
    int64_t first = add(journal, "a", false, &other);

    bring_to(journal, first, ORDER_DONE, 5000);
    now_s = 4999;
    assert_int_equal(add(journal, "a", false, &other), 0);
    assert_int_equal(other, first);
}

static void test_done_and_expired_order_is_not_in_the_way(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;

    bring_to(journal, add(journal, "a", false, &other), ORDER_DONE, 5000);
    now_s = 5000;
    assert_int_equal(add(journal, "a", false, &other), 2);
    assert_int_equal(other, 0);
}

static void test_failed_and_abandoned_orders_are_not_in_the_way(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;

    bring_to(journal, add(journal, "a", false, &other), ORDER_FAILED, 5000);
    bring_to(journal, add(journal, "a", false, &other), ORDER_ABANDONED, 5000);
    assert_int_equal(add(journal, "a", false, &other), 3);
}

/* It was paid for: the next order must not be made without anybody noticing. */
static void test_rejected_order_is_in_the_way(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;
    int64_t rejected = add(journal, "a", false, &other);

    bring_to(journal, rejected, ORDER_REJECTED, 0);
    assert_int_equal(add(journal, "a", false, &other), 0);
    assert_int_equal(other, rejected);
}

static void test_rejected_order_is_forgotten_once_another_was_done(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;

    bring_to(journal, add(journal, "a", false, &other), ORDER_REJECTED, 0);
    bring_to(journal, add(journal, "a", true, &other), ORDER_DONE, 5000);
    now_s = 5000;
    assert_int_equal(add(journal, "a", false, &other), 3);
}

static void test_again_orders_nevertheless(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;

    assert_int_equal(add(journal, "a", false, &other), 1);
    assert_int_equal(add(journal, "a", true, &other), 2);
    assert_int_equal(other, 0);
}

/* Both of the same thing, the first one older; returns which is in the way. */
static int64_t in_the_way(enum order_state first, enum order_state second)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;

    bring_to(journal, add(journal, "a", true, &other), first, 5000);
    bring_to(journal, add(journal, "a", true, &other), second, 5000);
    assert_int_equal(add(journal, "a", false, &other), 0);
    return other;
}

static void test_done_order_goes_before_all_others(void **state UNUSED)
{
    assert_int_equal(in_the_way(ORDER_SIGNED, ORDER_DONE), 2);
    assert_int_equal(in_the_way(ORDER_AMBIGUOUS, ORDER_DONE), 2);
    assert_int_equal(in_the_way(ORDER_REJECTED, ORDER_DONE), 2);
    assert_int_equal(in_the_way(ORDER_DONE, ORDER_PENDING), 1);
    assert_int_equal(in_the_way(ORDER_DONE, ORDER_DONE), 2);
}

static void test_order_at_the_ca_goes_before_one_that_was_not_sent(void **state UNUSED)
{
    assert_int_equal(in_the_way(ORDER_PENDING, ORDER_SIGNED), 1);
    assert_int_equal(in_the_way(ORDER_PENDING, ORDER_REJECTED), 1);
    assert_int_equal(in_the_way(ORDER_REJECTED, ORDER_PLANNED), 1);
    assert_int_equal(in_the_way(ORDER_PENDING, ORDER_WAITING), 2);
    assert_int_equal(in_the_way(ORDER_PLANNED, ORDER_SIGNED), 2);
}

/* Lists */

struct seen {
    int64_t ids[20];
    size_t count, stop_after;
};

static bool see(void *ctx, const struct order *order)
{
    struct seen *seen = ctx;

    seen->ids[seen->count++] = order->id;
    return seen->count != seen->stop_after;
}

static const char *listed(struct journal *journal, bool open_only, int64_t limit, size_t stop_after)
{
    struct seen seen = {.stop_after = stop_after};
    AUTO(buf) struct buf out = BUF_INIT(200);
    struct err err = ERR_INIT;

    assert_ok(journal_list(journal, open_only, limit, see, &seen, &err), &err);
    for (size_t i = 0; i < seen.count; i++) {
        buf_addf(&out, "%s%lld", i > 0 ? " " : "", (long long)seen.ids[i]);
    }
    return tmp_printf("%s", buf_str(&out));
}

static void test_list_has_the_newest_first(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());

    assert_string_equal(listed(journal, false, 10, 0), "");
    for (int i = 0; i < 4; i++) {
        (void)add_one(journal);
    }
    assert_string_equal(listed(journal, false, 10, 0), "4 3 2 1");
}

static void test_list_of_open_orders(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());

    for (int i = 0; i < 5; i++) {
        (void)add_one(journal);
    }
    bring_to(journal, 2, ORDER_DONE, 1);
    bring_to(journal, 3, ORDER_FAILED, 1);
    bring_to(journal, 4, ORDER_ABANDONED, 0);
    bring_to(journal, 5, ORDER_VERIFIED, 1);
    assert_string_equal(listed(journal, true, 10, 0), "5 1");
}

static void test_what_was_rejected_is_listed_until_it_is_made_up_for(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t other = 0;

    for (int i = 0; i < 3; i++) {
        (void)add(journal, i < 2 ? "this" : "that", true, &other);
        bring_to(journal, i + 1, ORDER_REJECTED, 0);
    }
    assert_string_equal(listed(journal, true, 10, 0), "3 2 1");
    (void)add(journal, "this", true, &other);
    bring_to(journal, 4, ORDER_DONE, 1);
    assert_string_equal(listed(journal, true, 10, 0), "3");
}

static void test_list_has_a_limit(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());

    for (int i = 0; i < 5; i++) {
        (void)add_one(journal);
    }
    assert_string_equal(listed(journal, false, 2, 0), "5 4");
}

static void test_list_ends_when_told(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());

    for (int i = 0; i < 5; i++) {
        (void)add_one(journal);
    }
    assert_string_equal(listed(journal, false, 10, 3), "5 4 3");
}

static bool add_event_text(void *ctx, int64_t at_s, const char *state, const char *text)
{
    buf_addf(ctx, "%lld %s: %s\n", (long long)at_s, state, text);
    return true;
}

static void test_events_are_kept_in_order(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    AUTO(buf) struct buf out = BUF_INIT(1000);
    struct err err = ERR_INIT;
    int64_t id = add_one(journal);

    (void)add_one(journal);
    now_s = 1001;
    bring_to(journal, id, ORDER_KEY_READY, 0);
    now_s = 1005;
    bring_to(journal, id, ORDER_SIGNED, 0);
    assert_ok(journal_events(journal, id, add_event_text, &out, &err), &err);
    assert_golden(buf_str(&out), "1000 planned: planned\n"
                                 "1001 key-ready: brought\n"
                                 "1005 signed: brought\n");
}

static bool stop_at_once(void *ctx, int64_t at_s UNUSED, const char *state UNUSED,
                         const char *text UNUSED)
{
    (*(int *)ctx)++;
    return false;
}

static void test_events_end_when_told(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    struct err err = ERR_INIT;
    int64_t id = add_one(journal);
    int count = 0;

    bring_to(journal, id, ORDER_KEY_READY, 0);
    assert_ok(journal_events(journal, id, stop_at_once, &count, &err), &err);
    assert_int_equal(count, 1);
}

static void test_numbers_are_resolved(void **state UNUSED)
{
    AUTO(journal) struct journal *journal = open_in(tmp_dir());
    int64_t id = 0;
    struct err err = ERR_INIT;

    (void)add_one(journal);
    assert_ok(journal_resolve(journal, "1", &id, &err), &err);
    assert_int_equal(id, 1);
    assert_fails(journal_resolve(journal, "2", &id, &err), &err, E_ORDER_MISSING, "no order 2");
    assert_fails(journal_resolve(journal, "x", &id, &err), &err, E_USAGE, "'x' is no order number");
    assert_fails(journal_resolve(journal, "-1", &id, &err), &err, E_USAGE, "'-1'");
    assert_fails(journal_resolve(journal, "", &id, &err), &err, E_USAGE, "''");
}

/* Files and other processes */

static void test_directory_and_file_are_private(void **state UNUSED)
{
    const char *dir = tmp_join(tmp_dir(), "a/state");
    mode_t before = umask(0);
    AUTO(journal) struct journal *journal = open_in(dir);
    struct stat st;

    (void)umask(before);
    (void)add_one(journal);
    assert_string_equal(journal_dir(journal), dir);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(tmp_join(dir, "journal.db"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(tmp_join(dir, "journal.db-wal"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_journal_is_there_after_closing(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct journal *first = open_in(dir);

    (void)add_one(first);
    journal_close(first);
    AUTO(journal) struct journal *second = open_in(dir);
    assert_string_equal(listed(second, false, 10, 0), "1");
}

static void test_two_connections_see_each_other(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(journal) struct journal *a = open_in(dir);
    AUTO(journal) struct journal *b = open_in(dir);
    int64_t other = 0;

    assert_int_equal(add(a, "same", false, &other), 1);
    assert_int_equal(add(b, "same", false, &other), 0);
    assert_int_equal(other, 1);
    (void)add_one(b);
    assert_string_equal(listed(a, false, 10, 0), "2 1");
}

static bool add_many(void *ctx)
{
    struct journal *journal = NULL;
    struct err err = ERR_INIT;
    bool ok = journal_open(ctx, &fixed, &journal, &err);

    for (int i = 0; ok && i < 20; i++) {
        AUTO(order) struct order order;
        int64_t other = 0;
        order_init(&order);
        ok = order_new_mark(order.mark, &err) && order_set(&order.dedupe, order.mark, &err) &&
             order_set(&order.names, "a.b", &err) &&
             journal_add(journal, &order, false, &other, &err);
    }
    journal_close(journal);
    return ok;
}

static void test_processes_write_at_the_same_time(void **state UNUSED)
{
    const char *dir = tmp_dir();
    pid_t children[3];

    journal_close(open_in(dir));
    (void)fflush(NULL);
    for (size_t i = 0; i < ARRAY_LEN(children); i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            _exit(add_many((void *)(uintptr_t)dir) ? 0 : 1);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(children); i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    AUTO(journal) struct journal *journal = open_in(dir);
    assert_int_equal(add_one(journal), 61);
}

static void test_file_that_is_no_database(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct journal *journal = NULL;
    struct err err = ERR_INIT;
    char garbage[4096];

    memset(garbage, 'g', sizeof(garbage));
    (void)tmp_file(dir, "journal.db", garbage, sizeof(garbage), 0600);
    assert_fails(journal_open(dir, &fixed, &journal, &err), &err, E_JOURNAL, "order journal: ");
    assert_contains(err.msg, "not a database");
    assert_null(journal);
}

/* Runs SQL on the file behind the program's back. */
static void tamper(const char *dir, const char *sql)
{
    sqlite3 *handle = NULL;

    assert_int_equal(sqlite3_open(tmp_join(dir, "journal.db"), &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

static void test_journal_of_a_newer_program(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct journal *journal = NULL;
    struct err err = ERR_INIT;

    journal_close(open_in(dir));
    tamper(dir, "PRAGMA user_version = 99");
    assert_fails(journal_open(dir, &fixed, &journal, &err), &err, E_JOURNAL,
                 "was written by a newer p11enroll (schema 99, known is ");
}

static void test_state_of_a_newer_program(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(journal) struct journal *journal = open_in(dir);
    AUTO(order) struct order order;
    struct err err = ERR_INIT;

    (void)add_one(journal);
    tamper(dir, "UPDATE orders SET state = 'renewing'");
    order_init(&order);
    assert_fails(journal_load(journal, 1, &order, &err), &err, E_JOURNAL,
                 "order 1 is in a state this program does not know");
}

static void test_field_of_an_impossible_size(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(journal) struct journal *journal = open_in(dir);
    AUTO(order) struct order order;
    struct err err = ERR_INIT;

    (void)add_one(journal);
    tamper(dir, "UPDATE orders SET key_id = zeroblob(257)");
    order_init(&order);
    assert_fails(journal_load(journal, 1, &order, &err), &err, E_JOURNAL, "impossible size");
}

static void test_database_without_tables_of_ours(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(journal) struct journal *journal = NULL;
    AUTO(order) struct order order;
    struct err err = ERR_INIT;

    tamper(dir, "PRAGMA user_version = 1");
    order_init(&order);
    assert_fails(journal_open(dir, &fixed, &journal, &err) &&
                     journal_load(journal, 1, &order, &err),
                 &err, E_JOURNAL, "no such table");
}

static bool open_as_somebody_else(void *dir)
{
    struct journal *journal = NULL;
    struct err err = ERR_INIT;

    return !journal_open(dir, &fixed, &journal, &err) && err.code == E_JOURNAL &&
           strstr(err.msg, "order journal: ") != NULL;
}

static void test_directory_that_cannot_be_written(void **state UNUSED)
{
    const char *dir = tmp_dir();

    assert_int_equal(chmod(dir, 0555), 0);
    assert_child_ok(unit_nobody(open_as_somebody_else, (void *)(uintptr_t)dir));
}

static void test_file_that_cannot_be_written(void **state UNUSED)
{
    const char *dir = tmp_dir();

    journal_close(open_in(dir));
    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_equal(chmod(tmp_join(dir, "journal.db"), 0444), 0);
    assert_child_ok(unit_nobody(open_as_somebody_else, (void *)(uintptr_t)dir));
}

static void test_link_in_place_of_the_file_is_refused(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct journal *journal = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(symlink("/tmp/elsewhere.db", tmp_join(dir, "journal.db")), 0);
    assert_fails(journal_open(dir, &fixed, &journal, &err), &err, E_JOURNAL, "opening the journal");
}

/* Locks */

static void test_order_is_worked_on_by_one_process(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(journal) struct journal *a = open_in(dir);
    AUTO(journal) struct journal *b = open_in(dir);
    AUTO(order_lock) struct order_lock first = ORDER_LOCK_INIT;
    AUTO(order_lock) struct order_lock second = ORDER_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_ok(order_lock_take(a, 1, &first, &err), &err);
    assert_fails(order_lock_take(b, 1, &second, &err), &err, E_ORDER_BUSY,
                 tmp_printf("order 1 is being worked on by process %ld", (long)getpid()));
    assert_ok(order_lock_take(b, 2, &second, &err), &err);
    order_lock_release(&second);
    order_lock_release(&first);
    order_lock_release(&first);
    assert_ok(order_lock_take(b, 1, &second, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_order_has_a_number_and_dates),
        cmocka_unit_test(test_every_field_survives_adding),
        cmocka_unit_test(test_every_field_survives_saving),
        cmocka_unit_test(test_unknown_fields_stay_unknown),
        cmocka_unit_test(test_loading_an_order_that_is_not_there),
        cmocka_unit_test(test_saving_an_order_that_is_not_there),
        cmocka_unit_test(test_order_that_another_process_brought_on_is_not_overwritten),
        cmocka_unit_test(test_order_may_be_saved_again_and_again),
        cmocka_unit_test(test_mark_is_unique),
        cmocka_unit_test(test_marks_are_random_and_recognisable),
        cmocka_unit_test(test_open_order_of_the_same_thing_is_in_the_way),
        cmocka_unit_test(test_order_of_another_thing_is_not_in_the_way),
        cmocka_unit_test(test_done_and_valid_order_is_in_the_way),
        cmocka_unit_test(test_done_and_expired_order_is_not_in_the_way),
        cmocka_unit_test(test_failed_and_abandoned_orders_are_not_in_the_way),
        cmocka_unit_test(test_rejected_order_is_in_the_way),
        cmocka_unit_test(test_rejected_order_is_forgotten_once_another_was_done),
        cmocka_unit_test(test_again_orders_nevertheless),
        cmocka_unit_test(test_done_order_goes_before_all_others),
        cmocka_unit_test(test_order_at_the_ca_goes_before_one_that_was_not_sent),
        cmocka_unit_test(test_list_has_the_newest_first),
        cmocka_unit_test(test_list_of_open_orders),
        cmocka_unit_test(test_what_was_rejected_is_listed_until_it_is_made_up_for),
        cmocka_unit_test(test_list_has_a_limit),
        cmocka_unit_test(test_list_ends_when_told),
        cmocka_unit_test(test_events_are_kept_in_order),
        cmocka_unit_test(test_events_end_when_told),
        cmocka_unit_test(test_numbers_are_resolved),
        cmocka_unit_test(test_directory_and_file_are_private),
        cmocka_unit_test(test_journal_is_there_after_closing),
        cmocka_unit_test(test_two_connections_see_each_other),
        cmocka_unit_test(test_processes_write_at_the_same_time),
        cmocka_unit_test(test_file_that_is_no_database),
        cmocka_unit_test(test_journal_of_a_newer_program),
        cmocka_unit_test(test_state_of_a_newer_program),
        cmocka_unit_test(test_field_of_an_impossible_size),
        cmocka_unit_test(test_database_without_tables_of_ours),
        cmocka_unit_test(test_directory_that_cannot_be_written),
        cmocka_unit_test(test_file_that_cannot_be_written),
        cmocka_unit_test(test_link_in_place_of_the_file_is_refused),
        cmocka_unit_test(test_order_is_worked_on_by_one_process),
    };

    return UNIT_RUN(tests);
}
