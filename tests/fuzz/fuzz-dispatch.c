/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input: step and flags (bit 0: file systems are frozen), then the bytes of a client. Commands are those of the agent,
 * with their arguments checked and their policy; what they do is replaced, and some of it takes until more input comes.
 */
#include "commands.h"
#include "dispatch.h"
#include "fuzz.h"

#include <string.h>

#define COMMANDS_MAX 256
#define REPLIES_ENOUGH 20

static Command commands[COMMANDS_MAX];
static const Command *const tables[] = { commands, NULL };

typedef struct Client {
    Dispatch *dispatch;
    Call *pending;
    guint64 digest;
    guint replies;
} Client;

static Client *current;

static void at_once(Call *call, const json_t *args)
{
    call_return(call, json_pack("{s:i}", "members", (int)json_object_size(args)));
}

static void fails(Call *call, G_GNUC_UNUSED const json_t *args)
{
    call_fail_errno(call, 2, "%s", "it fails");
}

static void later(Call *call, G_GNUC_UNUSED const json_t *args)
{
    current->pending = call;
}

static void make_commands(void)
{
    static void (*const functions[])(Call *call, const json_t *args) = { at_once, fails, later };
    guint count = 0;

    for (const Command *const *table = commands_tables; *table; table++)
        for (const Command *command = *table; command->name; command++) {
            FUZZ_CHECK(count < COMMANDS_MAX - 1);
            commands[count] = *command;
            commands[count].run = functions[count % G_N_ELEMENTS(functions)];
            count++;
        }
}

static gboolean on_reply(GBytes *reply, gpointer user)
{
    Client *client = user;
    gsize size;
    const char *data = g_bytes_get_data(reply, &size);
    gboolean delimited = size > 0 && data[0] == '\xff';
    json_t *value = json_loadb(data + delimited, size - delimited, 0, NULL);

    FUZZ_CHECK(value != NULL && data[size - 1] == '\n' && memchr(data, '\n', size) == data + size - 1);
    FUZZ_CHECK((json_object_get(value, "return") != NULL) != (json_object_get(value, "error") != NULL));
    client->digest = fuzz_mix(client->digest, data, size);
    client->replies++;
    json_decref(value);
    g_bytes_unref(reply);
    return client->replies % REPLIES_ENOUGH != 0;
}

static void on_ready(G_GNUC_UNUSED gpointer user)
{
}

static void finish(Client *client)
{
    Call *call = g_steal_pointer(&client->pending);

    if (call)
        call_return(call, NULL);
}

static guint64 feed(const uint8_t *data, size_t size, size_t step, gboolean frozen)
{
    static const DispatchEvents events = { on_reply, on_ready };
    g_autoptr(Policy) policy = policy_new();
    Client client = { 0 };

    policy_allow(policy, "exec");
    policy_block(policy, "guest-get-users");
    current = &client;
    client.dispatch = dispatch_new(tables, policy, NULL, &events, &client);
    dispatch_set_frozen(client.dispatch, frozen);
    for (size_t at = 0; at < size;) {
        size_t piece = step < size - at ? step : size - at;
        size_t taken = dispatch_feed(client.dispatch, data + at, piece);

        FUZZ_CHECK(taken <= piece && (taken > 0 || client.pending || client.replies % REPLIES_ENOUGH == 0));
        at += taken;
        if (taken < piece)
            finish(&client);
    }
    finish(&client);
    dispatch_reset(client.dispatch);
    dispatch_free(client.dispatch);
    return client.digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!commands[0].name)
        make_commands();
    if (size > 2) {
        guint64 whole = feed(data + 2, size - 2, size, data[1] & 1);

        FUZZ_CHECK(feed(data + 2, size - 2, data[0] > 0 ? data[0] : 1, data[1] & 1) == whole);
    }
    return 0;
}
