/* Domains and their validation; a part of the door app/app.h. */
#ifndef APP_DCV_H
#define APP_DCV_H

#include "base/compiler.h"
#include "base/err.h"
#include "ca/ca.h"
#include "dcv/dcv.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct app;
struct journal;

/* The CA's number of an order of the journal; selects the order's sections. E_USAGE: it has none
 * yet. */
bool app_order_at_ca(struct app *app, struct journal *journal, int64_t id, int64_t *ca_order,
                     struct err *err) NODISCARD;

/* What became of one domain. */
enum app_dcv_result {
    APP_DCV_VALIDATED,
    APP_DCV_WAS_VALIDATED, /* long enough: nothing was done */
    APP_DCV_PENDING,       /* submitted; the record stays published */
    APP_DCV_FAILED,
    APP_DCV_NOT_TRIED,
};

struct app_dcv_report {
    const char *domain;
    enum app_dcv_result result;
    char expires[40]; /* as the CA writes it; "" */
    struct err err;   /* unless it is validated */
};

struct app_dcv_publish {
    const char *const *domains;
    size_t count;
    enum ca_dcv_method method;
    struct dcv_hook hook; /* stop and timeouts included */
    struct dcv_look look;
    int64_t renew_before_days;
    bool again; /* also what is validated long enough */
    /* What is being done, for people; wait_ms until the next look, or 0. May be NULL. */
    void (*say)(void *ctx, const char *domain, const char *what, int64_t wait_ms);
    void *say_ctx;
};

/*
 * Validates domains: has the CA say what to publish, has the hook publish it, waits until all
 * servers show it, submits, waits for the result, has the hook remove it. All domains wait side by
 * side; one that fails does not hold up the others, but a refused login ends it for all. reports
 * has room for one per domain and is filled in any case. False if not all are validated: with the
 * failure of a single domain, or with the code of the first and how many.
 */
bool app_dcv_publish(struct app *app, const struct app_dcv_publish *request,
                     struct app_dcv_report *reports, struct err *err) NODISCARD;

#endif
