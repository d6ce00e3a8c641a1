/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "monitor.h"

#include "qmpinput.h"

#include <string.h>

typedef enum Phase {
    PHASE_DOWN,
    PHASE_GREETING,     /* QEMU speaks first, though not as long as its monitor has another client */
    PHASE_CAPABILITIES, /* leaving negotiation */
    PHASE_STARTING,     /* getting to know the channels, releasing everything */
    PHASE_SERVING
} Phase;

typedef enum Command {
    COMMAND_NONE,
    COMMAND_CAPABILITIES,
    COMMAND_MICE,
    COMMAND_CHARDEVS,
    COMMAND_ADDRESS,
    COMMAND_INPUT
} Command;

struct Monitor {
    const char *const *paths;
    guint n_paths;
    VerbState state;
    QmpInput *input;
    Phase phase;
    GByteArray *line;     /* the one that is not whole yet */
    GString *out;
    Command running;
    gboolean input_first; /* the last command was not input */
    gboolean refresh_due, mice_due;
    gboolean chardevs_next; /* they waited already when the mice were asked for */
    gboolean tablet;
    guint32 open;         /* channels, as far as known while labels are left */
    GPtrArray *labels;    /* open devices whose path is to be asked for */
};

Monitor *monitor_new(const QmpDisplay *displays, guint n_displays, const char *const *paths, guint n_paths)
{
    Monitor *monitor = g_new0(Monitor, 1);

    g_assert(n_paths <= VERB_CHANNELS_MAX);
    monitor->input = qmpinput_new(displays, n_displays, &monitor->state);
    monitor->paths = paths;
    monitor->n_paths = n_paths;
    monitor->line = g_byte_array_new();
    monitor->out = g_string_new(NULL);
    monitor->labels = g_ptr_array_new_with_free_func(g_free);
    return monitor;
}

void monitor_free(Monitor *monitor)
{
    if (monitor) {
        qmpinput_free(monitor->input);
        g_byte_array_unref(monitor->line);
        g_string_free(monitor->out, TRUE);
        g_ptr_array_unref(monitor->labels);
        g_free(monitor);
    }
}

/* Takes `arguments`. */
static void send_command(Monitor *monitor, Command command, const char *name, json_t *arguments)
{
    json_t *message = arguments ? json_pack("{s:s, s:o}", "execute", name, "arguments", arguments)
                                : json_pack("{s:s}", "execute", name);
    char *dump = json_dumps(message, JSON_COMPACT);

    g_assert(dump); /* it is made of our own names, and of texts that are UTF-8 */
    g_string_append(monitor->out, dump);
    g_string_append_c(monitor->out, '\n');
    monitor->running = command;
    free(dump);
    json_decref(message);
}

static gboolean send_input(Monitor *monitor)
{
    json_t *arguments = qmpinput_next(monitor->input);

    if (arguments) {
        monitor->input_first = FALSE;
        send_command(monitor, COMMAND_INPUT, "input-send-event", arguments);
    }
    return arguments != NULL;
}

static gboolean send_question(Monitor *monitor)
{
    if (monitor->labels->len > 0) {
        g_autofree char *label = g_ptr_array_steal_index_fast(monitor->labels, monitor->labels->len - 1);
        g_autofree char *path = g_strconcat("/chardevs/", label, NULL);

        send_command(monitor, COMMAND_ADDRESS, "qom-get", json_pack("{s:s, s:s}", "path", path, "property", "addr"));
    } else if (monitor->mice_due && !monitor->chardevs_next) {
        monitor->mice_due = FALSE;
        monitor->chardevs_next = monitor->refresh_due;
        monitor->input_first = monitor->phase == PHASE_SERVING; /* when starting, the channels come before */
        send_command(monitor, COMMAND_MICE, "query-mice", NULL);
        return TRUE;
    } else if (monitor->refresh_due) {
        monitor->refresh_due = monitor->chardevs_next = FALSE;
        send_command(monitor, COMMAND_CHARDEVS, "query-chardev", NULL);
    } else {
        return FALSE;
    }
    monitor->input_first = TRUE;
    return TRUE;
}

