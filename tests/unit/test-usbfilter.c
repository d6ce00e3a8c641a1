/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The usbredir filter between a real usb-host and a real usb-guest of libusbredirparser, and alone with raw bytes. */
#include "check.h"
#include "usbfilter.h"

#include <usbredirfilter.h>
#include <usbredirparser.h>

#define CAP(name) (1u << usb_redir_cap_##name)
/* What QEMU 7.2 and spice-gtk announce. */
#define CAPS_ALL \
    (CAP(bulk_streams) | CAP(connect_device_version) | CAP(filter) | CAP(device_disconnect_ack) | \
     CAP(ep_info_max_packet_size) | CAP(64bits_ids) | CAP(32bits_bulk_length) | CAP(bulk_receiving))

enum { BULK_SIZE = 1000 };

typedef struct Device {
    uint16_t vendor, product, version;
    uint8_t class;
    unsigned interfaces;
    uint8_t interface[3][3]; /* class, subclass, protocol */
} Device;

/* One end: a parser, what it is still to read, what it has written that the filter has not had, what it was told. */
typedef struct Peer {
    struct usbredirparser *parser;
    GByteArray *in, *out;
    size_t fed; /* into the filter, since the start */
    GString *log;
} Peer;

/* `step`: bytes fed at once, 0 for all; `cut`: the client's stream is also cut here; `take`: the most taken at once. */
typedef struct World {
    Usbfilter *filter;
    Peer peer[2];
    size_t step, cut, take;
    GString *verdicts;
    const char *why; /* of the last refusal */
    bool broken;
} World;

static int parser_read(void *user, uint8_t *data, int count)
{
    Peer *peer = user;
    guint size = MIN((guint)count, peer->in->len);

    memcpy(data, peer->in->data, size);
    g_byte_array_remove_range(peer->in, 0, size);
    return (int)size;
}

static int parser_write(void *user, uint8_t *data, int count)
{
    Peer *peer = user;

    g_byte_array_append(peer->out, data, (guint)count);
    return count;
}

static void parser_log(void *user, int level, const char *text)
{
    Peer *peer = user;

    if (level <= usbredirparser_warning)
        g_string_append_printf(peer->log, "[%s] ", text);
}

static void say(void *user, const char *what)
{
    Peer *peer = user;

    g_string_append_printf(peer->log, "%s ", what);
}

static void on_hello(void *user, struct usb_redir_hello_header *hello)
{
    (void)user;
    (void)hello;
}

static void on_connect(void *user, struct usb_redir_device_connect_header *device)
{
    Peer *peer = user;

    g_string_append_printf(peer->log, "connect:%04x:%04x ", device->vendor_id, device->product_id);
}

static void on_disconnect(void *user)
{
    say(user, "disconnect");
}

static void on_interface_info(void *user, struct usb_redir_interface_info_header *info)
{
    Peer *peer = user;

    g_string_append_printf(peer->log, "interfaces:%u ", info->interface_count);
}

static void on_ep_info(void *user, struct usb_redir_ep_info_header *info)
{
    (void)info;
    say(user, "endpoints");
}

static void on_configuration_status(void *user, uint64_t id, struct usb_redir_configuration_status_header *status)
{
    Peer *peer = user;

    g_string_append_printf(peer->log, "configuration:%u#%" PRIx64 " ", status->configuration, id);
}

static void on_bulk(void *user, uint64_t id, struct usb_redir_bulk_packet_header *bulk, uint8_t *data, int size)
{
    Peer *peer = user;
    unsigned sum = 0;

    (void)bulk;
    for (int i = 0; i < size; i++)
        sum += data[i];
    g_string_append_printf(peer->log, "bulk:%d/%u#%" PRIx64 " ", size, sum, id);
    usbredirparser_free_packet_data(peer->parser, data);
}

static void on_reject(void *user)
{
    say(user, "reject");
}

static void on_ack(void *user)
{
    say(user, "ack");
}

