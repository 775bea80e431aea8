/*
 * Preloaded: looks through every block of memory that a program gives back. The file that
 * LEFTOVER_SECRETS names has a secret a line; LEFTOVER_FOUND is made when a block still holds one.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Nothing here is on the heap that is looked through. */
static char secrets[4096];
static size_t secrets_len;

__attribute__((constructor)) static void read_secrets(void)
{
    const char *path = getenv("LEFTOVER_SECRETS");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        ssize_t got = read(fd, secrets, sizeof(secrets) - 1);
        secrets_len = got > 0 ? (size_t)got : 0;
        (void)close(fd);
    }
}

static bool holds_one(const void *p, size_t size)
{
    for (const char *line = secrets; line < secrets + secrets_len;) {
        size_t len = strcspn(line, "\n");
        if (len > 0 && memmem(p, size, line, len) != NULL) {
            return true;
        }
        line += len + 1;
    }
    return false;
}

static void tell(void)
{
    const char *path = getenv("LEFTOVER_FOUND");
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd >= 0) {
        (void)close(fd);
    }
}

__attribute__((visibility("default"))) void free(void *p)
{
    static void (*real)(void *);
    static bool looking;

    if (real == NULL && !looking) {
        looking = true;
        *(void **)(&real) = dlsym(RTLD_NEXT, "free");
        looking = false;
    }
    if (p != NULL && secrets_len > 0 && holds_one(p, malloc_usable_size(p))) {
        tell();
    }
    if (real != NULL) {
        real(p);
    }
}
