/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's side of pvmouse.md, alone and together with the guest's. */
#include "check.h"
#include "hex.h"
#include "sender.h"
#include "session.h"

#include <glib.h>

enum { ABSOLUTE = PVMOUSE_FEATURE_ABSOLUTE, RELATIVE = PVMOUSE_FEATURE_RELATIVE, HIRES = PVMOUSE_FEATURE_HIRES_WHEEL,
       ALL = ABSOLUTE | RELATIVE | HIRES, SECOND = 1000000 };

/* A host under test and what it told and wrote, a word each. */
typedef struct Host {
    Sender sender;
    int64_t now;
    size_t step; /* the guest's bytes come in pieces of this size, 0: whole */
    bool stuck;  /* nothing can be written */
    GString *log;
    GByteArray *wire; /* all that was written, if not NULL */
} Host;

static Host *host_new(uint32_t features)
{
    Host *host = g_new0(Host, 1);

    sender_init(&host->sender, features);
    host->now = 5 * SECOND;
    host->log = g_string_new(NULL);
    return host;
}

static void host_free(Host *host)
{
    g_string_free(host->log, TRUE);
    g_free(host);
}

static void write_frames(Host *host, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size; at += PVMOUSE_FRAME_SIZE) {
        PvmouseFrame frame = { .sequence = 0 };

        CHECK_EQ(pvmouse_decode(data + at, &frame), PVMOUSE_OK);
        if (frame.type == PVMOUSE_HELLO) {
            CHECK_EQ(frame.credit, 0);
            g_string_append_printf(host->log, "H%u,%u,%u ", frame.sequence, frame.version, frame.features);
        } else if (frame.type == PVMOUSE_RELEASE) {
            g_string_append_printf(host->log, "%u:R ", frame.sequence);
        } else if (frame.no_position) {
            g_string_append_printf(host->log, "%u:N%u,%d,%d ", frame.sequence, frame.buttons, frame.wheel,
                                   frame.hwheel);
        } else {
            bool motion = frame.type == PVMOUSE_MOTION;

            g_string_append_printf(host->log, "%u:%c%d,%d,%u,%d,%d", frame.sequence, motion ? 'M' : 'P',
                                   motion ? frame.dx : frame.x, motion ? frame.dy : frame.y, frame.buttons, frame.wheel,
                                   frame.hwheel);
            g_string_append_printf(host->log, frame.display != 0 ? "@%u " : " ", frame.display);
        }
    }
}

static void output(Host *host)
{
    uint8_t data[5 * PVMOUSE_FRAME_SIZE + 7];
    size_t size;

    while (!host->stuck && (size = sender_output(&host->sender, host->now, data, sizeof(data))) > 0) {
        CHECK_EQ(size % PVMOUSE_FRAME_SIZE, 0);
        CHECK(size <= sizeof(data));
        if (host->wire != NULL)
            g_byte_array_append(host->wire, data, (guint)size);
        write_frames(host, data, size);
    }
}

/* As the owner does: what is left while an answer waits is fed again. */
static void feed(Host *host, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);

    for (;;) {
        switch (sender_next(&host->sender, &in, host->now)) {
        case SENDER_MORE:
            output(host);
            if (in.left == 0 || host->stuck)
                return;
            break;
        case SENDER_OPEN:
            g_string_append(host->log, "open ");
            break;
        case SENDER_LOST:
            g_string_append(host->log, "lost ");
            break;
        case SENDER_FLOOD:
            g_string_append(host->log, "flood ");
            break;
        }
    }
}

static void feed_steps(Host *host, const uint8_t *data, size_t size)
{
    size_t step = host->step > 0 ? host->step : size;

    for (size_t at = 0; at < size; at += step)
        feed(host, data + at, step < size - at ? step : size - at);
}

static void feed_frame(Host *host, PvmouseFrame frame)
{
    uint8_t data[PVMOUSE_FRAME_SIZE];

    pvmouse_encode(&frame, data);
    feed_steps(host, data, sizeof(data));
}

/*
 * A word of a script, then all that can be written:
 * J, D                   the guest's side is connected, disconnected
 * Hnonce,credit,features HELLO of the guest; V the same with a version in front
 * Cnumber                CREDIT
 * Xbytes                 any bytes of the guest, in hex
 * Px,y,buttons,wheel,hwheel · Mdx,dy,buttons,wheel,hwheel · Nbuttons,wheel,hwheel
 *                        input with a position, with relative motion, with neither; P may end in @display
 * R                      release
 * Tmilliseconds          time passes
 */
static void run_word(Host *host, const char *word)
{
    PvmouseFrame hello = { .type = PVMOUSE_HELLO, .version = 1 }, state = { .type = PVMOUSE_STATE },
                 motion = { .type = PVMOUSE_MOTION }, nothing = { .type = PVMOUSE_STATE, .no_position = true },
                 credit = { .type = PVMOUSE_CREDIT };
    uint8_t bytes[4 * PVMOUSE_FRAME_SIZE];
    unsigned ms;

    if (strcmp(word, "J") == 0)
        sender_connected(&host->sender, host->now);
    else if (strcmp(word, "D") == 0)
        sender_disconnected(&host->sender);
    else if (strcmp(word, "R") == 0)
        sender_release(&host->sender);
    else if (word[0] == 'X')
        feed_steps(host, bytes, hex(word + 1, bytes, sizeof(bytes)));
    else if (sscanf(word, "H%u,%u,%u", &hello.sequence, &hello.credit, &hello.features) == 3)
        feed_frame(host, hello);
    else if (sscanf(word, "V%hu,%u,%u,%u", &hello.version, &hello.sequence, &hello.credit, &hello.features) == 4)
        feed_frame(host, hello);
    else if (sscanf(word, "C%u", &credit.credit) == 1)
        feed_frame(host, credit);
    else if (sscanf(word, "P%hu,%hu,%hu,%hd,%hd@%hu", &state.x, &state.y, &state.buttons, &state.wheel, &state.hwheel,
                    &state.display) >= 5)
        sender_input(&host->sender, &state);
    else if (sscanf(word, "M%hd,%hd,%hu,%hd,%hd", &motion.dx, &motion.dy, &motion.buttons, &motion.wheel,
                    &motion.hwheel) == 5)
        sender_input(&host->sender, &motion);
    else if (sscanf(word, "N%hu,%hd,%hd", &nothing.buttons, &nothing.wheel, &nothing.hwheel) == 3)
        sender_input(&host->sender, &nothing);
    else if (sscanf(word, "T%u", &ms) == 1)
        host->now += (int64_t)ms * 1000;
    else
        CHECK_STR(word, "a word of a script");
    output(host);
}

