/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json.h - a D-Bus value as JSON.
 */
#ifndef JSON_H
#define JSON_H

#include <glib.h>

/*
 * Append `value`: dictionaries (keys must be text) become objects, arrays and structures arrays, variants what they
 * hold; NULL is null. Text is UTF-8, as D-Bus guarantees.
 */
void json_append(GString *out, GVariant *value);

#endif
