/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bounds.h"
#include "check.h"
#include "hex.h"
#include "message.h"
#include "vdagent.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEN(byte) byte byte byte byte byte byte byte byte byte byte

/* The capabilities that change a layout, in all combinations. */
enum {
    NONE = 0,
    SELECTION = 1 << 0,
    SERIAL = 1 << 1,
    DETAILS = 1 << 2,
    COMBINATIONS = 1 << 3
};

static Caps caps_for(unsigned combination)
{
    Caps caps = { 0 };

    if (combination & SELECTION)
        caps_add(&caps, VD_AGENT_CAP_CLIPBOARD_SELECTION);
    if (combination & SERIAL)
        caps_add(&caps, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL);
    if (combination & DETAILS)
        caps_add(&caps, VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS);
    return caps;
}

/* Are two messages the same, member by member? Padding does not count. */
static bool same(const VdagentMessage *a, const VdagentMessage *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case VD_AGENT_MOUSE_STATE:
        return a->mouse.x == b->mouse.x && a->mouse.y == b->mouse.y && a->mouse.buttons == b->mouse.buttons &&
               a->mouse.display == b->mouse.display;
    case VD_AGENT_MONITORS_CONFIG:
        if (a->monitors.count != b->monitors.count || a->monitors.flags != b->monitors.flags)
            return false;
        for (uint32_t i = 0; i < a->monitors.count; i++) {
            const VdagentMonitor *m = &a->monitors.monitor[i], *n = &b->monitors.monitor[i];

            if (m->width != n->width || m->height != n->height || m->depth != n->depth || m->x != n->x ||
                m->y != n->y || m->width_mm != n->width_mm || m->height_mm != n->height_mm)
                return false;
        }
        return true;
    case VD_AGENT_REPLY:
        return a->reply.type == b->reply.type && a->reply.error == b->reply.error;
    case VD_AGENT_CLIPBOARD:
        return a->clipboard.selection == b->clipboard.selection && a->clipboard.type == b->clipboard.type &&
               a->clipboard.size == b->clipboard.size;
    case VD_AGENT_DISPLAY_CONFIG:
        return a->display_config.flags == b->display_config.flags && a->display_config.depth == b->display_config.depth;
    case VD_AGENT_ANNOUNCE_CAPABILITIES:
        return a->announce.request == b->announce.request && caps_equal(&a->announce.caps, &b->announce.caps);
    case VD_AGENT_CLIPBOARD_GRAB:
        return a->grab.selection == b->grab.selection && a->grab.serial == b->grab.serial &&
               a->grab.count == b->grab.count &&
               memcmp(a->grab.type, b->grab.type, a->grab.count * sizeof(a->grab.type[0])) == 0;
    case VD_AGENT_CLIPBOARD_REQUEST:
        return a->request.selection == b->request.selection && a->request.type == b->request.type;
    case VD_AGENT_CLIPBOARD_RELEASE:
        return a->release.selection == b->release.selection;
    case VD_AGENT_FILE_XFER_START:
        return a->file_start.id == b->file_start.id && a->file_start.keys_size == b->file_start.keys_size &&
               memcmp(a->file_start.keys, b->file_start.keys, a->file_start.keys_size) == 0;
    case VD_AGENT_FILE_XFER_STATUS:
        return a->file_status.id == b->file_status.id && a->file_status.result == b->file_status.result &&
               a->file_status.detailed == b->file_status.detailed &&
               a->file_status.free_space == b->file_status.free_space &&
               a->file_status.error_type == b->file_status.error_type &&
               a->file_status.error_code == b->file_status.error_code;
    case VD_AGENT_FILE_XFER_DATA:
        return a->file_data.id == b->file_data.id && a->file_data.size == b->file_data.size;
    case VD_AGENT_CLIENT_DISCONNECTED:
        return true;
    case VD_AGENT_MAX_CLIPBOARD:
        return a->max_clipboard.max == b->max_clipboard.max;
    case VD_AGENT_AUDIO_VOLUME_SYNC:
        return a->volume.is_playback == b->volume.is_playback && a->volume.mute == b->volume.mute &&
               a->volume.channels == b->volume.channels &&
               memcmp(a->volume.volume, b->volume.volume, a->volume.channels * sizeof(a->volume.volume[0])) == 0;
    case VD_AGENT_GRAPHICS_DEVICE_INFO:
        if (a->devices.count != b->devices.count)
            return false;
        for (uint32_t i = 0; i < a->devices.count; i++) {
            const VdagentDevice *d = &a->devices.device[i], *e = &b->devices.device[i];

            if (d->channel_id != e->channel_id || d->monitor_id != e->monitor_id ||
                d->device_display_id != e->device_display_id || strcmp(d->address, e->address) != 0)
                return false;
        }
        return true;
    default:
        return false;
    }
}

/*
 * A body, the combinations of capabilities under which it has this layout (`care`: which of them matter, `have`: their
 * values) and its meaning. `behind` bytes of bulk data follow the head. Shorter bodies are refused but for those of
 * `floor` bytes and, if `step` is not 0, `step` more each.
 */
typedef struct Case {
    const char *name;
    unsigned care, have;
    const char *body;
    uint32_t behind;
    int floor, step;
    VdagentMessage message;
} Case;

#define NEVER -1

