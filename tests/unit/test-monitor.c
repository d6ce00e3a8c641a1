/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The conversation with QEMU's monitor: this is QEMU. */
#include "check.h"
#include "monitor.h"
#include "qmpinput.h"
#include "qmptext.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}"
#define DONE "{\"return\": {}}"
#define MICE "{\"return\": [{\"name\": \"QEMU Virtio Tablet\", \"absolute\": true}]}"
#define REFUSED "{\"error\": {\"class\": \"GenericError\", \"desc\": \"VM not running\"}}"

enum { LEFT = PVMOUSE_BUTTON_LEFT, MIDDLE = PVMOUSE_BUTTON_MIDDLE, RIGHT = PVMOUSE_BUTTON_RIGHT };

static const QmpDisplay displays[] = { { "v0", 0 }, { "v0", 1 } };
static const char *const paths[] = { "/run/a", "/run/b.sock", "/run/c" };

static Monitor *make(void)
{
    return monitor_new(displays, G_N_ELEMENTS(displays), paths, G_N_ELEMENTS(paths));
}

static bool feed(Monitor *monitor, const char *line)
{
    static const uint8_t end[] = { '\r', '\n' };

    return monitor_input(monitor, (const uint8_t *)line, strlen(line)) && monitor_input(monitor, end, sizeof(end));
}

/* What goes to QEMU now, in short; "" for nothing. */
static char *take(Monitor *monitor)
{
    size_t size;
    const char *data = monitor_output(monitor, &size);
    g_autofree char *line = g_strndup(data, size);

    if (size == 0) {
        return g_strdup("");
    }
    CHECK(line[size - 1] == '\n' && memchr(line, '\n', size - 1) == NULL);
    monitor_written(monitor, 1);
    monitor_written(monitor, size - 1);
    return qmptext(line);
}

static void check_sent(Monitor *monitor, const char *expected)
{
    g_autofree char *text = take(monitor);

    CHECK_STR(text, expected);
}

/* QEMU answers; then this is sent. */
static void check_next(Monitor *monitor, const char *answer, const char *expected)
{
    CHECK(feed(monitor, answer));
    check_sent(monitor, expected);
}

#define RELEASED " left- middle- right- side- extra-"

/* A connection with nothing open. */
static void start(Monitor *monitor)
{
    monitor_connected(monitor);
    check_sent(monitor, "");
    check_next(monitor, GREETING, "qmp_capabilities");
    check_next(monitor, DONE, "query-mice");
    check_next(monitor, MICE, "query-chardev");
    check_next(monitor, "{\"return\": []}", "v0/0" RELEASED);
    check_next(monitor, DONE, "v0/1" RELEASED);
    CHECK(!monitor_state(monitor)->connected);
    check_next(monitor, REFUSED, "any" RELEASED);
    CHECK(!monitor_state(monitor)->connected);
    check_next(monitor, DONE, "");
    CHECK(monitor_state(monitor)->connected);
    CHECK(monitor_idle(monitor));
}

static void point(Monitor *monitor, uint8_t display, uint16_t x, uint16_t y, uint16_t buttons)
{
    const Verb verb = {
        .type = VERB_POINTER, .display = display, .position = true, .x = x, .y = y, .buttons = buttons
    };

    monitor_verb(monitor, &verb);
}

static void click(Monitor *monitor, uint16_t buttons)
{
    const Verb verb = { .type = VERB_POINTER, .buttons = buttons };

    monitor_verb(monitor, &verb);
}

static void wheel(Monitor *monitor, VerbType type, int16_t detents, int16_t hdetents)
{
    const Verb verb = { .type = type, .wheel = detents, .hwheel = hdetents };

    monitor_verb(monitor, &verb);
}

static void move(Monitor *monitor, int16_t dx, int16_t dy, uint16_t buttons)
{
    const Verb verb = { .type = VERB_MOTION, .dx = dx, .dy = dy, .buttons = buttons };

    monitor_verb(monitor, &verb);
}

