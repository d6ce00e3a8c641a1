/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xwayland.h - the X server that runs under a compositor, if one does.
 *
 * Compositors listen at its socket themselves and start it for the first who connects. So it is looked for among the
 * compositor's children (proc(5)), which starts nothing.
 */
#ifndef XWAYLAND_H
#define XWAYLAND_H

#include <glib.h>

/* Where it is, to be freed, or FALSE: no such process. `ret_authority` may become NULL: it needs none. */
gboolean xwayland_find(int compositor, char **ret_display, char **ret_authority);

#endif