static const Case cases[] = {
    { "mouse", NONE, NONE, "01020304 05060708 0a000000 09", 0, NEVER, 0,
      { .type = VD_AGENT_MOUSE_STATE, .mouse = { .x = 0x04030201, .y = 0x08070605, .buttons = 10, .display = 9 } } },
    { "mouse, zero", NONE, NONE, "00000000 00000000 00000000 00", 0, NEVER, 0, { .type = VD_AGENT_MOUSE_STATE } },
    { "no monitors", NONE, NONE, "00000000 00000000", 0, NEVER, 0, { .type = VD_AGENT_MONITORS_CONFIG } },
    { "monitors without sizes", NONE, NONE,
      "02000000 01000000" "20030000 00050000 20000000 00000000 00000000" "00000000 00000000 00000000 fbffffff 00000080",
      0, NEVER, 0,
      { .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = 2, .flags = 1, .monitor = {
            { .width = 1280, .height = 800, .depth = 32 }, { .x = -5, .y = INT32_MIN } } } } },
    { "monitor with size and flag", NONE, NONE,
      "01000000 03000000" "20030000 00050000 20000000 00000000 00000000" "d700 5801", 0, 28, 0,
      { .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = 1, .flags = 3, .monitor = {
            { .width = 1280, .height = 800, .depth = 32, .width_mm = 344, .height_mm = 215 } } } } },
    { "sparse monitors with sizes, no flag", NONE, NONE,
      "02000000 00000000" "00000000 00000000 00000000 00000000 00000000" "59020000 21030000 20000000 00000000 00000000"
      "0000 0000 0100 0200", 0, 48, 0,
      { .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = 2, .monitor = {
            [1] = { .width = 801, .height = 601, .depth = 32, .width_mm = 2, .height_mm = 1 } } } } },
    { "reply", NONE, NONE, "02000000 01000000", 0, NEVER, 0,
      { .type = VD_AGENT_REPLY, .reply = { .type = VD_AGENT_MONITORS_CONFIG, .error = VD_AGENT_SUCCESS } } },
    { "clipboard", SELECTION, NONE, "01000000", 7, NEVER, 0,
      { .type = VD_AGENT_CLIPBOARD, .clipboard = { .type = VD_AGENT_CLIPBOARD_UTF8_TEXT, .size = 7 } } },
    { "empty clipboard", SELECTION, NONE, "00000000", 0, NEVER, 0, { .type = VD_AGENT_CLIPBOARD } },
    { "clipboard of a selection", SELECTION, SELECTION, "02000000 02000000", 3, NEVER, 0,
      { .type = VD_AGENT_CLIPBOARD,
        .clipboard = { .selection = 2, .type = VD_AGENT_CLIPBOARD_IMAGE_PNG, .size = 3 } } },
    { "largest clipboard", SELECTION, SELECTION, "01000000 01000000", UINT32_MAX - 8, NEVER, 0,
      { .type = VD_AGENT_CLIPBOARD, .clipboard = { .selection = 1, .type = 1, .size = UINT32_MAX - 8 } } },
    { "display config", NONE, NONE, "09000000 20000000", 0, NEVER, 0,
      { .type = VD_AGENT_DISPLAY_CONFIG, .display_config = { .flags = 9, .depth = 32 } } },
    { "announcement", NONE, NONE, "01000000 f1ff0300", 0, 4, 4,
      { .type = VD_AGENT_ANNOUNCE_CAPABILITIES, .announce = { .request = 1, .caps = { { 0x3fff1 } } } } },
    { "announcement of nothing", NONE, NONE, "00000000 00000000", 0, 4, 4, { .type = VD_AGENT_ANNOUNCE_CAPABILITIES } },
    { "announcement of 8 words", NONE, NONE,
      "ffffffff 01000000 02000000 03000000 04000000 05000000 06000000 07000000 08000000", 0, 4, 4,
      { .type = VD_AGENT_ANNOUNCE_CAPABILITIES,
        .announce = { .request = UINT32_MAX, .caps = { { 1, 2, 3, 4, 5, 6, 7, 8 } } } } },
    { "grab", SELECTION | SERIAL, NONE, "01000000 02000000", 0, 0, 4,
      { .type = VD_AGENT_CLIPBOARD_GRAB, .grab = { .count = 2, .type = { 1, 2 } } } },
    { "grab of nothing", SELECTION | SERIAL, NONE, "", 0, NEVER, 0, { .type = VD_AGENT_CLIPBOARD_GRAB } },
    { "grab of a selection", SELECTION | SERIAL, SELECTION, "01000000 01000000", 0, 4, 4,
      { .type = VD_AGENT_CLIPBOARD_GRAB, .grab = { .selection = 1, .count = 1, .type = { 1 } } } },
    { "grab with serial", SELECTION | SERIAL, SERIAL, "07000000 01000000 ffffffff", 0, 4, 4,
      { .type = VD_AGENT_CLIPBOARD_GRAB, .grab = { .serial = 7, .count = 2, .type = { 1, UINT32_MAX } } } },
    { "grab with both", SELECTION | SERIAL, SELECTION | SERIAL, "02000000 ffffffff 05000000", 0, 8, 4,
      { .type = VD_AGENT_CLIPBOARD_GRAB,
        .grab = { .selection = 2, .serial = UINT32_MAX, .count = 1, .type = { 5 } } } },
    { "grab of nothing with both", SELECTION | SERIAL, SELECTION | SERIAL, "00000000 00000000", 0, NEVER, 0,
      { .type = VD_AGENT_CLIPBOARD_GRAB } },
    { "request", SELECTION, NONE, "01000000", 0, NEVER, 0,
      { .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { .type = 1 } } },
    { "request of a selection", SELECTION, SELECTION, "01000000 02000000", 0, NEVER, 0,
      { .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { .selection = 1, .type = 2 } } },
    { "release", SELECTION, NONE, "", 0, NEVER, 0, { .type = VD_AGENT_CLIPBOARD_RELEASE } },
    { "release of a selection", SELECTION, SELECTION, "02000000", 0, NEVER, 0,
      { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { .selection = 2 } } },
    { "file start", NONE, NONE, "04030201 5b6b5d0a 00", 0, 4, 1,
      { .type = VD_AGENT_FILE_XFER_START, .file_start = { .id = 0x01020304, .keys = "[k]\n", .keys_size = 4 } } },
    { "file start without keys", NONE, NONE, "00000000 00", 0, 4, 1,
      { .type = VD_AGENT_FILE_XFER_START, .file_start = { .keys = "" } } },
    { "file status", NONE, NONE, "ffffffff 03000000", 0, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = UINT32_MAX, .result = 3 } } },
    { "file status of a later protocol", NONE, NONE, "00000000 ffffffff", 0, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .result = UINT32_MAX } } },
    { "no space, bare", NONE, NONE, "01000000 04000000", 0, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = 1, .result = 4 } } },
    { "no space, detailed", DETAILS, DETAILS, "01000000 04000000 0807060504030201", 0, 8, 1,
      { .type = VD_AGENT_FILE_XFER_STATUS,
        .file_status = { .id = 1, .result = 4, .free_space = UINT64_C(0x0102030405060708), .detailed = true } } },
    { "error, detailed", DETAILS, DETAILS, "01000000 02000000 00 1f000000", 0, 8, 1,
      { .type = VD_AGENT_FILE_XFER_STATUS,
        .file_status = { .id = 1, .result = 2, .error_code = 31, .detailed = true } } },
    { "file data", NONE, NONE, "05000000 0300000000000000", 3, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_DATA, .file_data = { .id = 5, .size = 3 } } },
    { "empty file data", NONE, NONE, "00000000 0000000000000000", 0, NEVER, 0, { .type = VD_AGENT_FILE_XFER_DATA } },
    { "largest file data", NONE, NONE, "05000000 f3ffffff00000000", UINT32_MAX - 12, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_DATA, .file_data = { .id = 5, .size = UINT32_MAX - 12 } } },
    { "client disconnected", NONE, NONE, "", 0, NEVER, 0, { .type = VD_AGENT_CLIENT_DISCONNECTED } },
    { "max clipboard", NONE, NONE, "00000006", 0, NEVER, 0,
      { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { .max = 0x06000000 } } },
    { "max clipboard without bound", NONE, NONE, "ffffffff", 0, NEVER, 0,
      { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { .max = -1 } } },
    { "max clipboard of nothing", NONE, NONE, "00000000", 0, NEVER, 0, { .type = VD_AGENT_MAX_CLIPBOARD } },
    { "volume", NONE, NONE, "01 00 02 3412 ffff", 0, NEVER, 0,
      { .type = VD_AGENT_AUDIO_VOLUME_SYNC,
        .volume = { .is_playback = 1, .channels = 2, .volume = { 0x1234, 0xffff } } } },
    { "volume without channels", NONE, NONE, "00 01 00", 0, NEVER, 0,
      { .type = VD_AGENT_AUDIO_VOLUME_SYNC, .volume = { .mute = 1 } } },
    { "no devices", NONE, NONE, "00000000", 0, NEVER, 0, { .type = VD_AGENT_GRAPHICS_DEVICE_INFO } },
    { "devices", NONE, NONE,
      "02000000" "01000000 02000000 03000000 06000000 7063692f3000" "ffffffff 00000000 01000000 01000000 00",
      0, NEVER, 0,
      { .type = VD_AGENT_GRAPHICS_DEVICE_INFO, .devices = { .count = 2, .device = {
            { .channel_id = 1, .monitor_id = 2, .device_display_id = 3, .address = "pci/0" },
            { .channel_id = UINT32_MAX, .device_display_id = 1 } } } } },
};

