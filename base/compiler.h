/* Compiler attributes under names that read well at the call site. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#define UNUSED __attribute__((unused))

/*
 * Around a function that stores a fresh allocation through a pointer into a caller's array: gcc
 * 12's analyzer loses it there and reports a leak.
 */
#if defined(__GNUC__) && !defined(__clang__)
#define ANALYZER_LOSES_OWNER                                                                       \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wanalyzer-malloc-leak\"")
#define ANALYZER_LOSES_OWNER_END _Pragma("GCC diagnostic pop")
#else
#define ANALYZER_LOSES_OWNER
#define ANALYZER_LOSES_OWNER_END
#endif

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
