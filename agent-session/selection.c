/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "selection.h"

#include <string.h>

static unsigned answer_none(const Selection *selection)
{
    for (guint32 type = 0; type < SELECTION_TYPES; type++) {
        if (selection->pending[type] > 0)
            return SELECTION_ANSWER_NONE;
    }
    return 0;
}

static unsigned drop_grab(Selection *selection)
{
    if (!selection->grabbed)
        return 0;
    selection->grabbed = FALSE;
    return SELECTION_SEND_RELEASE;
}

static unsigned grab(Selection *selection)
{
    if (!selection->present)
        return 0;
    if (!selection->to_host)
        return SELECTION_REFUSED;
    unsigned flags = selection->no_release ? 0 : drop_grab(selection);
    selection->grabbed = TRUE;
    selection->grab_serial = selection->serial++;
    return flags | SELECTION_SEND_GRAB;
}

static void set_owner(Selection *selection, SelectionOwner owner, guint32 offers)
{
    selection->owner = owner;
    selection->offers = offers;
    selection->seen = selection->left = 0;
    selection->shadow = 0;
    selection->retaken = FALSE;
    for (guint32 type = 0; type < SELECTION_TYPES; type++)
        selection->flight[type].closed = TRUE;
}

/* What the host owned is gone. A program that holds the same content keeps it, but it is not passed on. */
static unsigned drop_host(Selection *selection, gint64 now)
{
    if (selection->owner != SELECTION_HOST)
        return 0;
    if (selection->shadow != 0) {
        set_owner(selection, SELECTION_PROGRAM, selection->shadow);
        return 0;
    }
    guint32 offers = selection->offers, seen = selection->seen;
    set_owner(selection, SELECTION_NOBODY, 0);
    selection->left = offers;
    selection->left_at = now;
    selection->seen = seen;
    return SELECTION_DISOWN;
}

unsigned selection_peer(Selection *selection, gboolean present, gboolean serials, gboolean no_release, gint64 now)
{
    selection->present = present;
    selection->serials = serials;
    selection->no_release = no_release;
    selection->grabbed = FALSE;
    selection->serial = 0;
    memset(selection->pending, 0, sizeof selection->pending);
    memset(selection->flight, 0, sizeof selection->flight);
    return drop_host(selection, now);
}

unsigned selection_program(Selection *selection, guint32 offers)
{
    unsigned flags = answer_none(selection);
    set_owner(selection, SELECTION_PROGRAM, offers);
    return flags | (offers != 0 ? grab(selection) : drop_grab(selection));
}

void selection_found(Selection *selection, guint32 offers)
{
    set_owner(selection, SELECTION_PROGRAM, offers);
}

unsigned selection_nobody(Selection *selection)
{
    if (selection->owner == SELECTION_NOBODY)
        return 0;
    if (selection->owner == SELECTION_HOST && selection->shadow != 0) {
        selection->shadow = 0;
        return SELECTION_OWN;
    }
    unsigned flags = answer_none(selection);
    set_owner(selection, SELECTION_NOBODY, 0);
    return flags | drop_grab(selection);
}

unsigned selection_terminal(Selection *selection, guint32 offers)
{
    unsigned flags = answer_none(selection);
    set_owner(selection, SELECTION_TERMINAL, offers);
    return flags | SELECTION_OWN | grab(selection);
}

unsigned selection_host_grab(Selection *selection, guint32 serial, guint32 offers, gint64 now)
{
    if (selection->serials) {
        gint32 ahead = (gint32) (serial - selection->serial);
        if (ahead < -1)
            return SELECTION_STALE;
        if (ahead >= 0)
            selection->serial = serial + 1;
    }
    selection->grabbed = FALSE;
    unsigned flags = answer_none(selection);
    if (!selection->from_host)
        return flags | SELECTION_REFUSED;
    if (offers == 0)
        return flags | drop_host(selection, now);
    set_owner(selection, SELECTION_HOST, offers);
    return flags | SELECTION_OWN;
}

unsigned selection_host_release(Selection *selection, gint64 now)
{
    return drop_host(selection, now);
}

guint32 selection_suspect(const Selection *selection, guint32 offers, gint64 now)
{
    guint32 known = 0;
    if (selection->owner == SELECTION_HOST)
        known = selection->offers;
    else if (now - selection->left_at < SELECTION_LEFT_US)
        known = selection->left;
    if ((offers & ~known) != 0)
        return 0;
    guint32 type = 1;
    while (type < SELECTION_TYPES && (offers & selection->seen & 1u << type) == 0)
        type++;
    return type < SELECTION_TYPES ? type : 0;
}

