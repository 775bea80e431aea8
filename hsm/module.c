#include "hsm/module.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/module_impl.h"
#include "hsm/session.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_LOCK_WAIT_MS = 60000, FORK_WAIT_MS = 50, EXIT_WAIT_MS = 1000 };

static struct {
    pthread_mutex_t lock;
    struct hsm_module *modules;
    char *lock_dir;
    char *state_dir;
    int64_t lock_wait_ms;
    struct deadline *deadline;
    int64_t call_limit_ms;
    const volatile bool *stop;
    bool exclusive;
    bool watches_forks;
    atomic_bool ending;
    atomic_uint forks;
} process = {.lock = PTHREAD_MUTEX_INITIALIZER, .lock_wait_ms = DEFAULT_LOCK_WAIT_MS};

bool hsm_process_configure(const struct hsm_process *settings, struct err *err)
{
    AUTO(str) char *dir = str_dup(settings->lock_dir);
    AUTO(str) char *state_dir = str_dup(settings->state_dir);

    if ((dir == NULL && settings->lock_dir != NULL) ||
        (state_dir == NULL && settings->state_dir != NULL)) {
        return err_nomem(err);
    }
    pthread_mutex_lock(&process.lock);
    free(process.lock_dir);
    process.lock_dir = TAKE(dir);
    free(process.state_dir);
    process.state_dir = TAKE(state_dir);
    process.lock_wait_ms =
        settings->lock_wait_ms > 0 ? settings->lock_wait_ms : DEFAULT_LOCK_WAIT_MS;
    process.deadline = settings->deadline;
    process.call_limit_ms = settings->call_limit_ms;
    process.stop = settings->stop;
    process.exclusive = settings->exclusive;
    pthread_mutex_unlock(&process.lock);
    return true;
}

const char *hsm_process_state_dir(void)
{
    return process.state_dir;
}

bool hsm_module_lock(struct hsm_module *module, struct hsm_lock *lock, struct err *err)
{
    lock->stop = process.stop;
    lock->note = &module->lock_fd;
    if (!hsm_lock_take(lock, process.lock_dir, module->path, process.lock_wait_ms, err)) {
        return err_wrap(err, "module %s", module->path);
    }
    return true;
}

unsigned hsm_forks(void)
{
    return atomic_load(&process.forks);
}

/* A lock that a thread of the parent holds is held through the child's descriptor as well: should
 * the parent be killed, it would never be free. Closing this one leaves the parent's. */
static void drop_inherited_lock(struct hsm_module *module)
{
    int fd = atomic_exchange(&module->lock_fd, 0) - 1;

    if (fd >= 0) {
        (void)close(fd);
    }
}

/* In a child there are no other threads: what they held is free, and what they called has ended. */
static void after_fork_in_child(void)
{
    atomic_fetch_add(&process.forks, 1);
    (void)pthread_mutex_init(&process.lock, NULL);
    for (struct hsm_module *m = process.modules; m != NULL; m = m->next) {
        (void)pthread_mutex_init(&m->lock, NULL);
        atomic_store(&m->in_flight, 0);
        atomic_store(&m->closed, false);
        drop_inherited_lock(m);
        for (struct hsm_token *t = m->tokens; t != NULL; t = t->next) {
            hsm_token_init_locks(t);
            t->waiting = 0;
        }
    }
}

bool hsm_process_is_ending(void)
{
    return atomic_load(&process.ending);
}

/* True once no thread is inside, or at the end of the time. */
static bool is_quiet(const struct hsm_module *module, int wait_ms)
{
    struct clock clock = clock_system(NULL);

    for (int waited = 0; atomic_load(&module->in_flight) > 0; waited++) {
        if (waited >= wait_ms) {
            return false;
        }
        (void)clock_sleep_ms(&clock, 1);
    }
    return true;
}

/*
 * A child inherits the locks inside of the module as they are: if another thread is in there, for
 * ever. So a fork waits a moment for the others to come out; not if this thread itself is inside (a
 * module may fork in C_Initialize).
 */
static void before_fork(void)
{
    if (cryptoki_inside()) {
        return;
    }
    for (struct hsm_module *m = process.modules; m != NULL; m = m->next) {
        (void)is_quiet(m, FORK_WAIT_MS);
    }
}

