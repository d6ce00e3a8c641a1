/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input: which rules, the capabilities of both ends, step; then pieces of the two streams: a byte with the side in
 * its top bit and the length in the others, and that many bytes. What comes out must not depend on how the pieces
 * are cut, and QEMU's parser, which reads it, must find no device that the rules deny.
 */
#include "fuzz.h"
#include "usbfilter.h"

#include <string.h>
#include <usbredirfilter.h>
#include <usbredirparser.h>

static const char *const rule_sets[] = {
    "-1,-1,-1,-1,0", "0x08,-1,-1,-1,0|-1,-1,-1,-1,1", "0x03,0x0000,-1,-1,1|-1,0x0101,-1,0x0101,1",
};

/* QEMU's side: the same that hw/usb/redirect.c keeps. */
typedef struct Guest {
    struct usbredirparser *parser;
    BytesReader in;
    struct usbredirfilter_rule *rules;
    int n_rules;
    bool connected;
    struct usb_redir_device_connect_header device;
    struct usb_redir_interface_info_header interfaces;
} Guest;

typedef struct World {
    Usbfilter *filter;
    Guest guest;
    uint64_t digest[2]; /* of what came out towards the client and QEMU */
    uint64_t refused;
    bool broken;
} World;

static int guest_read(void *user, uint8_t *data, int count)
{
    Guest *guest = user;

    return (int)bytes_move(&guest->in, data, (size_t)count);
}

static int guest_write(void *user, uint8_t *data, int count)
{
    (void)user;
    (void)data;
    return count;
}