static void key(Monitor *monitor, uint8_t scancode, bool down)
{
    const Verb verb = { .type = VERB_KEY, .scancode = scancode, .down = down };

    monitor_verb(monitor, &verb);
}

static void test_input(void)
{
    g_autoptr(Monitor) monitor = make();

    start(monitor);
    check_case("one event list: position, buttons, wheel");
    point(monitor, 1, 65535, 2, LEFT);
    check_sent(monitor, "v0/1 x=32767 y=1 left+");
    check_next(monitor, DONE, "");
    click(monitor, LEFT | PVMOUSE_BUTTON_SIDE | PVMOUSE_BUTTON_EXTRA | PVMOUSE_BUTTON_FORWARD | PVMOUSE_BUTTON_BACK);
    check_sent(monitor, "v0/1 side+ extra+");
    check_next(monitor, DONE, "");
    click(monitor, MIDDLE | RIGHT);
    check_sent(monitor, "v0/1 left- side- extra- middle+ right+");
    check_next(monitor, DONE, "");
    click(monitor, 0);
    check_sent(monitor, "v0/1 middle- right-");
    check_next(monitor, DONE, "");

    check_case("a detent at a time");
    wheel(monitor, VERB_POINTER, 2, -1);
    check_sent(monitor, "v0/1 wheel-up+ wheel-up-");
    check_next(monitor, DONE, "v0/1 wheel-up+ wheel-up-");
    check_next(monitor, DONE, "");
    wheel(monitor, VERB_POINTER, 0, 1);
    check_sent(monitor, "");
    wheel(monitor, VERB_MOTION, -1, 2);
    check_sent(monitor, "any wheel-down+ wheel-down- wheel-right+ wheel-right-");
    check_next(monitor, DONE, "any wheel-right+ wheel-right-");
    check_next(monitor, DONE, "");
    wheel(monitor, VERB_MOTION, 0, -1);
    check_sent(monitor, "any wheel-left+ wheel-left-");
    check_next(monitor, DONE, "");

    check_case("keys");
    key(monitor, 30, true);
    key(monitor, 0x9d, false);
    check_sent(monitor, "any key30+");
    check_next(monitor, DONE, "any key157-");
    check_next(monitor, DONE, "");

    check_case("relative motion");
    move(monitor, 5, -7, LEFT);
    check_sent(monitor, "any dx=5 dy=-7 left+");
    check_next(monitor, DONE, "");
    move(monitor, 0, 0, 0);
    check_sent(monitor, "any left-");
    check_next(monitor, DONE, "");

    check_case("a button goes up where it went down");
    point(monitor, 0, 0, 0, LEFT);
    check_sent(monitor, "v0/0 x=0 y=0 left+");
    check_next(monitor, DONE, "");
    point(monitor, 1, 2, 2, LEFT | RIGHT);
    check_sent(monitor, "v0/1 x=1 y=1 right+");
    check_next(monitor, DONE, "");
    point(monitor, 1, 4, 4, 0);
    check_sent(monitor, "v0/1 x=2 y=2 right-");
    check_next(monitor, DONE, "v0/0 left-");
    check_next(monitor, DONE, "");
    CHECK(monitor_idle(monitor));
    CHECK_EQ(monitor_state(monitor)->lost, 0);
    CHECK_EQ(monitor_state(monitor)->refused, 0);
}

