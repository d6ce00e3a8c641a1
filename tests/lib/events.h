/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* events.h - what a stream reader told, as words of one line, the same however its input was cut. */
#ifndef EVENTS_H
#define EVENTS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* All zero is an empty line. `in_data`: the last word is data that may go on; who knows their end sets it to false. */
typedef struct Events {
    char text[4096];
    size_t used;
    bool in_data;
} Events;

__attribute__((format(printf, 2, 3))) static void events_append(Events *events, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    events->used += (size_t)vsnprintf(events->text + events->used, sizeof(events->text) - events->used, format, args);
    va_end(args);
    if (events->used >= sizeof(events->text))
        abort();
}

#define events_add(events, ...) \
    do { \
        events_append(events, "%s", (events)->used > 0 ? " " : ""); \
        events_append(events, __VA_ARGS__); \
        (events)->in_data = false; \
    } while (0)

/* Append bytes in hex to the data under way, or begin some with the word `prefix`. */
static void events_data(Events *events, const char *prefix, const uint8_t *data, size_t size)
{
    if (!events->in_data)
        events_add(events, "%s", prefix);
    events->in_data = true;
    for (size_t i = 0; i < size; i++)
        events_append(events, "%02x", data[i]);
}

#endif