static bool applies(const Case *test, unsigned combination)
{
    return (combination & test->care) == test->have;
}

/* The message came out of decode: all of its values are within their limits, and it survives the way back. */
static void check_decoded(const Caps *caps, const VdagentMessage *message, uint32_t size)
{
    uint8_t out[MESSAGE_HEADER_SIZE + LIMIT_MESSAGE];
    BytesWriter writer = bytes_writer(out, sizeof(out));
    VdagentMessage again;
    uint32_t body = 0;
    BytesReader header;

    CHECK(message_in_bounds(message, size));
    CHECK_EQ(vdagent_encode(caps, message, &writer), VDAGENT_OK);
    header = bytes_reader(out + 16, 4);
    CHECK(bytes_get_u32(&header, &body));
    CHECK_EQ(vdagent_decode(caps, message->type, body, out + MESSAGE_HEADER_SIZE, &again), VDAGENT_OK);
    CHECK(same(message, &again));
}

static void test_case(const Case *test, const Caps *caps)
{
    uint8_t body[512], out[MESSAGE_HEADER_SIZE + sizeof(body)];
    uint32_t head = (uint32_t)hex(test->body, body, sizeof(body)), size = head + test->behind;
    uint32_t type = test->message.type;
    BytesWriter writer = bytes_writer(out, sizeof(out)), small = bytes_writer(out, MESSAGE_HEADER_SIZE + head - 1);
    uint8_t header[MESSAGE_HEADER_SIZE];
    BytesWriter header_writer = bytes_writer(header, sizeof(header));
    VdagentMessage message;

    CHECK_EQ(vdagent_check(caps, type, size), VDAGENT_OK);
    CHECK_EQ(vdagent_need(caps, type, size), head);
    CHECK_EQ(vdagent_decode(caps, type, size, body, &message), VDAGENT_OK);
    CHECK(same(&message, &test->message));
    check_decoded(caps, &message, size);

    CHECK_EQ(vdagent_encode(caps, &test->message, &small), VDAGENT_BAD_SIZE);
    CHECK_EQ(small.used, 0);
    CHECK_EQ(vdagent_encode(caps, &test->message, &writer), VDAGENT_OK);
    CHECK_EQ(writer.used, MESSAGE_HEADER_SIZE + head);
    CHECK(message_put_header(&header_writer, &(MessageHeader){ .type = type, .size = size }));
    CHECK_MEM(out, header, sizeof(header));
    CHECK_MEM(out + MESSAGE_HEADER_SIZE, body, head);
}

