/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vdagent.h"

#include "message.h"

#include <assert.h>
#include <string.h>

/* A body being read: the part that vdagent_need() asked for, and the announced size of all of it. */
typedef struct Body {
    const Caps *caps;
    uint32_t size;
    BytesReader in;
} Body;

/* A body being written. */
typedef struct Draft {
    const Caps *caps;
    BytesWriter out;
} Draft;

/*
 * Decoders run after vdagent_check(), so a get can fail only where a count inside the body says so. They fill `message`
 * when all is good. Encoders return false for a message that decode would refuse.
 */
typedef struct Row {
    VdagentType type;
    uint32_t item;                        /* behind the head come whole items of this size; 0: nothing comes */
    uint32_t (*extra)(const Caps *caps);  /* bytes that capabilities add to type.min; NULL: none */
    VdagentResult (*decode)(Body *body, VdagentMessage *message); /* NULL: there are no fields */
    bool (*encode)(Draft *draft, const VdagentMessage *message);
} Row;

static uint32_t selection_extra(const Caps *caps)
{
    return caps_has(caps, VD_AGENT_CAP_CLIPBOARD_SELECTION) ? 4 : 0;
}

static uint32_t grab_extra(const Caps *caps)
{
    return selection_extra(caps) + (caps_has(caps, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL) ? 4 : 0);
}

/* A byte and three reserved ones, which peers do not always clear. */
static VdagentResult get_selection(Body *body, uint8_t *ret_selection)
{
    const uint8_t *reserved;
    uint8_t selection = VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD;

    if (selection_extra(body->caps) != 0 &&
        !(bytes_get_u8(&body->in, &selection) && bytes_take(&body->in, 3, &reserved)))
        return VDAGENT_BAD_SIZE;
    if (selection >= LIMIT_SELECTIONS)
        return VDAGENT_BAD_VALUE;
    *ret_selection = selection;
    return VDAGENT_OK;
}

/* Without the capability only CLIPBOARD can be said. */
static bool put_selection(Draft *draft, uint8_t selection)
{
    if (selection_extra(draft->caps) == 0)
        return selection == VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD;
    return selection < LIMIT_SELECTIONS && bytes_put_u32(&draft->out, selection);
}

static VdagentResult decode_mouse_state(Body *body, VdagentMessage *message)
{
    VdagentMouseState mouse;

    if (!bytes_get_u32(&body->in, &mouse.x) || !bytes_get_u32(&body->in, &mouse.y) ||
        !bytes_get_u32(&body->in, &mouse.buttons) || !bytes_get_u8(&body->in, &mouse.display))
        return VDAGENT_BAD_SIZE;
    message->mouse = mouse;
    return VDAGENT_OK;
}

static bool encode_mouse_state(Draft *draft, const VdagentMessage *message)
{
    const VdagentMouseState *mouse = &message->mouse;

    return bytes_put_u32(&draft->out, mouse->x) && bytes_put_u32(&draft->out, mouse->y) &&
           bytes_put_u32(&draft->out, mouse->buttons) && bytes_put_u8(&draft->out, mouse->display);
}

static VdagentResult decode_monitors_config(Body *body, VdagentMessage *message)
{
    VdagentMonitors monitors = { 0 };
    bool sizes;

    if (!bytes_get_u32(&body->in, &monitors.count) || !bytes_get_u32(&body->in, &monitors.flags))
        return VDAGENT_BAD_SIZE;
    if (monitors.count > LIMIT_DISPLAYS)
        return VDAGENT_BAD_VALUE;
    sizes = body->in.left == monitors.count * (sizeof(VDAgentMonConfig) + sizeof(VDAgentMonitorMM));
    if (!sizes && body->in.left != monitors.count * sizeof(VDAgentMonConfig))
        return VDAGENT_BAD_SIZE;
    for (uint32_t i = 0; i < monitors.count; i++) {
        VdagentMonitor *monitor = &monitors.monitor[i];
        uint32_t x, y;

        if (!bytes_get_u32(&body->in, &monitor->height) || !bytes_get_u32(&body->in, &monitor->width) ||
            !bytes_get_u32(&body->in, &monitor->depth) || !bytes_get_u32(&body->in, &x) ||
            !bytes_get_u32(&body->in, &y))
            return VDAGENT_BAD_SIZE;
        monitor->x = (int32_t)x;
        monitor->y = (int32_t)y;
    }
    for (uint32_t i = 0; sizes && i < monitors.count; i++) {
        VdagentMonitor *monitor = &monitors.monitor[i];

        if (!bytes_get_u16(&body->in, &monitor->height_mm) || !bytes_get_u16(&body->in, &monitor->width_mm))
            return VDAGENT_BAD_SIZE;
    }
    message->monitors = monitors;
    return VDAGENT_OK;
}

