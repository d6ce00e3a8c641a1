/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify.h - desktop notifications of transfers (org.freedesktop.Notifications), silent where there is no such service.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <gio/gio.h>

typedef struct Notify Notify;

/* `bus` is the session bus; NULL makes every call do nothing. */
Notify *notify_new(GDBusConnection *bus);
void notify_free(Notify *notify);

/* Would an update of this key be shown now? Asked before its text is made. */
gboolean notify_due(const Notify *notify, guint key);

/*
 * Show or update one notification, chosen by the caller's `key` (not 0). `progress` is 0..100, or -1 for none; updates
 * are limited to one each second per key, the last one of a key (final) is always shown. `open_path`, if not NULL, adds
 * an action that shows this file in the file manager.
 */
void notify_show(Notify *notify, guint key, const char *summary, const char *body, int progress, gboolean final,
                 const char *open_path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Notify, notify_free)

#endif
