#include "hsm/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

static _Thread_local struct {
    int depth;
    int errno_before;
    bool failed;
    sigset_t before;
} thread;

void sigpipe_block(void)
{
    sigset_t pipe;

    if (thread.depth++ > 0) {
        return;
    }
    thread.failed = false;
    thread.errno_before = errno;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &thread.before);
}

void sigpipe_restore(bool failed)
{
    static const struct timespec now = {0, 0};
    sigset_t pipe;

    thread.failed = thread.failed || failed;
    /* Where the program blocks it itself, what is pending is the program's. */
    if (--thread.depth > 0 || sigismember(&thread.before, SIGPIPE) == 1) {
        return;
    }
    if (thread.failed) {
        (void)sigemptyset(&pipe);
        (void)sigaddset(&pipe, SIGPIPE);
        (void)sigtimedwait(&pipe, NULL, &now);
    }
    (void)pthread_sigmask(SIG_SETMASK, &thread.before, NULL);
    /* A module's errno says nothing, and Python would take it for the cause of a later failure. */
    errno = thread.errno_before;
}
