/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bounds.h - what holds for every decoded message, whatever bytes it came from. */
#ifndef BOUNDS_H
#define BOUNDS_H

#include "vdagent.h"

#include <string.h>

static bool message_in_bounds(const VdagentMessage *message, uint32_t size)
{
    switch (message->type) {
    case VD_AGENT_MONITORS_CONFIG:
        return message->monitors.count <= LIMIT_DISPLAYS;
    case VD_AGENT_CLIPBOARD:
        return message->clipboard.selection < LIMIT_SELECTIONS && message->clipboard.size <= size - 4;
    case VD_AGENT_CLIPBOARD_GRAB:
        return message->grab.selection < LIMIT_SELECTIONS && message->grab.count <= LIMIT_CLIPBOARD_TYPES;
    case VD_AGENT_CLIPBOARD_REQUEST:
        return message->request.selection < LIMIT_SELECTIONS;
    case VD_AGENT_CLIPBOARD_RELEASE:
        return message->release.selection < LIMIT_SELECTIONS;
    case VD_AGENT_FILE_XFER_START:
        return message->file_start.keys_size < LIMIT_MESSAGE &&
               memchr(message->file_start.keys, 0, message->file_start.keys_size) == NULL;
    case VD_AGENT_FILE_XFER_DATA:
        return message->file_data.size == size - 12;
    case VD_AGENT_MAX_CLIPBOARD:
        return message->max_clipboard.max >= -1;
    case VD_AGENT_AUDIO_VOLUME_SYNC:
        return message->volume.channels <= LIMIT_AUDIO_CHANNELS;
    case VD_AGENT_GRAPHICS_DEVICE_INFO:
        if (message->devices.count > LIMIT_DISPLAYS)
            return false;
        for (uint32_t i = 0; i < message->devices.count; i++) {
            if (memchr(message->devices.device[i].address, 0, LIMIT_DEVICE_ADDRESS) == NULL)
                return false;
        }
        return true;
    default:
        return message->type > 0 && message->type < VD_AGENT_END_MESSAGE;
    }
}

#endif