static void wipe_pins(struct hsm_module *module)
{
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (pthread_mutex_trylock(&t->lock) == 0) {
            kept_secret_done(&t->kept_pin);
            pthread_mutex_unlock(&t->lock);
        }
    }
}

/* Runs before the destructors of every module loaded so far, because it was registered after they
 * were. Threads that still work find the modules closed. */
static void finalise_at_exit(void)
{
    if (atomic_exchange(&process.ending, true) || pthread_mutex_trylock(&process.lock) != 0) {
        return; /* a thread hangs in C_Initialize: leaving without a farewell beats not leaving */
    }
    for (struct hsm_module *m = process.modules; m != NULL; m = m->next) {
        wipe_pins(m);
        atomic_store(&m->closed, true);
        /* A child of fork() must leave its parent's module alone; so must a thread that is still
         * inside. */
        if (m->ours && m->owner == getpid() && is_quiet(m, EXIT_WAIT_MS) &&
            !hsm_module_has_quirk(m, HSM_QUIRK_NO_FINALISE)) {
            m->ours = false;
            (void)ck_finalize(&m->ck);
        }
    }
    pthread_mutex_unlock(&process.lock);
}

static void free_module(struct hsm_module *module)
{
    if (module == NULL) {
        return;
    }
    if (module->libp11 != NULL) {
        PKCS11_CTX_free(module->libp11); /* not unload: that would finalise for everybody */
    }
    if (module->handle != NULL) {
        (void)dlclose(module->handle);
    }
    (void)pthread_mutex_destroy(&module->lock);
    free(module->path);
    free(module->init_args);
    free(module);
}

DEFINE_AUTO(module, struct hsm_module *, free_module)

/* A library that is linked with a PKCS#11 module (libcurl with p11-kit) shows that one's functions
 * as if they were its own. */
static bool is_its_own(void *handle, void *function, struct err *err)
{
    struct link_map *asked = NULL;
    void *found = NULL;
    Dl_info where;

    if (dlinfo(handle, RTLD_DI_LINKMAP, &asked) != 0 ||
        dladdr1(function, &where, &found, RTLD_DL_LINKMAP) == 0 || found == asked) {
        return true;
    }
    return err_set(err, E_MODULE,
                   "it is not a PKCS#11 module: its C_GetFunctionList is that of another library, "
                   "%s",
                   where.dli_fname != NULL ? where.dli_fname : "which cannot be named");
}

static bool load(struct hsm_module *module, struct err *err)
{
    CK_C_GetFunctionList get_list = NULL;

    module->handle = dlopen(module->path, RTLD_NOW | RTLD_LOCAL);
    if (module->handle == NULL) {
        const char *why = dlerror();
        return err_set(err, E_MODULE, "it cannot be loaded: %s", why != NULL ? why : "unknown");
    }
    void *function = dlsym(module->handle, "C_GetFunctionList");
    if (function == NULL) {
        return err_set(err, E_MODULE, "it is not a PKCS#11 module (no C_GetFunctionList)");
    }
    if (!is_its_own(module->handle, function, err)) {
        return false;
    }
    *(void **)(&get_list) = function;
    CK_RV rv = get_list(&module->ck.fns);
    if (rv != CKR_OK || module->ck.fns == NULL) {
        (void)ckr_set(err, rv, "C_GetFunctionList");
        err->code = E_MODULE;
        return false;
    }
    return true;
}

static bool initialise(struct hsm_module *module, struct err *err)
{
    CK_RV rv = ck_initialize(&module->ck, module->init_args);

    if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) {
        (void)ckr_set(err, rv, "C_Initialize");
        err->code = E_MODULE;
        return false;
    }
    module->ours = rv == CKR_OK;
    module->inherited = false;
    module->owner = getpid();
    return true;
}

bool hsm_module_start_again(struct hsm_module *module, bool finalise, struct err *err)
{
    if (finalise) {
        (void)ck_finalize(&module->ck);
        module->ours = false;
    }
    return initialise(module, err) || err_wrap(err, "PKCS#11 module %s", module->path);
}

