/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "monitor.h"

#include <jansson.h>
#include <string.h>

/* QEMU's names, in the order of PVMOUSE_BUTTON_*. Its input-send-event has no forward and back: they are ignored. */
static const char *const button_names[] = { "left", "middle", "right", "side", "extra" };
#define BUTTONS G_N_ELEMENTS(button_names)
#define BUTTONS_KNOWN ((1u << BUTTONS) - 1)

#define KEYS 256

typedef enum Phase {
    PHASE_DOWN,
    PHASE_GREETING,     /* QEMU speaks first; with another client on its monitor it does so only when that one has gone */
    PHASE_CAPABILITIES, /* leaving negotiation */
    PHASE_STARTING,     /* getting to know the channels, releasing everything */
    PHASE_SERVING
} Phase;

typedef enum Command {
    COMMAND_NONE,
    COMMAND_CAPABILITIES,
    COMMAND_CHARDEVS,
    COMMAND_ADDRESS,
    COMMAND_INPUT
} Command;

/* What an input command changes when QEMU has carried it out. */
typedef struct Change {
    guint target;          /* display, or n_displays for the device without a name */
    guint press, release;  /* buttons */
    int key;               /* scan code, or -1 */
    gboolean down;
    gboolean settling;     /* a refusal loses nothing */
} Change;

typedef struct Step {
    Verb verb;     /* what is left of it */
    gboolean edge; /* more than motion */
} Step;

struct Monitor {
    const QmpDisplay *displays;
    guint n_displays;
    const char *const *paths;
    guint n_paths;
    VerbState state;
    Phase phase;
    GByteArray *line; /* the one that is not whole yet */
    GString *out;
    Command running;
    Change change;

    /* channels */
    gboolean refresh_due;
    gboolean input_first;            /* the last command was not input */
    guint32 open;                    /* as far as known, while labels are left */
    GPtrArray *labels;               /* open devices whose path is to be asked for */

    /* input: `want` is where verbs have led, `have` what QEMU has carried out */
    Step queue[MONITOR_QUEUE];
    guint head, used;
    gboolean busy;                   /* with `current`, which is in the queue no more */
    Step current;
    int settle;                      /* next step of bringing QEMU to how things stand, or -1 */
    Verb want;                       /* POINTER: last position and buttons */
    guint have_buttons;
    guint owner[BUTTONS];            /* target where a button of have_buttons went down */
    guint8 want_keys[KEYS / 8], have_keys[KEYS / 8];
};

static gboolean key_is_down(const guint8 *keys, guint key)
{
    return keys[key / 8] >> key % 8 & 1;
}

static void set_key(guint8 *keys, guint key, gboolean down)
{
    keys[key / 8] = (guint8)((keys[key / 8] & ~(1u << key % 8)) | (guint)down << key % 8);
}

static void forget_wanted(Monitor *monitor)
{
    monitor->want = (Verb){ .type = VERB_POINTER };
    memset(monitor->want_keys, 0, sizeof(monitor->want_keys));
}

Monitor *monitor_new(const QmpDisplay *displays, guint n_displays, const char *const *paths, guint n_paths)
{
    Monitor *monitor = g_new0(Monitor, 1);

    g_assert(n_displays <= LIMIT_DISPLAYS && n_paths <= VERB_CHANNELS_MAX);
    monitor->displays = displays;
    monitor->n_displays = n_displays;
    monitor->paths = paths;
    monitor->n_paths = n_paths;
    monitor->line = g_byte_array_new();
    monitor->out = g_string_new(NULL);
    monitor->labels = g_ptr_array_new_with_free_func(g_free);
    monitor->settle = -1;
    forget_wanted(monitor);
    return monitor;
}

