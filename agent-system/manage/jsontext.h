/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * jsontext.h - JSON as one line of ASCII, as QEMU's agent writes it. Megabytes of base 64 are copied at the speed of
 * memory, for which jansson looks at each character more than once.
 */
#ifndef JSONTEXT_H
#define JSONTEXT_H

#include <glib.h>
#include <jansson.h>

/* `value` is not NULL. Recurses as deeply as it is nested. */
void jsontext_append(GByteArray *out, const json_t *value);

#endif
