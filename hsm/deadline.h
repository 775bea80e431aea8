/*
 * A watchdog for calls into a PKCS#11 module.
 *
 * A module may hang, and nothing inside the same process can take a thread back from it. So a
 * program that can afford to die (the client: its journal makes that as safe as a kill -9) creates
 * one watchdog with a callback that reports and leaves the process. The provider in other people's
 * programs never creates one.
 */
#ifndef HSM_DEADLINE_H
#define HSM_DEADLINE_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Runs on the watchdog's thread. Says which call on which module hung, and since when. Must not
 * return. */
typedef void deadline_fn(void *ctx, const char *call, const char *module, int64_t allowed_ms);

struct deadline;

/* One call in flight; lives on the stack of the thread that makes it. */
struct deadline_call {
    const char *call;
    const char *module;
    int64_t allowed_ms;
    int64_t due_ms;
    struct deadline_call *next;
};

/* Starts the watchdog's thread. E_MEMORY. */
bool deadline_new(deadline_fn *on_deadline, void *ctx, struct deadline **out,
                  struct err *err) NODISCARD;

/* Ends the thread. No call may be in flight, and none may follow. */
void deadline_free(struct deadline *deadline);

/* Marks the beginning and the end of a call. allowed_ms <= 0: this call may take any time. */
void deadline_begin(struct deadline *deadline, struct deadline_call *call);
void deadline_end(struct deadline *deadline, struct deadline_call *call);

#endif
