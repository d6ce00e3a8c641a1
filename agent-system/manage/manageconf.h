/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manageconf.h - manage.conf, which the daemon reads and, before it does what is asked of it, its helper. */
#ifndef MANAGECONF_H
#define MANAGECONF_H

#include "config.h"
#include "policy.h"

/* `path` is a file, with drop-ins beside it, or the directory of manage.conf; NULL is the default one. */
Config *manageconf_load(const char *path, GError **error);

/* What the settings allow and block. */
Policy *manageconf_policy(const Config *config);

/* Whether a service, under its full name, is one of those that the setting `restart` names. */
gboolean manageconf_may_restart(const char *restart, const char *unit);

#endif