static void run_script(Host *host, const char *script)
{
    g_auto(GStrv) words = g_strsplit(script, " ", -1);

    for (size_t i = 0; words[i] != NULL; i++)
        run_word(host, words[i]);
}

/* What was told and written since the last call. */
static void check_log(Host *host, const char *expected)
{
    g_strchomp(host->log->str);
    CHECK_STR(host->log->str, expected);
    g_string_truncate(host->log, 0);
}

static const struct {
    const char *name;
    uint32_t features;
    const char *script, *expected;
} scripts[] = {
    { "nobody is connected", ALL, "P1,2,0,0,0 R H7,5,7 C5 T5000", "" },
    { "nobody has said HELLO", ALL, "J P1,2,1,0,0 P3,4,1,120,0 C5 R T999", "" },
    { "opening", ALL, "J H7,256,7", "open H7,1,7 1:N0,0,0" },
    { "features of each side", ABSOLUTE | HIRES, "J H7,256,4294967295", "open H7,1,5 1:N0,0,0" },
    { "a guest of a later version", ALL, "J V9,7,5,7", "open H7,1,7 1:N0,0,0" },
    { "full state of before", ALL, "P1,2,5,120,120@3 J P9,8,4,120,0@3 H7,5,7", "open H7,1,7 1:P9,8,4,0,0@3" },
    { "full state in relative mode", ALL, "J P9,8,4,0,0 M5,5,1,0,0 H7,5,7", "open H7,1,7 1:M0,0,1,0,0" },
    { "full state after a source without position", ALL, "J P9,8,4,0,0 N1,0,0 H7,5,7", "open H7,1,7 1:P9,8,1,0,0" },
    { "full state of a guest without positions", ALL, "J P9,8,4,0,0 H7,5,2", "open H7,1,7 1:N4,0,0" },
    { "full state of a guest without motion", ALL, "J M9,8,4,0,0 H7,5,1", "open H7,1,7 1:N4,0,0" },
    { "full state waits for credit", ALL, "J P1,1,1,0,0 H7,0,7 P2,2,1,0,0 P3,3,0,0,0 C1 C5",
      "open H7,1,7 1:P1,1,1,0,0 2:P3,3,0,0,0" },
    { "each input at once", ALL, "J H7,9,7 P1,1,0,0,0 P2,2,1,0,0 P2,2,1,120,-3 M4,-5,0,0,0 N2,0,0 P2,2,2,0,0",
      "open H7,1,7 1:N0,0,0 2:P1,1,0,0,0 3:P2,2,1,0,0 4:P2,2,1,120,-3 5:M4,-5,0,0,0 6:N2,0,0 7:P2,2,2,0,0" },
    { "the last position", ALL, "J H7,1,7 P1,1,0,0,0 P2,2,0,0,0 P3,3,0,0,0@1 C1 C1",
      "open H7,1,7 1:N0,0,0 2:P3,3,0,0,0@1" },
    { "the sum of motion", ALL, "J H7,1,7 M1,1,0,0,0 M2,-2,0,0,0 M-8,0,0,0,0 C9",
      "open H7,1,7 1:N0,0,0 2:M-5,-1,0,0,0" },
    { "more motion than a frame holds", ALL,
      "J H7,1,7 M32767,-32768,0,0,0 M32767,-32768,0,0,0 M3,-1,0,0,0 C2 M1,1,0,0,0 C9",
      "open H7,1,7 1:N0,0,0 2:M32767,-32768,0,0,0 3:M32767,-32768,0,0,0 4:M4,0,0,0,0" },
    { "an edge behind more motion than a frame holds", ALL, "J H7,1,7 M32767,0,0,0,0 M32767,7,0,0,0 M1,0,5,120,0 C9",
      "open H7,1,7 1:N0,0,0 2:M32767,7,0,0,0 3:M32767,0,0,0,0 4:M1,0,5,120,0" },
    { "a click where it happened", ALL, "J H7,1,7 P1,1,0,0,0 P2,2,1,0,0 P3,3,1,0,0 P4,4,0,0,0 P5,5,0,0,0 C9",
      "open H7,1,7 1:N0,0,0 2:P2,2,1,0,0 3:P4,4,0,0,0 4:P5,5,0,0,0" },
    { "a relative click where it happened", ALL, "J H7,1,7 M1,1,0,0,0 M2,2,1,0,0 M3,3,1,0,0 M4,4,0,0,0 M5,5,0,0,0 C9",
      "open H7,1,7 1:N0,0,0 2:M3,3,1,0,0 3:M7,7,0,0,0 4:M5,5,0,0,0" },
    { "a click without a position behind motion", ALL, "J H7,1,7 P1,1,0,0,0 N1,0,0 M2,2,1,0,0 N0,0,0 N0,0,0 C9",
      "open H7,1,7 1:N0,0,0 2:P1,1,1,0,0 3:M2,2,0,0,0" },
    { "two kinds of motion", ALL, "J H7,1,7 P1,1,0,0,0 M2,2,0,0,0 M3,3,0,0,0 P4,4,0,0,0 M5,5,1,0,0 C9",
      "open H7,1,7 1:N0,0,0 2:P1,1,0,0,0 3:M5,5,0,0,0 4:P4,4,0,0,0 5:M5,5,1,0,0" },
    { "turns at one place", ALL, "J H7,1,7 P1,1,0,120,0 P1,1,0,240,-1 P1,1,0,1,-2 C9",
      "open H7,1,7 1:N0,0,0 2:P1,1,0,361,-3" },
    { "turns on the way", ALL, "J H7,1,7 P1,1,0,120,0 P2,2,0,0,0 P2,2,0,120,0 P2,2,0,120,0@1 C9",
      "open H7,1,7 1:N0,0,0 2:P1,1,0,120,0 3:P2,2,0,120,0 4:P2,2,0,120,0@1" },
    { "a turn somewhere, then one at a place", ALL, "J H7,1,7 N0,120,0 P0,0,0,120,0 C9",
      "open H7,1,7 1:N0,0,0 2:N0,120,0 3:P0,0,0,120,0" },
    { "relative turns on the way", ALL, "J H7,1,7 M0,0,0,120,0 M0,0,0,120,0 M1,0,0,0,0 M0,0,0,120,0 M0,1,0,120,0 C9",
      "open H7,1,7 1:N0,0,0 2:M0,0,0,240,0 3:M1,0,0,120,0 4:M0,1,0,120,0" },
    { "turns there and back", ALL, "J H7,1,7 P1,1,0,120,0 P1,1,0,-120,0 P1,1,0,0,120 P1,1,0,0,-120 C9",
      "open H7,1,7 1:N0,0,0 2:P1,1,0,120,0 3:P1,1,0,-120,120 4:P1,1,0,0,-120" },
    { "turns between edges", ALL, "J H7,1,7 P1,1,1,0,0 P1,1,1,120,0 P1,1,0,120,0 P1,1,0,120,0 P1,1,1,0,0 C9",
      "open H7,1,7 1:N0,0,0 2:P1,1,1,0,0 3:P1,1,1,120,0 4:P1,1,0,240,0 5:P1,1,1,0,0" },
    { "more of a turn than a frame holds", ALL,
      "J H7,1,7 P1,1,0,32767,-32768 P1,1,0,32767,-1 P1,1,0,1,0 C2 P1,1,0,5,0 C9",
      "open H7,1,7 1:N0,0,0 2:P1,1,0,32767,-32768 3:P1,1,0,32767,-1 4:P1,1,0,6,0" },
    { "whole detents only", ABSOLUTE | RELATIVE,
      "J H7,9,7 P1,1,0,50,-119 P1,1,0,50,-1 P1,1,0,50,0 P2,2,0,-149,0 P2,2,1,-1,0",
      "open H7,1,3 1:N0,0,0 2:P1,1,0,0,0 3:P1,1,0,0,-120 4:P1,1,0,120,0 5:P2,2,0,0,0 6:P2,2,1,-120,0" },
    { "many whole detents", ALL, "J H7,1,3 P1,1,0,32767,0 P1,1,0,32767,0 P1,1,0,6,0 C9",
      "open H7,1,7 1:N0,0,0 2:P1,1,0,32760,0 3:P1,1,0,32760,0 4:P1,1,0,0,0" },
    { "parts of a detent end with their guest", ALL, "J H7,9,3 N0,119,119 H8,9,3 N0,1,1 N0,119,0 R N0,119,0",
      "open H7,1,7 1:N0,0,0 open H8,1,7 1:N0,0,0 2:N0,120,0 3:R" },
    { "a guest without positions", ALL, "J H7,9,6 P1,1,0,0,0 P2,2,1,0,0 P3,3,1,120,0 M1,1,1,0,0",
      "open H7,1,7 1:N0,0,0 2:N1,0,0 3:N1,120,0 4:M1,1,1,0,0" },
    { "a guest without motion", ALL, "J H7,9,5 M1,1,0,0,0 M2,2,1,0,0 M3,3,1,120,0 P1,1,1,0,0",
      "open H7,1,7 1:N0,0,0 2:N1,0,0 3:N1,120,0 4:P1,1,1,0,0" },
    { "a host without motion", ABSOLUTE, "J H7,9,7 M1,1,0,0,0 M2,2,1,0,0", "open H7,1,1 1:N0,0,0 2:N1,0,0" },
    { "release at once", ALL, "J H7,9,7 P1,1,3,0,0 R P1,1,0,0,0 P1,1,3,0,0",
      "open H7,1,7 1:N0,0,0 2:P1,1,3,0,0 3:R 4:P1,1,0,0,0 5:P1,1,3,0,0" },
    { "release behind what waits", ALL, "J H7,1,7 P1,1,1,0,0 P2,2,1,0,0 R R P3,3,1,0,0 R C9",
      "open H7,1,7 1:N0,0,0 2:P1,1,1,0,0 3:R 4:P3,3,1,0,0 5:R" },
    { "release while nobody is there", ALL, "P1,1,1,0,0 R J H7,9,7", "open H7,1,7 1:P1,1,0,0,0" },
    { "another HELLO", ALL, "J H7,1,7 P1,1,1,0,0 P1,1,0,0,0 H8,3,7 P2,2,0,0,0",
      "open H7,1,7 1:N0,0,0 open H8,1,7 1:P1,1,0,0,0 2:P2,2,0,0,0" },
    { "another guest can do less", ALL, "J H7,1,7 H8,9,0 P2,2,0,0,0 M2,2,0,0,0 P2,2,1,60,0 P2,2,1,60,0",
      "open H7,1,7 1:N0,0,0 open H8,1,7 1:N0,0,0 2:N1,0,0 3:N1,120,0" },
    { "disconnected and back", ALL, "J H7,1,7 P1,1,1,0,0 D P2,2,0,0,0 P2,2,4,0,0 C9 J C9 H8,9,7",
      "open H7,1,7 1:N0,0,0 open H8,1,7 1:P2,2,4,0,0" },
    { "part of a frame ends with the connection", ALL, "J H7,1,7 X0500000000 D J H8,9,7",
      "open H7,1,7 1:N0,0,0 open H8,1,7 1:N0,0,0" },
    { "nor is it joined with what the next one says", ALL, "J X010000000700000050565345 D J H8,9,7",
      "open H8,1,7 1:N0,0,0" },
    { "no HELLO while waiting", ALL, "J H0,9,7 C9 X060708090a0b0c0d H7,9,7", "open H7,1,7 1:N0,0,0" },
    { "HELLO without a nonce while open", ALL, "J H7,1,7 P1,1,1,0,0 H0,9,7 P2,2,1,0,0 C9 H8,9,7",
      "open H7,1,7 1:N0,0,0 lost open H8,1,7 1:P2,2,1,0,0" },
    { "frames that only a host sends", ALL,
      "J H7,1,7 X020000000000000000000000000000000000000000000000 C9 P1,1,1,0,0 H8,1,7 "
      "X040000000000000000000000000000000000000000000000 H9,1,7",
      "open H7,1,7 1:N0,0,0 lost open H8,1,7 1:P1,1,1,0,0 lost open H9,1,7 1:P1,1,1,0,0" },
    { "a reserved byte in CREDIT", ALL, "J H7,1,7 X050000000000000009000000000000000000000000000001 P1,1,0,0,0",
      "open H7,1,7 1:N0,0,0 lost" },
    { "a frame cut short by a new HELLO", ALL, "J H7,1,7 X0500000000000000090000 H8,1,7 C1 P1,1,0,0,0",
      "open H7,1,7 1:N0,0,0 lost open H8,1,7 1:N0,0,0 2:P1,1,0,0,0" },
    { "credit of nothing", ALL, "J H7,1,7 P1,1,0,0,0 C0 C0 C1", "open H7,1,7 1:N0,0,0 2:P1,1,0,0,0" },
    { "invitations", ALL, "J T999 T1 T1 T998 T1 T5000 T1000 T999 T1 T9000 T9000",
      "H0,1,7 H0,1,7 H0,1,7 H0,1,7 H0,1,7" },
    { "invitations again with input", ALL,
      "J T1000 T1000 T1000 T1000 T1000 P1,1,0,0,0 T999 P2,2,0,0,0 T1 T5000 N0,0,0 N0,0,0",
      "H0,1,7 H0,1,7 H0,1,7 H0,1,7 H0,1,7 H0,1,7 H0,1,7" },
    { "HELLO in time", ALL, "J T999 H7,0,7 T9000", "open H7,1,7" },
    { "an invitation is answered", ALL, "J T1000 H7,1,7 T9000", "H0,1,7 open H7,1,7 1:N0,0,0" },
    { "no invitation to nobody", ALL, "J D T9000 P1,1,0,0,0", "" },
    { "no two invitations in a second", ALL, "J T1000 D J T999 T1", "H0,1,7 H0,1,7" },
    { "an invitation to a guest that is out of step", ALL, "J H7,0,7 H0,0,0 T999 T1", "open H7,1,7 lost H0,1,7" },
    { "half a frame that is not completed", ALL, "J H7,9,7 X05 T999 X00 T999 P1,1,0,0,0 T1 P2,2,0,0,0 H8,9,7",
      "open H7,1,7 1:N0,0,0 2:P1,1,0,0,0 H0,1,7 open H8,1,7 1:P2,2,0,0,0" },
    { "a HELLO out of two", ALL,
      "J X010000000700000050565345 H8,9,7 T1000 H9,9,7",
      "open H7,1,7 1:N0,0,0 H0,1,7 open H9,1,7 1:N0,0,0" },
};

