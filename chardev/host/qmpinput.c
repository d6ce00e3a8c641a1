/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmpinput.h"

#include <string.h>

/* QEMU's names, in the order of PVMOUSE_BUTTON_*. Its input-send-event has no forward and back: they are ignored. */
static const char *const button_names[] = { "left", "middle", "right", "side", "extra" };
#define BUTTONS G_N_ELEMENTS(button_names)
#define BUTTONS_KNOWN ((1u << BUTTONS) - 1)

#define KEYS 256

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

struct QmpInput {
    const QmpDisplay *displays;
    guint n_displays;
    VerbState *counters;

    /* `want` is where verbs have led, `have` what QEMU has carried out */
    Verb want;               /* POINTER: last position and buttons */
    guint have_buttons;
    guint owner[BUTTONS];    /* target where a button of have_buttons went down */
    guint8 want_keys[KEYS / 8], have_keys[KEYS / 8];

    Step queue[QMPINPUT_QUEUE];
    guint head, used;
    gboolean busy;           /* with `current`, which is in the queue no more */
    Step current;
    int settle;              /* next step of telling QEMU how things stand, or -1 */
    Change change;           /* of the last command */
};

static gboolean key_is_down(const guint8 *keys, guint key)
{
    return keys[key / 8] >> key % 8 & 1;
}

static void set_key(guint8 *keys, guint key, gboolean down)
{
    keys[key / 8] = (guint8)((keys[key / 8] & ~(1u << key % 8)) | (guint)down << key % 8);
}

static void forget_wanted(QmpInput *input)
{
    input->want = (Verb){ .type = VERB_POINTER };
    memset(input->want_keys, 0, sizeof(input->want_keys));
}

QmpInput *qmpinput_new(const QmpDisplay *displays, guint n_displays, VerbState *counters)
{
    QmpInput *input = g_new0(QmpInput, 1);

    g_assert(n_displays <= LIMIT_DISPLAYS);
    input->displays = displays;
    input->n_displays = n_displays;
    input->counters = counters;
    input->settle = -1;
    forget_wanted(input);
    return input;
}

void qmpinput_free(QmpInput *input)
{
    g_free(input);
}

/* Takes `events`, and remembers what they change. */
static json_t *make_command(QmpInput *input, const Change *change, json_t *events)
{
    json_t *arguments = json_pack("{s:o}", "events", events);

    if (change->target < input->n_displays && input->displays[change->target].device) {
        const QmpDisplay *display = &input->displays[change->target];

        json_object_set_new(arguments, "device", json_string(display->device));
        json_object_set_new(arguments, "head", json_integer(display->head));
    }
    input->change = *change;
    return arguments;
}

