/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * power.h - shutdown and sleep, by login1, which tells programs first; where that does not do it, as without polkit, by
 * spice-agent-helper.
 */
#ifndef POWER_H
#define POWER_H

typedef struct Power Power;

Power *power_new(void);

/* A command under way is answered. NULL is fine. */
void power_free(Power *power);

#endif