static void test_scripts(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        for (size_t step = 0; step < PVMOUSE_FRAME_SIZE; step++) {
            Host *host = host_new(scripts[i].features);

            check_case("%s, in pieces of %zu", scripts[i].name, step);
            host->step = step;
            run_script(host, scripts[i].script);
            check_log(host, scripts[i].expected);
            host_free(host);
        }
    }
}

/* What a guest may say in its life, behind any part of what another left, as one stream cut at every byte. */
static void test_stream(void)
{
    static const PvmouseFrame stream[] = {
        { .type = PVMOUSE_CREDIT, .credit = 3 },
        { .type = PVMOUSE_HELLO, .sequence = 7, .version = 1, .features = ALL, .credit = 2 },
        { .type = PVMOUSE_CREDIT, .credit = 3 },
        { .type = PVMOUSE_HELLO, .sequence = 8, .version = 1, .features = ALL, .credit = 1 },
        { .type = PVMOUSE_HELLO, .sequence = 0, .version = 1, .features = ALL, .credit = 1 },
        { .type = PVMOUSE_CREDIT, .credit = 3 },
        { .type = PVMOUSE_HELLO, .sequence = 9, .version = 1, .features = ALL, .credit = 1 },
        { .type = PVMOUSE_CREDIT, .credit = 3 },
    };
    uint8_t data[G_N_ELEMENTS(stream) * PVMOUSE_FRAME_SIZE];

    for (size_t i = 0; i < G_N_ELEMENTS(stream); i++)
        pvmouse_encode(&stream[i], data + i * PVMOUSE_FRAME_SIZE);
    for (size_t from = 0; from <= PVMOUSE_FRAME_SIZE; from++) {
        for (size_t cut = from; cut <= sizeof(data); cut++) {
            Host *host = host_new(ALL);

            check_case("from %zu, cut at %zu", from, cut);
            run_word(host, "J");
            feed(host, data + from, cut - from);
            feed(host, data + cut, sizeof(data) - cut);
            check_log(host, "open H7,1,7 1:N0,0,0 open H8,1,7 1:N0,0,0 lost open H9,1,7 1:N0,0,0");
            CHECK_EQ(host->sender.credit, 3);
            CHECK_EQ(host->sender.hellos, 3);
            CHECK_EQ(sender_deadline(&host->sender), -1);
            host_free(host);
        }
    }
}

