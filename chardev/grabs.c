/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "grabs.h"

#include <string.h>

void grabs_client(Grabs *grabs, bool serials)
{
    memset(grabs->selection, 0, sizeof(grabs->selection));
    grabs->serials = grabs->session_serials = serials;
}

void grabs_session_serials(Grabs *grabs, bool serials)
{
    grabs->session_serials = serials;
}

/* Count the client's grab: false if it was overtaken. */
static bool count_host_grab(const Grabs *grabs, GrabsSelection *selection, VdagentGrab *grab)
{
    int32_t ahead;

    if (!grabs->serials && !grabs->session_serials)
        return true;
    if (!grabs->serials)
        grab->serial = selection->serial;
    ahead = (int32_t)(grab->serial - selection->serial);
    if (ahead < -1)
        return false;
    /* One behind: it crossed the session's last grab, and wins. Ahead: the client knows of grabs that we do not. */
    if (ahead >= 0)
        selection->serial = grab->serial + 1;
    return true;
}

bool grabs_host_grab(Grabs *grabs, VdagentGrab *grab)
{
    GrabsSelection *selection = &grabs->selection[grab->selection];

    if (!count_host_grab(grabs, selection, grab))
        return false;
    selection->owner = GRABS_HOST;
    selection->host = *grab;
    grab->serial -= selection->base;
    return true;
}

void grabs_host_denied(Grabs *grabs, const VdagentGrab *grab)
{
    GrabsSelection *selection = &grabs->selection[grab->selection];
    uint32_t before = selection->serial;
    VdagentGrab counted = *grab;

    count_host_grab(grabs, selection, &counted);
    selection->base += selection->serial - before;
}

bool grabs_host_release(Grabs *grabs, uint8_t selection)
{
    if (grabs->selection[selection].owner != GRABS_HOST)
        return false;
    grabs->selection[selection].owner = GRABS_NOBODY;
    return true;
}

bool grabs_host_request(Grabs *grabs, const VdagentRequest *request)
{
    GrabsSelection *selection = &grabs->selection[request->selection];

    if (selection->owner != GRABS_SESSION || selection->to_session_count == GRABS_PENDING)
        return false;
    selection->to_session[selection->to_session_count++] = request->type;
    return true;
}

static void forget_request(GrabsSelection *selection, size_t i)
{
    selection->to_host_count--;
    memmove(&selection->to_host[i], &selection->to_host[i + 1], (selection->to_host_count - i) * sizeof(GrabsRequest));
}

static void forget_unanswered(GrabsSelection *selection, int64_t now)
{
    for (size_t i = 0; i < selection->to_host_count;) {
        if (now - selection->to_host[i].since >= GRABS_OWED_MS)
            forget_request(selection, i);
        else
            i++;
    }
}

bool grabs_host_answer(Grabs *grabs, const VdagentClipboard *answer, int64_t now)
{
    GrabsSelection *selection = &grabs->selection[answer->selection];

    forget_unanswered(selection, now);
    for (size_t i = 0; i < selection->to_host_count; i++) {
        if (answer->type == selection->to_host[i].type || answer->type == VD_AGENT_CLIPBOARD_NONE) {
            bool orphan = selection->to_host[i].orphan;

            forget_request(selection, i);
            return !orphan && grabs->session;
        }
    }
    return false;
}

void grabs_session_begin(Grabs *grabs)
{
    grabs->session = true;
    for (size_t i = 0; i < LIMIT_SELECTIONS; i++) {
        GrabsSelection *selection = &grabs->selection[i];

        /* The grab that it is told is the first that it counts. */
        selection->base = selection->serial - (selection->owner == GRABS_HOST);
    }
}

bool grabs_session_begin_grab(const Grabs *grabs, uint8_t selection, VdagentGrab *ret_grab)
{
    if (grabs->selection[selection].owner != GRABS_HOST)
        return false;
    *ret_grab = grabs->selection[selection].host;
    ret_grab->serial = 0;
    return true;
}

bool grabs_session_grab(Grabs *grabs, VdagentGrab *grab)
{
    GrabsSelection *selection = &grabs->selection[grab->selection];

    if (grabs->session_serials && grab->serial + selection->base != selection->serial)
        return false;
    if (grabs->serials || grabs->session_serials)
        grab->serial = selection->serial++;
    selection->owner = GRABS_SESSION;
    return true;
}

void grabs_session_denied(Grabs *grabs, const VdagentGrab *grab)
{
    GrabsSelection *selection = &grabs->selection[grab->selection];

    if (grabs->session_serials && grab->serial + selection->base == selection->serial)
        selection->base--;
}

bool grabs_session_release(Grabs *grabs, uint8_t selection)
{
    if (grabs->selection[selection].owner != GRABS_SESSION)
        return false;
    grabs->selection[selection].owner = GRABS_NOBODY;
    return true;
}

bool grabs_session_request(Grabs *grabs, const VdagentRequest *request, int64_t now)
{
    GrabsSelection *selection = &grabs->selection[request->selection];

    forget_unanswered(selection, now);
    if (selection->owner != GRABS_HOST || selection->to_host_count == GRABS_PENDING)
        return false;
    selection->to_host[selection->to_host_count++] = (GrabsRequest){ .type = request->type, .since = now };
    return true;
}

bool grabs_session_answer(Grabs *grabs, const VdagentClipboard *answer)
{
    GrabsSelection *selection = &grabs->selection[answer->selection];

    for (size_t i = 0; i < selection->to_session_count; i++) {
        if (answer->type == selection->to_session[i] || answer->type == VD_AGENT_CLIPBOARD_NONE) {
            selection->to_session_count--;
            memmove(&selection->to_session[i], &selection->to_session[i + 1],
                    (selection->to_session_count - i) * sizeof(uint32_t));
            return true;
        }
    }
    return false;
}

void grabs_session_end(Grabs *grabs, uint8_t selection, bool *ret_release, size_t *ret_requests)
{
    GrabsSelection *s = &grabs->selection[selection];

    *ret_release = grabs_session_release(grabs, selection);
    *ret_requests = s->to_session_count;
    s->to_session_count = 0;
    for (size_t i = 0; i < s->to_host_count; i++)
        s->to_host[i].orphan = true;
    grabs->session = false;
}
