/*
 * Scope-bound ownership with the cleanup attribute of GCC and Clang.
 *
 *     AUTO(bio) BIO *b = BIO_new(BIO_s_mem());   freed when b goes out of scope
 *     return TAKE(b);                            handed over: b is NULL afterwards
 *
 * One resource per line, declared where it is first assigned (always initialised). DEFINE_AUTO
 * makes the cleaner for a pointer type whose free function accepts NULL. No goto past such a
 * variable.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdlib.h>

#define AUTO(name) __attribute__((cleanup(auto_##name)))

#define DEFINE_AUTO(name, type, free_function)                                                     \
    static inline __attribute__((unused)) void auto_##name(type *p)                                \
    {                                                                                              \
        free_function(*p);                                                                         \
    }

/* For structs that live in place and have a _done function. */
#define DEFINE_AUTO_DONE(name, type, done_function)                                                \
    static inline __attribute__((unused)) void auto_##name(type *p)                                \
    {                                                                                              \
        done_function(p);                                                                          \
    }

#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

DEFINE_AUTO(str, char *, free)
DEFINE_AUTO(mem, void *, free)

#endif
