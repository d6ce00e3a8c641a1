/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alarm.h"

struct Alarm {
    GSource base;
    void (*callback)(gpointer user);
    gpointer user;
    gint64 when;
};

static gboolean alarm_dispatch(GSource *base, G_GNUC_UNUSED GSourceFunc callback, G_GNUC_UNUSED gpointer user)
{
    Alarm *alarm = (Alarm *) base;
    g_source_set_ready_time(base, -1);
    alarm->when = G_MAXINT64;
    alarm->callback(alarm->user);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs alarm_funcs = { .dispatch = alarm_dispatch };

Alarm *alarm_new(void (*callback)(gpointer user), gpointer user)
{
    GSource *base = g_source_new(&alarm_funcs, sizeof(Alarm));
    Alarm *alarm = (Alarm *) base;
    alarm->callback = callback;
    alarm->user = user;
    alarm->when = G_MAXINT64;
    g_source_attach(base, NULL);
    return alarm;
}

void alarm_free(Alarm *alarm)
{
    if (alarm == NULL)
        return;
    g_source_destroy(&alarm->base);
    g_source_unref(&alarm->base);
}

void alarm_set(Alarm *alarm, gint64 when)
{
    if (when >= alarm->when)
        return;
    alarm->when = when;
    g_source_set_ready_time(&alarm->base, MAX(when, 0));
}
