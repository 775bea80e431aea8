/* Inside app: which record is published for a domain, across runs. */
#ifndef APP_DCV_NOTE_H
#define APP_DCV_NOTE_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>

struct app;
struct dcv_record;

/* Without a state directory nothing is written or found. E_IO. */
bool dcv_note_write(const struct app *app, const char *domain, const struct dcv_record *record,
                    struct err *err) NODISCARD;

/* dcv_record_done(out) if it is found. E_IO, E_PROTOCOL: it cannot be read. */
bool dcv_note_read(const struct app *app, const char *domain, struct dcv_record *out, bool *found,
                   struct err *err) NODISCARD;

void dcv_note_remove(const struct app *app, const char *domain);

#endif
