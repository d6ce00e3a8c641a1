/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * recipe.h - what the others need to be told, made from our own options: QEMU, libvirt, remote-viewer.
 */
#ifndef RECIPE_H
#define RECIPE_H

#include "options.h"

/*
 * QEMU's part of the command line, from 7.2 on: an option and its value on each line, quoted as for a shell. Display
 * devices are in it for those displays that name one, and tablets where there is a monitor to move them by.
 */
char *recipe_qemu_args(const Options *options);

/*
 * A domain for libvirt that is complete but for a disk. A monitor of our own and its tablet are in it with qmp; the
 * display that a tablet belongs to cannot be said in it.
 */
char *recipe_libvirt_xml(const Options *options);

/* A connection file for remote-viewer, without the ticket. Fails if the certificate authority cannot be read. */
char *recipe_vv(const Options *options, GError **error);

#endif
