/* What a failure of SQLite means for somebody who has to mend it. */
#include "db/db_impl.h"

#include <errno.h>
#include <string.h>

static const char damaged[] =
    "the file is damaged; 'p11enroll journal check' says more, and p11enroll-journal(1) how a "
    "backup takes its place";

/* NULL: SQLite's words say enough. */
static const char *advice(int code, int system_errno)
{
    if (system_errno == ENOSPC || system_errno == EDQUOT) {
        code = SQLITE_FULL;
    }
    switch (code & 0xff) {
    case SQLITE_FULL:
        return "there is no room on its disk; make some and do it again, what was written before "
               "is safe";
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return "the file and its directory must be writable for the user who runs this";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return damaged;
    case SQLITE_IOERR:
        return "its disk failed; the system's log says more";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another process has kept it locked all the time";
    default:
        return NULL;
    }
}

void db_failed_to(const struct db *db, const char *what, struct err *err)
{
    if (db->handle == NULL) {
        err_set_to(err, E_JOURNAL, "%s: %s: out of memory", db->path, what);
        return;
    }
    int code = sqlite3_extended_errcode(db->handle);
    int cause = sqlite3_system_errno(db->handle);
    const char *text = advice(code, cause);
    bool says_errno = cause != 0 && (code & 0xff) == SQLITE_IOERR;

    err_set_native_to(err, E_JOURNAL, (unsigned long)code, "%s: %s: %s%s%s%s%s%s", db->path, what,
                      sqlite3_errmsg(db->handle), says_errno ? ": " : "",
                      says_errno ? strerror(cause) : "", text != NULL ? " (" : "",
                      text != NULL ? text : "", text != NULL ? ")" : "");
}
