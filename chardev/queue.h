/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue.h - messages waiting for one reader, a socket of a session or one end of the agent channel, taken out cut
 * anywhere (pure).
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: empty. */
typedef struct Queue {
    uint8_t data[LIMIT_SESSION_QUEUE];
    size_t head, used;
    uint64_t partial; /* still to be taken of a message of which some has been taken */
} Queue;

void queue_clear(Queue *queue);

size_t queue_room(const Queue *queue);

/* All of it or nothing: false if it does not fit. A message's header comes in one piece. */
bool queue_put(Queue *queue, const void *data, size_t size);

/* What waits, without taking it: at least one byte if `ret_size` is not 0. */
const uint8_t *queue_peek(const Queue *queue, size_t *ret_size);

/* The first `size` bytes of that have been sent. */
void queue_take(Queue *queue, size_t size);

/* Bytes still to be taken of the message that is next or under way, be they there yet or not; 0: none is. */
uint64_t queue_rest(const Queue *queue);

/* Take back the last `size` bytes that were put: false, and nothing is done, if some of them have been taken. */
bool queue_retract(Queue *queue, uint64_t size);

/*
 * Drop all but the rest of the message of which some has been taken: false, and nothing is dropped, if that rest is not
 * all there.
 */
bool queue_cut(Queue *queue);

/*
 * Take out each message of which nothing has been taken, for which `drop` says so. The queue must hold whole messages
 * only. `body` is the first 4 bytes, zero where the body is shorter.
 */
void queue_filter(Queue *queue, bool (*drop)(uint32_t type, const uint8_t body[4], void *user), void *user);

#endif
