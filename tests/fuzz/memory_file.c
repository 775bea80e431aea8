#include "fuzz/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

void memory_file_open(struct memory_file *file, const uint8_t *data, size_t size)
{
    file->fd = memfd_create("fuzz", MFD_CLOEXEC);
    CHECK(file->fd >= 0);
    CHECK(write(file->fd, data, size) == (ssize_t)size);
    (void)snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
}

void memory_file_close(struct memory_file *file)
{
    (void)close(file->fd);
}

bool memory_file_password(void *ctx UNUSED, const char *what UNUSED, struct secret *out,
                          struct err *err)
{
    return secret_set(out, "1234", 4, err);
}

bool memory_file_is_slow(const uint8_t *der, size_t size)
{
    for (size_t i = 0; i + 3 < size; i++) {
        if (der[i] == 0x02 && der[i + 1] >= 3 && der[i + 1] <= 8 && der[i + 2] < 0x80) {
            return true;
        }
    }
    return false;
}
