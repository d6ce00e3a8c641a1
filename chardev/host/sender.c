/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sender.h"

#include <assert.h>
#include <string.h>

#define SECOND_US 1000000

static SenderFrame *slot(Sender *sender, size_t index)
{
    return &sender->queue[(sender->head + index) % SENDER_QUEUE];
}

static int32_t add(int32_t a, int32_t b)
{
    int64_t sum = (int64_t)a + b;

    return sum > SENDER_SUM_MAX ? SENDER_SUM_MAX : sum < -SENDER_SUM_MAX ? -SENDER_SUM_MAX : (int32_t)sum;
}

/* As much of `rest` as a frame holds, in whole units. */
static int16_t take_part(int32_t *rest, int32_t unit)
{
    int32_t part = *rest > INT16_MAX ? INT16_MAX : *rest < INT16_MIN ? INT16_MIN : *rest;

    part -= part % unit;
    *rest -= part;
    return (int16_t)part;
}

void sender_init(Sender *sender, uint32_t features)
{
    memset(sender, 0, sizeof(*sender));
    sender->ours = features;
    sender->now_at = (PvmouseFrame){ .type = PVMOUSE_STATE, .no_position = true };
}

/* All that is held for a guest. */
static void forget(Sender *sender)
{
    sender->credit = 0;
    sender->sequence = 0;
    sender->told = 0;
    sender->answer_due = false;
    sender->wheel = sender->hwheel = 0;
    sender->head = sender->used = 0;
    sender->moving = false;
}

/* Wait for HELLO, and invite from `at` on, which is at least a second after whatever was sent or read before. */
static void wait_for_hello(Sender *sender, int64_t at)
{
    forget(sender);
    sender->state = SENDER_WAITING;
    sender->invitations = SENDER_INVITATIONS;
    sender->invite_at = at;
}

void sender_connected(Sender *sender, int64_t now)
{
    sender->reader = (PvmouseReader){ .have = 0 };
    sender->flooded = false;
    wait_for_hello(sender, now + SENDER_INVITE_US);
}

void sender_disconnected(Sender *sender)
{
    forget(sender);
    sender->state = SENDER_CLOSED;
}

static void grant(Sender *sender, uint32_t credit)
{
    sender->credit = credit > SENDER_CREDIT_MAX - sender->credit ? SENDER_CREDIT_MAX : sender->credit + credit;
}

/* A frame as this guest takes it: without a position or motion that was not agreed upon, and without its turns. */
static SenderFrame agreed(const Sender *sender, const PvmouseFrame *frame)
{
    SenderFrame result = { .frame = { .type = PVMOUSE_STATE, .no_position = true } };

    if (frame->type == PVMOUSE_MOTION && (sender->features & PVMOUSE_FEATURE_RELATIVE)) {
        result = (SenderFrame){ .frame = { .type = PVMOUSE_MOTION }, .dx = frame->dx, .dy = frame->dy };
    } else if (frame->type == PVMOUSE_STATE && !frame->no_position && (sender->features & PVMOUSE_FEATURE_ABSOLUTE)) {
        result = (SenderFrame){
            .frame = { .type = PVMOUSE_STATE, .display = frame->display, .x = frame->x, .y = frame->y } };
    }
    result.frame.buttons = frame->buttons;
    return result;
}

/* A queue of edges cannot lose a single one, as a lost release is a stuck button: let go of everything, begin anew. */
static void replace_queue(Sender *sender)
{
    SenderFrame full = agreed(sender, &sender->now_at);

    for (size_t i = 0; i < sender->used; i++) {
        const SenderFrame *lost = slot(sender, i);

        full.wheel = add(full.wheel, lost->wheel);
        full.hwheel = add(full.hwheel, lost->hwheel);
        if (full.frame.type == PVMOUSE_MOTION) {
            full.dx = add(full.dx, lost->dx);
            full.dy = add(full.dy, lost->dy);
        }
    }
    sender->removed += sender->used;
    sender->used = 2;
    *slot(sender, 0) = (SenderFrame){ .frame = { .type = PVMOUSE_RELEASE } };
    *slot(sender, 1) = full;
}

static void push(Sender *sender, const SenderFrame *next)
{
    if (sender->used == SENDER_QUEUE) {
        replace_queue(sender);
    }
    *slot(sender, sender->used++) = *next;
}

static SenderResult take_hello(Sender *sender, const PvmouseFrame *hello, int64_t now)
{
    SenderFrame full;

    forget(sender);
    sender->state = SENDER_OPENED;
    sender->features = hello->features & sender->ours;
    sender->nonce = hello->sequence;
    sender->version = hello->version < PVMOUSE_VERSION ? hello->version : PVMOUSE_VERSION;
    sender->answer_due = true;
    grant(sender, hello->credit);
    full = agreed(sender, &sender->now_at);
    push(sender, &full);

    sender->hellos++;
    if (now - sender->hellos_from >= SECOND_US) {
        sender->hellos_from = now;
        sender->hellos_now = 0;
    }
    if (++sender->hellos_now > SENDER_HELLOS_MAX && !sender->flooded) {
        sender->flooded = true;
        return SENDER_FLOOD;
    }
    return SENDER_OPEN;
}

