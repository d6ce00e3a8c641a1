/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spicelink.h"

#include <spice/enums.h>
#include <spice/protocol.h>

#define HEADER_SIZE 16u
#define LINK_SIZE 18u /* SpiceLinkMess */
#define MECHANISM_SIZE 4u
#define MINI_SIZE 6u
#define FULL_SIZE 18u
#define COMPRESSED_SIZE 5u /* how, and how much it will be: what is before the data of SpiceMsgCompressedData */

_Static_assert(HEADER_SIZE == sizeof(SpiceLinkHeader) && LINK_SIZE == sizeof(SpiceLinkMess) &&
                   MINI_SIZE == sizeof(SpiceMiniDataHeader) && FULL_SIZE == sizeof(SpiceDataHeader),
               "the layout of spice/protocol.h");
_Static_assert(SPICELINK_BEGIN == HEADER_SIZE + LINK_SIZE, "what is enough to know the channel");

static void next(Spicelink *link, SpicelinkStage stage, size_t want)
{
    link->stage = stage;
    link->have = 0;
    link->want = want;
}

void spicelink_init(Spicelink *link)
{
    *link = (Spicelink){ .channel = -1, .id = -1 };
    next(link, SPICELINK_HEADER, HEADER_SIZE);
}

static const char *header(Spicelink *link)
{
    BytesReader in = bytes_reader(link->begin, HEADER_SIZE);
    uint32_t magic = 0, major = 0, minor = 0, size = 0;

    bytes_get_u32(&in, &magic);
    bytes_get_u32(&in, &major);
    bytes_get_u32(&in, &minor);
    bytes_get_u32(&in, &size);
    if (magic != SPICE_MAGIC)
        return "no SPICE client";
    if (size < LINK_SIZE || size > LINK_SIZE + SPICELINK_CAPS_MAX)
        return "a first message of such a size cannot be";
    next(link, SPICELINK_LINK, size);
    return NULL;
}

static const char *link_message(Spicelink *link)
{
    BytesReader in = bytes_reader(link->begin, link->want);
    uint32_t connection = 0, common = 0, special = 0, offset = 0, caps = 0;
    uint8_t channel = 0, id = 0;

    bytes_get_u32(&in, &connection);
    bytes_get_u8(&in, &channel);
    bytes_get_u8(&in, &id);
    bytes_get_u32(&in, &common);
    bytes_get_u32(&in, &special);
    bytes_get_u32(&in, &offset);
    if (offset > link->want || common > SPICELINK_CAPS_MAX || special > SPICELINK_CAPS_MAX ||
        ((size_t)common + special) * 4 > link->want - offset)
        return "its capabilities lie beyond its first message";
    if (common > 0) {
        in = bytes_reader(link->begin + offset, 4);
        bytes_get_u32(&in, &caps);
    }
    link->channel = channel;
    link->id = id;
    link->mini = (caps & 1u << SPICE_COMMON_CAP_MINI_HEADER) != 0;
    if (caps & 1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION)
        next(link, SPICELINK_MECHANISM, MECHANISM_SIZE);
    else
        next(link, SPICELINK_TICKET, SPICE_TICKET_KEY_PAIR_LENGTH / 8);
    return NULL;
}

static const char *mechanism(Spicelink *link)
{
    BytesReader in = bytes_reader(link->begin, MECHANISM_SIZE);
    uint32_t chosen = 0;

    bytes_get_u32(&in, &chosen);
    if (chosen != SPICE_COMMON_CAP_AUTH_SPICE)
        return "it wants to log in otherwise than by a ticket";
    next(link, SPICELINK_TICKET, SPICE_TICKET_KEY_PAIR_LENGTH / 8);
    return NULL;
}

static size_t header_size(const Spicelink *link)
{
    return link->mini ? MINI_SIZE : FULL_SIZE;
}

static void begin_message(Spicelink *link)
{
    next(link, SPICELINK_MESSAGES, header_size(link));
    link->counting = link->dropping = false;
}

static bool is_bulk(const Spicelink *link)
{
    return link->channel == SPICE_CHANNEL_USBREDIR || link->channel == SPICE_CHANNEL_PORT ||
           link->channel == SPICE_CHANNEL_WEBDAV;
}

