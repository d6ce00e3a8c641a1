/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dispatch.h"

#include "jsonstream.h"
#include "jsontext.h"

#include <string.h>

/* Kept for the next request; what a large one needed is freed. */
#define CAPACITY_KEPT 65536u
#define CAPACITY_MIN 1024u

struct Dispatch {
    const Command *const *tables;
    const Policy *policy;
    const Services *services;
    DispatchEvents events;
    gpointer user;
    Jsonstream stream;
    gboolean frozen;
    gboolean feeding;
    gboolean full; /* of replies */
    Call *call;    /* under way */
};

struct Call {
    Dispatch *dispatch;
    const Command *command;
    json_t *request;
    gboolean dropped; /* its client has left */
};

Dispatch *dispatch_new(const Command *const *tables, const Policy *policy, const Services *services,
                       const DispatchEvents *events, gpointer user)
{
    Dispatch *dispatch = g_new0(Dispatch, 1);

    dispatch->tables = tables;
    dispatch->policy = policy;
    dispatch->services = services;
    dispatch->events = *events;
    dispatch->user = user;
    return dispatch;
}

void dispatch_free(Dispatch *dispatch)
{
    if (!dispatch)
        return;
    g_assert(!dispatch->call);
    g_free(dispatch->stream.text);
    g_free(dispatch);
}

/* ---- replies ---- */

/* Takes over `reply`. */
static void send_reply(Dispatch *dispatch, json_t *reply, json_t *id, gboolean delimited)
{
    GByteArray *line = g_byte_array_new();

    if (id)
        json_object_set(reply, "id", id);
    if (delimited)
        g_byte_array_append(line, (const guint8 *)"\xff", 1);
    jsontext_append(line, reply);
    g_byte_array_append(line, (const guint8 *)"\n", 1);
    json_decref(reply);
    dispatch->full = !dispatch->events.reply(g_byte_array_free_to_bytes(line), dispatch->user);
}

static void send_error(Dispatch *dispatch, json_t *id, const char *class, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    send_reply(dispatch, json_pack("{s:{s:s,s:s}}", "error", "class", class, "desc", valid), id, FALSE);
}

static void send_generic_error(Dispatch *dispatch, json_t *id, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void send_generic_error(Dispatch *dispatch, json_t *id, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);

    send_error(dispatch, id, "GenericError", text);
}

/* ---- calls ---- */

const Services *call_services(const Call *call)
{
    return call->dispatch->services;
}

const char *call_name(const Call *call)
{
    return call->command->name;
}

const Dispatch *call_dispatch(const Call *call)
{
    return call->dispatch;
}

static json_t *call_id(const Call *call)
{
    return json_object_get(call->request, "id");
}

static void call_end(Call *call)
{
    Dispatch *dispatch = call->dispatch;

    g_assert(dispatch->call == call);
    dispatch->call = NULL;
    json_decref(call->request);
    g_free(call);
    if (!dispatch->feeding)
        dispatch->events.ready(dispatch->user);
}

void call_return(Call *call, json_t *value)
{
    guint flags = call->command->flags;

    if (call->dropped || (flags & COMMAND_SILENT))
        json_decref(value);
    else
        send_reply(call->dispatch, json_pack("{s:o}", "return", value ? value : json_object()), call_id(call),
                   (flags & COMMAND_DELIMITED) != 0);
    call_end(call);
}

static void call_fail_text(Call *call, const char *text)
{
    if (!call->dropped)
        send_error(call->dispatch, call_id(call), "GenericError", text);
    call_end(call);
}

void call_fail(Call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);

    call_fail_text(call, text);
}

void call_fail_errno(Call *call, int error_number, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *what = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *text = g_strdup_printf("%s: %s", what, g_strerror(error_number));

    call_fail_text(call, text);
}

/* ---- requests ---- */

const Command *const *dispatch_tables(const Dispatch *dispatch)
{
    return dispatch->tables;
}

const char *dispatch_refusal(const Dispatch *dispatch, const Command *command)
{
    if (dispatch->frozen && !(command->flags & COMMAND_WHEN_FROZEN))
        return "the agent is in frozen state";
    return policy_refusal(dispatch->policy, command);
}

static const Command *find(const Dispatch *dispatch, const char *name)
{
    for (const Command *const *table = dispatch->tables; *table; table++)
        for (const Command *command = *table; command->name; command++)
            if (g_str_equal(command->name, name))
                return command;
    return NULL;
}

