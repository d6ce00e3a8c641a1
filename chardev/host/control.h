/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.h - the control socket D/NAME/control: who connects is told how things stand, and is hung up on.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "options.h"

#include <jansson.h>

typedef struct Control Control;

/* Makes the status; the caller owns the result. */
typedef json_t *(*ControlStatus)(gpointer user);

Control *control_new(const Options *options, ControlStatus status, gpointer user, GError **error);
/* NULL is fine. */
void control_free(Control *control);

/* The other end: spicevmc --status NAME. Prints JSON, or for people with options->human. Blocks. */
gboolean control_print(const Options *options, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Control, control_free)

#endif