static void test_coalescing(void)
{
    g_autoptr(Monitor) monitor = make();

    start(monitor);
    check_case("the latest position wins, on whatever display");
    for (uint16_t i = 0; i < 1000; i++) {
        point(monitor, i % 2, i, 0, 0);
    }
    check_sent(monitor, "v0/0 x=0 y=0");
    check_next(monitor, DONE, "v0/1 x=499 y=0");
    check_next(monitor, DONE, "");

    check_case("edges keep their positions");
    point(monitor, 0, 2, 0, 0);
    point(monitor, 0, 4, 0, 0);
    point(monitor, 0, 6, 0, LEFT);
    point(monitor, 0, 8, 0, LEFT);
    point(monitor, 0, 10, 0, LEFT);
    click(monitor, 0);
    point(monitor, 0, 12, 0, 0);
    key(monitor, 1, true);
    point(monitor, 0, 14, 0, 0);
    check_sent(monitor, "v0/0 x=1 y=0");
    check_next(monitor, DONE, "v0/0 x=3 y=0 left+");
    check_next(monitor, DONE, "v0/0 x=5 y=0 left-");
    check_next(monitor, DONE, "v0/0 x=6 y=0");
    check_next(monitor, DONE, "any key1+");
    check_next(monitor, DONE, "v0/0 x=7 y=0");
    check_next(monitor, DONE, "");

    check_case("relative motion adds up");
    point(monitor, 0, 2, 0, 0);
    for (unsigned i = 0; i < 5; i++) {
        move(monitor, 32767, -1, 0);
    }
    point(monitor, 0, 4, 0, 0);
    check_sent(monitor, "v0/0 x=1 y=0");
    check_next(monitor, DONE, "any dx=32767 dy=-5");
    check_next(monitor, DONE, "v0/0 x=2 y=0");
    check_next(monitor, DONE, "");
    CHECK_EQ(monitor_state(monitor)->lost, 0);
}

static void test_full(void)
{
    g_autoptr(Monitor) monitor = make();

    start(monitor);
    check_case("as many edges as fit");
    key(monitor, 30, true);
    check_sent(monitor, "any key30+");
    for (unsigned i = 0; i < QMPINPUT_QUEUE; i++) {
        point(monitor, 0, 2 * i, 0, i % 2 == 0 ? LEFT : 0);
    }
    CHECK_EQ(monitor_state(monitor)->lost, 0);
    for (unsigned i = 0; i < QMPINPUT_QUEUE; i++) {
        g_autofree char *expected = g_strdup_printf("v0/0 x=%u y=0 left%c", i, i % 2 == 0 ? '+' : '-');

        check_next(monitor, DONE, expected);
    }
    check_next(monitor, DONE, "");

    check_case("one more");
    click(monitor, RIGHT);
    check_sent(monitor, "v0/0 right+");
    for (unsigned i = 0; i < QMPINPUT_QUEUE; i++) {
        point(monitor, 1, 2 * i, 0, i % 2 == 0 ? LEFT | RIGHT : RIGHT);
    }
    CHECK_EQ(monitor_state(monitor)->lost, 0);
    key(monitor, 30, false);
    CHECK_EQ(monitor_state(monitor)->lost, QMPINPUT_QUEUE + 1);
    point(monitor, 1, 20, 0, LEFT | RIGHT);
    check_next(monitor, DONE, "v0/0 left- middle- side- extra-");
    check_next(monitor, DONE, "v0/1" RELEASED);
    check_next(monitor, DONE, "any" RELEASED);
    check_next(monitor, DONE, "any key30-");
    check_next(monitor, DONE, "v0/1 x=10 y=0 left+");
    check_next(monitor, DONE, "v0/1 x=10 y=0");
    check_next(monitor, DONE, "");
    CHECK(monitor_idle(monitor));

    check_case("a position more");
    click(monitor, 0);
    check_sent(monitor, "v0/1 left-");
    for (unsigned i = 0; i < QMPINPUT_QUEUE; i++) {
        key(monitor, 2, true);
    }
    point(monitor, 0, 40, 0, 0);
    CHECK_EQ(monitor_state(monitor)->lost, QMPINPUT_QUEUE + 1 + QMPINPUT_QUEUE);
    check_next(monitor, DONE, "v0/0 right-");
    check_next(monitor, DONE, "v0/0" RELEASED);
    check_next(monitor, DONE, "v0/1" RELEASED);
    check_next(monitor, DONE, "any" RELEASED);
    check_next(monitor, DONE, "v0/0 x=20 y=0");
    check_next(monitor, DONE, "");
}