/* Sizes are written when the flag promises them, and when there are some to write. */
static bool encode_monitors_config(Draft *draft, const VdagentMessage *message)
{
    const VdagentMonitors *monitors = &message->monitors;
    bool sizes = (monitors->flags & VD_AGENT_CONFIG_MONITORS_FLAG_PHYSICAL_SIZE) != 0;

    if (monitors->count > LIMIT_DISPLAYS || !bytes_put_u32(&draft->out, monitors->count) ||
        !bytes_put_u32(&draft->out, monitors->flags))
        return false;
    for (uint32_t i = 0; i < monitors->count; i++) {
        const VdagentMonitor *monitor = &monitors->monitor[i];

        if (!bytes_put_u32(&draft->out, monitor->height) || !bytes_put_u32(&draft->out, monitor->width) ||
            !bytes_put_u32(&draft->out, monitor->depth) || !bytes_put_u32(&draft->out, (uint32_t)monitor->x) ||
            !bytes_put_u32(&draft->out, (uint32_t)monitor->y))
            return false;
        sizes = sizes || monitor->width_mm != 0 || monitor->height_mm != 0;
    }
    for (uint32_t i = 0; sizes && i < monitors->count; i++) {
        const VdagentMonitor *monitor = &monitors->monitor[i];

        if (!bytes_put_u16(&draft->out, monitor->height_mm) || !bytes_put_u16(&draft->out, monitor->width_mm))
            return false;
    }
    return true;
}

static VdagentResult decode_reply(Body *body, VdagentMessage *message)
{
    VdagentReply reply;

    if (!bytes_get_u32(&body->in, &reply.type) || !bytes_get_u32(&body->in, &reply.error))
        return VDAGENT_BAD_SIZE;
    message->reply = reply;
    return VDAGENT_OK;
}

static bool encode_reply(Draft *draft, const VdagentMessage *message)
{
    return bytes_put_u32(&draft->out, message->reply.type) && bytes_put_u32(&draft->out, message->reply.error);
}

static VdagentResult decode_clipboard(Body *body, VdagentMessage *message)
{
    VdagentClipboard clipboard = { .size = body->size - (uint32_t)body->in.left };
    VdagentResult result = get_selection(body, &clipboard.selection);

    if (result != VDAGENT_OK)
        return result;
    if (!bytes_get_u32(&body->in, &clipboard.type))
        return VDAGENT_BAD_SIZE;
    message->clipboard = clipboard;
    return VDAGENT_OK;
}

static bool encode_clipboard(Draft *draft, const VdagentMessage *message)
{
    return put_selection(draft, message->clipboard.selection) && bytes_put_u32(&draft->out, message->clipboard.type);
}

static VdagentResult decode_display_config(Body *body, VdagentMessage *message)
{
    VdagentDisplayConfig config;

    if (!bytes_get_u32(&body->in, &config.flags) || !bytes_get_u32(&body->in, &config.depth))
        return VDAGENT_BAD_SIZE;
    message->display_config = config;
    return VDAGENT_OK;
}

static bool encode_display_config(Draft *draft, const VdagentMessage *message)
{
    return bytes_put_u32(&draft->out, message->display_config.flags) &&
           bytes_put_u32(&draft->out, message->display_config.depth);
}