void monitor_free(Monitor *monitor)
{
    if (monitor) {
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

/* Takes `events`. */
static void send_input(Monitor *monitor, const Change *change, json_t *events)
{
    json_t *arguments = json_pack("{s:o}", "events", events);

    if (change->target < monitor->n_displays && monitor->displays[change->target].device) {
        const QmpDisplay *display = &monitor->displays[change->target];

        json_object_set_new(arguments, "device", json_string(display->device));
        json_object_set_new(arguments, "head", json_integer(display->head));
    }
    monitor->change = *change;
    monitor->input_first = FALSE;
    send_command(monitor, COMMAND_INPUT, "input-send-event", arguments);
}

static void add_button(json_t *events, const char *name, gboolean down)
{
    json_array_append_new(events, json_pack("{s:s, s:{s:s, s:b}}", "type", "btn", "data", "button", name, "down", down));
}

static void add_buttons(json_t *events, guint set, gboolean down)
{
    for (guint i = 0; i < BUTTONS; i++) {
        if (set >> i & 1) {
            add_button(events, button_names[i], down);
        }
    }
}

static void add_axis(json_t *events, const char *type, const char *axis, int value)
{
    json_array_append_new(events,
                          json_pack("{s:s, s:{s:s, s:i}}", "type", type, "data", "axis", axis, "value", value));
}

static void add_key(json_t *events, guint scancode, gboolean down)
{
    json_array_append_new(events, json_pack("{s:s, s:{s:b, s:{s:s, s:i}}}", "type", "key", "data", "down", down, "key",
                                            "type", "number", "data", (int)scancode));
}

/* One detent, as a click of a button that only wheels have; QEMU knows no other wheel. */
static void add_detent(json_t *events, gint16 *left, const char *forth, const char *back)
{
    const char *name = *left > 0 ? forth : back;

    if (*left != 0) {
        add_button(events, name, TRUE);
        add_button(events, name, FALSE);
        *left = (gint16)(*left + (*left > 0 ? -1 : 1));
    }
}

/* Those buttons of `set` that went down on this target. */
static guint owned_by(const Monitor *monitor, guint target, guint set)
{
    guint owned = 0;

    for (guint i = 0; i < BUTTONS; i++) {
        if (set >> i & 1 && monitor->owner[i] == target) {
            owned |= 1u << i;
        }
    }
    return owned;
}

/* The next command of a pointer step: the target's part, a detent at a time, then what goes up elsewhere. */
static gboolean send_pointer(Monitor *monitor, Verb *verb)
{
    guint up = monitor->have_buttons & ~verb->buttons;
    Change change = { .target = verb->type == VERB_POINTER ? verb->display : monitor->n_displays, .key = -1 };
    json_t *events = json_array();

    if (verb->position) {
        add_axis(events, "abs", "x", verb->x >> 1); /* QEMU's axes run over 0..0x7fff */
        add_axis(events, "abs", "y", verb->y >> 1);
        verb->position = false;
    }
    if (verb->dx != 0 || verb->dy != 0) {
        add_axis(events, "rel", "x", verb->dx);
        add_axis(events, "rel", "y", verb->dy);
        verb->dx = verb->dy = 0;
    }
    change.release = owned_by(monitor, change.target, up);
    change.press = verb->buttons & ~monitor->have_buttons;
    if (json_array_size(events) == 0 && change.release == 0 && change.press == 0 && verb->wheel == 0 &&
        verb->hwheel == 0 && up != 0) {
        change.target = monitor->owner[g_bit_nth_lsf(up, -1)];
        change.release = owned_by(monitor, change.target, up);
    }
    add_buttons(events, change.release, FALSE);
    add_buttons(events, change.press, TRUE);
    add_detent(events, &verb->wheel, "wheel-up", "wheel-down");
    add_detent(events, &verb->hwheel, "wheel-right", "wheel-left");
    if (json_array_size(events) == 0) {
        json_decref(events);
        return FALSE;
    }
    send_input(monitor, &change, events);
    return TRUE;
}

static void send_key(Monitor *monitor, guint scancode, gboolean down, gboolean settling)
{
    Change change = { .target = monitor->n_displays, .key = (int)scancode, .down = down, .settling = settling };
    json_t *events = json_array();

    add_key(events, scancode, down);
    send_input(monitor, &change, events);
}

static gboolean send_step(Monitor *monitor)
{
    Verb *verb = &monitor->current.verb;

    if (verb->type != VERB_KEY) {
        return send_pointer(monitor, verb);
    }
    monitor->busy = FALSE; /* a key is one command */
    send_key(monitor, verb->scancode, verb->down, FALSE);
    return TRUE;
}

/* Releases on each target, then keys; false when that is done, and a step to where the pointer is comes next. */
static gboolean send_settling(Monitor *monitor)
{
    guint target = (guint)monitor->settle;

    if (target <= monitor->n_displays) {
        guint kept = owned_by(monitor, target, monitor->have_buttons & monitor->want.buttons);
        Change change = { .target = target, .release = BUTTONS_KNOWN & ~kept, .key = -1, .settling = TRUE };
        json_t *events = json_array();

        add_buttons(events, change.release, FALSE);
        send_input(monitor, &change, events);
        monitor->settle++;
        return TRUE;
    }
    for (guint key = 0; key < KEYS; key++) {
        if (key_is_down(monitor->have_keys, key) && !key_is_down(monitor->want_keys, key)) {
            set_key(monitor->have_keys, key, FALSE); /* once, carried out or not */
            send_key(monitor, key, FALSE, TRUE);
            return TRUE;
        }
    }
    monitor->settle = -1;
    monitor->current = (Step){ .verb = monitor->want, .edge = TRUE };
    monitor->busy = TRUE;
    return FALSE;
}

static gboolean send_next_input(Monitor *monitor)
{
    for (;;) {
        if (monitor->busy && send_step(monitor)) {
            return TRUE;
        }
        monitor->busy = FALSE;
        if (monitor->settle >= 0) {
            if (send_settling(monitor)) {
                return TRUE;
            }
        } else if (monitor->used > 0) {
            monitor->current = monitor->queue[monitor->head];
            monitor->head = (monitor->head + 1) % MONITOR_QUEUE;
            monitor->used--;
            monitor->busy = TRUE;
        } else {
            return FALSE;
        }
    }
}

static gboolean send_next_refresh(Monitor *monitor)
{
    if (monitor->labels->len > 0) {
        g_autofree char *label = g_ptr_array_steal_index_fast(monitor->labels, monitor->labels->len - 1);
        g_autofree char *path = g_strconcat("/chardevs/", label, NULL);

        send_command(monitor, COMMAND_ADDRESS, "qom-get", json_pack("{s:s, s:s}", "path", path, "property", "addr"));
    } else if (monitor->refresh_due) {
        monitor->refresh_due = FALSE;
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
        if ((monitor->input_first && send_next_input(monitor)) || send_next_refresh(monitor) ||
            send_next_input(monitor)) {
            return;
        }
        if (monitor->phase == PHASE_STARTING) {
            monitor->phase = PHASE_SERVING;
            monitor->state.connected = true;
            monitor->state.connections++;
            monitor->state.open = monitor->open;
        }
        return;
    }
}

static void clear_queue(Monitor *monitor)
{
    monitor->state.lost += monitor->used;
    monitor->used = 0;
}

void monitor_connected(Monitor *monitor)
{
    monitor->phase = PHASE_GREETING;
}

void monitor_disconnected(Monitor *monitor)
{
    clear_queue(monitor);
    monitor->state.lost += monitor->busy;
    monitor->state.connected = false;
    monitor->state.open = 0;
    monitor->phase = PHASE_DOWN;
    monitor->running = COMMAND_NONE;
    monitor->refresh_due = monitor->busy = FALSE;
    monitor->settle = -1;
    monitor->have_buttons = 0;
    memset(monitor->have_keys, 0, sizeof(monitor->have_keys));
    forget_wanted(monitor);
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

static void take_address(Monitor *monitor, const json_t *address)
{
    const char *path = json_string_value(json_object_get(address, "path"));

    if (path) {
        monitor->open |= channels_at(monitor, path);
    }
}

static void take_input_done(Monitor *monitor, gboolean refused)
{
    const Change *change = &monitor->change;

    if (refused) {
        monitor->state.refused += !change->settling;
        monitor->busy = FALSE; /* and so with the rest of this step */
        return;
    }
    monitor->have_buttons = (monitor->have_buttons | change->press) &
                            ~owned_by(monitor, change->target, change->release);
    for (guint i = 0; i < BUTTONS; i++) {
        if (change->press >> i & 1) {
            monitor->owner[i] = change->target;
        }
    }
    if (change->key >= 0) {
        set_key(monitor->have_keys, (guint)change->key, change->down);
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
        monitor->refresh_due = TRUE;
        monitor->settle = 0;
        return result != NULL;
    case COMMAND_CHARDEVS:
        if (!take_chardevs(monitor, result)) {
            return FALSE;
        }
        break;
    case COMMAND_ADDRESS:
        take_address(monitor, result);
        break;
    case COMMAND_INPUT:
        take_input_done(monitor, !result);
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
    } else if (strcmp(event, "RESUME") == 0) {
        monitor->settle = 0; /* what came meanwhile was refused */
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

static gint16 add_motion(gint16 a, gint16 b)
{
    return (gint16)CLAMP(a + b, G_MININT16, G_MAXINT16);
}

/* Motion that waits and has not been followed by an edge is overwritten; relative motion adds up. */
static gboolean merge(Monitor *monitor, const Step *step)
{
    Step *last = monitor->used > 0 ? &monitor->queue[(monitor->head + monitor->used - 1) % MONITOR_QUEUE] : NULL;
    Verb moved;

    if (!last || last->edge || step->verb.type == VERB_KEY || last->verb.type != step->verb.type) {
        return FALSE;
    }
    moved = last->verb;
    *last = *step;
    if (step->verb.type == VERB_MOTION) {
        last->verb.dx = add_motion(moved.dx, step->verb.dx);
        last->verb.dy = add_motion(moved.dy, step->verb.dy);
    } else if (!step->verb.position) {
        last->verb.position = moved.position;
        last->verb.display = moved.display;
        last->verb.x = moved.x;
        last->verb.y = moved.y;
    }
    return TRUE;
}

static void put(Monitor *monitor, const Step *step)
{
    if (merge(monitor, step)) {
        return;
    }
    if (monitor->used == MONITOR_QUEUE) {
        clear_queue(monitor);
        monitor->state.lost += step->edge;
        monitor->settle = 0;
        return;
    }
    monitor->queue[(monitor->head + monitor->used++) % MONITOR_QUEUE] = *step;
}

/*
 * Follow a pointer verb in `want`; a button without a position belongs to where the pointer is. No tablet of QEMU's has a
 * horizontal wheel, its mice have: a virtio tablet would only log each detent.
 */
static Step pointer_step(Monitor *monitor, const Verb *verb)
{
    Step step = { .verb = *verb };
    Verb *want = &monitor->want;

    step.verb.buttons &= BUTTONS_KNOWN;
    step.verb.hwheel = verb->type == VERB_MOTION ? verb->hwheel : 0;
    step.edge = step.verb.buttons != want->buttons || step.verb.wheel != 0 || step.verb.hwheel != 0;
    want->buttons = step.verb.buttons;
    if (verb->position) {
        want->position = true;
        want->display = verb->display;
        want->x = verb->x;
        want->y = verb->y;
    } else if (verb->type == VERB_POINTER) {
        step.verb.display = want->display;
    } else {
        want->position = false; /* the pointer has left it */
    }
    return step;
}

void monitor_verb(Monitor *monitor, const Verb *verb)
{
    Step step = { .verb = *verb, .edge = TRUE };

    if (monitor->phase != PHASE_SERVING) {
        monitor->state.lost += verb->type != VERB_REFRESH;
        return;
    }
    switch (verb->type) {
    case VERB_REFRESH:
        monitor->refresh_due = TRUE;
        break;
    case VERB_KEY:
        set_key(monitor->want_keys, verb->scancode, verb->down);
        put(monitor, &step);
        break;
    case VERB_POINTER:
    case VERB_MOTION:
        step = pointer_step(monitor, verb);
        put(monitor, &step);
        break;
    }
    proceed(monitor);
}

void monitor_release(Monitor *monitor)
{
    if (monitor->phase == PHASE_SERVING || monitor->phase == PHASE_STARTING) {
        clear_queue(monitor);
        forget_wanted(monitor);
        monitor->busy = FALSE;
        monitor->settle = 0;
        proceed(monitor);
    }
}

bool monitor_idle(const Monitor *monitor)
{
    return monitor->running == COMMAND_NONE && monitor->out->len == 0 && monitor->used == 0 && !monitor->busy &&
           monitor->settle < 0;
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