static void test_trouble(void)
{
    g_autoptr(Monitor) monitor = make();

    start(monitor);
    check_case("paused: refused, and made good");
    click(monitor, LEFT);
    check_sent(monitor, "v0/0 left+");
    check_next(monitor, DONE, "");
    key(monitor, 30, true);
    check_sent(monitor, "any key30+");
    check_next(monitor, DONE, "");
    key(monitor, 30, false);
    check_sent(monitor, "any key30-");
    check_next(monitor, REFUSED, "");
    point(monitor, 1, 2, 2, RIGHT);
    check_sent(monitor, "v0/1 x=1 y=1 right+");
    check_next(monitor, REFUSED, "");
    CHECK_EQ(monitor_state(monitor)->refused, 2);
    check_next(monitor, "{\"event\": \"RESUME\"}", "v0/0" RELEASED);
    check_next(monitor, DONE, "v0/1" RELEASED);
    check_next(monitor, DONE, "any" RELEASED);
    check_next(monitor, DONE, "any key30-");
    check_next(monitor, DONE, "v0/1 x=1 y=1 right+");
    check_next(monitor, DONE, "");

    check_case("nobody is there any more");
    key(monitor, 31, true);
    check_sent(monitor, "any key31+");
    point(monitor, 0, 2, 2, LEFT);
    monitor_release(monitor);
    CHECK(!monitor_idle(monitor));
    check_next(monitor, DONE, "v0/0" RELEASED);
    check_next(monitor, DONE, "v0/1" RELEASED);
    check_next(monitor, DONE, "any" RELEASED);
    check_next(monitor, DONE, "any key31-");
    CHECK(!monitor_idle(monitor));
    check_next(monitor, DONE, "");
    CHECK(monitor_idle(monitor));

    check_case("QEMU goes and comes back");
    click(monitor, LEFT);
    click(monitor, 0);
    monitor_disconnected(monitor);
    CHECK(!monitor_state(monitor)->connected);
    CHECK(monitor_idle(monitor));
    check_sent(monitor, "");
    key(monitor, 1, true);
    CHECK_EQ(monitor_state(monitor)->lost, 4); /* the click before the release, these two, the key */
    start(monitor);
    CHECK_EQ(monitor_state(monitor)->connections, 2);

    check_case("a key is down over a connection that ends");
    key(monitor, 32, true);
    check_sent(monitor, "any key32+");
    check_next(monitor, DONE, "");
    monitor_disconnected(monitor);
    key(monitor, 32, false);
    monitor_connected(monitor);
    check_next(monitor, GREETING, "qmp_capabilities");
    check_next(monitor, DONE, "query-mice");
    check_next(monitor, MICE, "query-chardev");
    check_next(monitor, "{\"return\": []}", "v0/0" RELEASED);
    check_next(monitor, DONE, "v0/1" RELEASED);
    check_next(monitor, DONE, "any" RELEASED);
    check_next(monitor, DONE, "any key32-");
    check_next(monitor, DONE, "");
    CHECK(monitor_state(monitor)->connected);
    monitor_disconnected(monitor);
    start(monitor);
}

