/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usbfilter.h - which of the client's USB devices may reach QEMU: a gate in the usbredir stream (pure).
 *
 * Between the SPICE client (usb-host) and QEMU's usb-redir device (usb-guest) packets pass as they are, in both
 * directions, but for those of a device that the rules deny. It is judged when it is announced (device_connect), and
 * again when its interfaces change (interface_info after set_configuration). From a refusal on, none of its traffic
 * reaches QEMU; the client is told once, with filter_reject if it knows that packet. device_disconnect always
 * passes, since QEMU must acknowledge it before the client offers another device, and so do interface_info and
 * ep_info, which announce a device and carry nothing.
 *
 * Judged is what the client announces: a client that lies about vendor, product and classes is beyond any such
 * filter, also beyond QEMU's own. But nothing passes unannounced: what QEMU would read otherwise than we do (a
 * length that does not fit, a second hello or device_connect, an unknown type) breaks the stream.
 *
 * Source: usb-redirection-protocol 0.7 and usbredirproto.h. All numbers are little-endian. No more than one packet
 * of at most 132 bytes is kept in each direction, whatever is announced.
 */
#ifndef USBFILTER_H
#define USBFILTER_H

#include "bytes.h"

#include <glib.h>

/* Where bytes come from. */
typedef enum UsbfilterSide {
    USBFILTER_CLIENT,
    USBFILTER_QEMU
} UsbfilterSide;

typedef enum UsbfilterResult {
    USBFILTER_MORE,    /* the input is used up; feed more */
    USBFILTER_PIECE,   /* some bytes for the other end */
    USBFILTER_REFUSED, /* a device was refused. Now ask also the QEMU side: it may have a piece, though no input came */
    USBFILTER_BROKEN   /* this side breaks the protocol: part from both, who say hello only once; usbfilter_reset() */
} UsbfilterResult;

typedef struct UsbfilterEvent {
    /* USBFILTER_PIECE: never empty, borrowed from the input or from the filter until its next call */
    const uint8_t *data;
    size_t size;
    /* USBFILTER_REFUSED, USBFILTER_BROKEN */
    const char *why;
    /* USBFILTER_REFUSED */
    uint8_t device_class;
    uint16_t vendor, product, version;
} UsbfilterEvent;

typedef struct Usbfilter Usbfilter;

/*
 * `rules` as in usbredirfilter.h: CLASS,VENDOR,PRODUCT,VERSION,ALLOW joined by '|', -1 for any, the first that
 * matches decides; what none matches is denied. As in QEMU an interface of a non-boot HID among others is not looked
 * at. NULL with an error of OPTIONS_ERROR that names the rule, if one is wrong or there is none.
 */
Usbfilter *usbfilter_new(const char *rules, GError **error);
/* NULL is fine. */
void usbfilter_free(Usbfilter *filter);

/* QEMU or the client has gone: both begin anew with hello. */
void usbfilter_reset(Usbfilter *filter);

/*
 * The next event of what `side` sends. `in` must go on with the byte at which it was left. A piece is not used up by
 * being told: until usbfilter_taken() the same one is told again. Call until USBFILTER_MORE. A piece may be the
 * filter's own while all input is used up, so when the other end has room again, call also with an empty `in`. Client
 * bytes must wait until QEMU is there.
 */
UsbfilterResult usbfilter_next(Usbfilter *filter, UsbfilterSide side, BytesReader *in, UsbfilterEvent *ret_event);

/* The other end took `size` bytes of the piece told last; what `in` held of them is used up. */
void usbfilter_taken(Usbfilter *filter, UsbfilterSide side, BytesReader *in, size_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Usbfilter, usbfilter_free)

#endif