/* Bodies cut short are refused, but where what is left is a message of its own. */
static void test_cuts(const Case *test, const Caps *caps)
{
    uint8_t body[512];
    int head = (int)hex(test->body, body, sizeof(body));

    for (int size = 0; size < head; size++) {
        bool whole = test->floor != NEVER && size >= test->floor &&
                     (test->step > 0 ? (size - test->floor) % test->step == 0 : size == test->floor);
        VdagentMessage message, untouched;

        memset(&message, 0x5a, sizeof(message));
        untouched = message;
        check_case("%s cut to %d", test->name, size);
        CHECK_EQ(vdagent_decode(caps, test->message.type, (uint32_t)size, body, &message) == VDAGENT_OK, whole);
        if (whole)
            check_decoded(caps, &message, (uint32_t)size);
        else
            CHECK_MEM(&message, &untouched, sizeof(message));
    }
}

/* Every value of every byte: decoded or refused, but never a value beyond its limit. */
static void test_flips(const Case *test, const Caps *caps)
{
    uint8_t body[512];
    uint32_t head = (uint32_t)hex(test->body, body, sizeof(body)), size = head + test->behind;

    for (uint32_t at = 0; at < head; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            VdagentMessage message;

            body[at] ^= (uint8_t)flip;
            check_case("%s, byte %u is %02x", test->name, at, body[at]);
            if (vdagent_decode(caps, test->message.type, size, body, &message) == VDAGENT_OK)
                check_decoded(caps, &message, size);
            body[at] ^= (uint8_t)flip;
        }
    }
}

static void test_cases(void)
{
    unsigned seen = 0;

    for (size_t i = 0; i < COUNT(cases); i++) {
        for (unsigned combination = 0; combination < COMBINATIONS; combination++) {
            Caps caps = caps_for(combination);

            if (!applies(&cases[i], combination))
                continue;
            seen |= 1u << cases[i].message.type;
            check_case("%s under %u", cases[i].name, combination);
            test_case(&cases[i], &caps);
            test_cuts(&cases[i], &caps);
            test_flips(&cases[i], &caps);
        }
    }
    check_case("types with a case");
    CHECK_EQ(seen, (1u << VD_AGENT_END_MESSAGE) - 2);
}

/* Bodies that are read otherwise than they would be written. */
static const Case lenient[] = {
    { "selection with reserved bytes", SELECTION, SELECTION, "01aabbcc 02000000", 0, NEVER, 0,
      { .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { .selection = 1, .type = 2 } } },
    { "flag without sizes", NONE, NONE, "01000000 02000000" "01000000 02000000 03000000 04000000 05000000", 0, NEVER, 0,
      { .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = 1, .flags = 2, .monitor = {
            { .height = 1, .width = 2, .depth = 3, .x = 4, .y = 5 } } } } },
    { "announcement without words", NONE, NONE, "01000000", 0, NEVER, 0,
      { .type = VD_AGENT_ANNOUNCE_CAPABILITIES, .announce = { .request = 1 } } },
    { "announcement of 10 words", NONE, NONE,
      "00000000" "01000000" TEN("00") TEN("00") "00000000 09000000 ffffffff ffffffff", 0, NEVER, 0,
      { .type = VD_AGENT_ANNOUNCE_CAPABILITIES, .announce = { .caps = { { [0] = 1, [7] = 9 } } } } },
    { "keys without zero", NONE, NONE, "01000000 6162", 0, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_START, .file_start = { .id = 1, .keys = "ab", .keys_size = 2 } } },
    { "no keys at all", NONE, NONE, "01000000", 0, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_START, .file_start = { .id = 1, .keys = "" } } },
    { "detail that was not agreed", DETAILS, NONE, "01000000 04000000 0100000000000000", 0, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = 1, .result = 4 } } },
    { "half a detail", DETAILS, DETAILS, "01000000 04000000 01000000", 0, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = 1, .result = 4 } } },
    { "detail of a success", DETAILS, DETAILS, "01000000 03000000 01000000", 0, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = 1, .result = 3 } } },
    { "error with more behind", DETAILS, DETAILS, "01000000 02000000 07 01000000 000000", 0, NEVER, 0,
      { .type = VD_AGENT_FILE_XFER_STATUS,
        .file_status = { .id = 1, .result = 2, .error_type = 7, .error_code = 1, .detailed = true } } },
};

static void test_lenient(void)
{
    for (size_t i = 0; i < COUNT(lenient); i++) {
        for (unsigned combination = 0; combination < COMBINATIONS; combination++) {
            Caps caps = caps_for(combination);
            uint8_t body[512];
            uint32_t size = (uint32_t)hex(lenient[i].body, body, sizeof(body));
            VdagentMessage message;

            if (!applies(&lenient[i], combination))
                continue;
            check_case("%s under %u", lenient[i].name, combination);
            CHECK_EQ(vdagent_decode(&caps, lenient[i].message.type, size, body, &message), VDAGENT_OK);
            CHECK(same(&message, &lenient[i].message));
            check_decoded(&caps, &message, size);
        }
    }
}