/* Words beyond the set are those of a peer from the future; what they say cannot be agreed on. */
static VdagentResult decode_announce_capabilities(Body *body, VdagentMessage *message)
{
    VdagentAnnounce announce = { 0 };

    if (!bytes_get_u32(&body->in, &announce.request))
        return VDAGENT_BAD_SIZE;
    for (size_t i = 0; i < LIMIT_CAPS_WORDS && bytes_get_u32(&body->in, &announce.caps.word[i]); i++)
        ;
    message->announce = announce;
    return VDAGENT_OK;
}

static bool encode_announce_capabilities(Draft *draft, const VdagentMessage *message)
{
    const VdagentAnnounce *announce = &message->announce;

    if (!bytes_put_u32(&draft->out, announce->request))
        return false;
    for (size_t i = 0; i < caps_words(&announce->caps); i++) {
        if (!bytes_put_u32(&draft->out, announce->caps.word[i]))
            return false;
    }
    return true;
}

static VdagentResult decode_clipboard_grab(Body *body, VdagentMessage *message)
{
    VdagentGrab grab = { 0 };
    VdagentResult result = get_selection(body, &grab.selection);

    if (result != VDAGENT_OK)
        return result;
    if (caps_has(body->caps, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL) && !bytes_get_u32(&body->in, &grab.serial))
        return VDAGENT_BAD_SIZE;
    if (body->in.left > LIMIT_CLIPBOARD_TYPES * sizeof(uint32_t))
        return VDAGENT_BAD_VALUE;
    grab.count = (uint32_t)(body->in.left / sizeof(uint32_t));
    for (uint32_t i = 0; i < grab.count; i++) {
        if (!bytes_get_u32(&body->in, &grab.type[i]))
            return VDAGENT_BAD_SIZE;
    }
    message->grab = grab;
    return VDAGENT_OK;
}

static bool encode_clipboard_grab(Draft *draft, const VdagentMessage *message)
{
    const VdagentGrab *grab = &message->grab;

    if (grab->count > LIMIT_CLIPBOARD_TYPES || !put_selection(draft, grab->selection))
        return false;
    if (caps_has(draft->caps, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL) && !bytes_put_u32(&draft->out, grab->serial))
        return false;
    for (uint32_t i = 0; i < grab->count; i++) {
        if (!bytes_put_u32(&draft->out, grab->type[i]))
            return false;
    }
    return true;
}

static VdagentResult decode_clipboard_request(Body *body, VdagentMessage *message)
{
    VdagentRequest request;
    VdagentResult result = get_selection(body, &request.selection);

    if (result != VDAGENT_OK)
        return result;
    if (!bytes_get_u32(&body->in, &request.type))
        return VDAGENT_BAD_SIZE;
    message->request = request;
    return VDAGENT_OK;
}

static bool encode_clipboard_request(Draft *draft, const VdagentMessage *message)
{
    return put_selection(draft, message->request.selection) && bytes_put_u32(&draft->out, message->request.type);
}

static VdagentResult decode_clipboard_release(Body *body, VdagentMessage *message)
{
    return get_selection(body, &message->release.selection);
}

static bool encode_clipboard_release(Draft *draft, const VdagentMessage *message)
{
    return put_selection(draft, message->release.selection);
}

/* Bytes of `keys` such that they and the zero behind them fit. */
#define KEYS_MAX (LIMIT_MESSAGE - sizeof(VDAgentFileXferStartMessage) - 1)

/* spice-gtk sends the terminating zero, others need not. A zero inside would hide what stands behind it. */
static VdagentResult decode_file_xfer_start(Body *body, VdagentMessage *message)
{
    VdagentFileStart start;
    const uint8_t *keys;
    size_t size;

    if (!bytes_get_u32(&body->in, &start.id))
        return VDAGENT_BAD_SIZE;
    size = body->in.left;
    if (!bytes_take(&body->in, size, &keys))
        return VDAGENT_BAD_SIZE;
    if (size > 0 && keys[size - 1] == 0)
        size--;
    if (size > KEYS_MAX)
        return VDAGENT_BAD_SIZE;
    if (size > 0 && memchr(keys, 0, size) != NULL)
        return VDAGENT_BAD_VALUE;
    start.keys = (const char *)keys;
    start.keys_size = (uint32_t)size;
    message->file_start = start;
    return VDAGENT_OK;
}

