/* Inside app: which record is published for a domain, across runs. */
#ifndef APP_DCV_NOTE_H
#define APP_DCV_NOTE_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>

struct app;
struct buf;
struct dcv_record;

/* output: what the hook wrote when it published; it is told so when it removes. Without a state
 * directory nothing is written or found. E_IO. */
bool dcv_note_write(const struct app *app, const char *domain, const struct dcv_record *record,
                    const struct buf *output, struct err *err) NODISCARD;

/* dcv_record_done(out) if it is found; the hook's output is added to *output. E_IO, E_PROTOCOL: it
 * cannot be read. */
bool dcv_note_read(const struct app *app, const char *domain, struct dcv_record *out,
                   struct buf *output, bool *found, struct err *err) NODISCARD;

void dcv_note_remove(const struct app *app, const char *domain);

#endif
