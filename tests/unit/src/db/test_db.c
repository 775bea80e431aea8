#include "db/db.h"

#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const one[] = {"CREATE TABLE t (a INTEGER, b TEXT, c BLOB)"};
static const char *const two[] = {"CREATE TABLE t (a INTEGER, b TEXT, c BLOB)",
                                  "ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'new'"};
static const char *const broken[] = {"CREATE TABLE t (a INTEGER, b TEXT, c BLOB)",
                                     "CREATE TABLE u (a INTEGER); nonsense"};

static struct db *open_with(const char *path, const char *const migrations[], size_t count)
{
    struct db *db = NULL;
    struct err err = ERR_INIT;

    assert_ok(db_open(path, migrations, count, &db, &err), &err);
    return db;
}

static void run(struct db *db, const char *sql)
{
    AUTO(db_query) struct db_query *query = NULL;
    struct err err = ERR_INIT;

    assert_ok(db_query(db, sql, &query, &err), &err);
    assert_ok(db_run(query, &err), &err);
}

static int64_t number(struct db *db, const char *sql)
{
    AUTO(db_query) struct db_query *query = NULL;
    struct err err = ERR_INIT;
    bool row = false;

    assert_ok(db_query(db, sql, &query, &err), &err);
    assert_ok(db_step(query, &row, &err), &err);
    return row ? db_int(query, 0) : -1;
}

static void test_values_of_every_kind_come_back(void **state UNUSED)
{
    AUTO(db) struct db *db = open_with(tmp_join(tmp_dir(), "x.db"), one, 1);
    AUTO(db_query) struct db_query *put = NULL;
    AUTO(db_query) struct db_query *get = NULL;
    struct err err = ERR_INIT;
    bool row = false;
    size_t len = 0;

    assert_ok(db_query(db, "INSERT INTO t VALUES (?, ?, ?)", &put, &err), &err);
    db_bind_int(put, 1, INT64_MIN);
    db_bind_text(put, 2, "W\xc3\xa4hler");
    db_bind_bytes(put, 3, (const uint8_t *)"a\0b", 3);
    assert_ok(db_run(put, &err), &err);
    assert_int_equal(db_last_id(db), 1);
    assert_ok(db_query(db, "SELECT a, b, c FROM t", &get, &err), &err);
    assert_ok(db_step(get, &row, &err), &err);
    assert_true(row);
    assert_true(db_int(get, 0) == INT64_MIN);
    assert_string_equal(db_text(get, 1), "W\xc3\xa4hler");
    assert_memory_equal(db_bytes(get, 2, &len), "a\0b", 3);
    assert_int_equal(len, 3);
    assert_ok(db_step(get, &row, &err), &err);
    assert_false(row);
}

static void test_nothing_comes_back_as_nothing(void **state UNUSED)
{
    AUTO(db) struct db *db = open_with(tmp_join(tmp_dir(), "x.db"), one, 1);
    AUTO(db_query) struct db_query *put = NULL;
    AUTO(db_query) struct db_query *get = NULL;
    struct err err = ERR_INIT;
    bool row = false;
    size_t len = 7;

    assert_ok(db_query(db, "INSERT INTO t VALUES (?, ?, ?)", &put, &err), &err);
    db_bind_text(put, 2, NULL);
    db_bind_bytes(put, 3, NULL, 0);
    assert_ok(db_run(put, &err), &err);
    assert_ok(db_query(db, "SELECT b, c FROM t", &get, &err), &err);
    assert_ok(db_step(get, &row, &err), &err);
    assert_null(db_text(get, 0));
    assert_null(db_bytes(get, 1, &len));
    assert_int_equal(len, 0);
}

/* Otherwise NULL would be written in its place. */
static void test_value_that_cannot_be_bound_stops_the_statement(void **state UNUSED)
{
    AUTO(db) struct db *db = open_with(tmp_join(tmp_dir(), "x.db"), one, 1);
    AUTO(db_query) struct db_query *put = NULL;
    struct err err = ERR_INIT;

    assert_ok(db_query(db, "INSERT INTO t VALUES (?, ?, ?)", &put, &err), &err);
    db_bind_text(put, 4, "there are three");
    db_bind_int(put, 1, 5);
    assert_fails(db_run(put, &err), &err, E_JOURNAL, "using the journal");
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 0);
}

