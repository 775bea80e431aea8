/* What is kept of a CA's list (src/inventory): readings, what differs, what is gone, what is found.
 */
#include "inventory/inventory.h"

#include "base/str.h"
#include "db/db.h"
#include "order/order.h"
#include "order/schema.h" /* generated */
#include "unit/unit.h"

#include <stdlib.h>
#include <string.h>

struct scene {
    struct clock clock;
    int64_t now_s;
    struct journal *journal;
    struct inventory *inventory;
    struct inventory_sync sync;
    struct err err;
};

static int64_t wall(void *ctx)
{
    return ((struct scene *)ctx)->now_s;
}

static void scene_done(struct scene *s)
{
    inventory_close(s->inventory);
    journal_close(s->journal);
}

DEFINE_AUTO_DONE(scene, struct scene, scene_done)

static void begin_sync(struct scene *s, const char *source)
{
    assert_ok(inventory_begin(s->inventory, source, &s->sync, &s->err), &s->err);
}

static void begin(struct scene *s)
{
    *s = (struct scene){.clock = clock_system(NULL), .now_s = 1000};
    s->clock.wall_s = wall;
    s->clock.ctx = s;
    assert_ok(journal_open(tmp_dir(), &s->clock, &s->journal, &s->err), &s->err);
    assert_ok(
        inventory_open(journal_db(s->journal), &s->clock, "one", "ssl", &s->inventory, &s->err),
        &s->err);
    begin_sync(s, "list");
}

static size_t put(struct scene *s, struct inventory_row row)
{
    size_t conflicts = 0;

    assert_ok(inventory_put(s->inventory, &s->sync, &row, 1, &conflicts, &s->err), &s->err);
    return conflicts;
}

static void finish(struct scene *s)
{
    assert_ok(inventory_finish(s->inventory, &s->sync, &s->err), &s->err);
}

/* "7:Issued 8:-": numbers and statuses of what is found. */
static bool add_row(void *ctx, const struct inventory_row *row, struct err *err UNUSED)
{
    struct buf *text = ctx;

    buf_addf(text, "%s%lld:%s%s", text->len > 0 ? " " : "", (long long)row->ca_id,
             row->status != NULL ? row->status : "-", row->gone_s != 0 ? "(gone)" : "");
    return true;
}

static const char *found(struct scene *s, struct inventory_query query)
{
    static char text[256];
    AUTO(buf) struct buf out = BUF_INIT(sizeof(text) - 1);

    assert_ok(inventory_find(s->inventory, &query, add_row, &out, &s->err), &s->err);
    (void)snprintf(text, sizeof(text), "%s", buf_str(&out));
    return text;
}

static int64_t next(struct scene *s, enum inventory_which which, int64_t after)
{
    int64_t id = -1;

    assert_ok(inventory_next(s->inventory, &s->sync, which, after, &id, &s->err), &s->err);
    return id;
}

/* Readings */

static void test_rows_are_added_and_found(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 5000000000,
                                         .serial = "0A:0B",
                                         .common_name = "Www.example",
                                         .names = "a.example,B.example",
                                         .status = "Issued"});
    assert_int_equal(s.sync.added, 1);
    assert_string_equal(found(&s, (struct inventory_query){.ca_id = 5000000000}),
                        "5000000000:Issued");
    assert_string_equal(found(&s, (struct inventory_query){.serial = "0A:0B"}),
                        "5000000000:Issued");
    assert_string_equal(found(&s, (struct inventory_query){.name = "b.EXAMPLE"}),
                        "5000000000:Issued");
    assert_string_equal(found(&s, (struct inventory_query){.name = "www.example"}),
                        "5000000000:Issued");
    assert_string_equal(found(&s, (struct inventory_query){.common_name = "Www.example"}),
                        "5000000000:Issued");
    assert_string_equal(found(&s, (struct inventory_query){.serial = "0A"}), "");
    assert_string_equal(found(&s, (struct inventory_query){.name = "example"}), "");
}

static void test_what_is_not_said_stays_as_it_was(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .serial = "AA", .status = "Issued"});
    finish(&s);
    begin_sync(&s, "list");
    (void)put(&s, (struct inventory_row){.ca_id = 1});
    assert_int_equal(s.sync.changed, 0);
    assert_string_equal(found(&s, (struct inventory_query){.serial = "AA"}), "1:Issued");
}

