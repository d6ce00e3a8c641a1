/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input: a script of what guest, user and clock do, one operation byte and its operands each (see `run`). What the host
 * writes must be whole frames that a guest takes, never beyond its credit, and nothing may wait that has none.
 */
#include "fuzz.h"
#include "sender.h"

#include <stddef.h>
#include <string.h>

typedef struct World {
    Sender sender;
    int64_t now, invited;
    uint8_t rest[256]; /* of the guest's bytes, not yet taken */
    size_t rest_size;
    PvmouseReader reader; /* a second opinion on what the guest granted, from the last HELLO on */
    uint64_t granted, used;
    uint32_t sequence, nonce, features;
    bool answered;
} World;

/* What a guest would refuse (pvmouse.md, section 9). */
static void check_input(World *world, const PvmouseFrame *frame)
{
    bool position = frame->type == PVMOUSE_STATE && !frame->no_position;

    FUZZ_CHECK(world->answered);
    FUZZ_CHECK(frame->sequence == ++world->sequence);
    FUZZ_CHECK(++world->used <= world->granted);
    FUZZ_CHECK(!position || (world->features & PVMOUSE_FEATURE_ABSOLUTE));
    FUZZ_CHECK(frame->type != PVMOUSE_MOTION || (world->features & PVMOUSE_FEATURE_RELATIVE));
    FUZZ_CHECK((world->features & PVMOUSE_FEATURE_HIRES_WHEEL) ||
               (frame->wheel % PVMOUSE_DETENT == 0 && frame->hwheel % PVMOUSE_DETENT == 0));
}

static void check_frame(World *world, const uint8_t *data)
{
    PvmouseFrame frame;

    FUZZ_CHECK(pvmouse_decode(data, &frame) == PVMOUSE_OK);
    switch (frame.type) {
    case PVMOUSE_HELLO:
        FUZZ_CHECK(frame.version == PVMOUSE_VERSION && frame.credit == 0 && frame.features == world->sender.ours);
        FUZZ_CHECK(world->answered || frame.sequence == 0 || frame.sequence == world->nonce);
        FUZZ_CHECK(!world->answered || frame.sequence == 0);
        if (frame.sequence == 0) {
            FUZZ_CHECK(world->invited == 0 || world->now - world->invited >= SENDER_INVITE_US);
            FUZZ_CHECK(!sender_is_open(&world->sender));
            world->invited = world->now;
        }
        world->answered = frame.sequence != 0;
        break;
    case PVMOUSE_STATE:
    case PVMOUSE_MOTION:
    case PVMOUSE_RELEASE:
        check_input(world, &frame);
        break;
    case PVMOUSE_CREDIT:
        FUZZ_CHECK(!"CREDIT is the guest's");
    }
}

static void take_output(World *world, size_t size)
{
    uint8_t data[8 * PVMOUSE_FRAME_SIZE];
    size_t written;

    size = size < sizeof(data) ? size : sizeof(data);
    written = sender_output(&world->sender, world->now, data, size);
    FUZZ_CHECK(written <= size && written % PVMOUSE_FRAME_SIZE == 0);
    for (size_t at = 0; at < written; at += PVMOUSE_FRAME_SIZE)
        check_frame(world, data + at);
    if (size >= PVMOUSE_FRAME_SIZE)
        FUZZ_CHECK(!sender_blocked(&world->sender));
}

/* What has been taken from `data`, as the guest meant it: HELLO starts its credit, CREDIT adds to it. */
static void count_credit(World *world, SenderResult result)
{
    const Sender *sender = &world->sender;
    PvmouseFrame frame;

    if (result != SENDER_OPEN && result != SENDER_FLOOD)
        return;
    FUZZ_CHECK(pvmouse_decode(sender->reader.bytes, &frame) == PVMOUSE_OK);
    FUZZ_CHECK(frame.type == PVMOUSE_HELLO && frame.sequence != 0);
    FUZZ_CHECK(sender_blocked(sender) && sender_is_open(sender) && sender_waiting(sender) == 1);
    world->granted = frame.credit;
    world->used = 0;
    world->sequence = 0;
    world->nonce = frame.sequence;
    world->features = frame.features & sender->ours;
    world->answered = false;
    world->reader = (PvmouseReader){ .have = 0 };
}

/* Bytes that the sender took while open are frames behind the last HELLO. */
static void count_frames(World *world, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    PvmouseFrame frame;

    while (pvmouse_read(&world->reader, &in)) {
        if (pvmouse_decode(world->reader.bytes, &frame) == PVMOUSE_OK && frame.type == PVMOUSE_CREDIT)
            world->granted += frame.credit;
    }
}

static void feed(World *world)
{
    BytesReader in = bytes_reader(world->rest, world->rest_size);
    SenderResult result;

    do {
        const uint8_t *from = in.at;
        bool blocked = sender_blocked(&world->sender), open = sender_is_open(&world->sender);

        result = sender_next(&world->sender, &in, world->now);
        FUZZ_CHECK(!blocked || (result == SENDER_MORE && in.at == from));
        FUZZ_CHECK(result != SENDER_MORE || in.left == 0 || blocked);
        FUZZ_CHECK(result != SENDER_LOST || (open && !sender_is_open(&world->sender)));
        if (open)
            count_frames(world, from, (size_t)(in.at - from));
        count_credit(world, result);
    } while (result != SENDER_MORE);
    if (in.left > 0)
        memmove(world->rest, in.at, in.left);
    world->rest_size = in.left;
}