static void test_older_schema_is_migrated(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "x.db");
    struct db *old = open_with(path, one, 1);

    run(old, "INSERT INTO t (a) VALUES (5)");
    db_close(old);
    AUTO(db) struct db *db = open_with(path, two, 2);
    assert_int_equal(number(db, "SELECT count(*) FROM t WHERE a = 5 AND d = 'new'"), 1);
    assert_int_equal(number(db, "PRAGMA user_version"), 2);
}

static void test_failing_migration_changes_nothing(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "x.db");
    struct db *db = NULL;
    struct err err = ERR_INIT;

    db_close(open_with(path, one, 1));
    assert_fails(db_open(path, broken, 2, &db, &err), &err, E_JOURNAL, "migrating the schema");
    assert_null(db);
    db = open_with(path, one, 1);
    assert_int_equal(number(db, "SELECT count(*) FROM sqlite_master WHERE name = 'u'"), 0);
    db_close(db);
}

static void test_rollback_undoes(void **state UNUSED)
{
    AUTO(db) struct db *db = open_with(tmp_join(tmp_dir(), "x.db"), one, 1);
    struct err err = ERR_INIT;

    assert_ok(db_begin(db, &err), &err);
    run(db, "INSERT INTO t (a) VALUES (1)");
    db_rollback(db);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 0);
    assert_ok(db_begin(db, &err), &err);
    run(db, "INSERT INTO t (a) VALUES (1)");
    assert_ok(db_commit(db, &err), &err);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 1);
}

static void test_settings_of_the_connection(void **state UNUSED)
{
    AUTO(db) struct db *db = open_with(tmp_join(tmp_dir(), "x.db"), one, 1);

    assert_int_equal(number(db, "PRAGMA synchronous"), 2);
    assert_int_equal(number(db, "PRAGMA foreign_keys"), 1);
    assert_int_equal(number(db, "PRAGMA trusted_schema"), 0);
    assert_int_equal(number(db, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = "
                                "'wal'"),
                     1);
}

enum { ROUNDS = 40, PROCESSES = 4 };

static bool open_and_write(const char *path)
{
    struct err err = ERR_INIT;

    for (int i = 0; i < 3; i++) {
        AUTO(db) struct db *db = NULL;
        AUTO(db_query) struct db_query *query = NULL;
        if (!db_open(path, two, 2, &db, &err) ||
            !db_query(db, "INSERT INTO t (a) VALUES (1)", &query, &err) || !db_run(query, &err)) {
            (void)fprintf(stderr, "%s\n", err.msg);
            return false;
        }
    }
    return true;
}

/* The switch to WAL answers "busy" at once to whoever comes in between. */
static void test_new_file_is_opened_by_several_processes_at_once(void **state UNUSED)
{
    for (int round = 0; round < ROUNDS; round++) {
        const char *path = tmp_join(tmp_dir(), "x.db");
        for (int i = 0; i < PROCESSES; i++) {
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                _exit(open_and_write(path) ? 0 : 1);
            }
        }
        for (int i = 0; i < PROCESSES; i++) {
            int status = -1;
            assert_true(wait(&status) > 0);
            assert_int_equal(status, 0);
        }
        AUTO(db) struct db *db = open_with(path, two, 2);
        assert_int_equal(number(db, "SELECT count(*) FROM t"), 3 * PROCESSES);
    }
}

static void test_statement_that_is_none(void **state UNUSED)
{
    AUTO(db) struct db *db = open_with(tmp_join(tmp_dir(), "x.db"), one, 1);
    struct db_query *query = NULL;
    struct err err = ERR_INIT;

    assert_fails(db_query(db, "SELEKT", &query, &err), &err, E_JOURNAL, "syntax error");
    assert_null(query);
}

/* What is looked at is not changed */