static void test_names_that_change_are_found_anew(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .names = "old.example,both.example"});
    (void)put(&s, (struct inventory_row){.ca_id = 1, .names = "both.example,new.example"});
    assert_int_equal(s.sync.changed, 1);
    assert_string_equal(found(&s, (struct inventory_query){.name = "old.example"}), "");
    assert_string_equal(found(&s, (struct inventory_query){.name = "both.example"}), "1:-");
    assert_string_equal(found(&s, (struct inventory_query){.name = "new.example"}), "1:-");
}

static void test_a_status_of_a_later_reading_counts(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    assert_int_equal(put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued"}), 0);
    finish(&s);
    begin_sync(&s, "list");
    assert_int_equal(put(&s, (struct inventory_row){.ca_id = 1, .status = "Revoked"}), 0);
    assert_string_equal(found(&s, (struct inventory_query){.ca_id = 1}), "1:Revoked");
}

static void test_two_statuses_in_one_reading_are_none(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued"});
    assert_int_equal(put(&s, (struct inventory_row){.ca_id = 1, .status = "Revoked"}), 1);
    assert_string_equal(found(&s, (struct inventory_query){.ca_id = 1}), "1:-");
    assert_int_equal(put(&s, (struct inventory_row){.ca_id = 1, .status = "Revoked"}), 1);
    assert_int_equal(next(&s, INVENTORY_NO_STATUS, 0), 1);
    assert_int_equal(
        put(&s, (struct inventory_row){.ca_id = 1, .status = "Revoked", .details = true}), 0);
    assert_string_equal(found(&s, (struct inventory_query){.ca_id = 1}), "1:Revoked");
    assert_int_equal(next(&s, INVENTORY_NO_STATUS, 0), 0);
}

static void test_the_same_row_again_is_no_conflict(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued"});
    assert_int_equal(put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued"}), 0);
    assert_int_equal(put(&s, (struct inventory_row){.ca_id = 1}), 0);
    assert_int_equal(s.sync.changed, 0);
}

static void test_details_are_wanted_anew_when_something_changed(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued"});
    assert_int_equal(next(&s, INVENTORY_NO_DETAILS, 0), 1);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued", .details = true});
    assert_int_equal(next(&s, INVENTORY_NO_DETAILS, 0), 0);
    finish(&s);
    begin_sync(&s, "list");
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued"});
    assert_int_equal(next(&s, INVENTORY_NO_DETAILS, 0), 0);
    finish(&s);
    begin_sync(&s, "list");
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Revoked"});
    assert_int_equal(next(&s, INVENTORY_NO_DETAILS, 0), 1);
}

/* Interruptions */

static void test_an_unfinished_reading_is_gone_on_with(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    int64_t id = s.sync.id;
    s.sync.stage = 2;
    s.sync.position = 400;
    (void)put(&s, (struct inventory_row){.ca_id = 1});
    begin_sync(&s, "list");
    assert_true(s.sync.resumed);
    assert_int_equal(s.sync.id, id);
    assert_int_equal(s.sync.stage, 2);
    assert_int_equal(s.sync.position, 400);
    finish(&s);
    begin_sync(&s, "list");
    assert_false(s.sync.resumed);
    assert_int_equal(s.sync.stage, 0);
}

static void test_an_unfinished_reading_of_another_source_is_not(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    begin_sync(&s, "report");
    assert_false(s.sync.resumed);
}

/* What is gone */

static void test_what_was_not_met_is_named_in_order(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    for (int64_t id = 1; id <= 4; id++) {
        (void)put(&s, (struct inventory_row){.ca_id = id});
    }
    finish(&s);
    begin_sync(&s, "list");
    (void)put(&s, (struct inventory_row){.ca_id = 2});
    assert_int_equal(next(&s, INVENTORY_NOT_MET, 0), 1);
    assert_int_equal(next(&s, INVENTORY_NOT_MET, 1), 3);
    assert_int_equal(next(&s, INVENTORY_NOT_MET, 3), 4);
    assert_int_equal(next(&s, INVENTORY_NOT_MET, 4), 0);
}

static void test_what_is_gone_is_marked_and_comes_back(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct inventory_state there;

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued"});
    finish(&s);
    begin_sync(&s, "list");
    assert_ok(inventory_mark_gone(s.inventory, 1, &s.err), &s.err);
    finish(&s);
    assert_string_equal(found(&s, (struct inventory_query){.ca_id = 1}), "1:Issued(gone)");
    assert_ok(inventory_state(s.inventory, &there, &s.err), &s.err);
    assert_true(there.rows == 0 && there.gone == 1 && there.last_s == 1000 && !there.open);
    begin_sync(&s, "list");
    assert_int_equal(next(&s, INVENTORY_NOT_MET, 0), 0); /* it is known to be gone */
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued"});
    assert_int_equal(s.sync.changed, 1);
    assert_string_equal(found(&s, (struct inventory_query){.ca_id = 1}), "1:Issued");
}

/* Keys and CAs */

static void test_keys_are_learned_and_wanted_for_what_is_issued(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    const uint8_t hash[INVENTORY_HASH_LEN] = {1, 2, 3};

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Revoked"});
    (void)put(&s, (struct inventory_row){.ca_id = 2, .status = "ISSUED"});
    assert_int_equal(next(&s, INVENTORY_NO_KEY, 0), 2);
    assert_ok(inventory_set_key(s.inventory, 2, hash, &s.err), &s.err);
    assert_int_equal(next(&s, INVENTORY_NO_KEY, 0), 0);
    assert_string_equal(found(&s, (struct inventory_query){.spki_hash = hash}), "2:ISSUED");
    finish(&s);
    begin_sync(&s, "list");
    (void)put(&s, (struct inventory_row){.ca_id = 2, .status = "Revoked"});
    assert_string_equal(found(&s, (struct inventory_query){.spki_hash = hash}), "2:Revoked");
}

static void test_another_certificate_may_have_another_key(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    const uint8_t hash[INVENTORY_HASH_LEN] = {1, 2, 3};

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .serial = "AA", .status = "Issued"});
    assert_ok(inventory_set_key(s.inventory, 1, hash, &s.err), &s.err);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .common_name = "x"});
    assert_string_equal(found(&s, (struct inventory_query){.spki_hash = hash}), "1:Issued");
    (void)put(&s, (struct inventory_row){.ca_id = 1, .serial = "BB"});
    assert_string_equal(found(&s, (struct inventory_query){.spki_hash = hash}), "");
    assert_int_equal(next(&s, INVENTORY_NO_KEY, 0), 1);
}