typedef struct Refusal {
    const char *name;
    uint32_t type;
    unsigned combination;
    const char *body;
    uint32_t behind;
    VdagentResult result;
} Refusal;

static const Refusal refusals[] = {
    { "type 0", 0, NONE, "", 0, VDAGENT_UNKNOWN_TYPE },
    { "type 17", VD_AGENT_END_MESSAGE, NONE, "00000000", 0, VDAGENT_UNKNOWN_TYPE },
    { "type 2^32-1", UINT32_MAX, NONE, "00000000", 0, VDAGENT_UNKNOWN_TYPE },
    { "17 monitors in 1", VD_AGENT_MONITORS_CONFIG, NONE, "11000000 00000000" TEN("0000"), 0, VDAGENT_BAD_VALUE },
    { "2^32-1 monitors", VD_AGENT_MONITORS_CONFIG, NONE, "ffffffff 00000000", 0, VDAGENT_BAD_VALUE },
    { "1 monitor in none", VD_AGENT_MONITORS_CONFIG, NONE, "01000000 00000000", 0, VDAGENT_BAD_SIZE },
    { "no monitor in 1", VD_AGENT_MONITORS_CONFIG, NONE, "00000000 00000000" TEN("0000"), 0, VDAGENT_BAD_SIZE },
    { "2 monitors, 1 size", VD_AGENT_MONITORS_CONFIG, NONE, "02000000 00000000" TEN("00000000") "01000100", 0,
      VDAGENT_BAD_SIZE },
    { "clipboard of selection 3", VD_AGENT_CLIPBOARD, SELECTION, "03000000 01000000", 1, VDAGENT_BAD_VALUE },
    { "grab of selection 255", VD_AGENT_CLIPBOARD_GRAB, SELECTION, "ff000000 01000000", 0, VDAGENT_BAD_VALUE },
    { "request of selection 3", VD_AGENT_CLIPBOARD_REQUEST, SELECTION, "03000000 01000000", 0, VDAGENT_BAD_VALUE },
    { "release of selection 3", VD_AGENT_CLIPBOARD_RELEASE, SELECTION, "03000000", 0, VDAGENT_BAD_VALUE },
    { "request without its selection", VD_AGENT_CLIPBOARD_REQUEST, SELECTION, "01000000", 0, VDAGENT_BAD_SIZE },
    { "request with a selection not agreed", VD_AGENT_CLIPBOARD_REQUEST, NONE, "00000000 01000000", 0,
      VDAGENT_BAD_SIZE },
    { "release with a selection not agreed", VD_AGENT_CLIPBOARD_RELEASE, NONE, "00000000", 0, VDAGENT_BAD_SIZE },
    { "65 types", VD_AGENT_CLIPBOARD_GRAB, NONE, TEN("0000000001000000") TEN("0000000001000000")
      TEN("0000000001000000") "0000000001000000 0000000001000000 01000000", 0, VDAGENT_BAD_VALUE },
    { "66 types and a serial", VD_AGENT_CLIPBOARD_GRAB, SERIAL, TEN("0000000001000000") TEN("0000000001000000")
      TEN("0000000001000000") "0000000001000000 0000000001000000 0000000001000000 01000000", 0, VDAGENT_BAD_SIZE },
    { "zero inside the keys", VD_AGENT_FILE_XFER_START, NONE, "01000000 610062 00", 0, VDAGENT_BAD_VALUE },
    { "zero before the keys", VD_AGENT_FILE_XFER_START, NONE, "01000000 0061", 0, VDAGENT_BAD_VALUE },
    { "keys of a zero", VD_AGENT_FILE_XFER_START, NONE, "01000000 0000", 0, VDAGENT_BAD_VALUE },
    { "two zeros behind the keys", VD_AGENT_FILE_XFER_START, NONE, "01000000 610000", 0, VDAGENT_BAD_VALUE },
    { "file data of another size", VD_AGENT_FILE_XFER_DATA, NONE, "01000000 0400000000000000", 3, VDAGENT_BAD_VALUE },
    { "file data of 2^64-1", VD_AGENT_FILE_XFER_DATA, NONE, "01000000 ffffffffffffffff", UINT32_MAX - 12,
      VDAGENT_BAD_VALUE },
    { "max clipboard of -2", VD_AGENT_MAX_CLIPBOARD, NONE, "feffffff", 0, VDAGENT_BAD_VALUE },
    { "max clipboard of -2^31", VD_AGENT_MAX_CLIPBOARD, NONE, "00000080", 0, VDAGENT_BAD_VALUE },
    { "one channel too few", VD_AGENT_AUDIO_VOLUME_SYNC, NONE, "01 00 02 0000", 0, VDAGENT_BAD_SIZE },
    { "one channel too many", VD_AGENT_AUDIO_VOLUME_SYNC, NONE, "01 00 00 0000", 0, VDAGENT_BAD_SIZE },
    { "255 channels in none", VD_AGENT_AUDIO_VOLUME_SYNC, NONE, "01 00 ff", 0, VDAGENT_BAD_SIZE },
    { "17 devices", VD_AGENT_GRAPHICS_DEVICE_INFO, NONE, "11000000", 0, VDAGENT_BAD_VALUE },
    { "1 device in none", VD_AGENT_GRAPHICS_DEVICE_INFO, NONE, "01000000", 0, VDAGENT_BAD_SIZE },
    { "bytes behind the devices", VD_AGENT_GRAPHICS_DEVICE_INFO, NONE, "00000000 00", 0, VDAGENT_BAD_SIZE },
    { "address of size 0", VD_AGENT_GRAPHICS_DEVICE_INFO, NONE,
      "01000000 00000000 00000000 00000000 00000000", 0, VDAGENT_BAD_VALUE },
    { "address of size 2^32-1", VD_AGENT_GRAPHICS_DEVICE_INFO, NONE,
      "01000000 00000000 00000000 00000000 ffffffff 00", 0, VDAGENT_BAD_SIZE },
    { "address without zero", VD_AGENT_GRAPHICS_DEVICE_INFO, NONE,
      "01000000 00000000 00000000 00000000 02000000 6162", 0, VDAGENT_BAD_VALUE },
    { "address with zero inside", VD_AGENT_GRAPHICS_DEVICE_INFO, NONE,
      "01000000 00000000 00000000 00000000 03000000 610000", 0, VDAGENT_BAD_VALUE },
};