static bool encode_file_xfer_start(Draft *draft, const VdagentMessage *message)
{
    const VdagentFileStart *start = &message->file_start;

    if (start->keys_size > KEYS_MAX || (start->keys_size > 0 && memchr(start->keys, 0, start->keys_size) != NULL))
        return false;
    return bytes_put_u32(&draft->out, start->id) && bytes_put(&draft->out, start->keys, start->keys_size) &&
           bytes_put_u8(&draft->out, 0);
}

/* The detail is optional even where it is agreed, so its absence is never an error. */
static VdagentResult decode_file_xfer_status(Body *body, VdagentMessage *message)
{
    VdagentFileStatus status = { 0 };

    if (!bytes_get_u32(&body->in, &status.id) || !bytes_get_u32(&body->in, &status.result))
        return VDAGENT_BAD_SIZE;
    if (caps_has(body->caps, VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS)) {
        if (status.result == VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE)
            status.detailed = bytes_get_u64(&body->in, &status.free_space);
        else if (status.result == VD_AGENT_FILE_XFER_STATUS_ERROR &&
                 body->in.left >= sizeof(VDAgentFileXferStatusError))
            status.detailed = bytes_get_u8(&body->in, &status.error_type) &&
                              bytes_get_u32(&body->in, &status.error_code);
    }
    message->file_status = status;
    return VDAGENT_OK;
}

static bool encode_file_xfer_status(Draft *draft, const VdagentMessage *message)
{
    const VdagentFileStatus *status = &message->file_status;

    if (!bytes_put_u32(&draft->out, status->id) || !bytes_put_u32(&draft->out, status->result))
        return false;
    if (!status->detailed || !caps_has(draft->caps, VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS))
        return true;
    if (status->result == VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE)
        return bytes_put_u64(&draft->out, status->free_space);
    if (status->result == VD_AGENT_FILE_XFER_STATUS_ERROR)
        return bytes_put_u8(&draft->out, status->error_type) && bytes_put_u32(&draft->out, status->error_code);
    return true;
}

/* The size stands twice in the message; a sender for whom the two differ cannot be followed. */
static VdagentResult decode_file_xfer_data(Body *body, VdagentMessage *message)
{
    VdagentFileData data;

    if (!bytes_get_u32(&body->in, &data.id) || !bytes_get_u64(&body->in, &data.size))
        return VDAGENT_BAD_SIZE;
    if (data.size != body->size - sizeof(VDAgentFileXferDataMessage))
        return VDAGENT_BAD_VALUE;
    message->file_data = data;
    return VDAGENT_OK;
}

static bool encode_file_xfer_data(Draft *draft, const VdagentMessage *message)
{
    return bytes_put_u32(&draft->out, message->file_data.id) && bytes_put_u64(&draft->out, message->file_data.size);
}

static VdagentResult decode_max_clipboard(Body *body, VdagentMessage *message)
{
    uint32_t max;

    if (!bytes_get_u32(&body->in, &max))
        return VDAGENT_BAD_SIZE;
    if ((int32_t)max < -1)
        return VDAGENT_BAD_VALUE;
    message->max_clipboard.max = (int32_t)max;
    return VDAGENT_OK;
}

static bool encode_max_clipboard(Draft *draft, const VdagentMessage *message)
{
    return message->max_clipboard.max >= -1 && bytes_put_u32(&draft->out, (uint32_t)message->max_clipboard.max);
}

