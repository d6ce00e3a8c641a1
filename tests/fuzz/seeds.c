/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes first inputs of the fuzz targets into DIRECTORY/TARGET/: whole messages of each kind, as a peer sends them. */
#include "chunk.h"
#include "layout.h"
#include "message.h"
#include "pvmouse.h"
#include "vdagent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *directory;

static void save(const char *target, const char *name, const void *data, size_t size)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s/%s", directory, target, name);
    file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

static const VdagentMessage messages[] = {
    { .type = VD_AGENT_MOUSE_STATE, .mouse = { .x = 640, .y = 400, .buttons = VD_AGENT_LBUTTON_MASK } },
    { .type = VD_AGENT_MOUSE_STATE, .mouse = { .x = 5000, .y = 0, .buttons = VD_AGENT_UBUTTON_MASK, .display = 1 } },
    { .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = 2, .flags = 3, .monitor = {
          { .width = 1280, .height = 800, .depth = 32, .width_mm = 300, .height_mm = 200 },
          { .width = 801, .height = 601, .depth = 32, .x = 1280 } } } },
    { .type = VD_AGENT_REPLY, .reply = { VD_AGENT_MONITORS_CONFIG, VD_AGENT_SUCCESS } },
    { .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 4 } },
    { .type = VD_AGENT_DISPLAY_CONFIG, .display_config = { 1, 32 } },
    { .type = VD_AGENT_ANNOUNCE_CAPABILITIES, .announce = { 1, { { 0x3fff1 } } } },
    { .type = VD_AGENT_CLIPBOARD_GRAB, .grab = { .serial = 1, .count = 2, .type = { 1, 2 } } },
    { .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { 0, VD_AGENT_CLIPBOARD_IMAGE_PNG } },
    { .type = VD_AGENT_CLIPBOARD_RELEASE },
    { .type = VD_AGENT_FILE_XFER_START, .file_start = { 1, "[vdagent-file-xfer]\nname=a\nsize=4\n", 34 } },
    { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = 1, .result = VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE,
          .detailed = true, .free_space = 4096 } },
    { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = 1, .result = VD_AGENT_FILE_XFER_STATUS_ERROR,
          .detailed = true, .error_code = 31 } },
    { .type = VD_AGENT_FILE_XFER_DATA, .file_data = { 1, 4 } },
    { .type = VD_AGENT_CLIENT_DISCONNECTED },
    { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { -1 } },
    { .type = VD_AGENT_AUDIO_VOLUME_SYNC, .volume = { 1, 0, 2, { 1000, 65535 } } },
    { .type = VD_AGENT_GRAPHICS_DEVICE_INFO, .devices = { .count = 2, .device = {
          { 0, 0, 0, "pci/0000/02.0" }, { 0, 1, 1, "pci/0000/02.0" } } } },
};

/* Head of the target's input, and one message with its bulk data, in one chunk if `port` is not 0. */
static void put_message(BytesWriter *out, uint32_t port, const Caps *caps, const VdagentMessage *message)
{
    uint8_t bytes[MESSAGE_HEADER_SIZE + LIMIT_MESSAGE];
    BytesWriter writer = bytes_writer(bytes, sizeof(bytes));

    if (vdagent_encode(caps, message, &writer) != VDAGENT_OK)
        abort();
    if (vdagent_type(message->type)->bulk)
        bytes_put(&writer, "data", 4);
    if (port != 0)
        chunk_put_header(out, port, (uint32_t)writer.used);
    bytes_put(out, bytes, writer.used);
}

