/*
 * SQLite, opened the way this program needs it: private file, write-ahead log, full
 * synchronisation, foreign keys, forward-only migrations. Nobody else includes sqlite3.h.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

/*
 * Opens or creates the database at a path (mode 0600) and brings it to the newest schema.
 * migrations[i] is the SQL that leads from version i to i + 1. Waits up to ten seconds for other
 * processes. E_JOURNAL: not a database, damaged, from a newer version of the program, disk full,
 * read-only.
 */
bool db_open(const char *path, const char *const migrations[], size_t migration_count,
             struct db **out, struct err *err) NODISCARD;
void db_close(struct db *db);

/*
 * Opens an existing database to look at it: nothing in it, its schema included, is changed, and a
 * file or a directory that cannot be written will do. E_JOURNAL.
 */
bool db_open_as_is(const char *path, struct db **out, struct err *err) NODISCARD;

/* A database in memory, as the migrations make it: what the schema has to be like. */
bool db_open_model(const char *const migrations[], size_t migration_count, struct db **out,
                   struct err *err) NODISCARD;

/* The version of the schema: how many migrations it has seen. */
bool db_version(struct db *db, int *version, struct err *err) NODISCARD;

/* Whether something can be written and kept: commits a transaction that changes nothing. Blocks for
 * the disk. E_JOURNAL. */
bool db_try_write(struct db *db, struct err *err) NODISCARD;

/* From here to commit or rollback everything that is read is as it was now, while others write. */
bool db_begin_reading(struct db *db, struct err *err) NODISCARD;

/*
 * Copies the database into a file that is there and empty, all of it as of one moment, while others
 * write; the copy is one file that needs no other beside it. Then reads the copy and checks it.
 * E_JOURNAL; E_INTERRUPTED if the clock's sleep says so.
 */
bool db_copy(struct db *db, const char *path, const struct clock *clock, struct err *err) NODISCARD;

/* BEGIN IMMEDIATE: from here to commit nobody else writes. */
bool db_begin(struct db *db, struct err *err) NODISCARD;
bool db_commit(struct db *db, struct err *err) NODISCARD;
void db_rollback(struct db *db);

struct db_query;

/* Prepares one statement; values are bound by position (1, 2, ...). db_query_done() ends it. */
bool db_query(struct db *db, const char *sql, struct db_query **out, struct err *err) NODISCARD;
void db_query_done(struct db_query *query);

/* Binding; text and bytes are copied, NULL binds NULL. Errors show at the next step. */
void db_bind_int(struct db_query *query, int at, int64_t value);
void db_bind_text(struct db_query *query, int at, const char *value);
void db_bind_bytes(struct db_query *query, int at, const uint8_t *data, size_t len);

/* Makes a statement ready to run again; what was bound is unbound. */
void db_reset(struct db_query *query);

/* Runs to the next row; *row tells whether there is one. E_JOURNAL. */
bool db_step(struct db_query *query, bool *row, struct err *err) NODISCARD;

/* Runs a statement that returns no rows. */
bool db_run(struct db_query *query, struct err *err) NODISCARD;

/* Columns of the current row, from 0. Text is NULL for NULL; borrowed until the next step. */
int64_t db_int(struct db_query *query, int column);
const char *db_text(struct db_query *query, int column);
const uint8_t *db_bytes(struct db_query *query, int column, size_t *len);

int64_t db_last_id(struct db *db);
/* How many rows the last statement that was run has changed. */
int64_t db_changes(struct db *db);

DEFINE_AUTO(db, struct db *, db_close)
DEFINE_AUTO(db_query, struct db_query *, db_query_done)

#endif