static void add_button(json_t *events, const char *name, gboolean down)
{
    json_array_append_new(events,
                          json_pack("{s:s, s:{s:s, s:b}}", "type", "btn", "data", "button", name, "down", down));
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
static guint owned_by(const QmpInput *input, guint target, guint set)
{
    guint owned = 0;

    for (guint i = 0; i < BUTTONS; i++) {
        if (set >> i & 1 && input->owner[i] == target) {
            owned |= 1u << i;
        }
    }
    return owned;
}

/* The next command of a pointer step: the target's part, a detent at a time, then what goes up elsewhere. */
static json_t *next_of_pointer(QmpInput *input, Verb *verb)
{
    guint up = input->have_buttons & ~verb->buttons;
    Change change = { .target = verb->type == VERB_POINTER ? verb->display : input->n_displays, .key = -1 };
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
    change.release = owned_by(input, change.target, up);
    change.press = verb->buttons & ~input->have_buttons;
    if (json_array_size(events) == 0 && change.release == 0 && change.press == 0 && verb->wheel == 0 &&
        verb->hwheel == 0 && up != 0) {
        change.target = input->owner[g_bit_nth_lsf(up, -1)];
        change.release = owned_by(input, change.target, up);
    }
    add_buttons(events, change.release, FALSE);
    add_buttons(events, change.press, TRUE);
    add_detent(events, &verb->wheel, "wheel-up", "wheel-down");
    add_detent(events, &verb->hwheel, "wheel-right", "wheel-left");
    if (json_array_size(events) == 0) {
        json_decref(events);
        return NULL;
    }
    return make_command(input, &change, events);
}

static json_t *next_of_key(QmpInput *input, guint scancode, gboolean down, gboolean settling)
{
    Change change = { .target = input->n_displays, .key = (int)scancode, .down = down, .settling = settling };
    json_t *event = json_pack("{s:s, s:{s:b, s:{s:s, s:i}}}", "type", "key", "data", "down", down, "key", "type",
                              "number", "data", (int)scancode);

    return make_command(input, &change, json_pack("[o]", event));
}

static json_t *next_of_step(QmpInput *input)
{
    Verb *verb = &input->current.verb;

    if (verb->type != VERB_KEY) {
        return next_of_pointer(input, verb);
    }
    input->busy = FALSE; /* a key is one command */
    return next_of_key(input, verb->scancode, verb->down, FALSE);
}

/* Releases on each target, then keys; NULL when that is done, and a step to where the pointer is comes next. */
static json_t *next_of_settling(QmpInput *input)
{
    guint target = (guint)input->settle;

    if (target <= input->n_displays) {
        guint kept = owned_by(input, target, input->have_buttons & input->want.buttons);
        Change change = { .target = target, .release = BUTTONS_KNOWN & ~kept, .key = -1, .settling = TRUE };
        json_t *events = json_array();

        add_buttons(events, change.release, FALSE);
        input->settle++;
        return make_command(input, &change, events);
    }
    for (guint key = 0; key < KEYS; key++) {
        if (key_is_down(input->have_keys, key) && !key_is_down(input->want_keys, key)) {
            set_key(input->have_keys, key, FALSE); /* once, carried out or not */
            return next_of_key(input, key, FALSE, TRUE);
        }
    }
    input->settle = -1;
    input->current = (Step){ .verb = input->want, .edge = TRUE };
    input->busy = TRUE;
    return NULL;
}

json_t *qmpinput_next(QmpInput *input)
{
    for (;;) {
        json_t *arguments = input->busy ? next_of_step(input) : NULL;

        if (arguments) {
            return arguments;
        }
        input->busy = FALSE;
        if (input->settle >= 0) {
            arguments = next_of_settling(input);
            if (arguments) {
                return arguments;
            }
        } else if (input->used > 0) {
            input->current = input->queue[input->head];
            input->head = (input->head + 1) % QMPINPUT_QUEUE;
            input->used--;
            input->busy = TRUE;
        } else {
            return NULL;
        }
    }
}

static void clear_queue(QmpInput *input)
{
    input->counters->lost += input->used;
    input->used = 0;
}

static gint16 add_motion(gint16 a, gint16 b)
{
    return (gint16)CLAMP(a + b, G_MININT16, G_MAXINT16);
}

/* Motion that waits and has not been followed by an edge is overwritten; relative motion adds up. */
static gboolean merge(QmpInput *input, const Step *step)
{
    Step *last = input->used > 0 ? &input->queue[(input->head + input->used - 1) % QMPINPUT_QUEUE] : NULL;
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

static void put(QmpInput *input, const Step *step)
{
    if (merge(input, step)) {
        return;
    }
    if (input->used == QMPINPUT_QUEUE) {
        clear_queue(input);
        input->counters->lost += step->edge;
        input->settle = 0;
        return;
    }
    input->queue[(input->head + input->used++) % QMPINPUT_QUEUE] = *step;
}

/*
 * Follow a pointer verb in `want`; a button without a position belongs to where the pointer is. No tablet of QEMU's has
 * a horizontal wheel, its mice have: a virtio tablet would only log each detent.
 */
static Step pointer_step(QmpInput *input, const Verb *verb)
{
    Step step = { .verb = *verb };
    Verb *want = &input->want;

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

void qmpinput_verb(QmpInput *input, const Verb *verb)
{
    Step step = { .verb = *verb, .edge = TRUE };

    if (verb->type == VERB_KEY) {
        set_key(input->want_keys, verb->scancode, verb->down);
    } else {
        step = pointer_step(input, verb);
    }
    put(input, &step);
}

void qmpinput_settle(QmpInput *input)
{
    input->settle = 0;
}

void qmpinput_release(QmpInput *input)
{
    clear_queue(input);
    forget_wanted(input);
    input->busy = FALSE;
    input->settle = 0;
}

void qmpinput_clear(QmpInput *input)
{
    clear_queue(input);
    forget_wanted(input);
    input->counters->lost += input->busy;
    input->busy = FALSE;
    input->settle = -1;
    input->have_buttons = 0;
}

gboolean qmpinput_is_empty(const QmpInput *input)
{
    return input->used == 0 && !input->busy && input->settle < 0;
}

void qmpinput_done(QmpInput *input, gboolean refused)
{
    const Change *change = &input->change;

    if (refused) {
        input->counters->refused += !change->settling;
        input->busy = FALSE; /* and so with the rest of this step */
        return;
    }
    input->have_buttons = (input->have_buttons | change->press) & ~owned_by(input, change->target, change->release);
    for (guint i = 0; i < BUTTONS; i++) {
        if (change->press >> i & 1) {
            input->owner[i] = change->target;
        }
    }
    if (change->key >= 0) {
        set_key(input->have_keys, (guint)change->key, change->down);
    }
}
