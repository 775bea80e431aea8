/*
 * The process: hardening, signals, the token watchdog; everything else is cli/cli.c.
 */
#include "cli/cli.h"
#include "hsm/deadline.h"
#include "hsm/module.h"
#include "provider/provider.h"

#include <locale.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for PINs, passwords and the software keys of client certificates; libcrypto falls back when
 * it is full. */
enum { SECURE_HEAP = 256 * 1024, SECURE_MIN = 32 };

static volatile bool stop;

/* The first signal asks the work in hand to end well; the second ends the process. */
static void on_signal(int number)
{
    if (stop) {
        cli_prompt_restore();
        _exit(128 + number);
    }
    stop = true;
}

static void set_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL); /* without SA_RESTART: a read() at a prompt ends */
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGCHLD,
                 SIG_DFL); /* whoever ignores it, and started us, takes our hooks' status */
    (void)signal(SIGPIPE, SIG_IGN); /* modules behind sockets die of it otherwise */
}

static void harden(void)
{
    struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)umask(077);
    (void)CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_MIN);
    /*
     * openssl.cnf is for other programs. Above all it may load p11enroll.so, and two copies of the
     * token state in one process would shut the module for each other.
     */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    (void)unsetenv("SSLKEYLOGFILE"); /* libcurl would write the secrets of every connection there */
}

/* A module that hangs cannot be called back; the journal makes leaving safe. */
static void on_deadline(void *ctx UNUSED, const char *call, const char *module, int64_t allowed_ms)
{
    char text[512];
    int len = snprintf(text, sizeof(text),
                       "p11enroll: %s did not come back from the PKCS#11 module %s within %lld "
                       "seconds\n  %s\n",
                       call, module, (long long)(allowed_ms / 1000), err_code_hint(E_TOKEN_HUNG));
    ssize_t put UNUSED = write(STDERR_FILENO, text, len > 0 ? (size_t)len : 0);

    _exit(err_code_exit_status(E_TOKEN_HUNG));
}

static struct deadline *watchdog;

/* Registered before any module is loaded, so it runs after the modules were finalised under the
 * watchdog's eye. */
static void end_watchdog(void)
{
    deadline_free(watchdog);
}

static bool setup_tokens(const struct config_general *general, const char *state_dir,
                         struct err *err)
{
    struct hsm_process process = {.lock_dir = general->lock_dir,
                                  .call_limit_ms = general->token_timeout_s * 1000,
                                  .stop = &stop,
                                  .state_dir = state_dir,
                                  .exclusive = true};

    if (!deadline_new(on_deadline, NULL, &watchdog, err)) {
        return false;
    }
    process.deadline = watchdog;
    return atexit(end_watchdog) == 0 ? hsm_process_configure(&process, err) : err_nomem(err);
}

int main(int argc, char **argv)
{
    struct cli_env env = {.provider_init = prov_init, .setup_tokens = setup_tokens, .stop = &stop};

    harden();
    set_signals();
    (void)setlocale(LC_CTYPE, "");
    return cli_main(&env, argc, argv);
}