/* Send the next command, if any. Input and questions take turns, so that neither waits for an end of the other. */
static void proceed(Monitor *monitor)
{
    if (monitor->running != COMMAND_NONE || monitor->out->len > 0) {
        return;
    }
    switch (monitor->phase) {
    case PHASE_DOWN:
    case PHASE_GREETING:
        return;
    case PHASE_CAPABILITIES:
        send_command(monitor, COMMAND_CAPABILITIES, "qmp_capabilities", NULL);
        return;
    case PHASE_STARTING:
    case PHASE_SERVING:
        if ((monitor->input_first && send_input(monitor)) || send_question(monitor) || send_input(monitor)) {
            return;
        }
        if (monitor->phase == PHASE_STARTING) {
            monitor->phase = PHASE_SERVING;
            monitor->state.connected = true;
            monitor->state.tablet = monitor->tablet;
            monitor->state.connections++;
            monitor->state.open = monitor->open;
        }
        return;
    }
}

void monitor_connected(Monitor *monitor)
{
    monitor->phase = PHASE_GREETING;
}

void monitor_disconnected(Monitor *monitor)
{
    qmpinput_clear(monitor->input);
    monitor->state.connected = monitor->state.tablet = false;
    monitor->state.open = 0;
    monitor->phase = PHASE_DOWN;
    monitor->running = COMMAND_NONE;
    monitor->refresh_due = monitor->mice_due = monitor->chardevs_next = monitor->input_first = FALSE;
    g_ptr_array_set_size(monitor->labels, 0);
    g_byte_array_set_size(monitor->line, 0);
    g_string_truncate(monitor->out, 0);
}

/* Is the socket `name`, as QEMU spells it, that of one of our channels? PATH or PATH,OPTION… */
static guint32 channels_at(const Monitor *monitor, const char *name)
{
    guint32 found = 0;

    for (guint i = 0; i < monitor->n_paths; i++) {
        gsize size = strlen(monitor->paths[i]);

        if (strncmp(name, monitor->paths[i], size) == 0 && (name[size] == '\0' || name[size] == ',')) {
            found |= 1u << i;
        }
    }
    return found;
}

/*
 * A device's file name is "unix:PATH,server=on", with "disconnected:" before it when nobody is connected. It names the
 * socket's own address, and that of a connection made by QEMU is empty: then the device is asked where it connects to.
 */
static void take_chardev(Monitor *monitor, const json_t *device)
{
    const char *name = json_string_value(json_object_get(device, "filename"));
    const char *label = json_string_value(json_object_get(device, "label"));

    if (!name || !label || !json_is_true(json_object_get(device, "frontend-open"))) {
        return;
    }
    if (g_str_has_prefix(name, "disconnected:")) {
        name += strlen("disconnected:");
    }
    if (!g_str_has_prefix(name, "unix:")) {
        return;
    }
    name += strlen("unix:");
    monitor->open |= channels_at(monitor, name);
    if ((name[0] == '\0' || name[0] == ',') && strlen(label) <= MONITOR_LABEL_MAX &&
        monitor->labels->len < MONITOR_LABELS_MAX) {
        g_ptr_array_add(monitor->labels, g_strdup(label));
    }
}

static gboolean take_chardevs(Monitor *monitor, const json_t *devices)
{
    if (!json_is_array(devices)) {
        return FALSE;
    }
    monitor->open = 0;
    for (gsize i = 0; i < json_array_size(devices); i++) {
        take_chardev(monitor, json_array_get(devices, i));
    }
    return TRUE;
}

/* Tablets that are bound to a display are in the list as well. */
static gboolean has_tablet(const json_t *mice)
{
    for (gsize i = 0; i < json_array_size(mice); i++) {
        if (json_is_true(json_object_get(json_array_get(mice, i), "absolute"))) {
            return TRUE;
        }
    }
    return FALSE;
}

static void take_address(Monitor *monitor, const json_t *address)
{
    const char *path = json_string_value(json_object_get(address, "path"));

    if (path) {
        monitor->open |= channels_at(monitor, path);
    }
}