static void test_each_ca_has_its_own(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(inventory) struct inventory *other = NULL;
    struct inventory_state there;

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1});
    finish(&s);
    assert_ok(inventory_open(journal_db(s.journal), &s.clock, "two", "ssl", &other, &s.err),
              &s.err);
    assert_ok(inventory_state(other, &there, &s.err), &s.err);
    assert_true(there.rows == 0 && there.last_s == 0);
    assert_ok(inventory_begin(other, "list", &s.sync, &s.err), &s.err);
    assert_int_equal(next(&s, INVENTORY_NOT_MET, 0), 1); /* of "one", read by another id */
    int64_t id = -1;
    assert_ok(inventory_next(other, &s.sync, INVENTORY_NOT_MET, 0, &id, &s.err), &s.err);
    assert_int_equal(id, 0);
}

/* The CA counts devices and servers apart: their numbers may be the same. */
static void test_each_kind_has_its_own(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(inventory) struct inventory *devices = NULL;
    struct inventory_sync sync;
    struct inventory_row row = {.ca_id = 1, .status = "Revoked"};
    struct inventory_state there;
    size_t conflicts = 0;

    begin(&s);
    (void)put(&s, (struct inventory_row){.ca_id = 1, .status = "Issued"});
    assert_ok(inventory_open(journal_db(s.journal), &s.clock, "one", "device", &devices, &s.err),
              &s.err);
    assert_ok(inventory_begin(devices, "list", &sync, &s.err), &s.err);
    assert_false(sync.resumed);
    assert_ok(inventory_put(devices, &sync, &row, 1, &conflicts, &s.err), &s.err);
    assert_true(sync.added == 1 && conflicts == 0);
    assert_ok(inventory_mark_gone(devices, 1, &s.err), &s.err);
    assert_string_equal(found(&s, (struct inventory_query){.ca_id = 1}), "1:Issued");
    assert_ok(inventory_state(devices, &there, &s.err), &s.err);
    assert_true(there.rows == 0 && there.gone == 1 && there.open);
    assert_int_equal(next(&s, INVENTORY_MET, 0), 1);
    assert_int_equal(next(&s, INVENTORY_MET, 1), 0);
}

static const char *const old_schema[] = {schema_001_init,      schema_002_bindings,
                                         schema_003_inventory, schema_004_approvals,
                                         schema_005_reissue,   schema_006_key_left_out};

