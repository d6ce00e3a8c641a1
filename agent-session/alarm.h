/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alarm.h - one callback at a time of g_get_monotonic_time(). Not set, it wakes nobody.
 *
 * It may come early, when the time was moved back meanwhile: the callback looks at the clock and sets the alarm anew.
 * So moving it back for each piece of a transfer costs nothing.
 */
#ifndef ALARM_H
#define ALARM_H

#include <glib.h>

typedef struct Alarm Alarm;

Alarm *alarm_new(void (*callback)(gpointer user), gpointer user);
void alarm_free(Alarm *alarm);

/* Call back by `when`, at once if that has passed; G_MAXINT64 for never. */
void alarm_set(Alarm *alarm, gint64 when);

#endif