/* As long as the answer is not taken, nothing more is read. */
static void test_blocked(void)
{
    PvmouseFrame hello = { .type = PVMOUSE_HELLO, .sequence = 7, .version = 1, .credit = 9 };
    uint8_t data[2 * PVMOUSE_FRAME_SIZE], out[PVMOUSE_FRAME_SIZE - 1];
    BytesReader in = bytes_reader(data, sizeof(data));
    Host *host = host_new(ALL);

    check_case("a guest that does not read");
    pvmouse_encode(&hello, data);
    hello.sequence = 8;
    pvmouse_encode(&hello, data + PVMOUSE_FRAME_SIZE);
    sender_connected(&host->sender, host->now);
    CHECK(!sender_blocked(&host->sender));
    CHECK_EQ(sender_next(&host->sender, &in, host->now), SENDER_OPEN);
    for (int i = 0; i < 3; i++) {
        CHECK(sender_blocked(&host->sender));
        CHECK_EQ(sender_output(&host->sender, host->now, out, sizeof(out)), 0);
        CHECK_EQ(sender_next(&host->sender, &in, host->now), SENDER_MORE);
        CHECK_EQ(in.left, PVMOUSE_FRAME_SIZE);
    }
    output(host);
    CHECK(!sender_blocked(&host->sender));
    feed(host, in.at, in.left);
    check_log(host, "H7,1,7 1:N0,0,0 open H8,1,7 1:N0,0,0");

    check_case("an answer nobody took");
    host->stuck = true;
    run_script(host, "H9,9,7 D J");
    CHECK(!sender_blocked(&host->sender));
    host->stuck = false;
    run_script(host, "H10,9,7");
    check_log(host, "open open H10,1,7 1:N0,0,0");
    host_free(host);
}

