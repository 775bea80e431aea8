/*
 * The one error model of p11enroll.
 *
 * A function that can fail takes a `struct err *` as its last argument (never NULL), returns bool,
 * and fills the struct when it returns false. The deepest level sets code and cause; a level that
 * knows what the work was for prepends a clause with err_wrap(); a level that adds nothing just
 * returns false. The struct has a fixed size and lives on the caller's stack, so reporting a
 * failure cannot itself fail.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/compiler.h"

#include <stdbool.h>

enum err_code {
    E_NONE = 0,
#define X(symbol, name, exit_status, retryable, hint) symbol,
#include "base/codes.def"
#undef X
};

struct err {
    enum err_code code;
    unsigned long
        native; /* CK_RV, errno, HTTP status or CURLcode of the first cause; 0 if there is none */
    char msg[1024];
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .code = E_NONE, .native = 0, .msg = ""                                                     \
    }

/*
 * The functions that fill err are void; the macros around them are false, always, so that `return
 * err_set(...)` reads well and every reader, compilers included, knows what it returns.
 */
void err_set_to(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
void err_set_native_to(struct err *err, enum err_code code, unsigned long native, const char *fmt,
                       ...) PRINTF_LIKE(4, 5);
void err_set_errno_to(struct err *err, enum err_code code, int saved_errno, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void err_wrap_with(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_set_ssl_to(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Fills err with a code and a formatted cause. */
#define err_set(err, code, ...) (err_set_to((err), (code), __VA_ARGS__), false)

/* As err_set(), and remembers the number that the other side used for this failure. */
#define err_set_native(err, code, native, ...)                                                     \
    (err_set_native_to((err), (code), (native), __VA_ARGS__), false)

/* As err_set(), with ": " and the text of an errno value at the end; native becomes that errno. */
#define err_set_errno(err, code, saved_errno, ...)                                                 \
    (err_set_errno_to((err), (code), (saved_errno), __VA_ARGS__), false)

/* Puts "clause: " in front of the message; code and native stay. */
#define err_wrap(err, ...) (err_wrap_with((err), __VA_ARGS__), false)

/*
 * Empties libcrypto's error queue of this thread into err: the code, the formatted clause, and the
 * reasons that OpenSSL gave (oldest first, at most three). The queue is empty afterwards.
 */
#define err_set_ssl(err, code, ...) (err_set_ssl_to((err), (code), __VA_ARGS__), false)

/* Out of memory, the same words everywhere. */
#define err_nomem(err) err_set((err), E_MEMORY, "out of memory")

void err_clear(struct err *err);

/* The facts of codes.def. Names, hints: static strings, never NULL. */
const char *err_code_name(enum err_code code);
const char *err_code_hint(enum err_code code);
int err_code_exit_status(enum err_code code);
bool err_code_retryable(enum err_code code);

/* Iterates over the table for documentation and tests: the i-th code, or E_NONE past the end. */
enum err_code err_code_at(unsigned i);

#endif
