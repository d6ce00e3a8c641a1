/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * diskaddress.h - where a disk is plugged in, as the host has named it, from the path that sysfs has for it.
 */
#ifndef DISKADDRESS_H
#define DISKADDRESS_H

#include <glib.h>
#include <jansson.h>

/*
 * A GuestDiskAddress without serial and device for the resolved sysfs path of a block device; what is not known is
 * "unknown" or -1. `*ret_known` is whether anything is.
 */
json_t *diskaddress_new(const char *syspath, gboolean *ret_known);

#endif
