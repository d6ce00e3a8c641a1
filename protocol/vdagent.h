/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vdagent.h - the sixteen message types of spice-protocol 0.14.3, typed.
 *
 * One table row per type says its name, who may send it, how small and large its body can be and which part of it is
 * decoded; every layout rule that depends on a capability stands in the type's own decode and encode pair. Source of
 * all layouts: spice/vd_agent.h; where peers differ from it, the comment at the field says so.
 */
#ifndef VDAGENT_H
#define VDAGENT_H

#include "bytes.h"
#include "caps.h"
#include "limits.h"

#include <spice/vd_agent.h>

typedef enum VdagentResult {
    VDAGENT_OK = 0,
    VDAGENT_UNKNOWN_TYPE, /* no such message type */
    VDAGENT_BAD_SIZE,     /* body outside the row's minimum and maximum, or not a whole number of items */
    VDAGENT_BAD_VALUE,    /* a count beyond its limit, a selection or a text that cannot be */
    VDAGENT_WRONG_WAY     /* a type that is never sent in this direction; from stream.h only */
} VdagentResult;

/* Who sends a type, as flags. */
enum {
    VDAGENT_TO_GUEST = 1 << 0,
    VDAGENT_TO_HOST = 1 << 1
};

typedef struct VdagentType {
    uint32_t type;
    const char *name;   /* "clipboard-grab" */
    unsigned direction; /* VDAGENT_TO_* */
    uint32_t min, max;  /* bytes of the body whatever the capabilities are; max is UINT32_MAX for bulk */
    bool bulk;          /* the body is a short head and then data without bound: clipboard, file data */
} VdagentType;

typedef struct VdagentMouseState {
    uint32_t x, y;    /* pixels of the display */
    uint32_t buttons; /* VD_AGENT_*BUTTON_MASK */
    uint8_t display;
} VdagentMouseState;

typedef struct VdagentMonitor {
    uint32_t width, height, depth; /* 0x0: this head is off (sparse) */
    int32_t x, y;                  /* meaningful with VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS */
    uint16_t width_mm, height_mm;  /* 0: unknown */
} VdagentMonitor;

/*
 * Physical sizes may follow the monitors whatever the flag says, since spice-gtk always appends them: they are decoded
 * when the body has room for them and zero otherwise.
 */
typedef struct VdagentMonitors {
    uint32_t count, flags;
    VdagentMonitor monitor[LIMIT_DISPLAYS];
} VdagentMonitors;

typedef struct VdagentReply {
    uint32_t type, error;
} VdagentReply;

/* Head of clipboard data; the data themselves are the rest of the body, `size` bytes. */
typedef struct VdagentClipboard {
    uint8_t selection; /* VD_AGENT_CLIPBOARD_SELECTION_*; CLIPBOARD without the capability */
    uint32_t type;     /* VD_AGENT_CLIPBOARD_* */
    uint32_t size;
} VdagentClipboard;

typedef struct VdagentDisplayConfig {
    uint32_t flags, depth;
} VdagentDisplayConfig;

typedef struct VdagentAnnounce {
    uint32_t request; /* not 0: the peer wants our set in return */
    Caps caps;
} VdagentAnnounce;

typedef struct VdagentGrab {
    uint8_t selection;
    uint32_t serial; /* 0 without VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL */
    uint32_t count;
    uint32_t type[LIMIT_CLIPBOARD_TYPES];
} VdagentGrab;

typedef struct VdagentRequest {
    uint8_t selection;
    uint32_t type;
} VdagentRequest;

typedef struct VdagentRelease {
    uint8_t selection;
} VdagentRelease;

/* `keys` is the GKeyFile text with group [vdagent-file-xfer], keys name and size; not zero-terminated, borrowed. */
typedef struct VdagentFileStart {
    uint32_t id;
    const char *keys;
    uint32_t keys_size; /* without the terminating zero that peers send */
} VdagentFileStart;

