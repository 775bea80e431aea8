/* What ends soon and what waits (src/order/expiry.c, src/inventory/expiry.c): what is found, and
 * that it costs what is found and not what is there. */
#include "alert/alert.h"
#include "inventory/inventory.h"
#include "order/order.h"
#include "unit/unit.h"

#include "base/clock.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { DAY = 86400, FEW = 1000, MANY = 100000, ALL = 1000000, DUE = 20, WAIT = 5 };

static const int64_t now_s = 1800000000;

/* Steps of SQLite's machine in all statements since begin_counting(). */
static int64_t steps;

static int count_steps(unsigned kind UNUSED, void *ctx UNUSED, void *stmt, void *more UNUSED)
{
    steps += sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
    return 0;
}

/* Called for each database that is opened from then on. */
static int watch(sqlite3 *db, const char **text UNUSED, const void *api UNUSED)
{
    return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, count_steps, NULL);
}

struct place {
    struct clock clock;
    const char *dir;
    struct journal *journal;
    struct err err;
};

static void place_done(struct place *p)
{
    journal_close(p->journal);
}

DEFINE_AUTO_DONE(place, struct place, place_done)

static void begin(struct place *p)
{
    *p = (struct place){.clock = clock_system(NULL), .dir = tmp_dir()};
    assert_ok(journal_open(p->dir, &p->clock, &p->journal, &p->err), &p->err);
}

