/* Inside the db folder: what a database is made of. */
#ifndef DB_DB_IMPL_H
#define DB_DB_IMPL_H

#include "db/db.h"

#include <sqlite3.h>

enum { DB_BUSY_TIMEOUT_MS = 10000 };

struct db {
    sqlite3 *handle;
    char *path;
};

/* fault.c: "<path>: <what>: <SQLite's words> (<what to do>)" of the last failure. E_JOURNAL. */
void db_failed_to(const struct db *db, const char *what, struct err *err);
#define db_failed(db, what, err) (db_failed_to((db), (what), (err)), false)

/* Runs statements that give no rows. E_JOURNAL. */
bool db_execute(struct db *db, const char *sql, const char *what, struct err *err) NODISCARD;

#endif
