/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* asker.h - the daemon whose question is answered on stdout. */
#ifndef ASKER_H
#define ASKER_H

#include <glib.h>

/* Has it ended, or given up waiting? */
gboolean asker_has_left(void);

/* An error's text for that, which only the log will have. */
#define ASKER_HAS_LEFT "nobody waits for the answer"

#endif