static void on_filter(void *user, struct usbredirfilter_rule *rules, int count)
{
    Peer *peer = user;

    g_string_append_printf(peer->log, "rules:%d ", count);
    usbredirfilter_free(rules);
}

static void on_reset(void *user)
{
    say(user, "reset");
}

static void peer_init(Peer *peer, uint32_t caps, int flags)
{
    struct usbredirparser *parser = usbredirparser_create();

    *peer = (Peer){ .parser = parser, .in = g_byte_array_new(), .out = g_byte_array_new(), .log = g_string_new(NULL) };
    parser->priv = peer;
    parser->log_func = parser_log;
    parser->read_func = parser_read;
    parser->write_func = parser_write;
    parser->hello_func = on_hello;
    parser->device_connect_func = on_connect;
    parser->device_disconnect_func = on_disconnect;
    parser->interface_info_func = on_interface_info;
    parser->ep_info_func = on_ep_info;
    parser->configuration_status_func = on_configuration_status;
    parser->bulk_packet_func = on_bulk;
    parser->filter_reject_func = on_reject;
    parser->filter_filter_func = on_filter;
    parser->device_disconnect_ack_func = on_ack;
    parser->reset_func = on_reset;
    usbredirparser_init(parser, "test", &caps, 1, flags);
}

static void peer_clear(Peer *peer)
{
    usbredirparser_destroy(peer->parser);
    g_byte_array_unref(peer->in);
    g_byte_array_unref(peer->out);
    g_string_free(peer->log, TRUE);
}

static World *world_new(const char *rules, uint32_t host_caps, uint32_t guest_caps, size_t step, size_t cut)
{
    World *world = g_new0(World, 1);

    world->filter = usbfilter_new(rules, NULL);
    CHECK(world->filter != NULL);
    world->verdicts = g_string_new(NULL);
    world->step = step;
    world->cut = cut;
    world->take = step > 0 ? step : SIZE_MAX;
    peer_init(&world->peer[USBFILTER_CLIENT], host_caps, usbredirparser_fl_usb_host);
    peer_init(&world->peer[USBFILTER_QEMU], guest_caps, 0);
    return world;
}

static void world_free(World *world)
{
    usbfilter_free(world->filter);
    peer_clear(&world->peer[USBFILTER_CLIENT]);
    peer_clear(&world->peer[USBFILTER_QEMU]);
    g_string_free(world->verdicts, TRUE);
    g_free(world);
}

static void feed(World *world, UsbfilterSide side, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    UsbfilterEvent event;

    for (;;) {
        switch (usbfilter_next(world->filter, side, &in, &event)) {
        case USBFILTER_MORE:
            CHECK_EQ(in.left, 0);
            return;
        case USBFILTER_PIECE: {
            size_t part = MIN(event.size, world->take);

            CHECK(event.size > 0);
            g_byte_array_append(world->peer[!side].in, event.data, (guint)part);
            usbfilter_taken(world->filter, side, &in, part);
            break;
        }
        case USBFILTER_REFUSED:
            CHECK_EQ(side, USBFILTER_CLIENT);
            g_string_append_printf(world->verdicts, "refused:%04x:%04x/%u ", event.vendor, event.product,
                                   event.device_class);
            world->why = event.why;
            feed(world, USBFILTER_QEMU, NULL, 0);
            break;
        case USBFILTER_BROKEN:
            g_string_append_printf(world->verdicts, "broken:%s", event.why);
            world->broken = true;
            return;
        }
    }
}

/* Feed what a peer has written. */
static bool pump_side(World *world, UsbfilterSide side)
{
    Peer *peer = &world->peer[side];

    usbredirparser_do_write(peer->parser);
    if (peer->out->len == 0 || world->broken)
        return false;
    while (peer->out->len > 0 && !world->broken) {
        size_t size = peer->out->len;

        if (world->step > 0)
            size = MIN(size, world->step);
        if (side == USBFILTER_CLIENT && peer->fed < world->cut)
            size = MIN(size, world->cut - peer->fed);
        feed(world, side, peer->out->data, size);
        peer->fed += size;
        g_byte_array_remove_range(peer->out, 0, (guint)size);
    }
    return true;
}

