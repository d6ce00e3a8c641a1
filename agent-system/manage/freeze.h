/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freeze.h - the guest's file systems at rest while the host copies its disks; asked of the helper, which may do that.
 *
 * While they are frozen nothing may be written to them by us, since that would not come back: only safe commands are
 * answered, and nothing is logged. That they are is remembered in the state directory, as nobody but a daemon that was
 * started anew can thaw them then. It is forgotten when the machine is started anew: what is on a copied disk is the
 * state of a machine that was frozen.
 */
#ifndef FREEZE_H
#define FREEZE_H

#include "dispatch.h"
#include "packages.h"

typedef struct Freeze Freeze;

/* Takes up the state that a former daemon has left; before anything is logged. `state_dir` needs not be there. */
Freeze *freeze_new(const char *state_dir);

/* A command under way is one of the helper's, see helper.h. NULL is fine. */
void freeze_free(Freeze *freeze);

/* Before the first command. Borrows both, which are told of a freeze. */
void freeze_attach(Freeze *freeze, Dispatch *dispatch, Packages *packages);

#endif