/* The module's answers are reasons of a library of libp11's own in OpenSSL's queue. */
static bool load_failed(unsigned long why, struct err *err)
{
    if (why != 0 && ERR_GET_LIB(why) == ERR_get_CKR_code()) {
        (void)ckr_set(err, (CK_RV)ERR_GET_REASON(why), "C_Initialize or C_GetInfo");
        err->code = E_MODULE;
        return err_wrap(err, "libp11 cannot load it");
    }
    return err_set(err, E_MODULE, "libp11 cannot load it");
}

/* libp11 finds the module initialised already. Its error entries must not stay in the application's
 * queue. */
static bool load_libp11(struct hsm_module *module, struct err *err)
{
    struct deadline_call call;

    ERR_set_mark();
    module->libp11 = PKCS11_CTX_new();
    if (module->libp11 == NULL) {
        ERR_pop_to_mark();
        return err_nomem(err);
    }
    PKCS11_CTX_init_args(module->libp11, module->init_args);
    cryptoki_enter(&module->ck, CALL_INIT, "libp11 load", &call);
    int rc = PKCS11_CTX_load(module->libp11, module->path);
    unsigned long why = rc != 0 ? ERR_peek_last_error() : 0;
    cryptoki_leave(&module->ck, &call, rc == 0 ? CKR_OK : CKR_GENERAL_ERROR);
    ERR_pop_to_mark();
    if (rc != 0) {
        return load_failed(why, err);
    }
    const char *maker = module->libp11->manufacturer;
    const char *what = module->libp11->description;
    (void)snprintf(module->description, sizeof(module->description), "%s, %s",
                   maker != NULL ? maker : "unknown", what != NULL ? what : "unknown");
    return true;
}

static void set_padded(unsigned char *out, size_t size, const char *text)
{
    size_t len = text != NULL ? strnlen(text, size) : 0;

    memset(out, ' ', size);
    memcpy(out, text != NULL ? text : "", len);
}

/* What the table says of a module like this. libp11 has asked for its names, but does not tell the
 * version, and that is asked for only where the names are those of a row: with version 0.0 each
 * fits. */
static void note_known_quirks(struct hsm_module *module)
{
    CK_INFO info;

    memset(&info, 0, sizeof(info));
    set_padded(info.manufacturerID, sizeof(info.manufacturerID), module->libp11->manufacturer);
    set_padded(info.libraryDescription, sizeof(info.libraryDescription),
               module->libp11->description);
    if (hsm_quirks_known(&info) != 0 && ck_get_info(&module->ck, &info) == CKR_OK) {
        hsm_module_add_quirks(module, hsm_quirks_known(&info));
    }
}

static struct hsm_module *new_module(const char *path, const char *init_args)
{
    struct hsm_module *module = calloc(1, sizeof(*module));

    if (module == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&module->lock, NULL);
    module->path = str_dup(path);
    module->init_args = str_dup(init_args);
    if (module->path == NULL || (init_args != NULL && module->init_args == NULL)) {
        free_module(module);
        return NULL;
    }
    cryptoki_default_limits(&module->ck);
    for (int i = 0; process.call_limit_ms > 0 && i < CALL_KINDS; i++) {
        if (i != CALL_PERSON) {
            module->ck.limit_ms[i] = process.call_limit_ms;
        }
    }
    module->ck.name = module->path;
    module->ck.deadline = process.deadline;
    module->ck.in_flight = &module->in_flight;
    module->ck.closed = &module->closed;
    return module;
}

static bool open_new(const char *path, const char *init_args, struct hsm_module **out,
                     struct err *err)
{
    AUTO(module) struct hsm_module *module = new_module(path, init_args);
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT; /* ends before the module would */

    if (module == NULL) {
        return err_nomem(err);
    }
    if (!process.watches_forks) {
        process.watches_forks = pthread_atfork(before_fork, NULL, after_fork_in_child) == 0;
    }
    if (!hsm_module_lock(module, &lock, err)) {
        return false;
    }
    if (!load(module, err) || !initialise(module, err)) {
        return err_wrap(err, "PKCS#11 module %s", path);
    }
    if (atexit(finalise_at_exit) != 0 || !load_libp11(module, err)) {
        if (module->ours) {
            (void)ck_finalize(&module->ck);
        }
        return err->code != E_NONE ? err_wrap(err, "PKCS#11 module %s", path) : err_nomem(err);
    }
    atomic_store(&module->forks, hsm_forks());
    note_known_quirks(module);
    module->next = process.modules;
    process.modules = module;
    log_line(LOG_DEBUG, "hsm", "module %s: %s%s", path, module->description,
             module->ours ? "" : " (initialised by somebody else)");
    *out = TAKE(module);
    return true;
}