/* Until nothing moves. */
static void pump(World *world)
{
    bool moved;

    do {
        moved = pump_side(world, USBFILTER_QEMU);
        moved = pump_side(world, USBFILTER_CLIENT) || moved;
        for (unsigned side = 0; side < 2; side++) {
            for (; world->peer[side].in->len > 0; moved = true)
                CHECK_EQ(usbredirparser_do_read(world->peer[side].parser), 0);
        }
    } while (moved);
}

static void send_interfaces(World *world, const Device *device)
{
    struct usb_redir_interface_info_header info = { .interface_count = device->interfaces };

    for (unsigned i = 0; i < device->interfaces; i++) {
        info.interface[i] = (uint8_t)i;
        info.interface_class[i] = device->interface[i][0];
        info.interface_subclass[i] = device->interface[i][1];
        info.interface_protocol[i] = device->interface[i][2];
    }
    usbredirparser_send_interface_info(world->peer[USBFILTER_CLIENT].parser, &info);
}

static void send_traffic(World *world)
{
    struct usbredirparser *host = world->peer[USBFILTER_CLIENT].parser;
    struct usb_redir_configuration_status_header status = { .configuration = 1 };
    struct usb_redir_bulk_packet_header bulk = { .endpoint = 0x81, .length = BULK_SIZE };
    uint8_t data[BULK_SIZE];

    memset(data, 1, sizeof(data));
    usbredirparser_send_configuration_status(host, 7, &status);
    usbredirparser_send_bulk_packet(host, UINT64_C(0x100000002), &bulk, data, sizeof(data));
}

static void send_connect(World *world, const Device *device)
{
    struct usb_redir_device_connect_header connect = { .device_class = device->class, .vendor_id = device->vendor,
                                                       .product_id = device->product,
                                                       .device_version_bcd = device->version };

    usbredirparser_send_device_connect(world->peer[USBFILTER_CLIENT].parser, &connect);
}

/* As usbredirhost does it. */
static void send_device(World *world, const Device *device)
{
    struct usb_redir_ep_info_header endpoints = { .type = { 0 } };

    send_interfaces(world, device);
    usbredirparser_send_ep_info(world->peer[USBFILTER_CLIENT].parser, &endpoints);
    send_connect(world, device);
    send_traffic(world);
}

/* What was logged since the last call. */
static void check_log(GString *log, const char *expected)
{
    g_strchomp(log->str);
    CHECK_STR(log->str, expected);
    g_string_truncate(log, 0);
}

#define DISK { 0x1111, 0x0001, 0x100, 0, 1, { { 8, 6, 80 } } }
#define MOUSE { 0x2222, 0x0002, 0x100, 0, 1, { { 3, 1, 2 } } }
#define HUB { 0x3333, 0x0003, 0x100, 9, 1, { { 9, 0, 0 } } }
#define HEADSET { 0x4444, 0x0004, 0x100, 0, 2, { { 1, 1, 0 }, { 3, 0, 0 } } } /* with volume buttons */
#define PHONE { 0x5555, 0x0005, 0x200, 0, 2, { { 6, 1, 1 }, { 8, 6, 80 } } }
#define UNCONFIGURED { 0x6666, 0x0006, 0x100, 0, 0, { { 0 } } }

#define NO_DISK "0x08,-1,-1,-1,0|-1,-1,-1,-1,1"
#define PASSED(name) "connect:" name " configuration:1#7 bulk:1000/1000#100000002 disconnect"
#define PASSED_32(name) "connect:" name " configuration:1#7 bulk:1000/1000#2 disconnect"
#define ANNOUNCED(count) "interfaces:" #count " endpoints"

