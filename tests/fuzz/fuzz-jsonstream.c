/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step, then a stream of JSON values. */
#include "fuzz.h"
#include "jsonstream.h"

#include <jansson.h>
#include <string.h>

/* What another parser may still find wrong is what the header leaves to it. */
static void check_value(const JsonstreamEvent *event)
{
    json_error_t error;
    json_t *value = json_loadb(event->text, event->size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);

    FUZZ_CHECK(strlen(event->text) == event->size);
    FUZZ_CHECK(value != NULL || json_error_code(&error) == json_error_duplicate_key ||
               json_error_code(&error) == json_error_numeric_overflow);
    json_decref(value);
}

static void feed(Jsonstream *stream, const uint8_t *data, size_t size, uint64_t *digest)
{
    BytesReader in = bytes_reader(data, size);
    JsonstreamEvent event;
    JsonstreamResult result;

    while ((result = jsonstream_next(stream, &in, &event)) != JSONSTREAM_MORE) {
        if (result == JSONSTREAM_ROOM) {
            stream->text = realloc(stream->text, ++stream->capacity);
            continue;
        }
        if (result == JSONSTREAM_VALUE)
            check_value(&event);
        *digest = fuzz_mix(fuzz_mix_number(*digest, result), event.text, event.size);
    }
    FUZZ_CHECK(in.left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (unsigned cut = 0; cut < 2 && size > 1; cut++) {
        static uint64_t digest[2];
        Jsonstream stream = { 0 };
        size_t step = cut == 0 ? size : data[0] > 0 ? data[0] : 1;

        digest[cut] = 0;
        for (size_t at = 1; at < size; at += step)
            feed(&stream, data + at, step < size - at ? step : size - at, &digest[cut]);
        free(stream.text);
        FUZZ_CHECK(cut == 0 || digest[0] == digest[1]);
    }
    return 0;
}