/* The header of a message has come. Is it one of compressed data, of which more has to be known? */
static bool is_compressed(const Spicelink *link)
{
    size_t at = link->mini ? 0 : sizeof(uint64_t);
    BytesReader in = bytes_reader(link->begin + at, sizeof(uint16_t));
    uint16_t type = 0;

    bytes_get_u16(&in, &type);
    return is_bulk(link) && type == SPICE_MSGC_SPICEVMC_COMPRESSED_DATA;
}

/* What libspice-server makes room for. */
static const char *compressed(Spicelink *link, BytesReader *in)
{
    uint8_t how = 0;

    if (link->size < COMPRESSED_SIZE)
        return "compressed data without their size";
    link->left -= COMPRESSED_SIZE;
    bytes_get_u8(in, &how);
    bytes_get_u32(in, &link->size);
    if (how != SPICE_DATA_COMPRESSION_TYPE_LZ4)
        return "data compressed otherwise than by LZ4";
    return link->size == 0 || link->size > SPICELINK_DATA_MAX ? "compressed data of a size that is never sent" : NULL;
}

static const char *message(Spicelink *link)
{
    BytesReader in = bytes_reader(link->begin, link->want);
    const char *why = NULL;
    uint64_t serial = 0;
    uint32_t list = 0;
    uint16_t type = 0;

    if (!link->mini)
        bytes_get_u64(&in, &serial);
    bytes_get_u16(&in, &type);
    bytes_get_u32(&in, &link->size);
    if (!link->mini)
        bytes_get_u32(&in, &list);
    if (link->size > (is_bulk(link) ? SPICELINK_DATA_MAX : SPICELINK_MESSAGE_MAX))
        return "a message larger than any that is sent there";
    link->left = link->size;
    if (is_compressed(link) && (why = compressed(link, &in)) != NULL)
        return why;
    link->counting = true;
    link->dropping = link->channel == SPICE_CHANNEL_DISPLAY && type == SPICE_MSGC_DISPLAY_INIT;
    return NULL;
}

/* Without any cache. */
static void put_display_init(const Spicelink *link, BytesWriter *out)
{
    if (!link->mini)
        bytes_put_u64(out, 0); /* serial */
    bytes_put_u16(out, SPICE_MSGC_DISPLAY_INIT);
    bytes_put_u32(out, 14);
    if (!link->mini)
        bytes_put_u32(out, 0); /* no list of sub-messages */
    bytes_put_u8(out, 0);      /* pixmap cache: which */
    bytes_put_u64(out, 0);     /* and its pixels */
    bytes_put_u8(out, 0);      /* dictionary: which */
    bytes_put_u32(out, 0);     /* and its window */
}

/* All of what was wanted has come. */
static const char *take(Spicelink *link, BytesWriter *out)
{
    size_t size = link->want;
    const char *why = NULL;

    switch (link->stage) {
    case SPICELINK_HEADER:
        why = header(link);
        break;
    case SPICELINK_LINK:
        why = link_message(link);
        break;
    case SPICELINK_MECHANISM:
        why = mechanism(link);
        break;
    case SPICELINK_TICKET:
        begin_message(link);
        break;
    case SPICELINK_MESSAGES:
        why = message(link);
        break;
    }
    if (!why && !link->dropping)
        bytes_put(out, link->begin, size);
    if (!why && link->channel == SPICE_CHANNEL_DISPLAY && link->stage == SPICELINK_MESSAGES && !link->greeted) {
        put_display_init(link, out);
        link->greeted = true;
    }
    return why;
}

const char *spicelink_pass(Spicelink *link, BytesReader *in, BytesWriter *out)
{
    const char *why = NULL;

    while (!why) {
        if (link->counting) {
            size_t step = in->left < link->left ? in->left : link->left;
            const uint8_t *data;

            if (bytes_take(in, step, &data) && !link->dropping)
                bytes_put(out, data, step);
            link->left -= (uint32_t)step;
            if (link->left > 0)
                return NULL;
            link->data += link->size;
            begin_message(link);
        }
        link->have += bytes_move(in, link->begin + link->have, link->want - link->have);
        if (link->have < link->want)
            return NULL;
        if (link->stage == SPICELINK_MESSAGES && link->want == header_size(link) && is_compressed(link)) {
            link->want += COMPRESSED_SIZE;
            continue;
        }
        why = take(link, out);
    }
    return why;
}