static const struct {
    const char *name, *rules;
    uint32_t host_caps, guest_caps;
    Device device[2];
    const char *guest, *host, *verdicts;
} cases[] = {
    { "all allowed", "-1,-1,-1,-1,1", CAPS_ALL, CAPS_ALL, { DISK, MOUSE },
      ANNOUNCED(1) " " PASSED("1111:0001") " " ANNOUNCED(1) " " PASSED("2222:0002"), "ack ack", "" },
    { "all denied", "-1,-1,-1,-1,0", CAPS_ALL, CAPS_ALL, { DISK, MOUSE },
      ANNOUNCED(1) " disconnect " ANNOUNCED(1) " disconnect", "reject ack reject ack",
      "refused:1111:0001/0 refused:2222:0002/0" },
    { "a denied one, then another", NO_DISK, CAPS_ALL, CAPS_ALL, { DISK, MOUSE },
      ANNOUNCED(1) " disconnect " ANNOUNCED(1) " " PASSED("2222:0002"), "reject ack ack", "refused:1111:0001/0" },
    { "another, then a denied one", NO_DISK, CAPS_ALL, CAPS_ALL, { MOUSE, DISK },
      ANNOUNCED(1) " " PASSED("2222:0002") " " ANNOUNCED(1) " disconnect", "ack reject ack", "refused:1111:0001/0" },
    { "32 bit ids by the client", NO_DISK, CAPS_ALL & ~CAP(64bits_ids), CAPS_ALL, { DISK, MOUSE },
      ANNOUNCED(1) " disconnect " ANNOUNCED(1) " " PASSED_32("2222:0002"), "reject ack ack", "refused:1111:0001/0" },
    { "32 bit ids by QEMU", NO_DISK, CAPS_ALL, CAPS_ALL & ~CAP(64bits_ids), { DISK, MOUSE },
      ANNOUNCED(1) " disconnect " ANNOUNCED(1) " " PASSED_32("2222:0002"), "reject ack ack", "refused:1111:0001/0" },
    { "short endpoints and bulk lengths", NO_DISK, CAP(connect_device_version) | CAP(filter), CAPS_ALL, { DISK, MOUSE },
      ANNOUNCED(1) " disconnect " ANNOUNCED(1) " " PASSED_32("2222:0002"), "reject", "refused:1111:0001/0" },
    { "a client that knows no reject", NO_DISK, CAPS_ALL & ~CAP(filter), CAPS_ALL, { DISK, MOUSE },
      ANNOUNCED(1) " disconnect " ANNOUNCED(1) " " PASSED("2222:0002"), "ack ack", "refused:1111:0001/0" },
    { "no version", "-1,-1,-1,-1,1", CAPS_ALL & ~CAP(connect_device_version), CAPS_ALL, { DISK, MOUSE },
      ANNOUNCED(1) " disconnect " ANNOUNCED(1) " disconnect", "reject ack reject ack",
      "refused:1111:0001/0 refused:2222:0002/0" },
    { "class of the device", "0x09,-1,-1,-1,0|-1,-1,-1,-1,1", CAPS_ALL, CAPS_ALL, { HUB, MOUSE },
      ANNOUNCED(1) " disconnect " ANNOUNCED(1) " " PASSED("2222:0002"), "reject ack ack", "refused:3333:0003/9" },
    { "HID", "0x03,-1,-1,-1,0|-1,-1,-1,-1,1", CAPS_ALL, CAPS_ALL, { MOUSE, HEADSET },
      ANNOUNCED(1) " disconnect " ANNOUNCED(2) " " PASSED("4444:0004"), "reject ack ack", "refused:2222:0002/0" },
    { "class of the second interface", NO_DISK, CAPS_ALL, CAPS_ALL, { PHONE, HUB },
      ANNOUNCED(2) " disconnect " ANNOUNCED(1) " " PASSED("3333:0003"), "reject ack ack", "refused:5555:0005/0" },
    { "vendor and product", "-1,0x1111,0x0001,-1,1", CAPS_ALL, CAPS_ALL, { DISK, MOUSE },
      ANNOUNCED(1) " " PASSED("1111:0001") " " ANNOUNCED(1) " disconnect", "ack reject ack", "refused:2222:0002/0" },
    { "version", "-1,-1,-1,0x200,1", CAPS_ALL, CAPS_ALL, { DISK, PHONE },
      ANNOUNCED(1) " disconnect " ANNOUNCED(2) " " PASSED("5555:0005"), "reject ack ack", "refused:1111:0001/0" },
    { "no interfaces, all denied", "-1,-1,-1,-1,0", CAPS_ALL, CAPS_ALL, { UNCONFIGURED, MOUSE },
      ANNOUNCED(0) " disconnect " ANNOUNCED(1) " disconnect", "reject ack reject ack",
      "refused:6666:0006/0 refused:2222:0002/0" },
    { "no interfaces, vendor allowed", "-1,0x6666,-1,-1,1", CAPS_ALL, CAPS_ALL, { UNCONFIGURED, MOUSE },
      ANNOUNCED(0) " " PASSED("6666:0006") " " ANNOUNCED(1) " disconnect", "ack reject ack", "refused:2222:0002/0" },
};