static VdagentResult decode_audio_volume_sync(Body *body, VdagentMessage *message)
{
    VdagentVolume volume = { 0 };

    if (!bytes_get_u8(&body->in, &volume.is_playback) || !bytes_get_u8(&body->in, &volume.mute) ||
        !bytes_get_u8(&body->in, &volume.channels) || body->in.left != volume.channels * sizeof(uint16_t))
        return VDAGENT_BAD_SIZE;
    if (volume.channels > LIMIT_AUDIO_CHANNELS)
        return VDAGENT_BAD_VALUE;
    for (size_t i = 0; i < volume.channels; i++) {
        if (!bytes_get_u16(&body->in, &volume.volume[i]))
            return VDAGENT_BAD_SIZE;
    }
    message->volume = volume;
    return VDAGENT_OK;
}

static bool encode_audio_volume_sync(Draft *draft, const VdagentMessage *message)
{
    const VdagentVolume *volume = &message->volume;

    if (volume->channels > LIMIT_AUDIO_CHANNELS || !bytes_put_u8(&draft->out, volume->is_playback) ||
        !bytes_put_u8(&draft->out, volume->mute) || !bytes_put_u8(&draft->out, volume->channels))
        return false;
    for (size_t i = 0; i < volume->channels; i++) {
        if (!bytes_put_u16(&draft->out, volume->volume[i]))
            return false;
    }
    return true;
}

/* True for text with one zero, at its end. */
static bool address_valid(const void *address, size_t size)
{
    return size > 0 && size <= LIMIT_DEVICE_ADDRESS && memchr(address, 0, size) == (const char *)address + size - 1;
}

static VdagentResult decode_graphics_device_info(Body *body, VdagentMessage *message)
{
    VdagentDevices devices = { 0 };

    if (!bytes_get_u32(&body->in, &devices.count))
        return VDAGENT_BAD_SIZE;
    if (devices.count > LIMIT_DISPLAYS)
        return VDAGENT_BAD_VALUE;
    for (uint32_t i = 0; i < devices.count; i++) {
        VdagentDevice *device = &devices.device[i];
        const uint8_t *address;
        uint32_t size;

        if (!bytes_get_u32(&body->in, &device->channel_id) || !bytes_get_u32(&body->in, &device->monitor_id) ||
            !bytes_get_u32(&body->in, &device->device_display_id) || !bytes_get_u32(&body->in, &size) ||
            !bytes_take(&body->in, size, &address))
            return VDAGENT_BAD_SIZE;
        if (!address_valid(address, size))
            return VDAGENT_BAD_VALUE;
        memcpy(device->address, address, size);
    }
    if (body->in.left > 0)
        return VDAGENT_BAD_SIZE;
    message->devices = devices;
    return VDAGENT_OK;
}

static bool encode_graphics_device_info(Draft *draft, const VdagentMessage *message)
{
    const VdagentDevices *devices = &message->devices;

    if (devices->count > LIMIT_DISPLAYS || !bytes_put_u32(&draft->out, devices->count))
        return false;
    for (uint32_t i = 0; i < devices->count; i++) {
        const VdagentDevice *device = &devices->device[i];
        size_t size = strnlen(device->address, LIMIT_DEVICE_ADDRESS) + 1;

        if (!address_valid(device->address, size) || !bytes_put_u32(&draft->out, device->channel_id) ||
            !bytes_put_u32(&draft->out, device->monitor_id) || !bytes_put_u32(&draft->out, device->device_display_id) ||
            !bytes_put_u32(&draft->out, (uint32_t)size) || !bytes_put(&draft->out, device->address, size))
            return false;
    }
    return true;
}

#define TO_GUEST VDAGENT_TO_GUEST
#define TO_HOST VDAGENT_TO_HOST
#define BOTH (VDAGENT_TO_GUEST | VDAGENT_TO_HOST)

