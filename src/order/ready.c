/* Whether the journal can be worked with, before anything is done that has to be written down. */
#include "order/journal_impl.h"

#include "base/file.h"
#include "base/str.h"

#include <stdlib.h>

bool journal_open_as_is(const char *dir, const struct clock *clock, bool current,
                        struct journal **out, struct err *err)
{
    AUTO(journal) struct journal *journal = calloc(1, sizeof(*journal));
    AUTO(str) char *path = file_join(dir, "journal.db");
    int version = 0;

    if (journal == NULL || path == NULL || (journal->dir = str_dup(dir)) == NULL) {
        return err_nomem(err);
    }
    journal->clock = clock;
    if (!file_exists(path)) {
        return err_set(err, E_JOURNAL, "there is no journal in %s: nothing was ordered with it",
                       dir);
    }
    if (!db_open_as_is(path, &journal->db, err) || !db_version(journal->db, &version, err)) {
        return err_wrap(err, "order journal");
    }
    int known = (int)journal_migration_count;
    if (current && version != known) {
        return err_set(err, E_JOURNAL,
                       "order journal: %s has the schema %d, and this program reads %d: %s", path,
                       version, known,
                       version > known ? "use the newer p11enroll that wrote it"
                                       : "'p11enroll order list' brings it up to date");
    }
    *out = TAKE(journal);
    return true;
}

bool journal_last_time(struct journal *journal, int64_t *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(journal->db, "SELECT at_s FROM events ORDER BY id DESC LIMIT 1", &query, err) ||
        !db_step(query, &row, err)) {
        return false;
    }
    *out = row ? db_int(query, 0) : 0;
    return true;
}