/* Returns how many bytes the client's stream has. */
static size_t run_case(size_t i, size_t step, size_t cut)
{
    World *world = world_new(cases[i].rules, cases[i].host_caps, cases[i].guest_caps, step, cut);
    size_t size;

    check_case("%s, in steps of %zu, cut at %zu", cases[i].name, step, cut);
    pump(world);
    for (size_t k = 0; k < G_N_ELEMENTS(cases[i].device); k++) {
        send_device(world, &cases[i].device[k]);
        pump(world);
        usbredirparser_send_device_disconnect(world->peer[USBFILTER_CLIENT].parser);
        pump(world);
    }
    check_log(world->peer[USBFILTER_QEMU].log, cases[i].guest);
    check_log(world->peer[USBFILTER_CLIENT].log, cases[i].host);
    check_log(world->verdicts, cases[i].verdicts);
    size = world->peer[USBFILTER_CLIENT].fed;
    world_free(world);
    return size;
}

static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t size = run_case(i, 0, 0);

        for (size_t cut = 1; cut < size; cut++)
            run_case(i, 0, cut);
        for (size_t step = 1; step <= 20; step++)
            run_case(i, step, 0);
    }
}

/* After set_configuration other interfaces are there: QEMU loses a device that has become one which is denied. */
static void test_change(void)
{
    static const Device phone = PHONE, charging = { 0x5555, 0x0005, 0x200, 0, 1, { { 6, 1, 1 } } };

    for (size_t step = 0; step <= 20; step++) {
        World *world = world_new(NO_DISK, CAPS_ALL, CAPS_ALL, step, 0);
        struct usbredirparser *host = world->peer[USBFILTER_CLIENT].parser;

        check_case("interfaces change, in steps of %zu", step);
        pump(world);
        send_device(world, &charging);
        send_interfaces(world, &charging);
        pump(world);
        check_log(world->peer[USBFILTER_QEMU].log, ANNOUNCED(1) " connect:5555:0005 configuration:1#7 "
                  "bulk:1000/1000#100000002 interfaces:1");
        send_interfaces(world, &phone);
        send_traffic(world);
        pump(world);
        check_log(world->peer[USBFILTER_QEMU].log, "disconnect");
        check_log(world->peer[USBFILTER_CLIENT].log, "reject"); /* and no acknowledgement, which it has not asked for */
        check_log(world->verdicts, "refused:5555:0005/0");
        CHECK_STR(world->why, "the filter denies it");
        send_connect(world, &charging);
        pump(world);
        CHECK_STR(world->why, "its interfaces are not told");
        check_log(world->verdicts, "refused:5555:0005/0");
        check_log(world->peer[USBFILTER_CLIENT].log, "reject");
        usbredirparser_send_device_disconnect(host);
        pump(world);
        check_log(world->peer[USBFILTER_CLIENT].log, "ack");
        send_device(world, &charging);
        pump(world);
        check_log(world->peer[USBFILTER_QEMU].log, "disconnect " ANNOUNCED(1) " connect:5555:0005 configuration:1#7 "
                  "bulk:1000/1000#100000002");
        check_log(world->verdicts, "");
        world_free(world);
    }
}