static void save_messages(void)
{
    static const uint8_t stream_head[] = { 3, 2 };
    static const uint8_t demux_head[] = { 5, 1, 0x00, 0x05, 0x20, 0x03, 0x00, 0x04, 0x00, 0x03 };
    static uint8_t all[3][16384];
    BytesWriter message_all = bytes_writer(all[0], sizeof(all[0])), stream_all = bytes_writer(all[1], sizeof(all[1])),
                demux_all = bytes_writer(all[2], sizeof(all[2]));

    bytes_put_u8(&message_all, 7);
    bytes_put(&stream_all, stream_head, sizeof(stream_head));
    bytes_put(&demux_all, demux_head, sizeof(demux_head));
    for (size_t i = 0; i < COUNT(messages); i++) {
        const Caps *caps = vdagent_layout_caps();
        uint8_t data[4096];
        BytesWriter out = bytes_writer(data, sizeof(data));
        char name[64];

        snprintf(name, sizeof(name), "%02zu-%s", i, vdagent_name(messages[i].type));
        put_message(&message_all, 0, caps, &messages[i]);
        put_message(&stream_all, 0, caps, &messages[i]);
        put_message(&demux_all, 1 + (uint32_t)(i % 2), caps, &messages[i]);

        bytes_put(&out, stream_head, sizeof(stream_head));
        data[1] |= (vdagent_type(messages[i].type)->direction & VDAGENT_TO_GUEST) == 0; /* REPLY goes the other way */
        put_message(&out, 0, caps, &messages[i]);
        save("stream", name, data, out.used);

        out = bytes_writer(data, sizeof(data));
        bytes_put(&out, demux_head, sizeof(demux_head));
        put_message(&out, 1 + (uint32_t)(i % 2), caps, &messages[i]);
        save("demux", name, data, out.used);

        for (unsigned agreed = 0; agreed < 2; agreed++) {
            static const Caps none;

            out = bytes_writer(data, sizeof(data));
            put_message(&out, 0, agreed ? caps : &none, &messages[i]);
            /* The body alone, behind type, capabilities and size. */
            memmove(data + 3, data + MESSAGE_HEADER_SIZE, out.used - MESSAGE_HEADER_SIZE);
            data[0] = (uint8_t)messages[i].type;
            data[1] = agreed ? 7 : 0;
            data[2] = 0;
            snprintf(name, sizeof(name), "%02zu-%s%s", i, vdagent_name(messages[i].type), agreed ? "-agreed" : "");
            save("vdagent", name, data, out.used - MESSAGE_HEADER_SIZE + 3);
        }
    }
    save("message", "all", all[0], message_all.used);
    save("stream", "all", all[1], stream_all.used);
    save("demux", "all", all[2], demux_all.used);
}

static void save_chunks(void)
{
    static const struct {
        const char *name;
        uint32_t port, announced, size;
    } chunks[] = {
        { "client", 1, 5, 5 },      { "server", 2, 1, 1 },        { "empty", 1, 0, 0 },
        { "port-0", 0, 3, 3 },      { "port-99", 99, 2, 2 },      { "largest", 1, 65536, 3 },
        { "too-large", 2, 65537, 1 }, { "half", 1, 0x80000000, 1 }, { "all", 1, UINT32_MAX, 0 },
    };

    for (size_t i = 0; i < COUNT(chunks); i++) {
        uint8_t data[64];
        BytesWriter out = bytes_writer(data, sizeof(data));

        bytes_put_u8(&out, 2);
        chunk_put_header(&out, 2, 2);
        bytes_put_u16(&out, 0xabcd);
        chunk_put_header(&out, chunks[i].port, chunks[i].announced);
        bytes_put(&out, "bytes", chunks[i].size);
        chunk_put_header(&out, 1, 1);
        bytes_put_u8(&out, 1);
        save("chunk", chunks[i].name, data, out.used);
    }
}

static void save_headers(void)
{
    static const uint32_t sizes[] = { 0, 1, 13, 0x80000000, UINT32_MAX };

    for (size_t i = 0; i < COUNT(sizes); i++) {
        const MessageHeader header = { .type = 4, .opaque = 1, .size = sizes[i] };
        uint8_t data[64];
        BytesWriter out = bytes_writer(data, sizeof(data));
        char name[32];

        bytes_put_u8(&out, 4);
        message_put_header(&out, &header);
        bytes_put(&out, "0123456789abc", sizes[i] < 13 ? sizes[i] : 13);
        message_put_header(&out, &header);
        snprintf(name, sizeof(name), "size-%u", sizes[i]);
        save("message", name, data, out.used);
        data[1]++;
        snprintf(name, sizeof(name), "protocol-2-size-%u", sizes[i]);
        save("message", name, data, out.used);
    }
}

