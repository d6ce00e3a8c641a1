/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sinks.h"

#define KINDS 4

struct Sinks {
    gboolean enabled;
    SinksWay way[KINDS];
    SinksKind current;
    /* how things stand: the last state, without its turns */
    PvmouseFrame frame;
    VdagentMouseState raw;
    guint64 taken[KINDS], lost[KINDS];
};

const char *sinks_name(SinksKind kind)
{
    static const char *const names[KINDS] = { "none", "pvmouse", "qmp", "legacy" };

    return names[kind];
}

Sinks *sinks_new(gboolean enabled)
{
    Sinks *sinks = g_new0(Sinks, 1);

    sinks->enabled = enabled;
    sinks->frame = (PvmouseFrame){ .type = PVMOUSE_STATE, .no_position = true };
    return sinks;
}

void sinks_free(Sinks *sinks)
{
    g_free(sinks);
}

void sinks_set_way(Sinks *sinks, SinksKind kind, const SinksWay *way)
{
    sinks->way[kind] = *way;
}

SinksKind sinks_current(const Sinks *sinks)
{
    return sinks->current;
}

void sinks_lose(Sinks *sinks, SinksKind kind, guint64 count)
{
    count = MIN(count, sinks->taken[kind]); /* a release of ours that waited was nobody's event */
    sinks->taken[kind] -= count;
    sinks->lost[kind] += count;
}

guint64 sinks_lost(const Sinks *sinks, SinksKind kind)
{
    return sinks->lost[kind];
}

guint64 sinks_taken(const Sinks *sinks, SinksKind kind)
{
    return sinks->taken[kind];
}

static gboolean is_open(const Sinks *sinks, SinksKind kind)
{
    const SinksWay *way = &sinks->way[kind];

    return kind != SINKS_NONE && way->open && way->open(way->user);
}

static void give(Sinks *sinks, const PvmouseFrame *frame)
{
    gboolean taken = sinks->current != SINKS_NONE;

    for (SinksKind kind = SINKS_PVMOUSE; kind < KINDS; kind++) {
        const SinksWay *way = &sinks->way[kind];

        if (way->input && (kind == sinks->current || kind == SINKS_PVMOUSE)) {
            gboolean ok = way->input(frame, &sinks->raw, way->user);

            taken = kind == sinks->current ? ok : taken;
        }
    }
    sinks->taken[sinks->current] += taken;
    sinks->lost[sinks->current] += !taken;
}

static void let_go(Sinks *sinks, SinksKind kind)
{
    const SinksWay *way = &sinks->way[kind];

    if (way->release && (kind == SINKS_PVMOUSE || is_open(sinks, kind))) {
        way->release(&sinks->frame, &sinks->raw, way->user);
    }
}

void sinks_update(Sinks *sinks)
{
    SinksKind before = sinks->current;
    SinksKind now = SINKS_NONE;

    for (SinksKind kind = SINKS_PVMOUSE; kind < KINDS && now == SINKS_NONE && sinks->enabled; kind++) {
        now = is_open(sinks, kind) ? kind : SINKS_NONE;
    }
    if (now == before) {
        return;
    }
    if (before != SINKS_PVMOUSE) {
        let_go(sinks, before); /* who left the pvmouse port has released all by itself */
    }
    sinks->current = now;
    g_debug("the pointer goes by %s", sinks_name(now));
    /* spice-pvmouse gets its full state with HELLO, and nobody is told of a position that never was. */
    if ((now == SINKS_QMP && (!sinks->frame.no_position || sinks->frame.buttons != 0)) ||
        (now == SINKS_LEGACY && !sinks->frame.no_position)) {
        give(sinks, &sinks->frame);
    }
}

void sinks_state(Sinks *sinks, const PvmouseFrame *frame, const VdagentMouseState *raw)
{
    if (!sinks->enabled) {
        return;
    }
    sinks->raw = *raw;
    give(sinks, frame);
    sinks->frame = *frame;
    sinks->frame.wheel = sinks->frame.hwheel = 0;
    sinks->raw.buttons &= ~(guint32)(VD_AGENT_UBUTTON_MASK | VD_AGENT_DBUTTON_MASK);
}

void sinks_motion(Sinks *sinks, const PvmouseFrame *frame)
{
    if (!sinks->enabled) {
        return;
    }
    if (sinks->current == SINKS_LEGACY && (sinks->frame.buttons & ~(unsigned)frame->buttons) != 0) {
        let_go(sinks, SINKS_LEGACY); /* no motion goes that way, and what it holds is up */
        sinks->raw.buttons = 0;
    }
    give(sinks, frame);
    sinks->frame.buttons = frame->buttons;
    sinks->frame.no_position = true;
}

void sinks_release(Sinks *sinks)
{
    let_go(sinks, SINKS_PVMOUSE);
    if (sinks->current != SINKS_PVMOUSE) {
        let_go(sinks, sinks->current);
    }
    sinks->frame.buttons = 0;
    sinks->raw.buttons = 0;
}