/* A client that goes on after a refusal is not told again, and may announce another device without a disconnect. */
static void test_insists(void)
{
    static const Device disk = DISK, mouse = MOUSE;
    World *world = world_new(NO_DISK, CAPS_ALL, CAPS_ALL, 0, 0);

    check_case("goes on after a refusal");
    pump(world);
    send_device(world, &disk);
    for (int i = 0; i < 3; i++)
        send_traffic(world);
    pump(world);
    check_log(world->peer[USBFILTER_CLIENT].log, "reject");
    check_log(world->peer[USBFILTER_QEMU].log, ANNOUNCED(1));
    check_log(world->verdicts, "refused:1111:0001/0");
    send_connect(world, &disk);
    send_device(world, &mouse);
    pump(world);
    check_log(world->verdicts, "refused:1111:0001/0");
    check_log(world->peer[USBFILTER_QEMU].log, ANNOUNCED(1) " connect:2222:0002 configuration:1#7 "
              "bulk:1000/1000#100000002");
    send_connect(world, &disk);
    pump(world);
    check_log(world->verdicts, "broken:a second device");
    check_log(world->peer[USBFILTER_QEMU].log, "");
    world_free(world);
}

/* What was told of a device ends with it, also a reject that could not be told. */
static void test_disconnect(void)
{
    static const Device disk = DISK, mouse = MOUSE;
    World *world = world_new(NO_DISK, CAPS_ALL, CAPS_ALL, 0, 0);
    struct usbredirparser *host = world->peer[USBFILTER_CLIENT].parser, *guest = world->peer[USBFILTER_QEMU].parser;
    GByteArray *out = world->peer[USBFILTER_QEMU].out;

    check_case("disconnect");
    pump(world);
    send_device(world, &mouse);
    usbredirparser_send_device_disconnect(host);
    send_connect(world, &mouse);
    pump(world);
    check_log(world->verdicts, "refused:2222:0002/0");
    CHECK_STR(world->why, "its interfaces are not told");
    check_log(world->peer[USBFILTER_CLIENT].log, "reject ack");

    usbredirparser_send_reset(guest);
    usbredirparser_do_write(guest);
    feed(world, USBFILTER_QEMU, out->data, 3);
    send_device(world, &disk);
    usbredirparser_send_device_disconnect(host);
    send_device(world, &mouse);
    pump_side(world, USBFILTER_CLIENT);
    check_log(world->verdicts, "refused:1111:0001/0");
    feed(world, USBFILTER_QEMU, out->data + 3, out->len - 3);
    g_byte_array_set_size(out, 0);
    pump(world);
    check_log(world->peer[USBFILTER_CLIENT].log, "reset ack");
    world_free(world);
}