static void guest_log(void *user, int level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

static void check_device(Guest *guest)
{
    const struct usb_redir_device_connect_header *device = &guest->device;
    struct usb_redir_interface_info_header interfaces = guest->interfaces;
    int result;

    FUZZ_CHECK(interfaces.interface_count <= 32);
    if (interfaces.interface_count == 0) {
        interfaces.interface_count = 1;
        interfaces.interface_class[0] = device->device_class;
        interfaces.interface_subclass[0] = device->device_subclass;
        interfaces.interface_protocol[0] = device->device_protocol;
    }
    result = usbredirfilter_check(guest->rules, guest->n_rules, device->device_class, device->device_subclass,
                                  device->device_protocol, interfaces.interface_class, interfaces.interface_subclass,
                                  interfaces.interface_protocol, (int)interfaces.interface_count, device->vendor_id,
                                  device->product_id, device->device_version_bcd, 0);
    FUZZ_CHECK(result == 0);
}

static void on_connect(void *user, struct usb_redir_device_connect_header *device)
{
    Guest *guest = user;

    FUZZ_CHECK(!guest->connected);
    guest->device = *device;
    guest->connected = true;
    check_device(guest);
}

static void on_disconnect(void *user)
{
    Guest *guest = user;

    guest->connected = false;
    guest->interfaces.interface_count = UINT32_MAX;
}

static void on_interfaces(void *user, struct usb_redir_interface_info_header *interfaces)
{
    Guest *guest = user;

    guest->interfaces = *interfaces;
    if (guest->connected)
        check_device(guest);
}

static void on_endpoints(void *user, struct usb_redir_ep_info_header *endpoints)
{
    (void)user;
    (void)endpoints;
}

static void on_rules(void *user, struct usbredirfilter_rule *rules, int count)
{
    (void)user;
    (void)count;
    usbredirfilter_free(rules);
}

/* Traffic: of a connected device only. */
#define ON_STATUS(name, Header) \
    static void name(void *user, uint64_t id, struct Header *header) \
    { \
        Guest *guest = user; \
\
        (void)id; \
        (void)header; \
        FUZZ_CHECK(guest->connected); \
    }
#define ON_DATA(name, Header) \
    static void name(void *user, uint64_t id, struct Header *header, uint8_t *data, int size) \
    { \
        Guest *guest = user; \
\
        (void)id; \
        (void)header; \
        (void)size; \
        FUZZ_CHECK(guest->connected); \
        usbredirparser_free_packet_data(guest->parser, data); \
    }
ON_STATUS(on_configuration, usb_redir_configuration_status_header)
ON_STATUS(on_alt_setting, usb_redir_alt_setting_status_header)
ON_STATUS(on_iso_status, usb_redir_iso_stream_status_header)
ON_STATUS(on_interrupt_status, usb_redir_interrupt_receiving_status_header)
ON_STATUS(on_streams_status, usb_redir_bulk_streams_status_header)
ON_STATUS(on_receiving_status, usb_redir_bulk_receiving_status_header)
ON_DATA(on_control, usb_redir_control_packet_header)
ON_DATA(on_bulk, usb_redir_bulk_packet_header)
ON_DATA(on_iso, usb_redir_iso_packet_header)
ON_DATA(on_interrupt, usb_redir_interrupt_packet_header)
ON_DATA(on_buffered, usb_redir_buffered_bulk_packet_header)

static void guest_init(Guest *guest, const char *rules, uint32_t caps)
{
    struct usbredirparser *parser = usbredirparser_create();

    *guest = (Guest){ .parser = parser, .interfaces.interface_count = UINT32_MAX };
    FUZZ_CHECK(usbredirfilter_string_to_rules(rules, ",", "|", &guest->rules, &guest->n_rules) == 0);
    parser->priv = guest;
    parser->log_func = guest_log;
    parser->read_func = guest_read;
    parser->write_func = guest_write;
    parser->device_connect_func = on_connect;
    parser->device_disconnect_func = on_disconnect;
    parser->interface_info_func = on_interfaces;
    parser->ep_info_func = on_endpoints;
    parser->filter_filter_func = on_rules;
    parser->configuration_status_func = on_configuration;
    parser->alt_setting_status_func = on_alt_setting;
    parser->iso_stream_status_func = on_iso_status;
    parser->interrupt_receiving_status_func = on_interrupt_status;
    parser->bulk_streams_status_func = on_streams_status;
    parser->bulk_receiving_status_func = on_receiving_status;
    parser->control_packet_func = on_control;
    parser->bulk_packet_func = on_bulk;
    parser->iso_packet_func = on_iso;
    parser->interrupt_packet_func = on_interrupt;
    parser->buffered_bulk_packet_func = on_buffered;
    usbredirparser_init(parser, "fuzz", &caps, 1, 0);
}

static void feed(World *world, UsbfilterSide side, const uint8_t *data, size_t size, size_t take)
{
    BytesReader in = bytes_reader(data, size);
    UsbfilterEvent event;
    UsbfilterResult result;

    while ((result = usbfilter_next(world->filter, side, &in, &event)) != USBFILTER_MORE) {
        if (result == USBFILTER_BROKEN) {
            world->broken = true;
            return;
        }
        if (result == USBFILTER_REFUSED) {
            FUZZ_CHECK(side == USBFILTER_CLIENT);
            world->refused = fuzz_mix_number(world->refused, (uint64_t)event.vendor << 16 | event.product);
            feed(world, USBFILTER_QEMU, NULL, 0, take);
            continue;
        }
        FUZZ_CHECK(event.size > 0);
        event.size = event.size < take ? event.size : take;
        world->digest[!side] = fuzz_mix(world->digest[!side], event.data, event.size);
        if (side == USBFILTER_CLIENT) {
            world->guest.in = bytes_reader(event.data, event.size);
            /* Packets whose inner lengths are at odds are refused by the parser one by one. */
            while (world->guest.in.left > 0)
                usbredirparser_do_read(world->guest.parser);
        }
        usbfilter_taken(world->filter, side, &in, event.size);
    }
    FUZZ_CHECK(in.left == 0);
}

static void feed_hello(World *world, UsbfilterSide side, uint32_t caps, size_t step)
{
    uint8_t data[12 + 68] = { 0 };
    BytesWriter head = bytes_writer(data, 12), tail = bytes_writer(data + 12 + 64, 4);

    bytes_put_u32(&head, usb_redir_hello);
    bytes_put_u32(&head, 68);
    bytes_put_u32(&tail, caps);
    for (size_t at = 0; at < sizeof(data); at += step)
        feed(world, side, data + at, step < sizeof(data) - at ? step : sizeof(data) - at, step);
}

/* Mixes what happened into one number. */
static uint64_t run(const uint8_t *head, BytesReader in, size_t step)
{
    const char *rules = rule_sets[head[0] % G_N_ELEMENTS(rule_sets)];
    World world = { .filter = usbfilter_new(rules, NULL) };
    uint64_t digest;
    uint8_t op;

    guest_init(&world.guest, rules, head[2]);
    /* The parser adds this capability to its own. */
    feed_hello(&world, USBFILTER_QEMU, head[2] | 1u << usb_redir_cap_device_disconnect_ack, step);
    if ((head[0] & 0x80) == 0)
        feed_hello(&world, USBFILTER_CLIENT, head[1], step);
    while (!world.broken && bytes_get_u8(&in, &op)) {
        const uint8_t *data;
        size_t size = (op & 0x7f) < in.left ? op & 0x7f : in.left;

        bytes_take(&in, size, &data);
        for (size_t at = 0; at < size && !world.broken; at += step)
            feed(&world, op >> 7, data + at, step < size - at ? step : size - at, step);
    }
    digest = fuzz_mix_number(world.digest[0], world.digest[1]);
    digest = fuzz_mix_number(digest, world.refused << 1 | world.broken);
    usbredirfilter_free(world.guest.rules);
    usbredirparser_destroy(world.guest.parser);
    usbfilter_free(world.filter);
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    const uint8_t *head;

    if (!bytes_take(&in, 4, &head))
        return 0;
    FUZZ_CHECK(run(head, in, SIZE_MAX / 2) == run(head, in, 1 + (size_t)head[3] % 64));
    return 0;
}