static void test_credit(void)
{
    static const struct {
        uint32_t hello, credit[3], expected; /* before the full state */
    } cases[] = {
        { 0, { 0, 0, 0 }, 0 },
        { 65535, { 0, 0, 0 }, 65535 },
        { 65536, { 0, 0, 0 }, 65535 },
        { UINT32_MAX, { UINT32_MAX, UINT32_MAX, UINT32_MAX }, 65535 },
        { 0, { UINT32_MAX, 1, 0 }, 65535 },
        { 0, { 1, UINT32_MAX, 1 }, 65535 },
        { 0, { 65534, 1, 0 }, 65535 },
        { 0, { 65534, 2, 1 }, 65535 },
        { 1, { 2, 4, 8 }, 15 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Host *host = host_new(ALL);
        PvmouseFrame hello = { .type = PVMOUSE_HELLO, .sequence = 7, .version = 1, .credit = cases[i].hello };

        check_case("credit, row %zu", i);
        run_word(host, "J");
        feed_frame(host, hello);
        host->sender.credit += host->sender.sent == 1; /* what the full state took */
        for (size_t k = 0; k < 3; k++) {
            host->stuck = true;
            feed_frame(host, (PvmouseFrame){ .type = PVMOUSE_CREDIT, .credit = cases[i].credit[k] });
        }
        CHECK_EQ(host->sender.credit, cases[i].expected);
        host_free(host);
    }
}

static void click(Host *host, unsigned x)
{
    for (uint16_t buttons = 1; buttons < 2; buttons--) {
        PvmouseFrame frame = { .type = PVMOUSE_STATE, .x = (uint16_t)x, .buttons = buttons };

        sender_input(&host->sender, &frame);
    }
}

/* A guest that takes nothing: SENDER_QUEUE edges wait, the next one clears them. */
static void test_overflow(void)
{
    Host *host = host_new(ALL);
    bool was_full = false;

    check_case("as many as fit");
    run_script(host, "J H7,1,7");
    check_log(host, "open H7,1,7 1:N0,0,0");
    for (unsigned i = 0; i < SENDER_QUEUE / 2; i++) {
        click(host, i);
        CHECK_EQ(sender_waiting(&host->sender), 2 * (i + 1));
        CHECK(!was_full || sender_full(&host->sender));
        was_full = sender_full(&host->sender);
        if (sender_waiting(&host->sender) < SENDER_QUEUE * 3 / 4)
            CHECK(!was_full);
        if (sender_waiting(&host->sender) >= SENDER_QUEUE * 15 / 16)
            CHECK(was_full);
    }
    run_script(host, "P9,9,0,0,0");
    CHECK_EQ(host->sender.removed, 0);
    check_case("one more");
    run_script(host, "P8,8,4,0,0");
    CHECK_EQ(host->sender.removed, SENDER_QUEUE);
    CHECK_EQ(sender_waiting(&host->sender), 3);
    CHECK(!sender_full(&host->sender));
    run_script(host, "C9");
    check_log(host, "2:R 3:P9,9,0,0,0 4:P8,8,4,0,0");
    host_free(host);

    check_case("as many as fit arrive");
    host = host_new(ALL);
    run_script(host, "J H7,1,7");
    for (unsigned i = 0; i < SENDER_QUEUE / 2; i++)
        click(host, i);
    g_string_truncate(host->log, 0);
    run_script(host, "C1024");
    CHECK_EQ(sender_waiting(&host->sender), 0);
    for (unsigned i = 0; i < SENDER_QUEUE / 2; i++) {
        g_autofree char *text = g_strdup_printf("%u:P%u,0,1,0,0 %u:P%u,0,0,0,0 ", 2 * i + 2, i, 2 * i + 3, i);

        CHECK(g_str_has_prefix(host->log->str, text));
        g_string_erase(host->log, 0, (gssize)strlen(text));
    }
    check_log(host, "");
    host_free(host);

    check_case("a button that is down, turns of both wheels");
    host = host_new(ALL);
    run_script(host, "J H7,1,7 P1,1,0,7,-1 P2,2,1,7,-1");
    for (unsigned i = 0; i < SENDER_QUEUE - 2; i++)
        run_word(host, i % 2 == 0 ? "P3,3,3,-1,1" : "P3,3,2,0,1");
    check_log(host, "open H7,1,7 1:N0,0,0");
    run_script(host, "P4,4,2,0,0 P5,5,2,120,0 C9");
    CHECK_EQ(host->sender.removed, SENDER_QUEUE);
    check_log(host, "2:R 3:P4,4,2,-497,1020 4:P5,5,2,120,0");
    host_free(host);

    check_case("relative motion");
    host = host_new(ALL);
    run_script(host, "J H7,1,7");
    for (unsigned i = 0; i < SENDER_QUEUE; i++)
        run_word(host, i % 2 == 0 ? "M100,1,1,0,0" : "M0,-1,0,0,0");
    check_log(host, "open H7,1,7 1:N0,0,0");
    run_script(host, "M5,5,0,0,0 M0,0,4,120,0 C9");
    check_log(host, "2:R 3:M32767,0,0,0,0 4:M18433,0,0,0,0 5:M5,5,4,120,0");
    host_free(host);

    check_case("release while full");
    host = host_new(ALL);
    run_script(host, "J H7,1,7 P0,0,4,0,0");
    for (unsigned i = 0; i < SENDER_QUEUE - 1; i++)
        run_word(host, i % 2 == 0 ? "P1,1,1,0,0" : "P1,1,0,0,0");
    run_script(host, "R C9");
    check_log(host, "open H7,1,7 1:N0,0,0 2:R 3:P1,1,1,0,0 4:R");
    host_free(host);
}

/* Sums end somewhere, and are then paid out in whole. */
static void test_sums(void)
{
    static const struct {
        PvmouseFrame frame;
        uint32_t features;
        int64_t expected;
    } cases[] = {
        { { .type = PVMOUSE_MOTION, .dx = INT16_MAX, .dy = INT16_MIN }, ALL, SENDER_SUM_MAX },
        { { .type = PVMOUSE_STATE, .wheel = INT16_MAX, .hwheel = INT16_MIN }, ALL, SENDER_SUM_MAX },
        { { .type = PVMOUSE_STATE, .wheel = INT16_MAX, .hwheel = INT16_MIN }, ABSOLUTE, SENDER_SUM_MAX },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Host *host = host_new(cases[i].features);
        PvmouseFrame frame = { .sequence = 0 };
        uint8_t data[PVMOUSE_FRAME_SIZE];
        int64_t first = 0, second = 0;

        check_case("sums, row %zu", i);
        run_script(host, "J H7,1,7");
        for (unsigned k = 0; k < 40000; k++)
            sender_input(&host->sender, &cases[i].frame);
        for (unsigned k = 0; k < 40000; k++) {
            host->sender.credit = 1;
            if (sender_output(&host->sender, host->now, data, sizeof(data)) == 0)
                break;
            CHECK_EQ(pvmouse_decode(data, &frame), PVMOUSE_OK);
            first += frame.dx + frame.wheel;
            second += frame.dy + frame.hwheel;
        }
        CHECK_EQ(first, cases[i].expected);
        CHECK_EQ(second, -cases[i].expected);
        host_free(host);
    }
}

static void test_flood(void)
{
    Host *host = host_new(ALL);
    unsigned hellos = 0;

    check_case("HELLOs beyond need");
    run_word(host, "J");
    for (unsigned second = 0; second < 3; second++) {
        for (unsigned i = 0; i < 100 + (second > 0) * 50; i++) {
            feed_frame(host, (PvmouseFrame){ .type = PVMOUSE_HELLO, .sequence = ++hellos, .version = 1 });
            CHECK_EQ(g_str_has_prefix(host->log->str, "flood"), hellos == 201);
            CHECK(strstr(host->log->str, ",1,7 ") != NULL);
            g_string_truncate(host->log, 0);
        }
        run_word(host, "T1000");
    }
    check_case("of another connection");
    run_script(host, "D J");
    for (unsigned i = 0; i < 101; i++) {
        g_string_truncate(host->log, 0);
        feed_frame(host, (PvmouseFrame){ .type = PVMOUSE_HELLO, .sequence = ++hellos, .version = 1 });
    }
    CHECK(g_str_has_prefix(host->log->str, "flood"));
    CHECK_EQ(host->sender.hellos, hellos);
    host_free(host);
}

/* When the host wants to be woken: never while it is idle. */
static void test_deadlines(void)
{
    Host *host = host_new(ALL);
    int64_t start = host->now;

    check_case("deadlines");
    CHECK_EQ(sender_deadline(&host->sender), -1);
    run_word(host, "J");
    for (unsigned i = 1; i <= SENDER_INVITATIONS; i++) {
        CHECK_EQ(sender_deadline(&host->sender), start + i * (int64_t)SECOND);
        run_word(host, "T1000");
    }
    CHECK_EQ(sender_deadline(&host->sender), -1);
    run_word(host, "P1,1,0,0,0");
    CHECK_EQ(sender_deadline(&host->sender), host->now + SECOND);
    run_word(host, "H7,0,7");
    CHECK_EQ(sender_deadline(&host->sender), -1);
    run_word(host, "P1,1,1,0,0");
    CHECK_EQ(sender_deadline(&host->sender), -1);
    run_word(host, "X05");
    CHECK_EQ(sender_deadline(&host->sender), host->now + SECOND);
    run_word(host, "D");
    CHECK_EQ(sender_deadline(&host->sender), -1);
    host_free(host);
}

/* The example of pvmouse.md, section 12: what its host sends is what ours sends. */
static void test_document(void)
{
    /* What the user does while nothing comes from the host, in the text's order. */
    static const char *const user[] = {
        "P32793,32808,0,0,0",
        "P32793,32808,1,0,0",
        "P35865,32808,1,0,0 P37913,33628,1,0,0 P37913,33628,0,0,0 P38425,34447,0,0,0 P38937,35266,0,0,0",
        "P38937,35266,0,120,0 P38937,35266,0,120,0 P38937,35266,4,0,0 R",
        "N0,0,0",
    };
    FILE *file = fopen(SOURCE_DIR "/protocol/pvmouse.md", "r");
    Host *host = host_new(ALL);
    char line[512], bytes[512], end[8];
    size_t acts = 0, frames = 0;
    bool inside = false;

    check_case("pvmouse.md");
    CHECK(file != NULL);
    host->wire = g_byte_array_new();
    run_word(host, "J");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        uint8_t data[PVMOUSE_FRAME_SIZE];
        bool guest;

        inside = inside || g_str_has_prefix(line, "## 12. ");
        if (!inside || strcmp(line, "```\n") != 0 || fgets(line, sizeof(line), file) == NULL ||
            fgets(bytes, sizeof(bytes), file) == NULL || fgets(end, sizeof(end), file) == NULL)
            continue;
        check_case("pvmouse.md: %s", g_strchomp(line));
        CHECK_EQ(hex(bytes, data, sizeof(data)), PVMOUSE_FRAME_SIZE);
        guest = frames == 0 || data[0] == PVMOUSE_CREDIT;
        if (host->wire->len == 0 && acts < G_N_ELEMENTS(user))
            run_script(host, user[acts++]);
        if (guest) {
            CHECK_EQ(host->wire->len, 0);
            feed(host, data, sizeof(data));
        } else {
            CHECK(host->wire->len >= sizeof(data));
            CHECK_MEM(host->wire->data, data, MIN(host->wire->len, sizeof(data)));
            g_byte_array_remove_range(host->wire, 0, MIN(host->wire->len, (guint)sizeof(data)));
        }
        frames++;
    }
    check_case("pvmouse.md, the end of the example");
    CHECK_EQ(host->wire->len, 0);
    CHECK_EQ(sender_waiting(&host->sender), 0);
    CHECK_EQ(acts, G_N_ELEMENTS(user));
    CHECK_EQ(frames, 12);
    if (file != NULL)
        fclose(file);
    g_byte_array_unref(host->wire);
    host_free(host);
}

