#include "unit/unit.h"

#include "base/buf.h"
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXTS_MAX = 4096, READ_MAX = 1 << 22, NOBODY = 65534 };

static struct {
    char root[64];
    pid_t owner;
    char *texts[TEXTS_MAX];
    size_t count;
    unsigned dirs;
} tmp;

void unit_ok(bool ok, const struct err *err, const char *call, const char *file, int line)
{
    if (!ok) {
        print_error("%s\n  failed (%s): %s\n", call, err_code_name(err->code), err->msg);
        _fail(file, line);
    }
}

void unit_fails(bool ok, const struct err *err, enum err_code code, const char *words,
                const char *call, const char *file, int line)
{
    if (ok) {
        print_error("%s\n  succeeded; expected: %s\n", call, err_code_name(code));
        _fail(file, line);
    }
    if (err->code != code || strstr(err->msg, words) == NULL) {
        print_error("%s\n  failed with %s: %s\n  expected %s: ...%s...\n", call,
                    err_code_name(err->code), err->msg, err_code_name(code), words);
        _fail(file, line);
    }
}

void unit_contains(const char *text, const char *words, bool wanted, const char *file, int line)
{
    if ((strstr(text, words) != NULL) != wanted) {
        print_error("%s: '%s'\nin: %s\n", wanted ? "missing" : "unwanted", words, text);
        _fail(file, line);
    }
}

void unit_golden(const char *text, const char *golden, const char *file, int line)
{
    unsigned number = 1;
    size_t same = 0;

    while (text[same] == golden[same] && text[same] != '\0') {
        number += text[same] == '\n' ? 1 : 0;
        same++;
    }
    if (text[same] == golden[same]) {
        return;
    }
    while (same > 0 && text[same - 1] != '\n') {
        same--;
    }
    print_error("line %u is     '%.*s'\n  expected is '%.*s'\n", number,
                (int)strcspn(text + same, "\n"), text + same, (int)strcspn(golden + same, "\n"),
                golden + same);
    _fail(file, line);
}

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *ftw UNUSED)
{
    (void)chmod(path, 0700);
    (void)remove(path);
    return 0;
}

static void clean_up(void)
{
    if (tmp.owner != getpid()) {
        return;
    }
    if (tmp.root[0] != '\0') {
        (void)nftw(tmp.root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    for (size_t i = 0; i < tmp.count; i++) {
        free(tmp.texts[i]);
    }
}

static void begin(void)
{
    if (tmp.owner == 0) {
        tmp.owner = getpid();
        (void)atexit(clean_up);
    }
}

static const char *keep(char *text)
{
    begin();
    if (text == NULL || tmp.count == TEXTS_MAX) {
        fail_msg("no room for another text");
    }
    tmp.texts[tmp.count++] = text;
    return text;
}

const char *tmp_printf(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    return keep(len >= 0 ? text : NULL);
}

const uint8_t *tmp_bytes(const void *data, size_t len)
{
    char *copy = malloc(len + 1);

    if (copy != NULL) {
        memcpy(copy, data, len);
    }
    return (const uint8_t *)keep(copy);
}

const char *tmp_dir(void)
{
    begin();
    if (tmp.root[0] == '\0') {
        (void)snprintf(tmp.root, sizeof(tmp.root), "/tmp/p11enroll-unit.XXXXXX");
        assert_non_null(mkdtemp(tmp.root));
        (void)chmod(tmp.root, 0711); /* unit_nobody() must get through */
    }
    const char *dir = tmp_printf("%s/%u", tmp.root, tmp.dirs++);
    assert_int_equal(mkdir(dir, 0700), 0);
    return dir;
}

const char *tmp_join(const char *dir, const char *name)
{
    return tmp_printf("%s/%s", dir, name);
}

const char *tmp_file(const char *dir, const char *name, const void *data, size_t len, mode_t mode)
{
    const char *path = tmp_join(dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
    return path;
}

const char *tmp_text(const char *dir, const char *name, const char *text)
{
    return tmp_file(dir, name, text, strlen(text), 0600);
}

const char *tmp_read(const char *path)
{
    AUTO(buf) struct buf text = BUF_INIT(READ_MAX);
    struct err err = ERR_INIT;

    assert_ok(file_read(path, &text, &err), &err);
    return keep(buf_take_str(&text));
}

size_t tmp_count(const char *dir)
{
    DIR *handle = opendir(dir);
    size_t count = 0;

    assert_non_null(handle);
    for (struct dirent *e = readdir(handle); e != NULL; e = readdir(handle)) {
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 ? 1 : 0;
    }
    (void)closedir(handle);
    return count;
}

/* A child that crashes shall say so by its status, not run the tests that are left. */
static void forget_cmocka(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGABRT};
    struct rlimit none = {0, 0};

    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        (void)signal(signals[i], SIG_DFL);
    }
    (void)setrlimit(RLIMIT_CORE, &none);
}

static int run_child(unit_child_fn *work, void *ctx, bool as_nobody)
{
    int status = -1;

    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        forget_cmocka();
        if (as_nobody && geteuid() == 0 &&
            (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) {
            _exit(99);
        }
        _exit(work(ctx) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

int unit_child(unit_child_fn *work, void *ctx)
{
    return run_child(work, ctx, false);
}

int unit_nobody(unit_child_fn *work, void *ctx)
{
    return run_child(work, ctx, true);
}