static void test_refusals(void)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        const Refusal *refusal = &refusals[i];
        Caps caps = caps_for(refusal->combination);
        uint8_t body[512];
        uint32_t size = (uint32_t)hex(refusal->body, body, sizeof(body)) + refusal->behind;
        VdagentMessage message, untouched;

        memset(&message, 0x5a, sizeof(message));
        untouched = message;
        check_case("%s", refusal->name);
        CHECK_EQ(vdagent_decode(&caps, refusal->type, size, body, &message), refusal->result);
        CHECK_MEM(&message, &untouched, sizeof(message));
    }
}

/* An address of `length` bytes and its zero. */
static void test_addresses(void)
{
    for (uint32_t length = LIMIT_DEVICE_ADDRESS - 2; length <= LIMIT_DEVICE_ADDRESS; length++) {
        uint8_t body[20 + LIMIT_DEVICE_ADDRESS + 1] = { 1 };
        BytesWriter size = bytes_writer(body + 16, 4);
        Caps caps = caps_for(NONE);
        VdagentMessage message;

        check_case("address of %u bytes", length);
        CHECK(bytes_put_u32(&size, length + 1));
        memset(body + 20, 'a', length);
        CHECK_EQ(vdagent_decode(&caps, VD_AGENT_GRAPHICS_DEVICE_INFO, 20 + length + 1, body, &message),
                 length < LIMIT_DEVICE_ADDRESS ? VDAGENT_OK : VDAGENT_BAD_VALUE);
    }
}

/* The largest message, with its zero and without, so that all that is decoded can be encoded. */
static void test_keys(void)
{
    static uint8_t body[LIMIT_MESSAGE];
    Caps caps = caps_for(NONE);
    VdagentMessage message;

    check_case("longest keys");
    memset(body, 'a', sizeof(body));
    CHECK_EQ(vdagent_decode(&caps, VD_AGENT_FILE_XFER_START, LIMIT_MESSAGE, body, &message), VDAGENT_BAD_SIZE);
    CHECK_EQ(vdagent_decode(&caps, VD_AGENT_FILE_XFER_START, LIMIT_MESSAGE - 1, body, &message), VDAGENT_OK);
    CHECK_EQ(message.file_start.keys_size, LIMIT_MESSAGE - 5);
    body[LIMIT_MESSAGE - 1] = 0;
    CHECK_EQ(vdagent_decode(&caps, VD_AGENT_FILE_XFER_START, LIMIT_MESSAGE, body, &message), VDAGENT_OK);
    CHECK_EQ(message.file_start.keys_size, LIMIT_MESSAGE - 5);
    check_decoded(&caps, &message, LIMIT_MESSAGE);
}

/* A detail goes out only where it is agreed and the result has one. */
static void test_details(void)
{
    for (uint32_t result = 0; result <= VD_AGENT_FILE_XFER_STATUS_DISABLED; result++) {
        for (unsigned combination = 0; combination < COMBINATIONS; combination++) {
            const VdagentMessage message = { .type = VD_AGENT_FILE_XFER_STATUS,
                                             .file_status = { .result = result, .detailed = true } };
            uint8_t out[64];
            BytesWriter writer = bytes_writer(out, sizeof(out));
            Caps caps = caps_for(combination);
            size_t detail = !(combination & DETAILS) ? 0
                            : result == VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE ? 8
                            : result == VD_AGENT_FILE_XFER_STATUS_ERROR ? 5 : 0;

            check_case("result %u under %u", result, combination);
            CHECK_EQ(vdagent_encode(&caps, &message, &writer), VDAGENT_OK);
            CHECK_EQ(writer.used, MESSAGE_HEADER_SIZE + 8 + detail);
        }
    }
}

/* Smallest and largest body of each type under each combination, and the grain between them. */
typedef struct Range {
    uint32_t type, min, max, grain;
    uint32_t selection, serial; /* what these capabilities add to the smallest */
} Range;

static const Range ranges[] = {
    { VD_AGENT_MOUSE_STATE, 13, 13, 0, 0, 0 },
    { VD_AGENT_MONITORS_CONFIG, 8, 392, 4, 0, 0 },
    { VD_AGENT_REPLY, 8, 8, 0, 0, 0 },
    { VD_AGENT_CLIPBOARD, 4, UINT32_MAX, 1, 4, 0 },
    { VD_AGENT_DISPLAY_CONFIG, 8, 8, 0, 0, 0 },
    { VD_AGENT_ANNOUNCE_CAPABILITIES, 4, 4096, 4, 0, 0 },
    { VD_AGENT_CLIPBOARD_GRAB, 0, 264, 4, 4, 4 },
    { VD_AGENT_CLIPBOARD_REQUEST, 4, 4, 0, 4, 0 },
    { VD_AGENT_CLIPBOARD_RELEASE, 0, 0, 0, 4, 0 },
    { VD_AGENT_FILE_XFER_START, 4, 4096, 1, 0, 0 },
    { VD_AGENT_FILE_XFER_STATUS, 8, 16, 1, 0, 0 },
    { VD_AGENT_FILE_XFER_DATA, 12, UINT32_MAX, 1, 0, 0 },
    { VD_AGENT_CLIENT_DISCONNECTED, 0, 0, 0, 0, 0 },
    { VD_AGENT_MAX_CLIPBOARD, 4, 4, 0, 0, 0 },
    { VD_AGENT_AUDIO_VOLUME_SYNC, 3, 67, 2, 0, 0 },
    { VD_AGENT_GRAPHICS_DEVICE_INFO, 4, 4096, 1, 0, 0 },
};

