/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue.h - messages waiting for one socket of a session, taken out cut anywhere (pure).
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

/*
 * Take out each message of which nothing has been taken, for which `drop` says so. The queue must hold whole messages only.
 * `body` is the first 4 bytes, zero where the body is shorter.
 */
void queue_filter(Queue *queue, bool (*drop)(uint32_t type, const uint8_t body[4], void *user), void *user);

#endif