/* What else both may say passes; our reject waits until QEMU's packet is complete. */
static void test_from_qemu(void)
{
    static const Device disk = DISK;
    World *world = world_new(NO_DISK, CAPS_ALL, CAPS_ALL, 0, 0);
    struct usbredirparser *guest = world->peer[USBFILTER_QEMU].parser;
    GByteArray *out = world->peer[USBFILTER_QEMU].out;
    struct usb_redir_bulk_packet_header bulk = { .endpoint = 0x02, .length = BULK_SIZE };
    const struct usbredirfilter_rule rule = { -1, -1, -1, -1, 1 };
    uint8_t data[BULK_SIZE];

    check_case("from QEMU");
    memset(data, 1, sizeof(data));
    pump(world);
    usbredirparser_send_filter_filter(guest, &rule, 1);
    usbredirparser_send_filter_filter(world->peer[USBFILTER_CLIENT].parser, &rule, 1);
    usbredirparser_send_reset(guest);
    pump(world);
    check_log(world->peer[USBFILTER_CLIENT].log, "rules:1 reset");
    check_log(world->peer[USBFILTER_QEMU].log, "rules:1");

    usbredirparser_send_bulk_packet(guest, 5, &bulk, data, sizeof(data));
    usbredirparser_do_write(guest);
    feed(world, USBFILTER_QEMU, out->data, 100);
    send_device(world, &disk);
    pump_side(world, USBFILTER_CLIENT);
    check_log(world->verdicts, "refused:1111:0001/0");
    usbredirparser_do_read(world->peer[USBFILTER_CLIENT].parser);
    check_log(world->peer[USBFILTER_CLIENT].log, "");
    feed(world, USBFILTER_QEMU, out->data + 100, out->len - 100);
    g_byte_array_set_size(out, 0);
    pump(world);
    check_log(world->peer[USBFILTER_CLIENT].log, "bulk:1000/1000#5 reject");
    world_free(world);
}

/* A packet of the client with zeros for what `body` does not say. */
static void add_packet(GByteArray *array, bool hello, uint32_t type, uint32_t length, const void *body, size_t size)
{
    uint8_t data[512] = { 0 };
    BytesWriter out = bytes_writer(data, sizeof(data));

    bytes_put_u32(&out, type);
    bytes_put_u32(&out, length);
    bytes_put(&out, "\0\0\0\0\0\0\0", hello ? 4 : 8);
    bytes_put(&out, body, size);
    g_byte_array_append(array, data, (guint)(out.used - size + MIN(length, 256)));
}

#define WRONG_LENGTH "broken:a packet of a length that cannot be"
#define TOO_MANY "broken:a device of more than 32 interfaces"

static const struct {
    const char *name;
    bool no_hello;
    uint32_t type, length, body;
    const char *verdict;
} broken[] = {
    { "no hello", true, usb_redir_interface_info, 132, 0, "broken:a packet before hello" },
    { "a second hello", false, usb_redir_hello, 68, 0, "broken:a second hello" },
    { "empty device_connect", false, usb_redir_device_connect, 0, 0, WRONG_LENGTH },
    { "device_connect without version", false, usb_redir_device_connect, 8, 0,
      "broken:a device_connect of a length that was not agreed" },
    { "device_connect too long", false, usb_redir_device_connect, 11, 0, WRONG_LENGTH },
    { "interface_info too short", false, usb_redir_interface_info, 131, 0, WRONG_LENGTH },
    { "interface_info too long", false, usb_redir_interface_info, 133, 0, WRONG_LENGTH },
    { "32 interfaces", false, usb_redir_interface_info, 132, 32, "" },
    { "33 interfaces", false, usb_redir_interface_info, 132, 33, TOO_MANY },
    { "2^31 interfaces", false, usb_redir_interface_info, 132, 0x80000000, TOO_MANY },
    { "no interfaces told", false, usb_redir_device_connect, 10, 0, "refused:0000:0000/0" },
    { "longest bulk packet", false, usb_redir_bulk_packet, 10 + (128u << 20), 0, "" },
    { "bulk packet too long", false, usb_redir_bulk_packet, 11 + (128u << 20), 0, WRONG_LENGTH },
    { "bulk packet of 2^31", false, usb_redir_bulk_packet, 0x80000000, 0, WRONG_LENGTH },
    { "bulk packet of 2^32-1", false, usb_redir_bulk_packet, UINT32_MAX, 0, WRONG_LENGTH },
    { "a packet for usb-hosts", false, usb_redir_reset, 0, 0, "broken:a packet of a type that is none of its own" },
    { "unknown type", false, 28, 0, 0, "broken:a packet of a type that is none of its own" },
    { "type 2^32-1", false, UINT32_MAX, 4, 0, "broken:a packet of a type that is none of its own" },
};

