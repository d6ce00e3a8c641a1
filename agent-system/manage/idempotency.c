/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "idempotency.h"

struct Idempotency {
    GQueue entries; /* the oldest first */
};

typedef struct Entry {
    char *key, *digest, *error;
    json_t *value;
    gint64 time;
} Entry;

static void entry_free(gpointer data)
{
    Entry *entry = data;

    json_decref(entry->value);
    g_free(entry->key);
    g_free(entry->digest);
    g_free(entry->error);
    g_free(entry);
}

Idempotency *idempotency_new(void)
{
    Idempotency *memory = g_new(Idempotency, 1);

    g_queue_init(&memory->entries);
    return memory;
}

void idempotency_free(Idempotency *memory)
{
    if (!memory)
        return;
    g_queue_clear_full(&memory->entries, entry_free);
    g_free(memory);
}

/* Requests may be long, so they are told apart by this. */
static char *digest_of(const char *request)
{
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, request, -1);
}

/* Leaves `count` at most, and none that is too old. */
static void expire(Idempotency *memory, gint64 now, guint count)
{
    Entry *entry;

    while ((entry = g_queue_peek_head(&memory->entries)) &&
           (now - entry->time >= IDEMPOTENCY_LIFETIME_S || g_queue_get_length(&memory->entries) > count))
        entry_free(g_queue_pop_head(&memory->entries));
}

IdempotencyResult idempotency_find(Idempotency *memory, const char *key, const char *request, gint64 now,
                                   json_t **ret_value, const char **ret_error)
{
    g_autofree char *digest = digest_of(request);

    expire(memory, now, IDEMPOTENCY_MAX);
    for (const GList *link = memory->entries.head; link; link = link->next) {
        const Entry *entry = link->data;

        if (!g_str_equal(entry->key, key))
            continue;
        if (!g_str_equal(entry->digest, digest))
            return IDEMPOTENCY_OTHER;
        *ret_value = entry->value;
        *ret_error = entry->error;
        return IDEMPOTENCY_SAME;
    }
    return IDEMPOTENCY_NEW;
}

void idempotency_add(Idempotency *memory, const char *key, const char *request, gint64 now, json_t *value,
                     const char *error)
{
    Entry *entry = g_new(Entry, 1);

    *entry = (Entry){ g_strdup(key), digest_of(request), g_strdup(error), json_incref(value), now };
    expire(memory, now, IDEMPOTENCY_MAX - 1);
    g_queue_push_tail(&memory->entries, entry);
}