static void test_ranges(void)
{
    static const uint32_t sizes[] = { 0x7fffffff, 0x80000000, UINT32_MAX - 1, UINT32_MAX };

    CHECK_EQ(COUNT(ranges), VD_AGENT_END_MESSAGE - 1);
    for (size_t i = 0; i < COUNT(ranges); i++) {
        const Range *range = &ranges[i];
        const VdagentType *type = vdagent_type(range->type);
        bool bulk = range->type == VD_AGENT_CLIPBOARD || range->type == VD_AGENT_FILE_XFER_DATA;

        check_case("row of type %u", range->type);
        CHECK(type != NULL && type->type == range->type && type->min == range->min && type->bulk == bulk);
        CHECK_EQ(type->max, range->grain == 0 ? range->min + range->selection : range->max);
        for (unsigned combination = 0; combination < COMBINATIONS; combination++) {
            Caps caps = caps_for(combination);
            uint32_t head = range->min + (combination & SELECTION ? range->selection : 0) +
                            (combination & SERIAL ? range->serial : 0);

            for (uint32_t size = 0; size < 2 * LIMIT_MESSAGE; size++) {
                bool good = range->grain == 0 ? size == head
                                              : size >= head && size <= range->max && (size - head) % range->grain == 0;

                check_case("type %u of size %u under %u", range->type, size, combination);
                CHECK_EQ(vdagent_check(&caps, range->type, size), good ? VDAGENT_OK : VDAGENT_BAD_SIZE);
                if (good)
                    CHECK_EQ(vdagent_need(&caps, range->type, size), bulk ? head : size);
            }
            for (size_t j = 0; j < COUNT(sizes); j++) {
                check_case("type %u of size %u under %u", range->type, sizes[j], combination);
                CHECK_EQ(vdagent_check(&caps, range->type, sizes[j]), bulk ? VDAGENT_OK : VDAGENT_BAD_SIZE);
                if (bulk)
                    CHECK_EQ(vdagent_need(&caps, range->type, sizes[j]), head);
            }
        }
    }
}

/* What must not be sent is not sent, and nothing of it is written. */
static const struct {
    const char *name;
    unsigned combination;
    VdagentMessage message;
    VdagentResult result;
} unsendable[] = {
    { "no type", NONE, { .type = 0 }, VDAGENT_UNKNOWN_TYPE },
    { "type 17", NONE, { .type = VD_AGENT_END_MESSAGE }, VDAGENT_UNKNOWN_TYPE },
    { "17 monitors", NONE, { .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = 17 } }, VDAGENT_BAD_VALUE },
    { "selection 3", SELECTION, { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { 3 } }, VDAGENT_BAD_VALUE },
    { "PRIMARY without selections", NONE, { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { 1 } }, VDAGENT_BAD_VALUE },
    { "clipboard beyond 32 bits", SELECTION, { .type = VD_AGENT_CLIPBOARD, .clipboard = { .size = UINT32_MAX - 7 } },
      VDAGENT_BAD_VALUE },
    { "65 types", SELECTION, { .type = VD_AGENT_CLIPBOARD_GRAB, .grab = { .count = 65 } }, VDAGENT_BAD_VALUE },
    { "zero in keys", NONE,
      { .type = VD_AGENT_FILE_XFER_START, .file_start = { .keys = "a\0b", .keys_size = 3 } }, VDAGENT_BAD_VALUE },
    { "keys of a zero", NONE, { .type = VD_AGENT_FILE_XFER_START, .file_start = { .keys = "", .keys_size = 1 } },
      VDAGENT_BAD_VALUE },
    { "file data beyond 32 bits", NONE, { .type = VD_AGENT_FILE_XFER_DATA, .file_data = { .size = UINT32_MAX - 11 } },
      VDAGENT_BAD_VALUE },
    { "file data of 2^64-1", NONE, { .type = VD_AGENT_FILE_XFER_DATA, .file_data = { .size = UINT64_MAX } },
      VDAGENT_BAD_VALUE },
    { "max -2", NONE, { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { -2 } }, VDAGENT_BAD_VALUE },
    { "33 channels", NONE, { .type = VD_AGENT_AUDIO_VOLUME_SYNC, .volume = { .channels = 33 } }, VDAGENT_BAD_VALUE },
    { "17 devices", NONE, { .type = VD_AGENT_GRAPHICS_DEVICE_INFO, .devices = { .count = 17 } }, VDAGENT_BAD_VALUE },
};

static void check_unsendable(const char *name, unsigned combination, const VdagentMessage *message,
                             VdagentResult result)
{
    uint8_t out[MESSAGE_HEADER_SIZE + LIMIT_MESSAGE];
    BytesWriter writer = bytes_writer(out, sizeof(out));
    Caps caps = caps_for(combination);

    check_case("%s", name);
    CHECK_EQ(vdagent_encode(&caps, message, &writer), result);
    CHECK_EQ(writer.used, 0);
    CHECK_EQ(writer.left, sizeof(out));
}