unsigned selection_echo(Selection *selection, guint32 offers, gboolean foreign)
{
    if (selection->owner != SELECTION_HOST) {
        set_owner(selection, SELECTION_PROGRAM, offers);
        return 0;
    }
    selection->shadow = offers;
    if (offers == selection->offers || foreign || selection->retaken)
        return 0;
    selection->retaken = TRUE;
    selection->shadow = 0;
    return SELECTION_OWN;
}

SelectionAsk selection_ask(Selection *selection, guint32 type, gint64 now)
{
    if (selection->owner != SELECTION_HOST || type >= SELECTION_TYPES || (selection->offers & 1u << type) == 0)
        return SELECTION_ASK_NOTHING;
    SelectionFlight *flight = &selection->flight[type];
    if (flight->asked && !flight->closed)
        return SELECTION_ASK_JOIN;
    if (flight->given_up) {
        flight->given_up = FALSE;
        flight->since = now;
    }
    if (flight->asked || flight->answering)
        return SELECTION_ASK_WAIT;
    if (now - flight->owed_since > SELECTION_OWED_US)
        flight->owed = 0;
    flight->asked = TRUE;
    flight->closed = flight->swallowed = FALSE;
    flight->since = now;
    return SELECTION_ASK_SEND;
}

/* The request that has waited longest; what is owed has waited longer than any. 0 without one. */
static guint32 oldest(const Selection *selection)
{
    guint32 found = 0;
    gint64 since = G_MAXINT64;
    gboolean found_owed = FALSE;
    for (guint32 type = 1; type < SELECTION_TYPES; type++) {
        const SelectionFlight *flight = &selection->flight[type];
        gboolean owed = flight->owed > 0;
        if (!owed && (!flight->asked || found_owed))
            continue;
        gint64 start = owed ? flight->owed_since : flight->since;
        if ((owed && !found_owed) || start < since) {
            found = type;
            since = start;
            found_owed = owed;
        }
    }
    return found;
}

SelectionAnswer selection_answer(Selection *selection, guint32 *type, gint64 now)
{
    if (*type == 0)
        *type = oldest(selection);
    if (*type == 0 || *type >= SELECTION_TYPES)
        return SELECTION_ANSWER_UNASKED;
    SelectionFlight *flight = &selection->flight[*type];
    if (flight->owed > 0) {
        flight->owed--;
        flight->swallowed = TRUE;
        flight->since = now;
        return SELECTION_ANSWER_LATE;
    }
    if (!flight->asked)
        return SELECTION_ANSWER_UNASKED;
    flight->asked = FALSE;
    flight->answering = TRUE;
    flight->since = now;
    return SELECTION_ANSWER_DELIVER;
}

void selection_progress(Selection *selection, gint64 now)
{
    for (guint32 type = 1; type < SELECTION_TYPES; type++)
        selection->flight[type].since = now;
}

void selection_answered(Selection *selection, guint32 type, gboolean delivered)
{
    SelectionFlight *flight = &selection->flight[type];
    flight->answering = flight->given_up = FALSE;
    if (delivered && !flight->closed)
        selection->seen |= 1u << type;
}

gboolean selection_made(Selection *selection, guint32 type, guint32 from)
{
    if (selection->owner != SELECTION_HOST || selection->flight[from].closed)
        return FALSE;
    selection->seen |= 1u << type;
    return TRUE;
}

/* Nothing more is awaited of an answer that was given up. */
static gboolean waits(const SelectionFlight *flight)
{
    return flight->asked || (flight->answering && !flight->given_up);
}

guint32 selection_expire(Selection *selection, gint64 now, gint64 timeout)
{
    for (guint32 type = 1; type < SELECTION_TYPES; type++) {
        SelectionFlight *flight = &selection->flight[type];
        if (!waits(flight) || now - flight->since < timeout)
            continue;
        if (flight->asked) {
            flight->asked = FALSE;
            flight->owed = flight->swallowed ? 0 : flight->owed + 1;
            flight->owed_since = now;
        } else {
            flight->given_up = TRUE;
        }
        return type;
    }
    return 0;
}

gint64 selection_deadline(const Selection *selection, gint64 timeout)
{
    gint64 deadline = G_MAXINT64;
    for (guint32 type = 1; type < SELECTION_TYPES; type++) {
        const SelectionFlight *flight = &selection->flight[type];
        if (waits(flight))
            deadline = MIN(deadline, flight->since + timeout);
    }
    return deadline;
}

SelectionAsked selection_asked(Selection *selection, guint32 type)
{
    if (!selection->grabbed || type >= SELECTION_TYPES || (selection->offers & 1u << type) == 0 ||
        selection->pending[type] >= SELECTION_PENDING)
        return SELECTION_ASKED_NONE;
    return selection->pending[type]++ == 0 ? SELECTION_ASKED_FETCH : SELECTION_ASKED_JOIN;
}

guint selection_pending(Selection *selection, guint32 type)
{
    guint count = selection->pending[type];
    selection->pending[type] = 0;
    return count;
}