/*
 * Both sides in one process. What the user did is kept as a list since the host's answer to HELLO, what the guest was
 * told as a list since it is open; the second must always be how the first begins.
 */
typedef struct Item {
    char kind; /* 'E'dge, 'W'heel, 'R'elease */
    uint16_t buttons, display, x, y;
    int64_t dx, dy, wheel, hwheel; /* motion since the beginning of the list */
} Item;

/* One side's idea of the pointer. */
typedef struct View {
    Item at;
    GArray *items;
} View;

typedef struct Pair {
    uint64_t random;
    int64_t now;
    uint32_t features;
    Sender sender;
    Session session;
    GByteArray *down, *up; /* to the guest, to the host */
    View user, guest;
    PvmouseFrame input;    /* how things stand with the user */
    bool joined;           /* the guest's host is this one */
    bool place;            /* the next input must have a position */
    int32_t rest, hrest;   /* parts of a detent */
    uint64_t gaps;         /* that the guest had seen when it became open */
    guint compared;        /* items of the guest */
    unsigned opens, checked;
} Pair;

static uint32_t pick(Pair *pair, uint32_t below)
{
    pair->random ^= pair->random << 13;
    pair->random ^= pair->random >> 7;
    pair->random ^= pair->random << 17;
    return (uint32_t)(pair->random >> 32) % below;
}

static bool same_place(const Item *a, const Item *b)
{
    return a->buttons == b->buttons && a->display == b->display && a->x == b->x && a->y == b->y && a->dx == b->dx &&
           a->dy == b->dy;
}

static void view_clear(View *view)
{
    g_array_set_size(view->items, 0);
    view->at = (Item){ 0 };
}

/* Turns that may come as one are one in the list, however they came. */
static void view_add(View *view, char kind, int64_t wheel, int64_t hwheel)
{
    Item *last = view->items->len > 0 ? &g_array_index(view->items, Item, view->items->len - 1) : NULL;
    Item item = view->at;

    item.kind = kind;
    item.wheel = wheel;
    item.hwheel = hwheel;
    if (last != NULL && kind == 'R' && last->kind == 'R')
        return;
    if (last != NULL && kind == 'W' && last->kind == 'W' && same_place(last, &item) && wheel * last->wheel >= 0 &&
        hwheel * last->hwheel >= 0) {
        last->wheel += wheel;
        last->hwheel += hwheel;
        return;
    }
    g_array_append_val(view->items, item);
}