/* Why the request is none; NULL if it is one. */
static char *check_request(json_t *request)
{
    const char *name;
    json_t *value;

    if (!json_is_object(request))
        return g_strdup("QMP input must be a JSON object");
    json_object_foreach(request, name, value) {
        if (g_str_equal(name, "execute")) {
            if (!json_is_string(value))
                return g_strdup("QMP input member 'execute' must be a string");
        } else if (g_str_equal(name, "arguments")) {
            if (!json_is_object(value))
                return g_strdup("QMP input member 'arguments' must be an object");
        } else if (!g_str_equal(name, "id")) {
            return g_strdup_printf("QMP input member '%s' is unexpected", name);
        }
    }
    return json_object_get(request, "execute") ? NULL : g_strdup("QMP input lacks member 'execute'");
}

static void run(Dispatch *dispatch, const Command *command, json_t *request)
{
    json_t *args = json_object_get(request, "arguments");
    g_autofree char *error = NULL;

    if (!args) {
        args = json_object();
        json_object_set_new(request, "arguments", args);
    }
    error = args_check(command->args, args);
    if (error) {
        send_error(dispatch, json_object_get(request, "id"), "GenericError", error);
        return;
    }
    dispatch->call = g_new0(Call, 1);
    *dispatch->call = (Call){ dispatch, command, json_incref(request), FALSE };
    command->run(dispatch->call, args);
}

static void take_request(Dispatch *dispatch, json_t *request)
{
    json_t *id = json_object_get(request, "id"); /* NULL if it is no object */
    g_autofree char *error = check_request(request);

    if (error) {
        send_error(dispatch, id, "GenericError", error);
        return;
    }

    const char *name = json_string_value(json_object_get(request, "execute"));
    const Command *command = find(dispatch, name);
    const char *refusal = command ? dispatch_refusal(dispatch, command) : NULL;
    g_autofree char *text = NULL;

    if (!command)
        text = g_strdup_printf("The command %s has not been found", name);
    else if (refusal)
        text = g_strdup_printf("Command %s has been disabled: %s", name, refusal);
    if (text)
        send_error(dispatch, id, "CommandNotFound", text);
    else
        run(dispatch, command, request);
}

static void take_value(Dispatch *dispatch, const JsonstreamEvent *event)
{
    json_error_t error;
    json_t *request = json_loadb(event->text, event->size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);

    if (request)
        take_request(dispatch, request);
    else if (json_error_code(&error) == json_error_duplicate_key)
        send_generic_error(dispatch, NULL, "JSON parse error, duplicate key");
    else
        send_generic_error(dispatch, NULL, "JSON parse error, %s", error.text);
    json_decref(request);
}

static void make_room(Dispatch *dispatch)
{
    dispatch->stream.capacity = MAX(CAPACITY_MIN, 2 * dispatch->stream.capacity);
    dispatch->stream.text = g_realloc(dispatch->stream.text, dispatch->stream.capacity);
}

static void shrink(Dispatch *dispatch)
{
    if (dispatch->stream.capacity <= CAPACITY_KEPT)
        return;
    g_clear_pointer(&dispatch->stream.text, g_free);
    dispatch->stream.capacity = 0;
}

gsize dispatch_feed(Dispatch *dispatch, const guint8 *data, gsize size)
{
    BytesReader in = bytes_reader(data, size);
    JsonstreamEvent event;
    JsonstreamResult result = JSONSTREAM_ROOM;

    if (dispatch->call || dispatch->feeding)
        return 0;
    dispatch->feeding = TRUE;
    dispatch->full = FALSE;
    while (result != JSONSTREAM_MORE && !dispatch->call && !dispatch->full) {
        result = jsonstream_next(&dispatch->stream, &in, &event);
        switch (result) {
        case JSONSTREAM_MORE:
            break;
        case JSONSTREAM_ROOM:
            make_room(dispatch);
            break;
        case JSONSTREAM_VALUE:
            take_value(dispatch, &event);
            shrink(dispatch);
            break;
        case JSONSTREAM_ERROR:
            send_error(dispatch, NULL, "GenericError", event.text);
            shrink(dispatch);
            break;
        }
    }
    dispatch->feeding = FALSE;
    return size - in.left;
}

void dispatch_reset(Dispatch *dispatch)
{
    jsonstream_reset(&dispatch->stream);
    shrink(dispatch);
    if (dispatch->call)
        dispatch->call->dropped = TRUE;
}

void dispatch_set_frozen(Dispatch *dispatch, gboolean frozen)
{
    dispatch->frozen = frozen;
}
