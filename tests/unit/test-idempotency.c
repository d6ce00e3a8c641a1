/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is remembered of requests with a key, and for how long. */
#include "check.h"
#include "idempotency.h"

static IdempotencyResult find(Idempotency *memory, const char *key, const char *request, gint64 now)
{
    json_t *value;
    const char *error;

    return idempotency_find(memory, key, request, now, &value, &error);
}

static void add(Idempotency *memory, const char *key, const char *request, gint64 now)
{
    idempotency_add(memory, key, request, now, NULL, "no");
}

static void test_answers(void)
{
    g_autoptr(Idempotency) memory = idempotency_new();
    json_t *value = json_integer(7), *found = NULL;
    const char *error = NULL;

    CHECK(find(memory, "a", "do", 0) == IDEMPOTENCY_NEW);
    idempotency_add(memory, "a", "do", 0, value, NULL);
    json_decref(value);
    idempotency_add(memory, "b", "fail", 0, NULL, "it fails");
    CHECK(idempotency_find(memory, "a", "do", 1, &found, &error) == IDEMPOTENCY_SAME);
    CHECK(json_integer_value(found) == 7 && !error);
    CHECK(idempotency_find(memory, "b", "fail", 1, &found, &error) == IDEMPOTENCY_SAME);
    CHECK(!found);
    CHECK_STR(error, "it fails");
    CHECK(find(memory, "a", "fail", 1) == IDEMPOTENCY_OTHER);
    CHECK(find(memory, "A", "do", 1) == IDEMPOTENCY_NEW);
    CHECK(find(memory, "", "do", 1) == IDEMPOTENCY_NEW);
}

static void test_lifetime(void)
{
    g_autoptr(Idempotency) memory = idempotency_new();

    add(memory, "a", "do", 100);
    add(memory, "b", "do", 200);
    CHECK(find(memory, "a", "do", 99 + IDEMPOTENCY_LIFETIME_S) == IDEMPOTENCY_SAME);
    CHECK(find(memory, "a", "do", 100 + IDEMPOTENCY_LIFETIME_S) == IDEMPOTENCY_NEW);
    CHECK(find(memory, "b", "do", 100 + IDEMPOTENCY_LIFETIME_S) == IDEMPOTENCY_SAME);
    /* That it is asked for does not make it younger. */
    CHECK(find(memory, "b", "do", 200 + IDEMPOTENCY_LIFETIME_S) == IDEMPOTENCY_NEW);
}

static void test_bound(void)
{
    g_autoptr(Idempotency) memory = idempotency_new();

    for (guint i = 0; i <= IDEMPOTENCY_MAX; i++) {
        g_autofree char *key = g_strdup_printf("%u", i);

        add(memory, key, "do", i);
    }
    CHECK(find(memory, "0", "do", IDEMPOTENCY_MAX) == IDEMPOTENCY_NEW);
    CHECK(find(memory, "1", "do", IDEMPOTENCY_MAX) == IDEMPOTENCY_SAME);
}

int main(void)
{
    test_answers();
    test_lifetime();
    test_bound();
    return check_done();
}
