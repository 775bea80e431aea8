/* A file that exists in memory alone, for parsers that read files: /proc/self/fd/N. */
#ifndef FUZZ_MEMORY_FILE_H
#define FUZZ_MEMORY_FILE_H

#include "fuzz/fuzz.h"

#include "base/secret_source.h"

struct memory_file {
    int fd;
    char path[32];
};

void memory_file_open(struct memory_file *file, const uint8_t *data, size_t size);
void memory_file_close(struct memory_file *file);
DEFINE_AUTO_DONE(memory_file, struct memory_file, memory_file_close)

/* A secret_prompt_fn that always answers "1234", the password of the seeds. */
bool memory_file_password(void *ctx, const char *what, struct secret *out, struct err *err);

/*
 * Iteration counts of key derivation are whatever a file says. Up to 32767 fits into an INTEGER of
 * two bytes; inputs with larger ones are of no use here, they only take long.
 */
bool memory_file_is_slow(const uint8_t *der, size_t size);

#endif
