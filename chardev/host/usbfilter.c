/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usbfilter.h"

#include "limits.h"
#include "options.h"

#include <usbredirfilter.h>
#include <usbredirproto.h>

/* The id is of 32 bits until both have said hello, and after it unless both know 64. */
#define HEADER_SIZE_32 12u
#define HEADER_SIZE_64 16u

/* Longest packet that is looked into. */
#define HELD_MAX sizeof(struct usb_redir_interface_info_header)

/* libusbredirparser's own bound for the data of one transfer. Beyond 2^31 it would not skip what it refuses. */
#define DATA_MAX (128u * 1024 * 1024)

#define HELLO_MAX (sizeof(struct usb_redir_hello_header) + 4 * LIMIT_CAPS_WORDS)
#define INTERFACES_MAX 32u

G_STATIC_ASSERT(HELLO_MAX <= HELD_MAX);

/* Packets whose length is that of their header, and those with an older form that lacks the fields from `field` on. */
#define LENGTH(name) sizeof(struct usb_redir_##name##_header)
#define FIXED(name, how) { usb_redir_##name, LENGTH(name), LENGTH(name), how }
#define GROWN(name, field, how) \
    { usb_redir_##name, offsetof(struct usb_redir_##name##_header, field), LENGTH(name), how }
#define WITH_DATA(name, most) { usb_redir_##name, LENGTH(name), LENGTH(name) + (most), TRAFFIC }

/* What a usb-host may send. A type not listed might announce a device in words of its own, so it does not pass. */
static const struct {
    uint32_t type, min, max;
    enum {
        LOOK,     /* kept until it is whole */
        ANNOUNCE, /* passes at any time */
        TRAFFIC   /* passes while a device is connected */
    } how;
} packets[] = {
    { usb_redir_hello, LENGTH(hello), HELLO_MAX, LOOK },
    GROWN(device_connect, device_version_bcd, LOOK),
    FIXED(interface_info, LOOK),
    { usb_redir_device_disconnect, 0, 0, ANNOUNCE },
    GROWN(ep_info, max_packet_size, ANNOUNCE),
    { usb_redir_filter_filter, 1, UINT16_MAX, ANNOUNCE },
    FIXED(configuration_status, TRAFFIC),
    FIXED(alt_setting_status, TRAFFIC),
    FIXED(iso_stream_status, TRAFFIC),
    FIXED(interrupt_receiving_status, TRAFFIC),
    FIXED(bulk_streams_status, TRAFFIC),
    FIXED(bulk_receiving_status, TRAFFIC),
    WITH_DATA(control_packet, UINT16_MAX),
    { usb_redir_bulk_packet, offsetof(struct usb_redir_bulk_packet_header, length_high), LENGTH(bulk_packet) + DATA_MAX,
      TRAFFIC },
    WITH_DATA(iso_packet, UINT16_MAX),
    WITH_DATA(interrupt_packet, UINT16_MAX),
    WITH_DATA(buffered_bulk_packet, DATA_MAX),
};

/* One direction. Bytes are collected into `bytes`, then told from there, then `left` more from the input. */
typedef struct Stream {
    bool hello; /* seen */
    uint32_t caps;
    size_t header_size; /* of the packet under way */
    uint32_t type, length;
    uint8_t bytes[HEADER_SIZE_64 + HELD_MAX];
    size_t have, need;
    size_t told_at, told_end; /* of `bytes`, to be told */
    uint32_t left;
    bool drop; /* `left` is not passed on */
} Stream;

struct Usbfilter {
    struct usbredirfilter_rule *rules;
    int n_rules;
    /* All from here on is as new after a reset. */
    Stream from[2];
    enum { ABSENT, CONNECTED, DENIED } device;
    struct usb_redir_device_connect_header info;
    bool interfaces_known;
    struct usb_redir_interface_info_header interfaces;
    bool disconnect_due;  /* QEMU is to be told that the device has gone */
    uint32_t acks_unasked; /* QEMU's answers to that, which the client did not ask for */
    bool reject_due;      /* the client is to be told */
    const char *broken;
};

/* The library tells only that some rule is wrong. */
static void set_rules_error(const char *rules, GError **error)
{
    g_auto(GStrv) list = g_strsplit(rules, "|", -1);

    for (guint i = 0; list[i] != NULL; i++) {
        struct usbredirfilter_rule *rule = NULL;
        int count;

        if (usbredirfilter_string_to_rules(list[i], ",", "|", &rule, &count) != 0) {
            g_set_error(error, OPTIONS_ERROR, OPTIONS_EXIT_CONFIG,
                        "rule %u of the usbredir filter, \"%s\", is not CLASS,VENDOR,PRODUCT,VERSION,ALLOW", i + 1,
                        list[i]);
            return;
        }
        usbredirfilter_free(rule);
    }
    g_set_error(error, OPTIONS_ERROR, OPTIONS_EXIT_CONFIG, "the usbredir filter \"%s\" has no rule", rules);
}

Usbfilter *usbfilter_new(const char *rules, GError **error)
{
    g_autoptr(Usbfilter) filter = g_new0(Usbfilter, 1);

    if (usbredirfilter_string_to_rules(rules, ",", "|", &filter->rules, &filter->n_rules) != 0 ||
        filter->n_rules == 0) {
        set_rules_error(rules, error);
        return NULL;
    }
    return g_steal_pointer(&filter);
}

void usbfilter_free(Usbfilter *filter)
{
    if (filter == NULL)
        return;
    usbredirfilter_free(filter->rules);
    g_free(filter);
}

void usbfilter_reset(Usbfilter *filter)
{
    *filter = (Usbfilter){ .rules = filter->rules, .n_rules = filter->n_rules };
}

static bool agreed(const Usbfilter *filter, unsigned cap)
{
    return (filter->from[USBFILTER_CLIENT].caps & filter->from[USBFILTER_QEMU].caps & 1u << cap) != 0;
}

static size_t header_size(const Usbfilter *filter, const Stream *stream)
{
    return stream->hello && agreed(filter, usb_redir_cap_64bits_ids) ? HEADER_SIZE_64 : HEADER_SIZE_32;
}

/* Let the first `size` bytes collected be told, and begin a new packet behind them. */
static void tell(Stream *stream, size_t size)
{
    stream->told_at = 0;
    stream->told_end = size;
    stream->have = 0;
}

/* A packet of our own that is only a header. */
static void tell_packet(const Usbfilter *filter, Stream *stream, uint32_t type)
{
    BytesWriter out = bytes_writer(stream->bytes, sizeof(stream->bytes));
    size_t size = header_size(filter, stream);

    bytes_put_u32(&out, type);
    bytes_put_u32(&out, 0);
    bytes_put_u32(&out, 0);
    if (size == HEADER_SIZE_64)
        bytes_put_u32(&out, 0);
    tell(stream, size);
}

/* Why the device may not pass; NULL: it may. */
static const char *judge(Usbfilter *filter)
{
    struct usb_redir_interface_info_header interfaces = filter->interfaces;

    if (!agreed(filter, usb_redir_cap_connect_device_version))
        return "its version is not told";
    if (!filter->interfaces_known)
        return "its interfaces are not told";
    if (interfaces.interface_count == 0) {
        /* The library looks at no class then, and allows what no rule was asked about. */
        interfaces.interface_count = 1;
        interfaces.interface_class[0] = filter->info.device_class;
        interfaces.interface_subclass[0] = filter->info.device_subclass;
        interfaces.interface_protocol[0] = filter->info.device_protocol;
    }
    if (usbredirfilter_check(filter->rules, filter->n_rules, filter->info.device_class, filter->info.device_subclass,
                             filter->info.device_protocol, interfaces.interface_class, interfaces.interface_subclass,
                             interfaces.interface_protocol, (int)interfaces.interface_count, filter->info.vendor_id,
                             filter->info.product_id, filter->info.device_version_bcd, 0) != 0)
        return "the filter denies it";
    return NULL;
}

static UsbfilterResult refuse(Usbfilter *filter, const char *why, UsbfilterEvent *ret_event)
{
    filter->device = DENIED;
    filter->reject_due = (filter->from[USBFILTER_CLIENT].caps & 1u << usb_redir_cap_filter) != 0;
    *ret_event = (UsbfilterEvent){ .why = why, .device_class = filter->info.device_class,
                                   .vendor = filter->info.vendor_id, .product = filter->info.product_id,
                                   .version = filter->info.device_version_bcd };
    return USBFILTER_REFUSED;
}

/* Look at the header collected; what is wrong with it, or NULL. */
static const char *take_header(Usbfilter *filter, UsbfilterSide side, Stream *stream)
{
    BytesReader header = bytes_reader(stream->bytes, stream->header_size);
    bool look = false;
    size_t i = 0;

    bytes_get_u32(&header, &stream->type);
    bytes_get_u32(&header, &stream->length);
    if ((stream->type == usb_redir_hello) == stream->hello)
        return stream->hello ? "a second hello" : "a packet before hello";
    stream->drop = false;
    if (side == USBFILTER_CLIENT || stream->type == usb_redir_hello) {
        while (i < G_N_ELEMENTS(packets) && packets[i].type != stream->type)
            i++;
        if (i == G_N_ELEMENTS(packets))
            return "a packet of a type that is none of its own";
        if (stream->length < packets[i].min || stream->length > packets[i].max)
            return "a packet of a length that cannot be";
        look = packets[i].how == LOOK;
        stream->drop = packets[i].how == TRAFFIC && filter->device != CONNECTED;
    } else if (stream->length > LENGTH(bulk_packet) + DATA_MAX) {
        return "a packet of a length that cannot be";
    } else if (stream->type == usb_redir_device_disconnect_ack && filter->acks_unasked > 0) {
        filter->acks_unasked--;
        stream->drop = true;
    }
    if (look) {
        stream->need = stream->header_size + stream->length;
        return NULL;
    }
    if (side == USBFILTER_CLIENT && stream->type == usb_redir_device_disconnect) {
        filter->device = ABSENT;
        filter->interfaces_known = false;
        filter->reject_due = false; /* it would be taken for the next device's */
    }
    stream->left = stream->length;
    tell(stream, stream->drop ? 0 : stream->header_size);
    return NULL;
}

static void take_hello(Stream *stream, BytesReader *body)
{
    const uint8_t *version;

    bytes_take(body, sizeof(struct usb_redir_hello_header), &version);
    /* There may be no word of capabilities; what is behind the first nobody knows. */
    bytes_get_u32(body, &stream->caps);
    stream->hello = true;
    tell(stream, stream->need);
}

static UsbfilterResult take_interfaces(Usbfilter *filter, Stream *stream, BytesReader *body, UsbfilterEvent *ret_event)
{
    struct usb_redir_interface_info_header *interfaces = &filter->interfaces;
    uint32_t count = 0;
    const char *why;

    bytes_get_u32(body, &count);
    if (count > INTERFACES_MAX) {
        filter->broken = "a device of more than 32 interfaces";
        return USBFILTER_MORE;
    }
    interfaces->interface_count = count;
    bytes_move(body, interfaces->interface, INTERFACES_MAX);
    bytes_move(body, interfaces->interface_class, INTERFACES_MAX);
    bytes_move(body, interfaces->interface_subclass, INTERFACES_MAX);
    bytes_move(body, interfaces->interface_protocol, INTERFACES_MAX);
    filter->interfaces_known = true;
    why = filter->device == CONNECTED ? judge(filter) : NULL;
    tell(stream, why == NULL ? stream->need : 0);
    if (why == NULL)
        return USBFILTER_MORE;
    filter->disconnect_due = true;
    filter->interfaces_known = false;
    if (agreed(filter, usb_redir_cap_device_disconnect_ack))
        filter->acks_unasked++;
    return refuse(filter, why, ret_event);
}

static UsbfilterResult take_device(Usbfilter *filter, Stream *stream, BytesReader *body, UsbfilterEvent *ret_event)
{
    struct usb_redir_device_connect_header *info = &filter->info;
    bool has_version = agreed(filter, usb_redir_cap_connect_device_version);
    uint16_t vendor = 0, product = 0, version = 0;
    size_t size = has_version ? sizeof(*info) : offsetof(struct usb_redir_device_connect_header, device_version_bcd);
    const char *why;

    if (stream->length != size)
        filter->broken = "a device_connect of a length that was not agreed";
    else if (filter->device == CONNECTED)
        filter->broken = "a second device"; /* QEMU keeps the first: what follows would be judged by the wrong name */
    if (filter->broken != NULL)
        return USBFILTER_MORE;
    bytes_get_u8(body, &info->speed);
    bytes_get_u8(body, &info->device_class);
    bytes_get_u8(body, &info->device_subclass);
    bytes_get_u8(body, &info->device_protocol);
    bytes_get_u16(body, &vendor);
    bytes_get_u16(body, &product);
    bytes_get_u16(body, &version); /* not there without `has_version` */
    info->vendor_id = vendor;
    info->product_id = product;
    info->device_version_bcd = version;
    why = judge(filter);
    tell(stream, why == NULL ? stream->need : 0);
    if (why != NULL)
        return refuse(filter, why, ret_event);
    filter->device = CONNECTED;
    return USBFILTER_MORE;
}

/* A packet to look into is whole. USBFILTER_MORE: go on. */
static UsbfilterResult take_packet(Usbfilter *filter, Stream *stream, UsbfilterEvent *ret_event)
{
    BytesReader body = bytes_reader(stream->bytes + stream->header_size, stream->length);

    if (stream->type == usb_redir_interface_info)
        return take_interfaces(filter, stream, &body, ret_event);
    if (stream->type == usb_redir_device_connect)
        return take_device(filter, stream, &body, ret_event);
    take_hello(stream, &body);
    return USBFILTER_MORE;
}

/* Between two packets: say what is due of our own. */
static bool tell_due(Usbfilter *filter, UsbfilterSide side, Stream *stream)
{
    bool *due = side == USBFILTER_CLIENT ? &filter->disconnect_due : &filter->reject_due;

    if (!*due)
        return false;
    *due = false;
    tell_packet(filter, stream, side == USBFILTER_CLIENT ? usb_redir_device_disconnect : usb_redir_filter_reject);
    return true;
}

UsbfilterResult usbfilter_next(Usbfilter *filter, UsbfilterSide side, BytesReader *in, UsbfilterEvent *ret_event)
{
    Stream *stream = &filter->from[side];

    while (filter->broken == NULL) {
        if (stream->told_at < stream->told_end) {
            *ret_event = (UsbfilterEvent){ .data = stream->bytes + stream->told_at,
                                           .size = stream->told_end - stream->told_at };
            return USBFILTER_PIECE;
        }
        if (stream->left > 0) {
            size_t size = in->left < stream->left ? in->left : stream->left;

            if (size == 0)
                return USBFILTER_MORE;
            if (!stream->drop) {
                *ret_event = (UsbfilterEvent){ .data = in->at, .size = size };
                return USBFILTER_PIECE;
            }
            usbfilter_taken(filter, side, in, size);
            continue;
        }
        if (stream->have == 0) {
            if (tell_due(filter, side, stream))
                continue;
            stream->header_size = stream->need = header_size(filter, stream);
        }
        if (in->left == 0)
            return USBFILTER_MORE;
        if (stream->hello && !filter->from[!side].hello) {
            filter->broken = "a packet before the other end's hello"; /* it does not know yet how long its header is */
            break;
        }
        stream->have += bytes_move(in, stream->bytes + stream->have, stream->need - stream->have);
        if (stream->have < stream->need)
            return USBFILTER_MORE;
        if (stream->need == stream->header_size) {
            filter->broken = take_header(filter, side, stream);
        } else {
            UsbfilterResult result = take_packet(filter, stream, ret_event);

            if (result != USBFILTER_MORE)
                return result;
        }
    }
    *ret_event = (UsbfilterEvent){ .why = filter->broken };
    return USBFILTER_BROKEN;
}

void usbfilter_taken(Usbfilter *filter, UsbfilterSide side, BytesReader *in, size_t size)
{
    Stream *stream = &filter->from[side];
    const uint8_t *taken;

    if (stream->told_at < stream->told_end) {
        stream->told_at += size;
    } else {
        bytes_take(in, size, &taken);
        stream->left -= (uint32_t)size;
    }
}