static SenderResult next_waiting(Sender *sender, BytesReader *in, int64_t now)
{
    while (pvmouse_read_hello(&sender->reader, in)) {
        PvmouseFrame hello;

        if (pvmouse_decode(sender->reader.bytes, &hello) == PVMOUSE_OK && hello.sequence != 0) {
            return take_hello(sender, &hello, now);
        }
    }
    return SENDER_MORE;
}

static SenderResult next_open(Sender *sender, BytesReader *in, int64_t now)
{
    while (pvmouse_read(&sender->reader, in)) {
        PvmouseFrame frame = { .sequence = 0 };

        if (pvmouse_decode(sender->reader.bytes, &frame) == PVMOUSE_OK) {
            if (frame.type == PVMOUSE_CREDIT) {
                grant(sender, frame.credit);
                continue;
            }
            if (frame.type == PVMOUSE_HELLO && frame.sequence != 0) {
                return take_hello(sender, &frame, now);
            }
        }
        /* The frame stays in the reader: HELLO is looked for inside it as well. */
        wait_for_hello(sender, now + SENDER_INVITE_US);
        return SENDER_LOST;
    }
    return SENDER_MORE;
}

SenderResult sender_next(Sender *sender, BytesReader *in, int64_t now)
{
    if (sender_blocked(sender)) {
        return SENDER_MORE;
    }
    if (in->left > 0) {
        sender->read_at = now;
    }
    switch (sender->state) {
    case SENDER_CLOSED:
        in->at += in->left;
        in->left = 0;
        return SENDER_MORE;
    case SENDER_WAITING:
        return next_waiting(sender, in, now);
    case SENDER_OPENED:
        return next_open(sender, in, now);
    }
    return SENDER_MORE;
}

bool sender_blocked(const Sender *sender)
{
    return sender->answer_due;
}

bool sender_is_open(const Sender *sender)
{
    return sender->state == SENDER_OPENED;
}

/* What of a turn this guest takes now; without HIRES_WHEEL the rest is kept in `rest` until it makes a detent. */
static int32_t whole_turn(const Sender *sender, int32_t *rest, int16_t turn)
{
    int32_t whole;

    if (sender->features & PVMOUSE_FEATURE_HIRES_WHEEL) {
        return turn;
    }
    whole = *rest + turn;
    *rest = whole % PVMOUSE_DETENT;
    return whole - *rest;
}

/* Put the motion that waits in front of `next`: into it where it can be, else into the queue. */
static void take_motion(Sender *sender, SenderFrame *next)
{
    const SenderFrame *motion = &sender->motion;

    if (!sender->moving) {
        return;
    }
    sender->moving = false;
    if (next->frame.no_position) {
        uint16_t buttons = next->frame.buttons;

        next->frame = motion->frame;
        next->frame.buttons = buttons;
    } else if (next->frame.type != motion->frame.type) {
        push(sender, motion);
        return;
    }
    next->dx = add(next->dx, motion->dx);
    next->dy = add(next->dy, motion->dy);
    sender->coalesced++;
}

/* Add the turn of `next` to that which waits last, if both are turns the same way at the same place. */
static bool add_turn(Sender *sender, const SenderFrame *next)
{
    SenderFrame *last = sender->used > 0 ? slot(sender, sender->used - 1) : NULL;

    if (last == NULL || (last->wheel == 0 && last->hwheel == 0) || next->frame.type != last->frame.type ||
        next->frame.no_position != last->frame.no_position || next->frame.display != last->frame.display ||
        next->frame.x != last->frame.x || next->frame.y != last->frame.y || next->dx != 0 || next->dy != 0 ||
        next->frame.buttons != last->frame.buttons || (int64_t)next->wheel * last->wheel < 0 ||
        (int64_t)next->hwheel * last->hwheel < 0) {
        return false;
    }
    last->wheel = add(last->wheel, next->wheel);
    last->hwheel = add(last->hwheel, next->hwheel);
    sender->coalesced++;
    return true;
}

static void take_input(Sender *sender, const PvmouseFrame *input)
{
    SenderFrame next = agreed(sender, input);
    bool edge = input->buttons != sender->now_at.buttons;

    next.wheel = whole_turn(sender, &sender->wheel, input->wheel);
    next.hwheel = whole_turn(sender, &sender->hwheel, input->hwheel);
    if (!edge && next.wheel == 0 && next.hwheel == 0) {
        if (!next.frame.no_position) {
            take_motion(sender, &next);
            sender->motion = next;
            sender->moving = true;
        }
        return;
    }
    take_motion(sender, &next);
    if (!add_turn(sender, &next)) {
        push(sender, &next);
    }
}

