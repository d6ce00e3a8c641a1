/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "displays-backend.h"

#include <string.h>

int displays_output_compare(const char *a, const char *b)
{
    return strverscmp(a, b);
}

void displays_output_name(const char *name, char ret_name[LIMIT_CONNECTOR_NAME])
{
    gsize i = 0;
    for (; name[i] != '\0' && i < LIMIT_CONNECTOR_NAME - 1; i++)
        ret_name[i] = g_ascii_isgraph(name[i]) ? name[i] : '?';
    ret_name[i] = '\0';
}

gboolean displays_output_sideways(guint transform)
{
    return transform % 2 == 1;
}

gboolean displays_same_outputs(const DisplaysState *a, const DisplaysState *b)
{
    gboolean same = a->count == b->count;
    for (gsize i = 0; same && i < a->count; i++)
        same = strcmp(a->output[i].name, b->output[i].name) == 0;
    return same;
}