static const Row rows[] = {
    { { VD_AGENT_MOUSE_STATE, "mouse-state", TO_GUEST, 13, 13, false },
      0, NULL, decode_mouse_state, encode_mouse_state },
    { { VD_AGENT_MONITORS_CONFIG, "monitors-config", TO_GUEST, 8, 8 + LIMIT_DISPLAYS * 24, false },
      4, NULL, decode_monitors_config, encode_monitors_config },
    { { VD_AGENT_REPLY, "reply", TO_HOST, 8, 8, false },
      0, NULL, decode_reply, encode_reply },
    { { VD_AGENT_CLIPBOARD, "clipboard", BOTH, 4, UINT32_MAX, true },
      1, selection_extra, decode_clipboard, encode_clipboard },
    { { VD_AGENT_DISPLAY_CONFIG, "display-config", TO_GUEST, 8, 8, false },
      0, NULL, decode_display_config, encode_display_config },
    { { VD_AGENT_ANNOUNCE_CAPABILITIES, "announce-capabilities", BOTH, 4, LIMIT_MESSAGE, false },
      4, NULL, decode_announce_capabilities, encode_announce_capabilities },
    { { VD_AGENT_CLIPBOARD_GRAB, "clipboard-grab", BOTH, 0, 8 + LIMIT_CLIPBOARD_TYPES * 4, false },
      4, grab_extra, decode_clipboard_grab, encode_clipboard_grab },
    { { VD_AGENT_CLIPBOARD_REQUEST, "clipboard-request", BOTH, 4, 8, false },
      0, selection_extra, decode_clipboard_request, encode_clipboard_request },
    { { VD_AGENT_CLIPBOARD_RELEASE, "clipboard-release", BOTH, 0, 4, false },
      0, selection_extra, decode_clipboard_release, encode_clipboard_release },
    { { VD_AGENT_FILE_XFER_START, "file-xfer-start", TO_GUEST, 4, LIMIT_MESSAGE, false },
      1, NULL, decode_file_xfer_start, encode_file_xfer_start },
    { { VD_AGENT_FILE_XFER_STATUS, "file-xfer-status", BOTH, 8, 16, false },
      1, NULL, decode_file_xfer_status, encode_file_xfer_status },
    { { VD_AGENT_FILE_XFER_DATA, "file-xfer-data", TO_GUEST, 12, UINT32_MAX, true },
      1, NULL, decode_file_xfer_data, encode_file_xfer_data },
    { { VD_AGENT_CLIENT_DISCONNECTED, "client-disconnected", TO_GUEST, 0, 0, false },
      0, NULL, NULL, NULL },
    { { VD_AGENT_MAX_CLIPBOARD, "max-clipboard", TO_GUEST, 4, 4, false },
      0, NULL, decode_max_clipboard, encode_max_clipboard },
    { { VD_AGENT_AUDIO_VOLUME_SYNC, "audio-volume-sync", TO_GUEST, 3, 3 + LIMIT_AUDIO_CHANNELS * 2, false },
      2, NULL, decode_audio_volume_sync, encode_audio_volume_sync },
    { { VD_AGENT_GRAPHICS_DEVICE_INFO, "graphics-device-info", TO_GUEST, 4, LIMIT_MESSAGE, false },
      1, NULL, decode_graphics_device_info, encode_graphics_device_info },
};
static_assert(sizeof(rows) / sizeof(rows[0]) == VD_AGENT_END_MESSAGE - 1, "one row per message type, from 1 on");

static const Row *row_of(uint32_t type)
{
    return type > 0 && type < VD_AGENT_END_MESSAGE ? &rows[type - 1] : NULL;
}

const VdagentType *vdagent_type(uint32_t type)
{
    const Row *row = row_of(type);

    return row != NULL ? &row->type : NULL;
}

const char *vdagent_name(uint32_t type)
{
    const Row *row = row_of(type);

    return row != NULL ? row->type.name : "unknown";
}

const char *vdagent_result_text(VdagentResult result)
{
    switch (result) {
    case VDAGENT_OK:
        return "ok";
    case VDAGENT_UNKNOWN_TYPE:
        return "no such message type";
    case VDAGENT_BAD_SIZE:
        return "wrong size";
    case VDAGENT_BAD_VALUE:
        return "a field has a value that cannot be";
    case VDAGENT_WRONG_WAY:
        return "never sent in this direction";
    }
    return "unknown result";
}