static void save_frames(void)
{
    static const PvmouseFrame frames[] = {
        { .type = PVMOUSE_HELLO, .sequence = 7, .version = 1, .features = 7, .credit = 256 },
        { .type = PVMOUSE_STATE, .display = 1, .sequence = 1, .x = 32768, .y = 65535, .buttons = 1, .wheel = 120 },
        { .type = PVMOUSE_STATE, .sequence = 2, .no_position = true, .buttons = PVMOUSE_BUTTONS_ALL, .hwheel = -1 },
        { .type = PVMOUSE_MOTION, .sequence = 3, .dx = -5, .dy = 7, .buttons = 4 },
        { .type = PVMOUSE_RELEASE, .sequence = 4 },
        { .type = PVMOUSE_CREDIT, .credit = 128 },
    };

    for (size_t i = 0; i < COUNT(frames); i++) {
        uint8_t data[1 + 7 + 3 * PVMOUSE_FRAME_SIZE] = { 11 };
        char name[32];

        /* A part of an old frame, HELLO, the frame, and a reserved bit. */
        pvmouse_encode(&frames[0], data + 8);
        pvmouse_encode(&frames[i], data + 8 + PVMOUSE_FRAME_SIZE);
        pvmouse_encode(&frames[i], data + 8 + 2 * PVMOUSE_FRAME_SIZE);
        data[8 + 2 * PVMOUSE_FRAME_SIZE + 1] = 0x80;
        snprintf(name, sizeof(name), "type-%d-%zu", frames[i].type, i);
        save("pvmouse", name, data, sizeof(data));
        save("pvmouse", "cut", data, 8 + PVMOUSE_FRAME_SIZE + 5);
    }
}

static void save_layouts(void)
{
    Layout layout = layout_single(1280, 800);
    uint8_t data[LAYOUT_WIRE_SIZE];

    layout_encode(&layout, data);
    save("layout", "single", data, sizeof(data));
    for (uint32_t transform = 0; transform < LAYOUT_TRANSFORMS; transform++) {
        char name[32];

        layout.display[1] = (LayoutDisplay){ .mode_w = 1920, .mode_h = 1080, .x = -960, .y = 100, .w = 960, .h = 540,
                                             .transform = transform };
        layout.display[LIMIT_DISPLAYS - 1] = (LayoutDisplay){ .mode_w = 1, .mode_h = 1, .x = 1280, .w = 1, .h = 1 };
        layout_fit_box(&layout);
        layout_encode(&layout, data);
        snprintf(name, sizeof(name), "transform-%u", transform);
        save("layout", name, data, sizeof(data));
    }
    layout.display[1].mode_w = 65536;
    layout_encode(&layout, data);
    save("layout", "too-wide", data, sizeof(data));
    memset(data, 0, sizeof(data));
    save("layout", "nothing", data, sizeof(data));
}

/* One operation of fuzz-vdiport's script: a message without its bulk data, of which `op` may announce some. */
static void put_operation(BytesWriter *out, uint8_t op, const VdagentMessage *message)
{
    uint8_t bytes[MESSAGE_HEADER_SIZE + LIMIT_MESSAGE];
    BytesWriter writer = bytes_writer(bytes, sizeof(bytes));

    if (vdagent_encode(vdagent_layout_caps(), message, &writer) != VDAGENT_OK)
        abort();
    bytes_put_u8(out, op);
    bytes_put_u8(out, (uint8_t)message->type);
    bytes_put_u8(out, (uint8_t)(writer.used - MESSAGE_HEADER_SIZE));
    bytes_put(out, bytes + MESSAGE_HEADER_SIZE, writer.used - MESSAGE_HEADER_SIZE);
}

