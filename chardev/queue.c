/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "queue.h"

#include "message.h"

#include <assert.h>
#include <string.h>

/* Bytes of the message whose header is at `data`. */
static uint64_t message_size(const uint8_t *data, size_t size, uint32_t *ret_type)
{
    BytesReader in = bytes_reader(data, size);
    uint32_t protocol, body = 0;
    uint64_t opaque;
    bool whole = bytes_get_u32(&in, &protocol) && bytes_get_u32(&in, ret_type) && bytes_get_u64(&in, &opaque) &&
                 bytes_get_u32(&in, &body);

    assert(whole);
    return MESSAGE_HEADER_SIZE + (uint64_t)body;
}

void queue_clear(Queue *queue)
{
    queue->head = queue->used = 0;
    queue->partial = 0;
}

size_t queue_room(const Queue *queue)
{
    return sizeof(queue->data) - queue->used;
}

bool queue_put(Queue *queue, const void *data, size_t size)
{
    if (size > queue_room(queue))
        return false;
    if (size > sizeof(queue->data) - queue->head - queue->used) {
        memmove(queue->data, queue->data + queue->head, queue->used);
        queue->head = 0;
    }
    memcpy(queue->data + queue->head + queue->used, data, size);
    queue->used += size;
    return true;
}

const uint8_t *queue_peek(const Queue *queue, size_t *ret_size)
{
    *ret_size = queue->used;
    return queue->data + queue->head;
}

void queue_take(Queue *queue, size_t size)
{
    assert(size <= queue->used);
    while (size > 0) {
        const uint8_t *at = queue->data + queue->head;
        uint32_t type;
        size_t part;

        if (queue->partial == 0)
            queue->partial = message_size(at, queue->used, &type);
        part = size < queue->partial ? size : (size_t)queue->partial;
        queue->partial -= part;
        queue->head += part;
        queue->used -= part;
        size -= part;
    }
    if (queue->used == 0)
        queue->head = 0;
}

uint64_t queue_rest(const Queue *queue)
{
    uint32_t type;

    if (queue->partial > 0 || queue->used == 0)
        return queue->partial;
    return message_size(queue->data + queue->head, queue->used, &type);
}

bool queue_retract(Queue *queue, uint64_t size)
{
    if (size > queue->used)
        return false;
    queue->used -= (size_t)size;
    return true;
}

bool queue_cut(Queue *queue)
{
    if (queue->partial > queue->used)
        return false;
    queue->used = (size_t)queue->partial;
    return true;
}

void queue_filter(Queue *queue, bool (*drop)(uint32_t type, const uint8_t body[4], void *user), void *user)
{
    uint8_t *at = queue->data + queue->head + queue->partial, *to = at;
    const uint8_t *end = queue->data + queue->head + queue->used;

    while (at < end) {
        uint8_t body[4] = { 0 };
        uint32_t type = 0;
        size_t size = (size_t)message_size(at, (size_t)(end - at), &type);
        size_t head = size - MESSAGE_HEADER_SIZE;

        assert(size <= (size_t)(end - at));
        memcpy(body, at + MESSAGE_HEADER_SIZE, head < sizeof(body) ? head : sizeof(body));
        if (!drop(type, body, user)) {
            memmove(to, at, size);
            to += size;
        }
        at += size;
    }
    queue->used = (size_t)(to - (queue->data + queue->head));
}