static uint32_t head_size(const Row *row, const Caps *caps)
{
    return row->type.min + (row->extra != NULL ? row->extra(caps) : 0);
}

VdagentResult vdagent_check(const Caps *caps, uint32_t type, uint32_t size)
{
    const Row *row = row_of(type);
    uint32_t head;

    if (row == NULL)
        return VDAGENT_UNKNOWN_TYPE;
    head = head_size(row, caps);
    if (size < head || size > row->type.max)
        return VDAGENT_BAD_SIZE;
    if (row->item == 0 ? size != head : (size - head) % row->item != 0)
        return VDAGENT_BAD_SIZE;
    return VDAGENT_OK;
}

size_t vdagent_need(const Caps *caps, uint32_t type, uint32_t size)
{
    const Row *row = row_of(type);

    assert(row != NULL);
    return row->type.bulk ? head_size(row, caps) : size;
}

VdagentResult vdagent_decode(const Caps *caps, uint32_t type, uint32_t size, const uint8_t *data,
                             VdagentMessage *ret_message)
{
    VdagentResult result = vdagent_check(caps, type, size);
    const Row *row = row_of(type);
    Body body;

    if (result != VDAGENT_OK)
        return result;
    body = (Body){ .caps = caps, .size = size, .in = bytes_reader(data, vdagent_need(caps, type, size)) };
    if (row->decode != NULL)
        result = row->decode(&body, ret_message);
    if (result == VDAGENT_OK)
        ret_message->type = type;
    return result;
}

/* Bytes that the caller sends behind the head of a bulk message. */
static uint64_t bulk_size(const VdagentMessage *message)
{
    switch (message->type) {
    case VD_AGENT_CLIPBOARD:
        return message->clipboard.size;
    case VD_AGENT_FILE_XFER_DATA:
        return message->file_data.size;
    default:
        return 0;
    }
}

VdagentResult vdagent_encode(const Caps *caps, const VdagentMessage *message, BytesWriter *out)
{
    uint8_t body[LIMIT_MESSAGE];
    Draft draft = { .caps = caps, .out = bytes_writer(body, sizeof(body)) };
    const Row *row = row_of(message->type);
    MessageHeader header = { .type = message->type };

    if (row == NULL)
        return VDAGENT_UNKNOWN_TYPE;
    if (row->encode != NULL && !row->encode(&draft, message))
        return VDAGENT_BAD_VALUE;
    if (bulk_size(message) > UINT32_MAX - draft.out.used)
        return VDAGENT_BAD_VALUE;
    header.size = (uint32_t)(draft.out.used + bulk_size(message));
    if (out->left < MESSAGE_HEADER_SIZE + draft.out.used)
        return VDAGENT_BAD_SIZE;
    message_put_header(out, &header);
    bytes_put(out, body, draft.out.used);
    return VDAGENT_OK;
}

const Caps *vdagent_layout_caps(void)
{
    static const Caps caps = { { UINT32_C(1) << VD_AGENT_CAP_CLIPBOARD_SELECTION |
                                 UINT32_C(1) << VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS |
                                 UINT32_C(1) << VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL } };

    return &caps;
}

const char *vdagent_clipboard_name(uint32_t clipboard_type)
{
    switch (clipboard_type) {
    case VD_AGENT_CLIPBOARD_NONE:
        return "none";
    case VD_AGENT_CLIPBOARD_UTF8_TEXT:
        return "text";
    case VD_AGENT_CLIPBOARD_IMAGE_PNG:
        return "png";
    case VD_AGENT_CLIPBOARD_IMAGE_BMP:
        return "bmp";
    case VD_AGENT_CLIPBOARD_IMAGE_TIFF:
        return "tiff";
    case VD_AGENT_CLIPBOARD_IMAGE_JPG:
        return "jpeg";
    case VD_AGENT_CLIPBOARD_FILE_LIST:
        return "file-list";
    default:
        return "unknown";
    }
}
