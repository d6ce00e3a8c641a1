/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * idempotency.h - requests that came with a key, and what was answered, so that a client that does not know whether it
 * was heard can ask again, and what it wants is done once (pure).
 *
 * A key is remembered for IDEMPOTENCY_LIFETIME_S, until IDEMPOTENCY_MAX newer ones have come, and not beyond the
 * process.
 */
#ifndef IDEMPOTENCY_H
#define IDEMPOTENCY_H

#include <glib.h>
#include <jansson.h>

#define IDEMPOTENCY_LIFETIME_S 86400
#define IDEMPOTENCY_MAX 256

typedef struct Idempotency Idempotency;

typedef enum IdempotencyResult {
    IDEMPOTENCY_NEW,   /* the key is not known */
    IDEMPOTENCY_SAME,  /* it came with this request before */
    IDEMPOTENCY_OTHER, /* it came with another one */
} IdempotencyResult;

Idempotency *idempotency_new(void);
void idempotency_free(Idempotency *memory);

/*
 * Look for a key. `request` is all that tells one request from another; `now` is in seconds of a clock that does not
 * jump. What was answered to the same one is a value or, when that is NULL, an error; both are borrowed until the next
 * call.
 */
IdempotencyResult idempotency_find(Idempotency *memory, const char *key, const char *request, gint64 now,
                                   json_t **ret_value, const char **ret_error);

/* Remember a key that is new. Takes a reference to `value`; NULL: `error` was answered. */
void idempotency_add(Idempotency *memory, const char *key, const char *request, gint64 now, json_t *value,
                     const char *error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Idempotency, idempotency_free)

#endif