/* Rows as no command writes them so fast. */
static void sql(const struct place *p, const char *text)
{
    sqlite3 *db = NULL;
    char *why = NULL;

    assert_int_equal(sqlite3_open(tmp_join(p->dir, "journal.db"), &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK) {
        fail_msg("%s: %s", text, why);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Orders number from..to; %s is an expression of n. */
static void add_orders(const struct place *p, int from, int to, const char *state, int open,
                       const char *not_after)
{
    sql(p,
        tmp_printf("WITH RECURSIVE c(n) AS (VALUES(%d) UNION ALL SELECT n + 1 FROM c WHERE n < %d) "
                   "INSERT INTO orders (mark, state, open, created_s, updated_s, dedupe, ca, "
                   "names, product_id, "
                   "term_days, send_names, key_is_ours, not_after_s, ca_order_id, serial) SELECT "
                   "'m' || n, '%s', "
                   "%d, 0, %lld, 'd' || n, 'one', 'n' || n || '.example', 1, 1, 0, 1, %s, 'o' || "
                   "n, n FROM c",
                   from, to, state, open, (long long)now_s, not_after));
}

static void add_listed(const struct place *p, int from, int to, const char *expires)
{
    sql(p, tmp_printf(
               "WITH RECURSIVE c(n) AS (VALUES(%d) UNION ALL SELECT n + 1 FROM c WHERE n < %d) "
               "INSERT INTO certificates (ca, kind, ca_id, serial, common_name, names, status, "
               "expires, details_s, "
               "first_s, sync_id, gone_s) SELECT 'one', 'ssl', n, n, 'n' || n, 'n' || n, 'Issued', "
               "%s, 1, 1, 1, 0 "
               "FROM c",
               from, to, expires));
}

/* What was visited: "1 2(over) ". */
static bool see_expiry(void *ctx, const struct journal_expiry *found, struct err *err UNUSED)
{
    buf_addf(ctx, "%lld%s ", (long long)found->order, found->over ? "(over)" : "");
    return true;
}

static bool see_wait(void *ctx, const struct journal_wait *found, struct err *err UNUSED)
{
    buf_addf(ctx, "%lld:%s@%lld ", (long long)found->order, order_state_name(found->state),
             (long long)found->since_s);
    return true;
}

static bool see_listed(void *ctx, const struct inventory_expiry *found, struct err *err UNUSED)
{
    buf_addf(ctx, "%lld%s%s ", (long long)found->ca_id, found->over ? "(over)" : "",
             found->superseded ? "(superseded)" : "");
    return true;
}

static const char *expiring(struct place *p)
{
    AUTO(buf) struct buf text = BUF_INIT(4096);

    assert_ok(
        journal_expiring(p->journal, now_s - DAY, now_s + 30 * DAY, see_expiry, &text, &p->err),
        &p->err);
    return tmp_printf("%s", buf_str(&text));
}

static const char *waiting(struct place *p)
{
    AUTO(buf) struct buf text = BUF_INIT(4096);

    assert_ok(journal_waiting(p->journal, see_wait, &text, &p->err), &p->err);
    return tmp_printf("%s", buf_str(&text));
}

static const char *listed(struct place *p)
{
    AUTO(buf) struct buf text = BUF_INIT(4096);

    assert_ok(inventory_expiring(journal_db(p->journal), now_s - DAY, now_s + 30 * DAY, see_listed,
                                 &text, &p->err),
              &p->err);
    return tmp_printf("%s", buf_str(&text));
}

static void test_certificates_between_two_times_are_found(void **state UNUSED)
{
    AUTO(place) struct place p;

    begin(&p);
    add_orders(&p, 1, 1, "done", 0, "1800000000 + 30 * 86400");     /* the last second */
    add_orders(&p, 2, 2, "done", 0, "1800000000 + 30 * 86400 + 1"); /* later */
    add_orders(&p, 3, 3, "done", 0, "1800000000 - 86400");          /* before */
    add_orders(&p, 4, 4, "done", 0, "1800000000 - 86400 + 1");
    add_orders(&p, 5, 5, "cert-rejected", 0, "1800000000"); /* never bound */
    add_orders(&p, 6, 6, "planned", 1, "0");
    assert_string_equal(expiring(&p), "4 1 ");
}

static void test_what_is_over_says_so(void **state UNUSED)
{
    AUTO(place) struct place p;

    begin(&p);
    add_orders(&p, 1, 6, "done", 0, "1800000000 + n");
    add_orders(&p, 11, 14, "done", 0, "1800000000 + 400 * 86400");
    add_orders(&p, 15, 15, "pending", 1, "0");
    sql(&p,
        "UPDATE orders SET state = 'revoked' WHERE id = 1;"
        "UPDATE orders SET dedupe = 'd2' WHERE mark = 'm11';"                 /* the same again */
        "UPDATE orders SET parent = 'o3' WHERE mark = 'm12';"                 /* its renewal */
        "UPDATE orders SET parent = 'o4', ca = 'two' WHERE mark = 'm13';"     /* another CA's */
        "UPDATE orders SET parent = 'o5', kind = 'smime' WHERE mark = 'm14';" /* another kind's */
        "UPDATE orders SET parent = 'o6' WHERE mark = 'm15'");                /* not done */
    assert_string_equal(expiring(&p), "1(over) 2(over) 3(over) 4 5 6 ");
}

static void test_orders_wait_since_their_state_began(void **state UNUSED)
{
    AUTO(place) struct place p;

    begin(&p);
    add_orders(&p, 1, 1, "waiting", 1, "0");
    add_orders(&p, 2, 2, "pending", 1, "0");
    add_orders(&p, 3, 3, "awaiting-approval", 1, "0");
    add_orders(&p, 4, 4, "planned", 1, "0"); /* without events: when it was written last */
    add_orders(&p, 5, 5, "done", 0, "0");
    sql(&p, "INSERT INTO events (order_id, at_s, state, text) VALUES"
            " (1, 10, 'submitting', ''), (1, 20, 'pending', ''), (1, 30, 'waiting', ''),"
            " (1, 40, 'pending', ''), (1, 50, 'waiting', ''),"
            " (2, 10, 'pending', ''), (2, 20, 'ambiguous', ''), (2, 30, 'pending', ''),"
            " (3, 10, 'signed', ''), (3, 15, 'awaiting-approval', ''), (3, 60, "
            "'awaiting-approval', '')");
    assert_string_equal(waiting(&p),
                        "1:waiting@20 2:pending@30 3:awaiting-approval@15 4:planned@1800000000 ");
}

static void test_dates_are_understood_as_cas_write_them(void **state UNUSED)
{
    static const struct {
        const char *expires;
        bool found;
    } rows[] = {
        {"2027-01-20", true},
        {"2027-01-20T10:02:47.000Z", true},
        {"2027-01-20T10:02:47.000+0000", true},
        {"01/20/2027", true},
        {"01/20/2027 10:02", true},
        {"2028-01-20", false},
        {"20.01.2027", false},
        {"now", false},
        {"2461426.5", false},
        {"2027-13-45", false},
        {"", false},
        {"January 20, 2027", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(place) struct place p;
        begin(&p);
        add_listed(&p, 1, 1, tmp_printf("'%s'", rows[i].expires));
        assert_string_equal(listed(&p), rows[i].found ? "1 " : "");
    }
}

static void test_the_inventory_knows_what_is_over(void **state UNUSED)
{
    AUTO(place) struct place p;

    begin(&p);
    add_listed(&p, 1, 7, "'2027-01-20'");
    add_listed(&p, 8, 10, "'2027-09-20'");
    sql(&p, "UPDATE certificates SET status = 'Revoked' WHERE ca_id = 2;"
            "UPDATE certificates SET gone_s = 5 WHERE ca_id = 3;"
            "UPDATE certificates SET serial = NULL WHERE ca_id = 4;"
            "UPDATE certificates SET status = 'Expired' WHERE ca_id = 5;"
            "UPDATE certificates SET common_name = 'n6', names = 'n6' WHERE ca_id = 8;"
            "UPDATE certificates SET common_name = 'n7', names = 'n7,more' WHERE ca_id = 9;"
            "UPDATE certificates SET common_name = 'n1', names = 'n1', kind = 'device' WHERE ca_id "
            "= 10");
    assert_string_equal(listed(&p), "1 2(over) 5 6(superseded) 7 ");
}

/* As parse.c of the CA takes the words. */
static void test_the_ca_s_words_for_issued_and_over(void **state UNUSED)
{
    AUTO(place) struct place p;

    begin(&p);
    add_listed(&p, 1, 8, "'2027-01-20'");
    sql(&p, "UPDATE certificates SET status = 'Downloaded' WHERE ca_id = 1;"
            "UPDATE certificates SET status = 'Enrolled - Pending Download' WHERE ca_id = 2;"
            "UPDATE certificates SET status = 'DOWNLOADED' WHERE ca_id = 3;"
            "UPDATE certificates SET status = 'Replaced' WHERE ca_id = 4;"
            "UPDATE certificates SET status = 'REVOKED' WHERE ca_id = 5;"
            "UPDATE certificates SET status = 'Not Enrolled' WHERE ca_id = 6;"
            "UPDATE certificates SET status = 'a word to come' WHERE ca_id = 7;"
            "UPDATE certificates SET status = 'Downloaded', common_name = 'n7', names = 'n7',"
            "  expires = '2027-09-20' WHERE ca_id = 8");
    assert_string_equal(listed(&p), "1 2 3 4(over) 5(over) 6(over) 7(superseded) ");
}

static bool undated(struct place *p)
{
    bool is = false;

    assert_ok(inventory_undated(journal_db(p->journal), &is, &p->err), &p->err);
    return is;
}

static void test_certificates_without_an_end_are_noticed(void **state UNUSED)
{
    AUTO(place) struct place p;

    begin(&p);
    add_listed(&p, 1, 3, "'2027-01-20'");
    assert_false(undated(&p));
    sql(&p, "UPDATE certificates SET expires = NULL, status = 'Requested' WHERE ca_id = 1");
    sql(&p, "UPDATE certificates SET expires = NULL, gone_s = 1 WHERE ca_id = 2");
    assert_false(undated(&p));
    sql(&p, "UPDATE certificates SET expires = 'in spring' WHERE ca_id = 3");
    assert_true(undated(&p));
    sql(&p, "UPDATE certificates SET status = 'Downloaded' WHERE ca_id = 3");
    assert_true(undated(&p));
    sql(&p, "UPDATE certificates SET expires = '2027-01-21' WHERE ca_id = 3");
    assert_false(undated(&p));
}

/* One look of 'alert' at journal and inventory; the steps that it took. */
static int64_t cost(struct place *p)
{
    steps = 0;
    (void)expiring(p);
    (void)waiting(p);
    (void)listed(p);
    (void)undated(p);
    return steps;
}

static void fill(struct place *p, int rows)
{
    begin(p);
    add_orders(p, 1, DUE, "done", 0, "1800000000 + n * 86400");
    add_orders(p, DUE + 1, DUE + WAIT, "waiting", 1, "0");
    add_orders(p, DUE + WAIT + 1, rows, "done", 0, "1800000000 + (n % 2 * 800 - 400) * 86400");
    add_listed(p, 1, DUE, "date(1800000000 + n * 86400, 'unixepoch')");
    add_listed(p, DUE + 1, rows, "date(1800000000 + (n % 2 * 800 - 400) * 86400, 'unixepoch')");
}

static void test_the_cost_is_that_of_what_is_found(void **state UNUSED)
{
    bool full = getenv("P11ENROLL_FULL") != NULL;
    AUTO(place) struct place few;
    AUTO(place) struct place many;

    fill(&few, FEW);
    fill(&many, full ? ALL : MANY);
    int64_t small = cost(&few);
    int64_t large = cost(&many);
    print_message("steps: %lld with %d rows, %lld with %d\n", (long long)small, FEW,
                  (long long)large, full ? ALL : MANY);
    assert_true(small > 0);
    assert_true(large <= 2 * small);
    /* what it would be without them */
    sql(&many, "DROP INDEX orders_not_after");
    int64_t without = cost(&many);
    assert_true(without > 100 * small);
    sql(&many, "DROP INDEX certificates_expires");
    assert_true(cost(&many) > without + 100 * small);
    without = cost(&many);
    sql(&many, "DROP INDEX certificates_undated");
    assert_true(cost(&many) > without + 100 * small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_between_two_times_are_found),
        cmocka_unit_test(test_what_is_over_says_so),
        cmocka_unit_test(test_orders_wait_since_their_state_began),
        cmocka_unit_test(test_dates_are_understood_as_cas_write_them),
        cmocka_unit_test(test_the_inventory_knows_what_is_over),
        cmocka_unit_test(test_the_ca_s_words_for_issued_and_over),
        cmocka_unit_test(test_certificates_without_an_end_are_noticed),
        cmocka_unit_test(test_the_cost_is_that_of_what_is_found),
    };

    (void)sqlite3_auto_extension((void (*)(void))watch);
    return UNIT_RUN(tests);
}
