/*
 * The program's log: level, area, one line. Off (warnings to stderr only) until the program opens a
 * sink.
 *
 * Libraries log at debug and trace alone; what the user must know travels as a struct err. Nothing
 * secret is ever passed here: secrets have a type that does not print, and those who log requests
 * or attributes choose what they show by allow-list.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

bool log_level_parse(const char *name, enum log_level *out) NODISCARD;
const char *log_level_name(enum log_level level);

/* Lines of at least this importance go to stderr. */
void log_set_level(enum log_level level);

/* Appends lines to a file as well (created 0600), in one write(2) per line. E_IO. */
bool log_open_file(const char *path, struct err *err) NODISCARD;

/* Every following line carries this order number; 0 ends that. */
void log_set_order(long order_id);

bool log_enabled(enum log_level level);

void log_line(enum log_level level, const char *area, const char *fmt, ...) PRINTF_LIKE(3, 4);

void log_close(void);

#endif
