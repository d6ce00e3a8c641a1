/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "caps.h"

#include <assert.h>

#include <spice/vd_agent.h>

static const char *const names[] = {
    [VD_AGENT_CAP_MOUSE_STATE] = "mouse-state",
    [VD_AGENT_CAP_MONITORS_CONFIG] = "monitors-config",
    [VD_AGENT_CAP_REPLY] = "reply",
    [VD_AGENT_CAP_CLIPBOARD] = "clipboard",
    [VD_AGENT_CAP_DISPLAY_CONFIG] = "display-config",
    [VD_AGENT_CAP_CLIPBOARD_BY_DEMAND] = "clipboard-by-demand",
    [VD_AGENT_CAP_CLIPBOARD_SELECTION] = "clipboard-selection",
    [VD_AGENT_CAP_SPARSE_MONITORS_CONFIG] = "sparse-monitors-config",
    [VD_AGENT_CAP_GUEST_LINEEND_LF] = "guest-lineend-lf",
    [VD_AGENT_CAP_GUEST_LINEEND_CRLF] = "guest-lineend-crlf",
    [VD_AGENT_CAP_MAX_CLIPBOARD] = "max-clipboard",
    [VD_AGENT_CAP_AUDIO_VOLUME_SYNC] = "audio-volume-sync",
    [VD_AGENT_CAP_MONITORS_CONFIG_POSITION] = "monitors-config-position",
    [VD_AGENT_CAP_FILE_XFER_DISABLED] = "file-xfer-disabled",
    [VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS] = "file-xfer-detailed-errors",
    [VD_AGENT_CAP_GRAPHICS_DEVICE_INFO] = "graphics-device-info",
    [VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB] = "clipboard-no-release-on-regrab",
    [VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL] = "clipboard-grab-serial",
};
static_assert(sizeof(names) / sizeof(names[0]) == VD_AGENT_END_CAP, "each capability has a name");

bool caps_has(const Caps *caps, unsigned cap)
{
    return cap / 32 < LIMIT_CAPS_WORDS && (caps->word[cap / 32] >> (cap % 32) & 1) != 0;
}

void caps_add(Caps *caps, unsigned cap)
{
    assert(cap / 32 < LIMIT_CAPS_WORDS);
    caps->word[cap / 32] |= UINT32_C(1) << (cap % 32);
}

Caps caps_of(const unsigned *list, size_t count)
{
    Caps caps = { 0 };

    for (size_t i = 0; i < count; i++)
        caps_add(&caps, list[i]);
    return caps;
}

Caps caps_union(const Caps *a, const Caps *b)
{
    Caps caps;

    for (size_t i = 0; i < LIMIT_CAPS_WORDS; i++)
        caps.word[i] = a->word[i] | b->word[i];
    return caps;
}

Caps caps_both(const Caps *a, const Caps *b)
{
    Caps caps;

    for (size_t i = 0; i < LIMIT_CAPS_WORDS; i++)
        caps.word[i] = a->word[i] & b->word[i];
    return caps;
}

bool caps_equal(const Caps *a, const Caps *b)
{
    for (size_t i = 0; i < LIMIT_CAPS_WORDS; i++) {
        if (a->word[i] != b->word[i])
            return false;
    }
    return true;
}

size_t caps_words(const Caps *caps)
{
    size_t words = LIMIT_CAPS_WORDS;

    while (words > 1 && caps->word[words - 1] == 0)
        words--;
    return words;
}

const char *caps_name(unsigned cap)
{
    return cap < VD_AGENT_END_CAP ? names[cap] : NULL;
}