static void write_old(const char *dir)
{
    AUTO(db) struct db *db = NULL;
    AUTO(db_query) struct db_query *query = NULL;
    struct err err = ERR_INIT;
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/journal.db", dir);
    assert_ok(db_open(path, old_schema, ARRAY_LEN(old_schema), &db, &err), &err);
    assert_ok(db_query(db,
                       "INSERT INTO certificates (ca, ca_id, serial, status, details_s, first_s, "
                       "sync_id, gone_s) VALUES ('one', 7, 'AB', 'Issued', 0, 1, 1, 0)",
                       &query, &err),
              &err);
    assert_ok(db_run(query, &err), &err);
    db_query_done(query);
    query = NULL;
    assert_ok(db_query(db,
                       "INSERT INTO syncs (ca, source, started_s, ended_s, stage, position) VALUES "
                       "('one', 'list', 1, 2, 0, 0)",
                       &query, &err),
              &err);
    assert_ok(db_run(query, &err), &err);
}

static void test_what_older_versions_stored_is_of_servers(void **state UNUSED)
{
    AUTO(scene) struct scene s = {.clock = clock_system(NULL)};
    struct inventory_state there;
    const char *dir = tmp_dir();

    write_old(dir);
    assert_ok(journal_open(dir, &s.clock, &s.journal, &s.err), &s.err);
    assert_ok(inventory_open(journal_db(s.journal), &s.clock, "one", "ssl", &s.inventory, &s.err),
              &s.err);
    assert_string_equal(found(&s, (struct inventory_query){.serial = "AB"}), "7:Issued");
    assert_ok(inventory_state(s.inventory, &there, &s.err), &s.err);
    assert_true(there.rows == 1 && there.last_s == 2);
}

/* Orders */

static bool add_order(void *ctx, const struct inventory_order *order, struct err *err UNUSED)
{
    buf_addf(ctx, "%lld=%lld%s%s ", (long long)order->order, (long long)order->ca_id,
             order->listed ? ":" : "", order->row.status != NULL ? order->row.status : "");
    return true;
}

static void add_our_order(struct scene *s, const char *ca, const char *kind, const char *number,
                          uint8_t key)
{
    AUTO(order) struct order order;
    int64_t other = 0;

    order_init(&order);
    order.spki_hash[0] = key;
    assert_ok(order_new_mark(order.mark, &s->err) && order_set(&order.ca, ca, &s->err) &&
                  order_set(&order.names, "n", &s->err) && order_set(&order.kind, kind, &s->err) &&
                  order_set(&order.dedupe, number, &s->err) &&
                  order_set(&order.ca_order_id, number, &s->err) &&
                  journal_add(s->journal, &order, true, &other, &s->err),
              &s->err);
}

static void test_orders_stand_beside_what_the_ca_has(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(buf) struct buf out = BUF_INIT(256);
    const uint8_t key[INVENTORY_HASH_LEN] = {9};

    begin(&s);
    add_our_order(&s, "one", NULL, "7", 9);
    add_our_order(&s, "two", NULL, "7", 8);
    add_our_order(&s, "one", "device", "7", 6); /* numbers of another kind */
    add_our_order(&s, "one", "ssl", "8", 7);
    (void)put(&s, (struct inventory_row){.ca_id = 7, .status = "Issued"});
    assert_ok(inventory_orders(s.inventory, add_order, &out, &s.err), &s.err);
    assert_string_equal(buf_str(&out), "1=7:Issued 4=8 ");
    assert_ok(inventory_learn_orders(s.inventory, &s.err), &s.err);
    assert_string_equal(found(&s, (struct inventory_query){.spki_hash = key}), "7:Issued");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_added_and_found),
        cmocka_unit_test(test_what_is_not_said_stays_as_it_was),
        cmocka_unit_test(test_names_that_change_are_found_anew),
        cmocka_unit_test(test_a_status_of_a_later_reading_counts),
        cmocka_unit_test(test_two_statuses_in_one_reading_are_none),
        cmocka_unit_test(test_the_same_row_again_is_no_conflict),
        cmocka_unit_test(test_details_are_wanted_anew_when_something_changed),
        cmocka_unit_test(test_an_unfinished_reading_is_gone_on_with),
        cmocka_unit_test(test_an_unfinished_reading_of_another_source_is_not),
        cmocka_unit_test(test_what_was_not_met_is_named_in_order),
        cmocka_unit_test(test_what_is_gone_is_marked_and_comes_back),
        cmocka_unit_test(test_keys_are_learned_and_wanted_for_what_is_issued),
        cmocka_unit_test(test_another_certificate_may_have_another_key),
        cmocka_unit_test(test_each_ca_has_its_own),
        cmocka_unit_test(test_each_kind_has_its_own),
        cmocka_unit_test(test_what_older_versions_stored_is_of_servers),
        cmocka_unit_test(test_orders_stand_beside_what_the_ca_has),
    };

    return UNIT_RUN(tests);
}
