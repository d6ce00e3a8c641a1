/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.h - checks for unit tests: a failure prints file:line, the current case and the values, and the test goes on.
 * main() ends with `return check_done();`, which is 1 after a failure. A test that checked nothing fails too.
 */
#ifndef CHECK_H
#define CHECK_H
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static unsigned long check_count, check_failures;
static char check_name[160];

/* Name the case that the checks to come are about, as a row of a table. */
__attribute__((format(printf, 1, 2), unused)) static void check_case(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(check_name, sizeof(check_name), format, args);
    va_end(args);
}
/* Count a check; true if its failure shall be printed: a broken loop must not bury the first of its failures. */
static bool check_failed(bool ok)
{
    check_count++;
    check_failures += !ok;
    return !ok && check_failures <= 50;
}

#define CHECK_TEXT(text) ((text) != NULL ? (text) : "(null)")
#define CHECK_REPORT(format, ...) \
    fprintf(stderr, "%s:%d: %s%s" format "\n", __FILE__, __LINE__, check_name, check_name[0] ? ": " : "", __VA_ARGS__)

#define CHECK(condition) \
    do { \
        if (check_failed(condition)) \
            CHECK_REPORT("%s", #condition); \
    } while (0)

/* Integers and enums of any type, compared as 64 bits. */
#define CHECK_EQ(actual, expected) \
    do { \
        int64_t check_a = (int64_t)(actual), check_e = (int64_t)(expected); \
        if (check_failed(check_a == check_e)) \
            CHECK_REPORT("%s is %" PRId64 " (0x%" PRIx64 "), not %s = %" PRId64, #actual, check_a, (uint64_t)check_a, \
                         #expected, check_e); \
    } while (0)

/* Texts; NULL equals NULL only. */
#define CHECK_STR(actual, expected) \
    do { \
        const char *check_a = (actual), *check_e = (expected); \
        if (check_failed(check_a != NULL && check_e != NULL ? strcmp(check_a, check_e) == 0 : check_a == check_e)) \
            CHECK_REPORT("%s is \"%s\", not \"%s\"", #actual, CHECK_TEXT(check_a), CHECK_TEXT(check_e)); \
    } while (0)

/* `size` bytes; prints where they first differ. */
#define CHECK_MEM(actual, expected, size) \
    do { \
        const unsigned char *check_a = (const void *)(actual), *check_e = (const void *)(expected); \
        size_t check_n = (size), check_i = 0; \
        while (check_i < check_n && check_a[check_i] == check_e[check_i]) \
            check_i++; \
        if (check_failed(check_i == check_n)) \
            CHECK_REPORT("%s: byte %zu is %02x, not %02x", #actual, check_i, check_a[check_i], check_e[check_i]); \
    } while (0)

/* The exit status of the test. */
__attribute__((unused)) static int check_done(void)
{
    if (check_count > 0 && check_failures == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "%lu of %lu checks failed\n", check_failures, check_count);
    return EXIT_FAILURE;
}
#endif