/* The same steps for what the user did and for what the guest is told. */
static void view_frame(View *view, const PvmouseFrame *frame, int32_t wheel, int32_t hwheel)
{
    if (frame->type == PVMOUSE_RELEASE) {
        view->at.buttons = 0;
        view_add(view, 'R', 0, 0);
        return;
    }
    if (frame->type == PVMOUSE_MOTION) {
        view->at.dx += frame->dx;
        view->at.dy += frame->dy;
    } else if (!frame->no_position) {
        view->at.display = frame->display;
        view->at.x = frame->x;
        view->at.y = frame->y;
    }
    if (frame->buttons != view->at.buttons) {
        view->at.buttons = frame->buttons;
        view_add(view, 'E', 0, 0);
    }
    if (wheel != 0 || hwheel != 0)
        view_add(view, 'W', wheel, hwheel);
}

/* Compare what has come since the last call; `all` has. The last item may be a turn that goes on. */
static void check_items(Pair *pair, bool all)
{
    guint seen = pair->guest.items->len, made = pair->user.items->len;

    CHECK(all ? seen == made : seen <= made);
    for (; pair->compared < MIN(seen, made) && (pair->compared + 1 < seen || all); pair->compared++) {
        const Item *told = &g_array_index(pair->guest.items, Item, pair->compared);
        const Item *done = &g_array_index(pair->user.items, Item, pair->compared);

        CHECK_EQ(told->kind, done->kind);
        CHECK(told->kind == 'R' || same_place(told, done));
        CHECK_EQ(told->wheel, done->wheel);
        CHECK_EQ(told->hwheel, done->hwheel);
        pair->checked++;
    }
}

static bool host_writes(Pair *pair, size_t size)
{
    uint8_t data[10 * PVMOUSE_FRAME_SIZE];
    size_t written = sender_output(&pair->sender, pair->now, data, MIN(size, sizeof(data)));

    g_byte_array_append(pair->down, data, (guint)written);
    return written > 0;
}

static bool host_reads(Pair *pair, size_t size)
{
    BytesReader in = bytes_reader(pair->up->data, MIN(size, pair->up->len));
    size_t given = in.left;
    bool more = true;

    while (more) {
        switch (sender_next(&pair->sender, &in, pair->now)) {
        case SENDER_MORE:
            more = in.left > 0 && host_writes(pair, PVMOUSE_FRAME_SIZE);
            break;
        case SENDER_OPEN:
            pair->opens++;
            pair->joined = true;
            pair->rest = pair->hrest = 0;
            view_clear(&pair->user);
            view_frame(&pair->user, &pair->sender.now_at, 0, 0);
            break;
        case SENDER_LOST:
            break;
        case SENDER_FLOOD:
            CHECK(!"a flood");
            break;
        }
    }
    CHECK_EQ(in.left, 0);
    if (given > 0)
        g_byte_array_remove_range(pair->up, 0, (guint)given);
    return given > 0;
}

static bool guest_writes(Pair *pair, bool applied)
{
    uint8_t data[SESSION_OUTPUT_MAX];
    size_t size = session_output(&pair->session, pair->now, applied, data);

    g_byte_array_append(pair->up, data, (guint)size);
    return size > 0;
}

/* Is the guest open, and that by an answer of this host? */
static bool in_touch(const Pair *pair)
{
    return pair->joined && pair->session.state == SESSION_OPENED;
}

static bool guest_reads(Pair *pair, size_t size)
{
    BytesReader in = bytes_reader(pair->down->data, MIN(size, pair->down->len));
    size_t given = in.left;
    SessionEvent event;
    SessionResult result;

    while ((result = session_next(&pair->session, &in, pair->now, &event)) != SESSION_MORE) {
        if (result == SESSION_OPEN || result == SESSION_RESTART) {
            view_clear(&pair->guest);
            pair->gaps = pair->session.gaps;
            pair->compared = 0;
        }
        if (result == SESSION_INPUT)
            view_frame(&pair->guest, &event.frame, event.frame.wheel, event.frame.hwheel);
        if (in_touch(pair)) {
            /* No frame refused, none beyond the credit, none left out. */
            CHECK(result == SESSION_OPEN || result == SESSION_INPUT);
            CHECK(event.why == NULL || result == SESSION_OPEN);
            CHECK(result == SESSION_OPEN || event.frame.sequence == pair->session.sequence);
            CHECK_EQ(pair->session.nonce, pair->sender.nonce);
        }
    }
    if (in_touch(pair))
        check_items(pair, false);
    if (given > 0)
        g_byte_array_remove_range(pair->down, 0, (guint)given);
    return given > 0;
}

static int32_t model_turn(Pair *pair, int32_t *rest, int16_t turn)
{
    int32_t sum = *rest + turn;

    if (pair->features & HIRES)
        return turn;
    *rest = sum % 120;
    return sum - sum % 120;
}

static int16_t pick_turn(Pair *pair)
{
    switch (pick(pair, 4)) {
    case 0:
        return 120;
    case 1:
        return -120;
    case 2:
        return (int16_t)(pick(pair, 301) - 150);
    default:
        return (int16_t)pick(pair, 65536);
    }
}

static void user_acts(Pair *pair)
{
    PvmouseFrame *input = &pair->input;
    bool relative = !pair->place && (pair->features & RELATIVE) && pick(pair, 8) != 0;

    if (sender_full(&pair->sender))
        return; /* the source is paused */
    if (pick(pair, 200) == 0) {
        if (sender_is_open(&pair->sender)) {
            const PvmouseFrame release = { .type = PVMOUSE_RELEASE };

            /* Motion that waits is forgotten. */
            if (pair->sender.moving) {
                pair->user.at.dx -= pair->sender.motion.dx;
                pair->user.at.dy -= pair->sender.motion.dy;
            }
            view_frame(&pair->user, &release, 0, 0);
            pair->rest = pair->hrest = 0;
        }
        pair->place = (pair->features & ABSOLUTE) != 0;
        sender_release(&pair->sender);
        input->buttons = 0;
        return;
    }
    pair->place = false;
    *input = (PvmouseFrame){ .type = relative ? PVMOUSE_MOTION : PVMOUSE_STATE, .buttons = input->buttons };
    if (relative) {
        input->dx = (int16_t)(pick(pair, 20) == 0 ? pick(pair, 65536) : pick(pair, 21) - 10);
        input->dy = (int16_t)(pick(pair, 21) - 10);
    } else {
        input->display = (uint16_t)pick(pair, 2);
        input->x = (uint16_t)pick(pair, 4);
        input->y = (uint16_t)pick(pair, 65536);
    }
    if (pick(pair, 3) == 0)
        input->buttons ^= (uint16_t)(1 << pick(pair, 7));
    if (pick(pair, 3) == 0)
        *(pick(pair, 2) ? &input->wheel : &input->hwheel) = pick_turn(pair);
    if (sender_is_open(&pair->sender))
        view_frame(&pair->user, input, model_turn(pair, &pair->rest, input->wheel),
                   model_turn(pair, &pair->hrest, input->hwheel));
    sender_input(&pair->sender, input);
}