static void save_vdiport(void)
{
    enum { CLIENT = 2, CLIENT_BULK = 3, GUEST = 4, GUEST_BULK = 5, SERVER = 0x12, MORE_4096 = 3 << 5 };
    const VdagentMessage grab = { .type = VD_AGENT_CLIPBOARD_GRAB, .grab = { .count = 1, .type = { 1 } } };
    const VdagentMessage ask = { .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { 0, 1 } };
    const VdagentMessage answer = { .type = VD_AGENT_CLIPBOARD, .clipboard = { .type = 1 } };
    const VdagentMessage start = { .type = VD_AGENT_FILE_XFER_START,
                                   .file_start = { 1, "[vdagent-file-xfer]\nname=a\n", 27 } };
    const VdagentMessage success = { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { 1, 3 } };
    const VdagentMessage leave = { .type = VD_AGENT_CLIENT_DISCONNECTED };
    /* What happens in the middle, and at the end: takings of both ends, 10 s, another client, another agent. */
    static const struct {
        const char *name;
        uint8_t bytes[8];
        size_t size;
    } middles[] = {
        { "nothing", { 0 }, 0 },
        { "taken", { 0xf9, 10, 0xff, 0x3f }, 4 },
        { "stall", { 0x19, 8, 0x10, 0x27, 10, 0x20, 0 }, 7 },
        { "client", { 0xf9, 10, 0x20, 0, 0x1e }, 5 },
        { "agent", { 0xf9, 10, 0x20, 0, 0x1f }, 5 },
        { "closed", { 0x0c, 0x1c, 0x0f }, 3 },
        { "qemu", { 10, 0x20, 0, 0x1b, 0x3b }, 5 },
        { "server", { 0x0b, 0x2b, 0x1e }, 3 },
    };

    for (size_t i = 0; i < COUNT(messages); i++) {
        uint8_t data[1024] = { 0 };
        BytesWriter out = bytes_writer(data + 1, sizeof(data) - 1);
        bool to_guest = (vdagent_type(messages[i].type)->direction & VDAGENT_TO_GUEST) != 0;
        char name[64];

        put_operation(&out, to_guest ? CLIENT : GUEST, &messages[i]);
        put_operation(&out, to_guest ? SERVER : GUEST, &messages[i]);
        snprintf(name, sizeof(name), "%02zu-%s", i, vdagent_name(messages[i].type));
        save("vdiport", name, data, 1 + out.used);
    }
    for (size_t i = 0; i < COUNT(middles); i++) {
        uint8_t data[1024] = { 0 };
        BytesWriter out = bytes_writer(data + 1, sizeof(data) - 1);
        static const uint8_t client_more[] = { 6, 0x00, 0x08 }, guest_more[] = { 7, 0x00, 0x08 };
        char name[64];

        /* The client copies, the guest pastes; the guest copies, the client pastes; a file. */
        put_operation(&out, CLIENT, &grab);
        put_operation(&out, GUEST, &ask);
        put_operation(&out, CLIENT_BULK | MORE_4096, &answer);
        bytes_put(&out, client_more, sizeof(client_more));
        bytes_put(&out, middles[i].bytes, middles[i].size);
        bytes_put(&out, client_more, sizeof(client_more));
        snprintf(name, sizeof(name), "to-guest-%s", middles[i].name);
        save("vdiport", name, data, 1 + out.used);

        out = bytes_writer(data + 1, sizeof(data) - 1);
        put_operation(&out, GUEST, &grab);
        put_operation(&out, CLIENT, &ask);
        put_operation(&out, GUEST_BULK | MORE_4096, &answer);
        bytes_put(&out, guest_more, sizeof(guest_more));
        bytes_put(&out, middles[i].bytes, middles[i].size);
        bytes_put(&out, guest_more, sizeof(guest_more));
        snprintf(name, sizeof(name), "from-guest-%s", middles[i].name);
        save("vdiport", name, data, 1 + out.used);

        out = bytes_writer(data + 1, sizeof(data) - 1);
        put_operation(&out, CLIENT, &start);
        bytes_put_u8(&out, CLIENT_BULK | MORE_4096);
        bytes_put_u8(&out, VD_AGENT_FILE_XFER_DATA);
        bytes_put_u8(&out, 12);
        bytes_put_u32(&out, 1);
        bytes_put_u64(&out, 4096);
        bytes_put(&out, client_more, sizeof(client_more));
        bytes_put(&out, middles[i].bytes, middles[i].size);
        bytes_put(&out, client_more, sizeof(client_more));
        put_operation(&out, GUEST, &success);
        put_operation(&out, SERVER, &leave);
        snprintf(name, sizeof(name), "file-%s", middles[i].name);
        save("vdiport", name, data, 1 + out.used);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return EXIT_FAILURE;
    }
    directory = argv[1];
    save_messages();
    save_chunks();
    save_headers();
    save_frames();
    save_layouts();
    save_vdiport();
    return EXIT_SUCCESS;
}