/* `detail` is what follows the result when VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS is agreed. */
typedef struct VdagentFileStatus {
    uint32_t id, result;
    uint64_t free_space;   /* NOT_ENOUGH_SPACE */
    uint8_t error_type;    /* ERROR: VD_AGENT_FILE_XFER_STATUS_ERROR_GLIB_IO */
    uint32_t error_code;   /* ERROR: a GIOErrorEnum */
    bool detailed;         /* the three above are there, or shall be sent */
} VdagentFileStatus;

/* Head of file data; `size` bytes follow. */
typedef struct VdagentFileData {
    uint32_t id;
    uint64_t size;
} VdagentFileData;

typedef struct VdagentMaxClipboard {
    int32_t max; /* bytes; -1 for no bound */
} VdagentMaxClipboard;

typedef struct VdagentVolume {
    uint8_t is_playback, mute, channels;
    uint16_t volume[LIMIT_AUDIO_CHANNELS];
} VdagentVolume;

typedef struct VdagentDevice {
    uint32_t channel_id, monitor_id, device_display_id;
    char address[LIMIT_DEVICE_ADDRESS]; /* zero-terminated */
} VdagentDevice;

typedef struct VdagentDevices {
    uint32_t count;
    VdagentDevice device[LIMIT_DISPLAYS];
} VdagentDevices;

/* One decoded message. VD_AGENT_CLIENT_DISCONNECTED has no fields. */
typedef struct VdagentMessage {
    uint32_t type; /* selects the member */
    union {
        VdagentMouseState mouse;
        VdagentMonitors monitors;
        VdagentReply reply;
        VdagentClipboard clipboard;
        VdagentDisplayConfig display_config;
        VdagentAnnounce announce;
        VdagentGrab grab;
        VdagentRequest request;
        VdagentRelease release;
        VdagentFileStart file_start;
        VdagentFileStatus file_status;
        VdagentFileData file_data;
        VdagentMaxClipboard max_clipboard;
        VdagentVolume volume;
        VdagentDevices devices;
    };
} VdagentMessage;

/* The row of a type, or NULL for an unknown one. */
const VdagentType *vdagent_type(uint32_t type);

/* Name of a type for logs; "unknown" for others. */
const char *vdagent_name(uint32_t type);

/* Short text for a result, for logs. */
const char *vdagent_result_text(VdagentResult result);

/*
 * May a message of this type have a body of `size` bytes under these capabilities? Asked before a byte of the body is
 * kept. VDAGENT_OK, VDAGENT_UNKNOWN_TYPE or VDAGENT_BAD_SIZE.
 */
VdagentResult vdagent_check(const Caps *caps, uint32_t type, uint32_t size);

/*
 * Bytes of the body that vdagent_decode() needs: the whole body, or the head of a bulk type under these capabilities.
 * The size must have passed vdagent_check(); the answer is then at most LIMIT_MESSAGE.
 */
size_t vdagent_need(const Caps *caps, uint32_t type, uint32_t size);

/*
 * Decode a body. `caps` is what both ends agreed (caps_both); `size` the body's announced size, `data` its first
 * vdagent_need() bytes. The result borrows from `data` where a member says so. On failure `ret_message` is untouched.
 */
VdagentResult vdagent_decode(const Caps *caps, uint32_t type, uint32_t size, const uint8_t *data,
                             VdagentMessage *ret_message);

/*
 * Append header and body of a message to `out`; for a bulk type header and head, with the announced size counting the
 * data that the caller sends behind them. VDAGENT_BAD_SIZE without room (MESSAGE_HEADER_SIZE + LIMIT_MESSAGE always
 * suffices; `out` is then untouched), VDAGENT_BAD_VALUE for a count beyond its limit or data beyond 32 bits.
 */
VdagentResult vdagent_encode(const Caps *caps, const VdagentMessage *message, BytesWriter *out);

/*
 * The capabilities that change a layout, all of which our side announces at all times, so that the layout of every
 * message depends on the peer's announcement alone and cannot change under a message on its way. The system and the
 * session daemon both agree by it: caps_both(peer's, vdagent_layout_caps()).
 */
const Caps *vdagent_layout_caps(void);

/* Name of a clipboard type, "text", "png"; "unknown" for others. */
const char *vdagent_clipboard_name(uint32_t clipboard_type);

#endif