/* The end of what was on its way is lost. */
static void cut(Pair *pair, GByteArray *bytes)
{
    guint lost = pick(pair, 30);

    g_byte_array_set_size(bytes, bytes->len > lost ? bytes->len - lost : 0);
}

/* Someone goes and another comes; what was on its way may be cut anywhere. */
static void replace(Pair *pair)
{
    unsigned who = pick(pair, 4);

    if (who <= 1) { /* the guest, which tells nobody; then the machine with its port */
        if (who == 1) {
            sender_disconnected(&pair->sender);
            sender_connected(&pair->sender, pair->now);
            g_byte_array_set_size(pair->up, 0);
            g_byte_array_set_size(pair->down, 0);
        } else {
            cut(pair, pair->up);
        }
        session_init(&pair->session, pick(pair, UINT32_MAX));
        session_connected(&pair->session, pair->now);
        view_clear(&pair->guest);
    } else { /* the host, which the guest sees; or not */
        sender_init(&pair->sender, pair->features);
        sender_connected(&pair->sender, pair->now);
        pair->input.buttons = 0;
        pair->place = (pair->features & ABSOLUTE) != 0;
        pair->joined = false;
        cut(pair, pair->down);
        cut(pair, pair->up);
        if (who == 2) {
            session_disconnected(&pair->session);
            session_connected(&pair->session, pair->now);
            view_clear(&pair->guest);
        }
    }
}

/* Let all arrive; time passes only when nothing else happens. */
static void settle(Pair *pair)
{
    for (unsigned round = 0; round < 10000; round++) {
        int64_t wake[] = { sender_deadline(&pair->sender), session_deadline(&pair->session) };
        bool moved = host_writes(pair, SIZE_MAX);

        moved |= guest_reads(pair, SIZE_MAX);
        moved |= guest_writes(pair, true);
        moved |= host_reads(pair, SIZE_MAX);
        if (!moved) {
            if (wake[0] < 0 && wake[1] < 0)
                return;
            pair->now = MAX(pair->now, wake[0] < 0 || (wake[1] >= 0 && wake[1] < wake[0]) ? wake[1] : wake[0]);
        }
    }
    CHECK(!"at rest");
}

static void check_settled(Pair *pair)
{
    const PvmouseFrame *now = &pair->sender.now_at;

    CHECK(in_touch(pair));
    CHECK_EQ(sender_waiting(&pair->sender), 0);
    CHECK_EQ(pair->sender.removed, 0);
    CHECK_EQ(pair->session.gaps, pair->gaps);
    CHECK_EQ(pair->guest.at.buttons, pair->input.buttons);
    if (now->type == PVMOUSE_STATE && !now->no_position && !pair->place) {
        CHECK_EQ(pair->guest.at.display, now->display);
        CHECK_EQ(pair->guest.at.x, now->x);
        CHECK_EQ(pair->guest.at.y, now->y);
    }
    CHECK_EQ(pair->guest.at.dx, pair->user.at.dx);
    CHECK_EQ(pair->guest.at.dy, pair->user.at.dy);
    check_items(pair, true);
}

static void step(Pair *pair, bool busy)
{
    switch (pick(pair, busy ? 6 : 10)) {
    case 0:
    case 1:
        user_acts(pair);
        host_writes(pair, SIZE_MAX);
        break;
    case 2:
        user_acts(pair);
        break;
    case 3:
        guest_reads(pair, pick(pair, 2) ? pick(pair, 60) : SIZE_MAX);
        break;
    case 4:
        guest_writes(pair, pick(pair, 16) == 0);
        host_reads(pair, pick(pair, 40));
        break;
    case 5:
        host_writes(pair, pick(pair, 100));
        break;
    case 6:
        guest_writes(pair, true);
        break;
    case 7:
        host_reads(pair, SIZE_MAX);
        break;
    default:
        pair->now += pick(pair, 3000);
        break;
    }
}

static void test_pair(void)
{
    static const uint32_t features[] = { ALL, ABSOLUTE, ABSOLUTE | HIRES, ABSOLUTE | RELATIVE };
    unsigned opens = 0, checked = 0;

    for (unsigned seed = 1; seed <= 600; seed++) {
        Pair *pair = g_new0(Pair, 1);

        pair->random = seed * UINT64_C(0x9e3779b97f4a7c15);
        pair->now = 10 * SECOND;
        pair->features = features[seed % G_N_ELEMENTS(features)];
        pair->down = g_byte_array_new();
        pair->up = g_byte_array_new();
        pair->user.items = g_array_new(FALSE, FALSE, sizeof(Item));
        pair->guest.items = g_array_new(FALSE, FALSE, sizeof(Item));
        pair->place = true;
        sender_init(&pair->sender, pair->features);
        session_init(&pair->session, pick(pair, UINT32_MAX));
        sender_connected(&pair->sender, pair->now);
        session_connected(&pair->session, pair->now);
        for (unsigned life = 0; life < 8; life++) {
            check_case("pair %u, life %u", seed, life);
            for (unsigned i = pick(pair, 3000); i > 0; i--)
                step(pair, seed % 3 == 0);
            if (pick(pair, 2)) {
                settle(pair);
                check_settled(pair);
            }
            replace(pair);
        }
        settle(pair);
        check_settled(pair);
        opens += pair->opens;
        checked += pair->checked;
        g_byte_array_unref(pair->down);
        g_byte_array_unref(pair->up);
        g_array_unref(pair->user.items);
        g_array_unref(pair->guest.items);
        g_free(pair);
    }
    check_case("what the pairs did");
    CHECK(opens > 4000);
    CHECK(checked > 1000000);
}

int main(void)
{
    test_scripts();
    test_stream();
    test_blocked();
    test_credit();
    test_overflow();
    test_sums();
    test_flood();
    test_deadlines();
    test_document();
    test_pair();
    return check_done();
}
