/*
 * What every unit test includes: cmocka with the headers that it needs, assertions that speak
 * struct err, and directories that vanish with the program.
 *
 * Nothing here knows a module of the product beyond base/err.h, so a test of `base` links no more
 * than base.
 */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

/* Runs the program's cases. Its exit status is 0 or 1, so that no number of failures looks like
 * "skipped". */
#define UNIT_RUN(tests) (cmocka_run_group_tests(tests, NULL, NULL) == 0 ? 0 : 1)

/* The call succeeds; if it does not, its message is shown. */
#define assert_ok(call, err) unit_ok((call), (err), #call, __FILE__, __LINE__)

/* The call fails with that code, and its message contains the words. */
#define assert_fails(call, err, code, words)                                                       \
    unit_fails((err_clear(err), (call)), (err), (code), (words), #call, __FILE__, __LINE__)

#define assert_contains(text, words) unit_contains((text), (words), true, __FILE__, __LINE__)
#define assert_lacks(text, words) unit_contains((text), (words), false, __FILE__, __LINE__)

/* Two texts of several lines; the first line that differs is shown. */
#define assert_golden(text, golden) unit_golden((text), (golden), __FILE__, __LINE__)

void unit_ok(bool ok, const struct err *err, const char *call, const char *file, int line);
void unit_fails(bool ok, const struct err *err, enum err_code code, const char *words,
                const char *call, const char *file, int line);
void unit_contains(const char *text, const char *words, bool wanted, const char *file, int line);
void unit_golden(const char *text, const char *golden, const char *file, int line);

/* A new empty directory. It and the texts below live until the program ends. */
const char *tmp_dir(void);
const char *tmp_join(const char *dir, const char *name);

/* Writes a file with that mode and returns its path. */
const char *tmp_file(const char *dir, const char *name, const void *data, size_t len, mode_t mode);
const char *tmp_text(const char *dir, const char *name, const char *text);

/* The content of a file as a text that lives until the program ends; fails the test if there is
 * none. */
const char *tmp_read(const char *path);

/* printf into a text that lives until the program ends. */
const char *tmp_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* A copy of bytes that lives until the program ends. */
const uint8_t *tmp_bytes(const void *data, size_t len);

/* How many entries a directory has. */
size_t tmp_count(const char *dir);

/*
 * Runs a function in a child, which must not use assertions: true is exit status 0. The child of
 * unit_nobody() has given up root first (if we are root: otherwise permissions hold anyway).
 * Returns the wait status.
 */
typedef bool unit_child_fn(void *ctx);
int unit_child(unit_child_fn *work, void *ctx);
int unit_nobody(unit_child_fn *work, void *ctx);

/* The child returned true. */
#define assert_child_ok(status) assert_int_equal((status), 0)

#endif