static void test_as_it_is_nothing_can_be_written(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "x.db");
    AUTO(db) struct db *db = NULL;
    AUTO(db_query) struct db_query *query = NULL;
    struct err err = ERR_INIT;
    int version = -1;

    assert_fails(db_open_as_is(path, &db, &err), &err, E_JOURNAL, path);
    assert_int_equal(access(path, F_OK), -1);
    db_close(open_with(path, one, 1));
    err_clear(&err);
    assert_ok(db_open_as_is(path, &db, &err), &err);
    assert_ok(db_version(db, &version, &err), &err);
    assert_int_equal(version, 1);
    assert_ok(db_query(db, "INSERT INTO t (a) VALUES (1)", &query, &err), &err);
    assert_fails(db_run(query, &err), &err, E_JOURNAL, "must be writable");
    assert_fails(db_try_write(db, &err), &err, E_JOURNAL, "must be writable");
}

static void test_trying_to_write_changes_nothing(void **state UNUSED)
{
    AUTO(db) struct db *db = open_with(tmp_join(tmp_dir(), "x.db"), two, 2);
    struct err err = ERR_INIT;

    assert_ok(db_try_write(db, &err), &err);
    assert_int_equal(number(db, "PRAGMA user_version"), 2);
    assert_ok(db_begin(db, &err), &err);
    db_rollback(db);
}

static void test_model_is_what_the_migrations_make(void **state UNUSED)
{
    AUTO(db) struct db *db = NULL;
    struct err err = ERR_INIT;

    assert_ok(db_open_model(two, 2, &db, &err), &err);
    assert_int_equal(number(db, "SELECT count(*) FROM pragma_table_info('t')"), 4);
    db_close(TAKE(db));
    assert_fails(db_open_model(broken, 2, &db, &err), &err, E_JOURNAL, "making the schema");
}

static bool stopped(void *ctx UNUSED, int64_t ms UNUSED)
{
    return false;
}

static void test_copy_stands_alone(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_join(dir, "copy.db");
    AUTO(db) struct db *db = open_with(tmp_join(dir, "x.db"), one, 1);
    AUTO(db) struct db *copy = NULL;
    const struct clock clock = clock_system(NULL);
    const struct clock stop = {.sleep_ms = stopped};
    struct err err = ERR_INIT;

    run(db, "INSERT INTO t (a) VALUES (7)");
    (void)fclose(fopen(path, "w"));
    assert_ok(db_copy(db, path, &clock, &err), &err);
    run(db, "INSERT INTO t (a) VALUES (8)"); /* the source can be written again */
    assert_int_equal(access(tmp_join(dir, "copy.db-wal"), F_OK), -1);
    assert_ok(db_open_as_is(path, &copy, &err), &err);
    assert_int_equal(number(copy, "SELECT sum(a) FROM t"), 7);
    assert_int_equal(number(copy, "PRAGMA user_version"), 1);
    run(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) "
            "INSERT INTO t (a, c) SELECT i, zeroblob(2000) FROM n");
    (void)fclose(fopen(tmp_join(dir, "second.db"), "w"));
    assert_fails(db_copy(db, tmp_join(dir, "second.db"), &stop, &err), &err, E_INTERRUPTED,
                 "interrupted while copying");
}

static void test_closing_nothing(void **state UNUSED)
{
    db_close(NULL);
    db_query_done(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_every_kind_come_back),
        cmocka_unit_test(test_nothing_comes_back_as_nothing),
        cmocka_unit_test(test_value_that_cannot_be_bound_stops_the_statement),
        cmocka_unit_test(test_older_schema_is_migrated),
        cmocka_unit_test(test_failing_migration_changes_nothing),
        cmocka_unit_test(test_rollback_undoes),
        cmocka_unit_test(test_settings_of_the_connection),
        cmocka_unit_test(test_new_file_is_opened_by_several_processes_at_once),
        cmocka_unit_test(test_statement_that_is_none),
        cmocka_unit_test(test_as_it_is_nothing_can_be_written),
        cmocka_unit_test(test_trying_to_write_changes_nothing),
        cmocka_unit_test(test_model_is_what_the_migrations_make),
        cmocka_unit_test(test_copy_stands_alone),
        cmocka_unit_test(test_closing_nothing),
    };

    return UNIT_RUN(tests);
}
