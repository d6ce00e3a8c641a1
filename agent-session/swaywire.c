/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swaywire.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

#define MAGIC "i3-ipc"
#define MAGIC_SIZE 6u

static_assert(SWAYWIRE_HEADER == MAGIC_SIZE + 2 * sizeof(uint32_t), "magic, length and type");

void swaywire_command(uint32_t size, uint8_t ret_header[SWAYWIRE_HEADER])
{
    const uint32_t type = SWAYWIRE_RUN_COMMAND;
    memcpy(ret_header, MAGIC, MAGIC_SIZE);
    memcpy(ret_header + MAGIC_SIZE, &size, sizeof size);
    memcpy(ret_header + MAGIC_SIZE + sizeof size, &type, sizeof type);
}

static bool take_header(Swaywire *wire)
{
    uint32_t type;
    memcpy(&wire->size, wire->header + MAGIC_SIZE, sizeof wire->size);
    memcpy(&type, wire->header + MAGIC_SIZE + sizeof wire->size, sizeof type);
    return memcmp(wire->header, MAGIC, MAGIC_SIZE) == 0 && type == SWAYWIRE_RUN_COMMAND &&
           wire->size <= SWAYWIRE_BODY_MAX;
}

SwaywireResult swaywire_feed(Swaywire *wire, const uint8_t *data, size_t size)
{
    while (size > 0 && wire->have < SWAYWIRE_HEADER) {
        wire->header[wire->have++] = *data++;
        size--;
        if (wire->have == SWAYWIRE_HEADER && !take_header(wire))
            return SWAYWIRE_BAD;
    }
    if (wire->have < SWAYWIRE_HEADER)
        return SWAYWIRE_MORE;
    size_t at = wire->have - SWAYWIRE_HEADER, missing = wire->size - at;
    size_t take = size < missing ? size : missing;
    if (take > 0)
        memcpy(wire->body + at, data, take);
    wire->have += take;
    return take == missing ? SWAYWIRE_COMPLETE : SWAYWIRE_MORE;
}

bool swaywire_succeeded(const Swaywire *wire, char *ret_why, size_t size)
{
    json_t *results = json_loadb(wire->body, wire->size, 0, NULL), *result;
    bool all = json_array_size(results) > 0; /* 0 for what is no array */
    const char *why = NULL;
    size_t i;
    json_array_foreach(results, i, result) {
        if (json_is_true(json_object_get(result, "success")))
            continue;
        all = false;
        why = json_string_value(json_object_get(result, "error"));
        break;
    }
    size_t length = 0;
    for (; why != NULL && why[length] != '\0' && length + 1 < size; length++)
        ret_why[length] = why[length] >= ' ' && why[length] <= '~' ? why[length] : '?';
    ret_why[length] = '\0';
    json_decref(results);
    return all;
}
