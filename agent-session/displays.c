/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "displays.h"

#include "displays-x11.h"

struct Displays {
    DisplaysPolicy policy;
    DisplaysPeer peer;
    gpointer user;
    DisplaysX11 *x11;
};

Displays *displays_new(const DisplaysPolicy *policy, const DisplaysPeer *peer, gpointer user)
{
    Displays *displays = g_new0(Displays, 1);
    displays->policy = *policy;
    displays->peer = *peer;
    displays->user = user;
    return displays;
}

void displays_free(Displays *displays)
{
    if (displays == NULL)
        return;
    displays_x11_free(displays->x11);
    g_free(displays);
}

gboolean displays_set_x11(Displays *displays, X11 *x11, GError **error)
{
    g_clear_pointer(&displays->x11, displays_x11_free);
    if (x11 == NULL)
        return TRUE;
    displays->x11 = displays_x11_new(x11, &displays->policy, &displays->peer, displays->user, error);
    return displays->x11 != NULL;
}

gboolean displays_apply(Displays *displays, const VdagentMonitors *monitors)
{
    return displays->x11 != NULL && displays_x11_apply(displays->x11, monitors);
}