static void test_channels(void)
{
    static const struct {
        const char *name, *devices;
        uint32_t open;
        const char *asked, *answer;
    } rows[] = {
        { "listening, both ways",
          "{'label':'a','filename':'unix:/run/a,server=on','frontend-open':true},"
          "{'label':'b','filename':'disconnected:unix:/run/b.sock,server=on','frontend-open':true}", 3, NULL, NULL },
        { "closed", "{'label':'a','filename':'unix:/run/a,server=on','frontend-open':false}", 0, NULL, NULL },
        { "not connected", "{'label':'c','filename':'disconnected:unix:/run/c','frontend-open':true}", 4, NULL, NULL },
        { "connected by QEMU", "{'label':'c','filename':'unix:','frontend-open':true}", 4, "get /chardevs/c addr",
          "{'return':{'type':'unix','path':'/run/c'}}" },
        { "connected by QEMU, to others", "{'label':'c','filename':'unix:','frontend-open':true}", 0,
          "get /chardevs/c addr", "{'return':{'type':'unix','path':'/run/d'}}" },
        { "not asked when closed", "{'label':'c','filename':'unix:','frontend-open':false}", 0, NULL, NULL },
        { "no path", "{'label':'c','filename':'unix:','frontend-open':true}", 0, "get /chardevs/c addr",
          "{'return':{'type':'fd','str':'3'}}" },
        { "no such device any more", "{'label':'c','filename':'unix:','frontend-open':true}", 0,
          "get /chardevs/c addr", "{'error':{}}" },
        { "longer names", "{'label':'a','filename':'unix:/run/a2','frontend-open':true},"
          "{'label':'b','filename':'unix:/run/b','frontend-open':true}", 0, NULL, NULL },
        { "others", "{'label':'a','filename':'file','frontend-open':true},"
          "{'label':'b','filename':'pty:/run/a','frontend-open':true}", 0, NULL, NULL },
        { "what makes no sense", "1, [], {'label':1,'filename':[],'frontend-open':true}, {'label':'a'},"
          "{'label':'a','filename':'unix:/run/a','frontend-open':1}", 0, NULL, NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Monitor) monitor = make();
        g_autofree char *answer = g_strdup_printf("{'return':[%s]}", rows[i].devices);
        g_autofree char *address = g_strdup(rows[i].answer);

        check_case("channels: %s", rows[i].name);
        monitor_connected(monitor);
        check_next(monitor, GREETING, "qmp_capabilities");
        check_next(monitor, DONE, "query-mice");
        check_next(monitor, MICE, "query-chardev");
        CHECK(feed(monitor, g_strdelimit(answer, "'", '"')));
        check_sent(monitor, "v0/0" RELEASED);
        if (rows[i].asked) {
            check_next(monitor, DONE, rows[i].asked);
            check_next(monitor, g_strdelimit(address, "'", '"'), "v0/1" RELEASED);
        } else {
            check_next(monitor, DONE, "v0/1" RELEASED);
        }
        check_next(monitor, DONE, "any" RELEASED);
        CHECK_EQ(monitor_state(monitor)->open, 0);
        check_next(monitor, DONE, "");
        CHECK(monitor_state(monitor)->connected);
        CHECK_EQ(monitor_state(monitor)->open, rows[i].open);

        /* The same while serving. */
        check_next(monitor, "{\"event\": \"VSERPORT_CHANGE\"}", "query-chardev");
        CHECK(feed(monitor, "{\"return\": []}"));
        CHECK_EQ(monitor_state(monitor)->open, 0);
        check_next(monitor, "{\"event\": \"VSERPORT_CHANGE\"}", "query-chardev");
        check_next(monitor, answer, rows[i].asked ? rows[i].asked : "");
        if (rows[i].asked) {
            CHECK_EQ(monitor_state(monitor)->open, 0);
            check_next(monitor, address, "");
        }
        CHECK_EQ(monitor_state(monitor)->open, rows[i].open);
        monitor_disconnected(monitor);
        CHECK_EQ(monitor_state(monitor)->open, 0);
    }
}