void sender_input(Sender *sender, const PvmouseFrame *frame)
{
    assert(frame->type == PVMOUSE_STATE || frame->type == PVMOUSE_MOTION);
    if (sender->state == SENDER_OPENED) {
        take_input(sender, frame);
    } else if (sender->invitations == 0) {
        sender->invitations = 1;
    }
    if (frame->type == PVMOUSE_MOTION) {
        sender->now_at = (PvmouseFrame){ .type = PVMOUSE_MOTION };
    } else if (!frame->no_position) {
        sender->now_at =
            (PvmouseFrame){ .type = PVMOUSE_STATE, .display = frame->display, .x = frame->x, .y = frame->y };
    }
    sender->now_at.buttons = frame->buttons;
}

void sender_release(Sender *sender)
{
    static const SenderFrame release = { .frame = { .type = PVMOUSE_RELEASE } };

    if (sender->state == SENDER_OPENED) {
        sender->moving = false;
        sender->wheel = sender->hwheel = 0;
        if (sender->used == 0 || slot(sender, sender->used - 1)->frame.type != PVMOUSE_RELEASE) {
            push(sender, &release);
        }
    }
    sender->now_at.buttons = 0;
}

bool sender_full(const Sender *sender)
{
    return sender->used >= SENDER_QUEUE - SENDER_QUEUE / 8;
}

static PvmouseFrame make_hello(const Sender *sender, uint32_t nonce, uint16_t version)
{
    return (PvmouseFrame){ .type = PVMOUSE_HELLO, .sequence = nonce, .version = version, .features = sender->ours };
}

/* Has the guest begun a frame and not ended it? */
static bool is_partial(const Sender *sender)
{
    return sender->reader.have % PVMOUSE_FRAME_SIZE != 0;
}

/* The next frame of what waits, for one unit of credit. */
static bool next_input(Sender *sender, PvmouseFrame *ret_frame)
{
    bool queued = sender->used > 0;
    SenderFrame *from = queued ? slot(sender, 0) : &sender->motion;
    int32_t unit = sender->features & PVMOUSE_FEATURE_HIRES_WHEEL ? 1 : PVMOUSE_DETENT;

    if (sender->credit == 0 || (!queued && !sender->moving)) {
        return false;
    }
    *ret_frame = from->frame;
    ret_frame->dx = take_part(&from->dx, 1);
    ret_frame->dy = take_part(&from->dy, 1);
    if (from->dx != 0 || from->dy != 0) {
        ret_frame->buttons = sender->told; /* the edge comes at the end of the way */
    } else {
        ret_frame->wheel = take_part(&from->wheel, unit);
        ret_frame->hwheel = take_part(&from->hwheel, unit);
    }
    if (from->dx == 0 && from->dy == 0 && from->wheel == 0 && from->hwheel == 0) {
        if (queued) {
            sender->head = (sender->head + 1) % SENDER_QUEUE;
            sender->used--;
        } else {
            sender->moving = false;
        }
    }
    sender->credit--;
    sender->sent++;
    sender->told = ret_frame->buttons;
    ret_frame->sequence = ++sender->sequence;
    return true;
}

static bool next_frame(Sender *sender, int64_t now, PvmouseFrame *ret_frame)
{
    switch (sender->state) {
    case SENDER_CLOSED:
        return false;
    case SENDER_WAITING:
        if (sender->invitations == 0 || now < sender->invite_at) {
            return false;
        }
        sender->invitations--;
        sender->invite_at = now + SENDER_INVITE_US;
        *ret_frame = make_hello(sender, 0, PVMOUSE_VERSION);
        return true;
    case SENDER_OPENED:
        if (!sender->answer_due) {
            return next_input(sender, ret_frame);
        }
        sender->answer_due = false;
        *ret_frame = make_hello(sender, sender->nonce, sender->version);
        return true;
    }
    return false;
}

size_t sender_output(Sender *sender, int64_t now, uint8_t *ret_data, size_t size)
{
    PvmouseFrame frame;
    size_t used = 0;

    /* A dead guest's part of HELLO and the beginning of its successor's make one that decodes; this is its rest. */
    if (sender->state == SENDER_OPENED && is_partial(sender) && now - sender->read_at >= SENDER_INVITE_US) {
        wait_for_hello(sender, now);
    }
    while (size - used >= PVMOUSE_FRAME_SIZE && next_frame(sender, now, &frame)) {
        pvmouse_encode(&frame, ret_data + used);
        used += PVMOUSE_FRAME_SIZE;
    }
    return used;
}

int64_t sender_deadline(const Sender *sender)
{
    switch (sender->state) {
    case SENDER_CLOSED:
        return -1;
    case SENDER_WAITING:
        return sender->invitations > 0 ? sender->invite_at : -1;
    case SENDER_OPENED:
        return is_partial(sender) ? sender->read_at + SENDER_INVITE_US : -1;
    }
    return -1;
}

size_t sender_waiting(const Sender *sender)
{
    return sender->used;
}
