/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step, then what a host writes to spice-pvmouse; the guest's first nonce is 1. From bytes to evdev events. */
#include "fuzz.h"
#include "pointer.h"
#include "session.h"

#include <linux/input-event-codes.h>

#define NOW 1000

typedef struct Guest {
    Session session;
    Pointer pointer;
} Guest;

static Guest make(void)
{
    Guest guest;

    session_init(&guest.session, 0);
    pointer_init(&guest.pointer);
    session_connected(&guest.session, NOW);
    return guest;
}

/* Each report is of one device, and the engine's idea of what is down agrees with what it said. */
static void check_steps(const Pointer *pointer, const PointerStep *steps, size_t count, uint64_t *digest)
{
    FUZZ_CHECK(count <= POINTER_STEPS_MAX);
    FUZZ_CHECK(count == 0 || steps[count - 1].type == EV_SYN);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(i == 0 || steps[i - 1].type == EV_SYN || steps[i].relative == steps[i - 1].relative);
        FUZZ_CHECK(steps[i].type != EV_ABS || (!steps[i].relative && steps[i].value >= 0 && steps[i].value <= 65535));
        FUZZ_CHECK(steps[i].type != EV_REL || (steps[i].code != REL_X && steps[i].code != REL_Y) || steps[i].relative);
        *digest = fuzz_mix_number(*digest, (uint64_t)steps[i].type << 16 | steps[i].code);
        *digest = fuzz_mix_number(*digest, (uint32_t)steps[i].value);
    }
    FUZZ_CHECK((pointer->buttons & ~PVMOUSE_BUTTONS_ALL) == 0);
    FUZZ_CHECK(pointer->wheel > -PVMOUSE_DETENT && pointer->wheel < PVMOUSE_DETENT);
}

static void feed(Guest *guest, const uint8_t *data, size_t size, uint64_t *digest)
{
    uint8_t output[SESSION_OUTPUT_MAX];
    PointerStep steps[POINTER_STEPS_MAX];
    BytesReader in = bytes_reader(data, size);
    SessionEvent event;
    SessionResult result;

    do {
        *digest = fuzz_mix(*digest, output, session_output(&guest->session, NOW, true, output));
        result = session_next(&guest->session, &in, NOW, &event);
        FUZZ_CHECK(guest->session.credit <= LIMIT_PVMOUSE_CREDIT);
        if (result == SESSION_INPUT)
            check_steps(&guest->pointer, steps, pointer_feed(&guest->pointer, &event.frame, steps), digest);
        if (result == SESSION_RESTART)
            check_steps(&guest->pointer, steps, pointer_release(&guest->pointer, steps), digest);
        if (result != SESSION_MORE)
            *digest = fuzz_mix_number(*digest, result);
    } while (result != SESSION_MORE);
    FUZZ_CHECK(in.left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1)
        FUZZ_BOTH_WAYS(Guest, make(), feed, data + 1, size - 1, data[0]);
    return 0;
}