static void test_events(void)
{
    g_autoptr(Monitor) monitor = make();
    const Verb refresh = { .type = VERB_REFRESH };

    start(monitor);
    check_case("a new connection begins with questions, whatever came last");
    check_next(monitor, "{\"event\": \"VSERPORT_CHANGE\"}", "query-chardev");
    monitor_disconnected(monitor);
    start(monitor);

    check_case("asked again, once for all that came meanwhile");
    check_next(monitor, "{\"event\": \"VSERPORT_CHANGE\"}", "query-chardev");
    CHECK(feed(monitor, "{\"event\": \"VSERPORT_CHANGE\"}"));
    monitor_verb(monitor, &refresh);
    check_sent(monitor, "");
    check_next(monitor, "{\"return\": []}", "query-mice");
    check_next(monitor, MICE, "query-chardev");
    check_next(monitor, "{\"return\": []}", "");

    check_case("input has its turn");
    monitor_verb(monitor, &refresh);
    check_sent(monitor, "query-mice");
    click(monitor, LEFT);
    click(monitor, 0);
    check_next(monitor, MICE, "v0/0 left+");
    check_next(monitor, DONE, "query-chardev");
    check_next(monitor, "{\"return\": []}", "v0/0 left-");
    check_next(monitor, DONE, "");

    check_case("so it has, as have both questions, when input came last and more is asked each time");
    click(monitor, LEFT);
    check_sent(monitor, "v0/0 left+");
    monitor_verb(monitor, &refresh);
    check_next(monitor, DONE, "query-mice");
    monitor_verb(monitor, &refresh);
    click(monitor, 0);
    check_next(monitor, MICE, "v0/0 left-");
    monitor_verb(monitor, &refresh);
    check_next(monitor, DONE, "query-chardev");
    monitor_verb(monitor, &refresh);
    check_next(monitor, "{\"return\": []}", "query-mice");
    check_next(monitor, MICE, "query-chardev");
    check_next(monitor, "{\"return\": []}", "");

    check_case("resets");
    CHECK(feed(monitor, "{\"event\": \"RESET\", \"data\": {\"guest\": true}}"));
    CHECK(feed(monitor, "{\"event\": \"SHUTDOWN\"}"));
    CHECK(feed(monitor, "{\"event\": \"STOP\"}"));
    CHECK_EQ(monitor_state(monitor)->resets, 2);
    check_sent(monitor, "");
}

static void test_bad_input(void)
{
    static const char *const lines[] = {
        "", "x", "{", "[]", "1", "{}", "{\"QMP\": 1}", "{\"return\": {}}", "\xff", "{\"event\": 1}", "{\"QMP\": {}} {}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(Monitor) monitor = make();

        check_case("as greeting: %s", lines[i]);
        monitor_connected(monitor);
        CHECK(!feed(monitor, lines[i]));
        monitor_disconnected(monitor);
        start(monitor);
        check_case("unasked: %s", lines[i]);
        CHECK(!feed(monitor, lines[i]));
    }

    g_autoptr(Monitor) monitor = make();
    g_autofree char *text = g_strnfill(MONITOR_LINE_MAX, ' ');

    check_case("a line as long as may be");
    start(monitor);
    text[0] = '{';
    memcpy(text + MONITOR_LINE_MAX - 17, "\"event\": \"STOP\"}\n", 17);
    CHECK(monitor_input(monitor, (const uint8_t *)text, MONITOR_LINE_MAX));
    CHECK(monitor_input(monitor, (const uint8_t *)text, MONITOR_LINE_MAX - 1));
    check_case("a longer one");
    CHECK(!monitor_input(monitor, (const uint8_t *)"  ", 2));

    check_case("nested deeply");
    memset(text, '[', MONITOR_LINE_MAX - 1);
    monitor_disconnected(monitor);
    start(monitor);
    CHECK(!monitor_input(monitor, (const uint8_t *)text, MONITOR_LINE_MAX));

    check_case("no capabilities");
    monitor_disconnected(monitor);
    monitor_connected(monitor);
    check_next(monitor, GREETING, "qmp_capabilities");
    CHECK(!feed(monitor, REFUSED));
    check_case("channels that are none");
    monitor_disconnected(monitor);
    monitor_connected(monitor);
    check_next(monitor, GREETING, "qmp_capabilities");
    check_next(monitor, DONE, "query-mice");
    check_next(monitor, MICE, "query-chardev");
    CHECK(!feed(monitor, DONE));
    check_case("mice that are none");
    monitor_disconnected(monitor);
    monitor_connected(monitor);
    check_next(monitor, GREETING, "qmp_capabilities");
    check_next(monitor, DONE, "query-mice");
    CHECK(!feed(monitor, DONE));
}

