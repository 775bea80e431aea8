#include "hsm/deadline.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct deadline {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool ending;
    struct deadline_call *calls;
    deadline_fn *on_deadline;
    void *ctx;
};

static int64_t now_ms(void)
{
    struct clock clock = clock_system(NULL);

    return clock_mono_ms(&clock);
}

static struct deadline_call *earliest(const struct deadline *d)
{
    struct deadline_call *first = d->calls;

    for (struct deadline_call *c = d->calls; c != NULL; c = c->next) {
        if (c->due_ms < first->due_ms) {
            first = c;
        }
    }
    return first;
}

static void *watch(void *arg)
{
    struct deadline *d = arg;

    pthread_mutex_lock(&d->lock);
    while (!d->ending) {
        struct deadline_call *call = earliest(d);
        if (call == NULL) {
            pthread_cond_wait(&d->changed, &d->lock);
            continue;
        }
        if (call->due_ms <= now_ms()) {
            d->on_deadline(d->ctx, call->call, call->module, call->allowed_ms);
            call->due_ms = INT64_MAX; /* only reached if the callback broke its promise */
            continue;
        }
        struct timespec until = {.tv_sec = (time_t)(call->due_ms / 1000),
                                 .tv_nsec = (long)(call->due_ms % 1000) * 1000000};
        (void)pthread_cond_timedwait(&d->changed, &d->lock, &until);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static bool start_thread(struct deadline *d)
{
    sigset_t all;
    sigset_t before;

    (void)sigfillset(&all); /* signals are for the main thread */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&d->thread, NULL, watch, d);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0;
}

bool deadline_new(deadline_fn *on_deadline, void *ctx, struct deadline **out, struct err *err)
{
    pthread_condattr_t attr;
    struct deadline *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        return err_nomem(err);
    }
    d->on_deadline = on_deadline;
    d->ctx = ctx;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&d->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (!start_thread(d)) {
        free(d);
        return err_set(err, E_MEMORY, "no thread for the token watchdog");
    }
    *out = d;
    return true;
}

void deadline_free(struct deadline *deadline)
{
    if (deadline == NULL) {
        return;
    }
    pthread_mutex_lock(&deadline->lock);
    deadline->ending = true;
    pthread_cond_signal(&deadline->changed);
    pthread_mutex_unlock(&deadline->lock);
    (void)pthread_join(deadline->thread, NULL);
    (void)pthread_cond_destroy(&deadline->changed);
    (void)pthread_mutex_destroy(&deadline->lock);
    free(deadline);
}

void deadline_begin(struct deadline *deadline, struct deadline_call *call)
{
    if (deadline == NULL || call->allowed_ms <= 0) {
        return;
    }
    call->due_ms = now_ms() + call->allowed_ms;
    pthread_mutex_lock(&deadline->lock);
    call->next = deadline->calls;
    deadline->calls = call;
    pthread_cond_signal(&deadline->changed);
    pthread_mutex_unlock(&deadline->lock);
}

void deadline_end(struct deadline *deadline, struct deadline_call *call)
{
    if (deadline == NULL || call->allowed_ms <= 0) {
        return;
    }
    pthread_mutex_lock(&deadline->lock);
    for (struct deadline_call **p = &deadline->calls; *p != NULL; p = &(*p)->next) {
        if (*p == call) {
            *p = call->next;
            break;
        }
    }
    pthread_mutex_unlock(&deadline->lock);
}