static void test_broken(void)
{
    const uint8_t hello[68] = { [64] = CAPS_ALL };

    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        size_t before;

        if (!broken[i].no_hello)
            add_packet(stream, true, usb_redir_hello, sizeof(hello), hello, sizeof(hello));
        before = stream->len;
        add_packet(stream, broken[i].no_hello, broken[i].type, broken[i].length, &broken[i].body,
                   sizeof(broken[i].body));
        for (size_t cut = 0; cut <= stream->len; cut++) {
            World *world = world_new(NO_DISK, CAPS_ALL, CAPS_ALL, 0, 0);
            GByteArray *passed = world->peer[USBFILTER_QEMU].in;
            bool through;

            check_case("%s, cut at %zu", broken[i].name, cut);
            pump_side(world, USBFILTER_QEMU);
            feed(world, USBFILTER_CLIENT, stream->data, cut);
            if (!world->broken)
                feed(world, USBFILTER_CLIENT, stream->data + cut, stream->len - cut);
            check_log(world->verdicts, broken[i].verdict);
            through = broken[i].verdict[0] == '\0' && broken[i].type == usb_redir_interface_info;
            CHECK_EQ(passed->len, through ? stream->len : before);
            CHECK_MEM(passed->data, stream->data, passed->len);
            world_free(world);
        }
    }
}

static void test_order(void)
{
    const uint8_t hello[68] = { [64] = CAPS_ALL };
    g_autoptr(GByteArray) stream = g_byte_array_new();
    World *world = world_new(NO_DISK, CAPS_ALL, CAPS_ALL, 0, 0);

    check_case("hellos");
    add_packet(stream, true, usb_redir_hello, sizeof(hello), hello, sizeof(hello));
    feed(world, USBFILTER_CLIENT, stream->data, stream->len);
    CHECK(!world->broken); /* who says hello first does not matter */
    feed(world, USBFILTER_CLIENT, stream->data, 1);
    check_log(world->verdicts, "broken:a packet before the other end's hello");
    feed(world, USBFILTER_QEMU, stream->data, stream->len);
    check_log(world->verdicts, "broken:a packet before the other end's hello");

    world->broken = false;
    usbfilter_reset(world->filter);
    feed(world, USBFILTER_QEMU, stream->data, stream->len);
    feed(world, USBFILTER_CLIENT, stream->data, stream->len);
    CHECK(!world->broken);
    g_byte_array_set_size(stream, 0);
    add_packet(stream, false, usb_redir_bulk_packet, 0x80000000, "", 0);
    feed(world, USBFILTER_QEMU, stream->data, 16);
    check_log(world->verdicts, WRONG_LENGTH);
    world_free(world);
}

static void test_rules(void)
{
    static const struct {
        const char *rules, *error;
    } wrong[] = {
        { "", "the usbredir filter \"\" has no rule" },
        { "|", "the usbredir filter \"|\" has no rule" },
        { "3,4", "rule 1 of the usbredir filter, \"3,4\", is not CLASS,VENDOR,PRODUCT,VERSION,ALLOW" },
        { NO_DISK "|0x100,-1,-1,-1,1", "rule 3 of the usbredir filter, \"0x100,-1,-1,-1,1\", is not "
                                       "CLASS,VENDOR,PRODUCT,VERSION,ALLOW" },
        { "-1,-1,-1,-1,yes|" NO_DISK, "rule 1 of the usbredir filter, \"-1,-1,-1,-1,yes\", is not "
                                      "CLASS,VENDOR,PRODUCT,VERSION,ALLOW" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Usbfilter) filter = usbfilter_new(wrong[i].rules, &error);

        check_case("rules \"%s\"", wrong[i].rules);
        CHECK(filter == NULL);
        CHECK_STR(error != NULL ? error->message : NULL, wrong[i].error);
    }
}

int main(void)
{
    test_cases();
    test_change();
    test_insists();
    test_disconnect();
    test_from_qemu();
    test_broken();
    test_order();
    test_rules();
    return check_done();
}