/* `result` is NULL when QEMU could not do it. */
static gboolean take_answer(Monitor *monitor, const json_t *result)
{
    Command command = monitor->running;

    monitor->running = COMMAND_NONE;
    switch (command) {
    case COMMAND_NONE:
        return FALSE;
    case COMMAND_CAPABILITIES:
        monitor->phase = PHASE_STARTING;
        monitor->refresh_due = monitor->mice_due = TRUE;
        qmpinput_settle(monitor->input);
        return result != NULL;
    case COMMAND_MICE:
        monitor->tablet = has_tablet(result);
        if (monitor->phase == PHASE_SERVING) {
            monitor->state.tablet = monitor->tablet;
        }
        return json_is_array(result);
    case COMMAND_CHARDEVS:
        if (!take_chardevs(monitor, result)) {
            return FALSE;
        }
        break;
    case COMMAND_ADDRESS:
        take_address(monitor, result);
        break;
    case COMMAND_INPUT:
        qmpinput_done(monitor->input, !result);
        return TRUE;
    }
    if (monitor->labels->len == 0 && monitor->phase == PHASE_SERVING) {
        monitor->state.open = monitor->open;
    }
    return TRUE;
}

static void take_event(Monitor *monitor, const char *event)
{
    if (strcmp(event, "VSERPORT_CHANGE") == 0) {
        monitor->refresh_due = TRUE;
    } else if (strcmp(event, "RESET") == 0 || strcmp(event, "SHUTDOWN") == 0) {
        monitor->state.resets++;
    } else if (strcmp(event, "DEVICE_DELETED") == 0) {
        monitor->mice_due = TRUE; /* a device that is plugged has no event */
    } else if (strcmp(event, "RESUME") == 0) {
        qmpinput_settle(monitor->input); /* what came meanwhile was refused */
    }
}

static gboolean take_message(Monitor *monitor, const json_t *message)
{
    const char *event = json_string_value(json_object_get(message, "event"));

    if (monitor->phase == PHASE_GREETING) {
        monitor->phase = PHASE_CAPABILITIES;
        return json_is_object(json_object_get(message, "QMP"));
    }
    if (event) {
        if (monitor->phase == PHASE_STARTING || monitor->phase == PHASE_SERVING) {
            take_event(monitor, event);
        }
        return TRUE;
    }

    const json_t *result = json_object_get(message, "return");

    return (result || json_object_get(message, "error")) && take_answer(monitor, result);
}

static gboolean take_line(Monitor *monitor)
{
    json_t *message = json_loadb((const char *)monitor->line->data, monitor->line->len, 0, NULL);
    gboolean ok = message && take_message(monitor, message);

    json_decref(message);
    return ok;
}

bool monitor_input(Monitor *monitor, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);

    while (in.left > 0) {
        const uint8_t *end = memchr(in.at, '\n', in.left), *part;
        gsize length = end ? (gsize)(end - in.at) + 1 : in.left;

        if (length > MONITOR_LINE_MAX - monitor->line->len) {
            return false;
        }
        bytes_take(&in, length, &part);
        g_byte_array_append(monitor->line, part, (guint)length);
        if (end) {
            if (!take_line(monitor)) {
                return false;
            }
            g_byte_array_set_size(monitor->line, 0);
            proceed(monitor);
        }
    }
    return true;
}

void monitor_verb(Monitor *monitor, const Verb *verb)
{
    if (monitor->phase != PHASE_SERVING) {
        monitor->state.lost += verb->type != VERB_REFRESH;
        return;
    }
    if (verb->type == VERB_REFRESH) {
        monitor->refresh_due = monitor->mice_due = TRUE;
    } else {
        qmpinput_verb(monitor->input, verb);
    }
    proceed(monitor);
}

void monitor_release(Monitor *monitor)
{
    if (monitor->phase == PHASE_SERVING || monitor->phase == PHASE_STARTING) {
        qmpinput_release(monitor->input);
        proceed(monitor);
    }
}

bool monitor_idle(const Monitor *monitor)
{
    return monitor->running == COMMAND_NONE && monitor->out->len == 0 && qmpinput_is_empty(monitor->input);
}

const char *monitor_output(const Monitor *monitor, size_t *ret_size)
{
    *ret_size = monitor->out->len;
    return monitor->out->str;
}

void monitor_written(Monitor *monitor, size_t size)
{
    g_string_erase(monitor->out, 0, (gssize)size);
    proceed(monitor); /* QEMU may have answered before it was asked */
}

const VerbState *monitor_state(const Monitor *monitor)
{
    return &monitor->state;
}