static void test_tablet(void)
{
    static const struct {
        const char *answer;
        bool tablet;
    } rows[] = {
        { "{'return':[]}", false },
        { "{'return':[{'name':'QEMU PS/2 Mouse','index':2,'current':true,'absolute':false}]}", false },
        { "{'return':[{'absolute':false},{'absolute':true}]}", true },
        { "{'return':[1,{'absolute':1},null]}", false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Monitor) monitor = make();
        g_autofree char *answer = g_strdup(rows[i].answer);

        check_case("tablet: %s", rows[i].answer);
        monitor_connected(monitor);
        check_next(monitor, GREETING, "qmp_capabilities");
        check_next(monitor, DONE, "query-mice");
        check_next(monitor, g_strdelimit(answer, "'", '"'), "query-chardev");
        check_next(monitor, "{\"return\": []}", "v0/0" RELEASED);
        check_next(monitor, DONE, "v0/1" RELEASED);
        check_next(monitor, DONE, "any" RELEASED);
        CHECK(!monitor_state(monitor)->tablet);
        check_next(monitor, DONE, "");
        CHECK_EQ(monitor_state(monitor)->tablet, rows[i].tablet);
        monitor_disconnected(monitor);
        CHECK(!monitor_state(monitor)->tablet);
    }

    g_autoptr(Monitor) monitor = make();
    const Verb refresh = { .type = VERB_REFRESH };

    start(monitor);
    check_case("a tablet is unplugged");
    check_next(monitor, "{\"event\": \"DEVICE_DELETED\", \"data\": {\"path\": \"/machine/t\"}}", "query-mice");
    CHECK(monitor_state(monitor)->tablet);
    check_next(monitor, "{\"return\": []}", "");
    CHECK(!monitor_state(monitor)->tablet);

    check_case("and plugged");
    monitor_verb(monitor, &refresh);
    check_sent(monitor, "query-mice");
    check_next(monitor, MICE, "query-chardev");
    CHECK(monitor_state(monitor)->tablet);
    check_next(monitor, "{\"return\": []}", "");
    CHECK(monitor_state(monitor)->connected);
}

/* A whole conversation, cut at each place. */
static void test_cuts(void)
{
    static const char talk[] = GREETING "\r\n" DONE "\n" MICE "\n{\"event\": \"VSERPORT_CHANGE\"}\r\n"
        "{\"return\": [{\"label\": \"a\", "
        "\"filename\": \"unix:/run/a\", \"frontend-open\": true}]}\n" DONE "\n{\"return\": []}\n" DONE "\n" DONE "\n";

    for (size_t cut = 0; cut < sizeof(talk); cut++) {
        g_autoptr(Monitor) monitor = make();
        const uint8_t *data = (const uint8_t *)talk;

        check_case("cut at %zu", cut);
        monitor_connected(monitor);
        for (size_t at = 0, end = cut; at < sizeof(talk) - 1; at = end, end = sizeof(talk) - 1) {
            /* A line at a time, as what QEMU answers must have been asked. */
            while (at < end) {
                const uint8_t *newline = memchr(data + at, '\n', end - at);
                size_t size = newline ? (size_t)(newline - data) + 1 - at : end - at;

                CHECK(monitor_input(monitor, data + at, size));
                g_free(take(monitor));
                at += size;
            }
        }
        CHECK(monitor_state(monitor)->connected);
    }
}

int main(void)
{
    test_tablet();
    test_input();
    test_coalescing();
    test_full();
    test_trouble();
    test_channels();
    test_events();
    test_bad_input();
    test_cuts();
    return check_done();
}