static void from_guest(World *world, const uint8_t *data, size_t size)
{
    if (size > sizeof(world->rest) - world->rest_size)
        return; /* a guest that does not read is not read from */
    memcpy(world->rest + world->rest_size, data, size);
    world->rest_size += size;
    feed(world);
}

static void from_guest_frame(World *world, PvmouseFrame frame)
{
    uint8_t data[PVMOUSE_FRAME_SIZE];

    pvmouse_encode(&frame, data);
    from_guest(world, data, sizeof(data));
}

/* False at the end of the script. */
static bool run(World *world, BytesReader *in)
{
    uint8_t op = 0, small = 0;
    uint16_t a = 0, b = 0, c = 0;
    uint32_t number = 0;
    const uint8_t *data = NULL;
    PvmouseFrame frame = { .type = PVMOUSE_STATE };

    if (!bytes_get_u8(in, &op))
        return false;
    switch (op % 16) {
    case 0: /* bytes of the guest */
        if (!bytes_get_u8(in, &small) || !bytes_take(in, small, &data))
            return false;
        from_guest(world, data, small);
        break;
    case 1: /* its HELLO, of all kinds of guests */
        if (!bytes_get_u32(in, &number))
            return false;
        frame = (PvmouseFrame){ .type = PVMOUSE_HELLO, .sequence = number & 0xff, .version = (uint16_t)(1 + (op >> 7)),
                                .features = op >> 4 & 7, .credit = number >> 8 };
        from_guest_frame(world, frame);
        break;
    case 2: /* its CREDIT */
        if (!bytes_get_u32(in, &number))
            return false;
        from_guest_frame(world, (PvmouseFrame){ .type = PVMOUSE_CREDIT, .credit = number });
        break;
    case 3: /* a place, motion, turns and buttons of the user */
    case 4:
    case 5:
    case 6:
        if (!bytes_get_u16(in, &a) || !bytes_get_u16(in, &b) || (op % 16 > 4 && !bytes_get_u16(in, &c)))
            return false;
        frame.type = op % 2 == 0 ? PVMOUSE_MOTION : PVMOUSE_STATE;
        frame.display = a & 1;
        frame.x = a;
        frame.y = b;
        frame.dx = (int16_t)a;
        frame.dy = (int16_t)b;
        frame.buttons = op >> 4 & 7;
        frame.wheel = op & 0x80 ? 0 : (int16_t)c;
        frame.hwheel = op & 0x80 ? (int16_t)c : 0;
        sender_input(&world->sender, &frame);
        break;
    case 7: /* buttons and turns alone */
        if (!bytes_get_u16(in, &c))
            return false;
        frame.no_position = true;
        frame.buttons = op >> 4 & 7;
        frame.wheel = (int16_t)c;
        sender_input(&world->sender, &frame);
        break;
    case 8: /* many clicks */
        if (!bytes_get_u8(in, &small))
            return false;
        for (unsigned i = 0; i < 2u * small; i++) {
            frame.buttons = i % 2 ? 0 : PVMOUSE_BUTTON_LEFT;
            frame.x = (uint16_t)i;
            frame.wheel = op & 0x10 ? 1 : 0;
            sender_input(&world->sender, &frame);
        }
        break;
    case 9:
        sender_release(&world->sender);
        break;
    case 10: /* time */
        if (!bytes_get_u16(in, &a))
            return false;
        world->now += a * INT64_C(1000);
        break;
    case 11: /* output, as far as there is room; what was left can then be read */
        if (!bytes_get_u8(in, &small))
            return false;
        take_output(world, small);
        feed(world);
        break;
    case 12:
        sender_disconnected(&world->sender);
        FUZZ_CHECK(sender_deadline(&world->sender) == -1 && sender_waiting(&world->sender) == 0);
        world->rest_size = 0;
        world->answered = false;
        break;
    case 13:
        sender_connected(&world->sender, world->now);
        world->rest_size = 0;
        world->answered = false;
        break;
    default: /* at once, as most of the time */
        take_output(world, SIZE_MAX);
        feed(world);
        break;
    }
    FUZZ_CHECK(sender_waiting(&world->sender) <= SENDER_QUEUE);
    FUZZ_CHECK(world->sender.credit <= SENDER_CREDIT_MAX);
    FUZZ_CHECK(sender_is_open(&world->sender) || sender_waiting(&world->sender) == 0);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    World *world = calloc(1, sizeof(World));
    BytesReader in = bytes_reader(data, size);
    uint8_t head = 0;

    FUZZ_CHECK(world != NULL);
    bytes_get_u8(&in, &head);
    world->now = 1000;
    sender_init(&world->sender, head & 7);
    if ((head & 8) == 0)
        sender_connected(&world->sender, world->now);
    while (run(world, &in))
        ;
    /* A guest that comes now gets all that there is for it, and the host is at rest. */
    sender_disconnected(&world->sender);
    sender_connected(&world->sender, world->now);
    world->rest_size = 0;
    world->answered = false;
    from_guest_frame(world, (PvmouseFrame){ .type = PVMOUSE_HELLO, .sequence = 1000, .version = 1, .credit = 1 });
    take_output(world, SIZE_MAX);
    FUZZ_CHECK(world->used == 1 && sender_waiting(&world->sender) == 0 && sender_deadline(&world->sender) == -1);
    free(world);
    return 0;
}
