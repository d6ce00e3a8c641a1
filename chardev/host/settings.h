/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings.h - what can be said about a machine, one by one: as "--NAME VALUE", as "NAME=VALUE" in the group [vm] of a
 * file, and, for the group [policy], as "--policy NAME=VALUE".
 *
 * Each setting takes its value into Options after having checked it. An error is about the value; whoever has read it
 * puts before it where it stands.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "options.h"

typedef struct Setting {
    const char *group, *name;
    gboolean (*set)(Options *options, const char *value, GError **error);
    void (*clear)(Options *options); /* of a list, before the first of its values; else NULL */
} Setting;

/* All of them; the last has group NULL. */
extern const Setting settings[];

/* NULL: there is none. */
const Setting *settings_find(const char *group, const char *name);

void settings_clear_displays(Options *options);
void settings_clear_channels(Options *options);

/* Is it absolute, short enough for a socket, and without what would end it in an option of QEMU? */
gboolean settings_check_socket_path(const char *path, GError **error);

/* An error with code OPTIONS_EXIT_CONFIG. Always false, so that a caller can return it. */
__attribute__((format(printf, 2, 3))) gboolean settings_wrong(GError **error, const char *format, ...);

#endif