bool hsm_module_open(const char *path, const char *init_args, struct hsm_module **out,
                     struct err *err)
{
    AUTO(str) char *real = realpath(path, NULL);
    struct hsm_module *found = NULL;
    bool ok = true;

    if (real == NULL) {
        return err_set_errno(err, E_MODULE, errno, "PKCS#11 module %s", path);
    }
    pthread_mutex_lock(&process.lock);
    for (found = process.modules; found != NULL; found = found->next) {
        if (str_equal(found->path, real)) {
            break;
        }
    }
    if (found == NULL) {
        ok = open_new(real, init_args, &found, err);
    } else if (hsm_process_is_ending()) {
        ok = err_set(err, E_MODULE, "PKCS#11 module %s: this process is already ending", real);
    } else if (init_args != NULL && !str_equal(init_args, found->init_args)) {
        ok = err_set(err, E_CONFIG,
                     "PKCS#11 module %s is in use in this process with other 'init_args'", real);
    }
    pthread_mutex_unlock(&process.lock);
    if (ok) {
        *out = found;
    }
    return ok;
}

bool hsm_module_has_sessions(const struct hsm_module *module)
{
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        pthread_mutex_lock(&t->lock);
        bool has = t->open_sessions > 0;
        pthread_mutex_unlock(&t->lock);
        if (has) {
            return true;
        }
    }
    return false;
}

/*
 * Somebody else in this process may use the module too: its sessions show in the token's count. A
 * token that keeps none (SoftHSM2) leaves us to guess: nobody does until our first search is over.
 */
static bool has_foreign_sessions(const struct hsm_module *module)
{
    for (const struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        CK_TOKEN_INFO info;
        if (!t->present || ck_get_token_info(&module->ck, t->info.slot_id, &info) != CKR_OK) {
            continue;
        }
        bool unknown = info.ulSessionCount == CK_UNAVAILABLE_INFORMATION;
        if (unknown ? module->searched : info.ulSessionCount != 0) {
            return true;
        }
    }
    return false;
}

bool hsm_module_is_idle(const struct hsm_module *module)
{
    return module->ours && !hsm_module_has_sessions(module) &&
           (process.exclusive || !has_foreign_sessions(module));
}

bool hsm_module_restart(struct hsm_module *module, struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    bool ok = true;

    if (!hsm_module_lock(module, &lock, err)) {
        return false;
    }
    pthread_mutex_lock(&module->lock);
    if (hsm_module_is_idle(module)) {
        atomic_store(&module->closed, true); /* from here on nobody enters */
        if (atomic_load(&module->in_flight) == 0 && !hsm_module_has_sessions(module)) {
            ok = hsm_module_start_again(module, true, err);
            for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
                hsm_token_forget(t, true);
            }
        }
        atomic_store(&module->closed, false);
    }
    pthread_mutex_unlock(&module->lock);
    return ok;
}

const char *hsm_module_path(const struct hsm_module *module)
{
    return module->path;
}

const struct cryptoki *hsm_module_cryptoki(const struct hsm_module *module)
{
    return &module->ck;
}

bool hsm_module_is_ours(const struct hsm_module *module)
{
    return module->ours;
}

unsigned hsm_module_quirks(const struct hsm_module *module)
{
    return atomic_load(&module->quirks);
}

bool hsm_module_has_quirk(const struct hsm_module *module, enum hsm_quirk quirk)
{
    return (atomic_load_explicit(&module->quirks, memory_order_relaxed) & (1U << quirk)) != 0;
}

void hsm_module_add_quirks(struct hsm_module *module, unsigned quirks)
{
    AUTO(buf) struct buf words = BUF_INIT(256);
    unsigned before = atomic_fetch_or(&module->quirks, quirks);

    if ((quirks & ~before) != 0) {
        hsm_quirks_format(quirks & ~before, &words);
        log_line(LOG_DEBUG, "hsm", "module %s: quirks %s", module->path, buf_str(&words));
    }
}

const char *hsm_module_description(const struct hsm_module *module)
{
    return module->description;
}
