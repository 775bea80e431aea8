/*
 * Reads beside each other. A caller takes a turn for somebody: a read that has no answer yet is
 * started and not waited for, and the call fails. When the answer has come, the caller takes the
 * turn again; what was asked before is answered from what was kept, so the same function goes a
 * step further each time.
 */
#include "ca/scm/call.h"

#include <stdlib.h>

/* For one call: a search among many candidates takes a request for each, and every answer is kept
 * until its end. */
enum { ANSWERS_MAX = 4096, BYTES_MAX = 64 << 20 };

struct scm_heard {
    const void *user;
    struct http_arrival
        *got; /* there is room for one more than `count` whenever one is asked for */
    size_t count, cap, bytes;
    bool relogged;
    unsigned token; /* which one the last request was sent with */
    struct scm_heard *next;
};

static void free_heard(struct scm_heard *heard)
{
    for (size_t i = 0; heard != NULL && i < heard->count; i++) {
        http_arrival_done(&heard->got[i]);
    }
    if (heard != NULL) {
        free(heard->got);
    }
    free(heard);
}

static struct scm_heard *find_heard(const struct scm *scm, const void *user)
{
    struct scm_heard *heard = scm->aside.heard;

    while (heard != NULL && heard->user != user) {
        heard = heard->next;
    }
    return heard;
}

static struct scm_heard *heard_of(struct scm *scm, const void *user)
{
    struct scm_heard *heard = find_heard(scm, user);

    if (heard == NULL) {
        heard = calloc(1, sizeof(*heard));
        if (heard == NULL) {
            return NULL;
        }
        heard->user = user;
        heard->next = scm->aside.heard;
        scm->aside.heard = heard;
    }
    return heard;
}

void scm_aside_forget(struct scm *scm, const void *user)
{
    for (struct scm_heard **at = &scm->aside.heard; *at != NULL; at = &(*at)->next) {
        struct scm_heard *heard = *at;
        if (heard->user == user) {
            *at = heard->next;
            free_heard(heard);
            return;
        }
    }
}

void scm_aside_done(struct scm *scm)
{
    while (scm->aside.heard != NULL) {
        struct scm_heard *heard = scm->aside.heard;
        scm->aside.heard = heard->next;
        free_heard(heard);
    }
}

void scm_turn(void *impl, void *user)
{
    struct scm *scm = impl;

    scm->aside.user = user;
    scm->aside.asked = 0;
    scm->aside.under_way = false;
}

/* The answer is kept for the next time, so this is a copy. */
static bool give(const struct http_arrival *arrival, struct http_response *response,
                 enum http_reach *reach, struct err *err)
{
    *reach = arrival->reach;
    if (!arrival->complete) {
        *err = arrival->err;
        return false;
    }
    *response = arrival->response;
    buf_init_wiped(&response->body, HTTP_BODY_MAX);
    buf_add(&response->body, arrival->response.body.data, arrival->response.body.len);
    return buf_ok(&response->body) || err_nomem(err);
}

/* Room for the answer before it is asked for: once it is here, nothing may be in its way. */
ANALYZER_LOSES_OWNER
static bool make_room(struct scm_heard *heard, const char *operation, struct err *err)
{
    if (heard->count == ANSWERS_MAX || heard->bytes > BYTES_MAX) {
        return err_set(err, E_PROTOCOL,
                       "%s: it takes more than %zu requests, or more than %d MiB of answers",
                       operation, heard->count, BYTES_MAX >> 20);
    }
    if (heard->count < heard->cap) {
        return true;
    }
    size_t cap = heard->cap > 0 ? 2 * heard->cap : 4;
    struct http_arrival *longer = reallocarray(heard->got, cap, sizeof(*longer));
    if (longer == NULL) {
        return err_nomem(err);
    }
    heard->got = longer;
    heard->cap = cap;
    return true;
}
ANALYZER_LOSES_OWNER_END

bool scm_aside_send(struct scm *scm, const struct http_request *request,
                    struct http_response *response, enum http_reach *reach, struct err *err)
{
    struct scm_heard *heard = heard_of(scm, scm->aside.user);

    if (heard == NULL) {
        return err_nomem(err);
    }
    if (scm->aside.asked < heard->count) {
        return give(&heard->got[scm->aside.asked++], response, reach, err);
    }
    if (!make_room(heard, request->operation, err) ||
        !http_start(scm->settings.http, request, scm->aside.user, err)) {
        return false;
    }
    heard->token = scm->oauth.generation;
    scm->aside.under_way = true;
    return err_set(err, E_INTERRUPTED, "%s: the answer is under way", request->operation);
}

bool scm_aside_may_relog(struct scm *scm, bool *anew)
{
    struct scm_heard *heard = find_heard(scm, scm->aside.user);

    if (heard == NULL || heard->relogged || heard->count == 0) {
        return false;
    }
    heard->relogged = true;
    *anew = heard->token == scm->oauth.generation; /* else somebody else has seen to it */
    http_arrival_done(&heard->got[--heard->count]);
    scm->aside.asked--;
    return true;
}

bool scm_is_under_way(const void *impl)
{
    const struct scm *scm = impl;

    return scm->aside.under_way;
}

void scm_forget(void *impl, const void *user)
{
    scm_aside_forget(impl, user);
}

bool scm_hear(void *impl, int64_t wait_ms, struct ca_heard *out)
{
    struct scm *scm = impl;
    struct http_arrival arrival;

    if (!http_next(scm->settings.http, wait_ms, &arrival)) {
        return false;
    }
    *out = (struct ca_heard){.user = arrival.user, .pause_s = arrival.response.retry_after_s};
    struct scm_heard *heard = find_heard(scm, arrival.user);
    if (heard == NULL || heard->count == heard->cap) {
        http_arrival_done(&arrival); /* nobody waits for it any more */
    } else {
        heard->bytes += arrival.response.body.len;
        heard->got[heard->count++] = arrival;
    }
    return true;
}
