/*
 * What fuzz targets share. A target takes bytes, hands them to one parser, and checks what must
 * hold of any answer; it writes nothing to disk and keeps nothing between two inputs.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/cleanup.h"
#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input was. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input as a string of its own (cut at its first NUL byte); free() it. */
static inline UNUSED char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    CHECK(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

/* A message of ours: filled, ended, and on one line. */
#define CHECK_ERR(err)                                                                             \
    CHECK((err).code != E_NONE && (err).msg[0] != '\0' &&                                          \
          memchr((err).msg, '\0', sizeof((err).msg)) != NULL)

#endif