static void test_unsendable(void)
{
    static char text[LIMIT_MESSAGE];
    VdagentMessage message = { .type = VD_AGENT_GRAPHICS_DEVICE_INFO, .devices = { .count = LIMIT_DISPLAYS } };

    for (size_t i = 0; i < COUNT(unsendable); i++)
        check_unsendable(unsendable[i].name, unsendable[i].combination, &unsendable[i].message, unsendable[i].result);

    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < LIMIT_DISPLAYS; i++)
        memcpy(message.devices.device[i].address, text, LIMIT_DEVICE_ADDRESS - 1);
    check_unsendable("16 devices of the longest address", NONE, &message, VDAGENT_BAD_VALUE);
    message.devices.count = 1;
    memcpy(message.devices.device[0].address, text, LIMIT_DEVICE_ADDRESS);
    check_unsendable("address without end", NONE, &message, VDAGENT_BAD_VALUE);
    message = (VdagentMessage){ .type = VD_AGENT_FILE_XFER_START, .file_start = { .keys = text, .keys_size = 4092 } };
    check_unsendable("keys too long by one", NONE, &message, VDAGENT_BAD_VALUE);
}

/* The largest messages that can be sent are as large as they may be, and come back. */
static void test_largest(void)
{
    static char text[LIMIT_MESSAGE];
    VdagentMessage largest[] = {
        { .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = LIMIT_DISPLAYS, .flags = 3 } },
        { .type = VD_AGENT_CLIPBOARD_GRAB, .grab = { .count = LIMIT_CLIPBOARD_TYPES, .selection = 2 } },
        { .type = VD_AGENT_FILE_XFER_START, .file_start = { .keys = text, .keys_size = LIMIT_MESSAGE - 5 } },
        { .type = VD_AGENT_AUDIO_VOLUME_SYNC, .volume = { .channels = LIMIT_AUDIO_CHANNELS } },
        { .type = VD_AGENT_GRAPHICS_DEVICE_INFO, .devices = { .count = LIMIT_DISPLAYS } },
    };

    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < COUNT(largest); i++) {
        for (uint32_t j = 0; j < LIMIT_DISPLAYS && largest[i].type == VD_AGENT_MONITORS_CONFIG; j++)
            largest[i].monitors.monitor[j] = (VdagentMonitor){ j, j + 1, 32, (int32_t)j, -1, (uint16_t)j, 65535 };
        for (uint32_t j = 0; j < LIMIT_CLIPBOARD_TYPES && largest[i].type == VD_AGENT_CLIPBOARD_GRAB; j++)
            largest[i].grab.type[j] = j;
        check_case("largest %s", vdagent_name(largest[i].type));
        check_decoded(vdagent_layout_caps(), &largest[i], 0);
    }
}

static void test_names(void)
{
    for (uint32_t type = 1; type < VD_AGENT_END_MESSAGE; type++) {
        check_case("name of %u", type);
        CHECK_STR(vdagent_name(type), vdagent_type(type)->name);
        for (uint32_t other = 1; other < type; other++)
            CHECK(strcmp(vdagent_name(type), vdagent_name(other)) != 0);
    }
    check_case("names");
    CHECK(vdagent_type(0) == NULL && vdagent_type(VD_AGENT_END_MESSAGE) == NULL && vdagent_type(UINT32_MAX) == NULL);
    CHECK_STR(vdagent_name(0), "unknown");
    CHECK_STR(vdagent_name(UINT32_MAX), "unknown");
    CHECK_STR(vdagent_name(VD_AGENT_CLIPBOARD_GRAB), "clipboard-grab");
    CHECK_STR(vdagent_clipboard_name(VD_AGENT_CLIPBOARD_UTF8_TEXT), "text");
    CHECK_STR(vdagent_clipboard_name(VD_AGENT_CLIPBOARD_IMAGE_PNG), "png");
    CHECK_STR(vdagent_clipboard_name(7), "unknown");
    for (int result = VDAGENT_OK; result <= VDAGENT_WRONG_WAY; result++)
        CHECK(strcmp(vdagent_result_text((VdagentResult)result), "unknown result") != 0);
    for (unsigned cap = 0; cap < 32 * LIMIT_CAPS_WORDS; cap++)
        CHECK_EQ(caps_has(vdagent_layout_caps(), cap),
                 cap == VD_AGENT_CAP_CLIPBOARD_SELECTION || cap == VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL ||
                 cap == VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS);
}

/* Who sends what, as spice-gtk, spice-server, QEMU and spice-vdagent do. */
static void test_directions(void)
{
    for (uint32_t type = 1; type < VD_AGENT_END_MESSAGE; type++) {
        bool both = type == VD_AGENT_CLIPBOARD || type == VD_AGENT_ANNOUNCE_CAPABILITIES ||
                    type == VD_AGENT_CLIPBOARD_GRAB || type == VD_AGENT_CLIPBOARD_REQUEST ||
                    type == VD_AGENT_CLIPBOARD_RELEASE || type == VD_AGENT_FILE_XFER_STATUS;
        unsigned expected = both ? VDAGENT_TO_GUEST | VDAGENT_TO_HOST
                                 : type == VD_AGENT_REPLY ? VDAGENT_TO_HOST : VDAGENT_TO_GUEST;

        check_case("direction of %s", vdagent_name(type));
        CHECK_EQ(vdagent_type(type)->direction, expected);
    }
}

int main(void)
{
    test_cases();
    test_lenient();
    test_refusals();
    test_addresses();
    test_keys();
    test_details();
    test_ranges();
    test_unsendable();
    test_largest();
    test_names();
    test_directions();
    return check_done();
}
