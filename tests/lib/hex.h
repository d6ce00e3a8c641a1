/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hex.h - bytes of tests as text: "01 00 ff", spaces where they please. */
#ifndef HEX_H
#define HEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parse `text` into `ret_data` and return the number of bytes; ends the test if the text is not hex or too long. */
static size_t hex(const char *text, uint8_t *ret_data, size_t size)
{
    size_t count = 0;
    unsigned byte;
    int used;

    while (sscanf(text, " %2x%n", &byte, &used) == 1) {
        if (count == size)
            abort();
        ret_data[count++] = (uint8_t)byte;
        text += used;
    }
    if (text[strspn(text, " \n")] != '\0')
        abort();
    return count;
}

#endif
