/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helperverbs.h - what spice-agent-helper does: for each command that needs it, what spice-agent-manage may not do
 * itself.
 *
 * The texts of errors are those of QEMU's agent, which clients see.
 */
#ifndef HELPERVERBS_H
#define HELPERVERBS_H

#include "command.h"

#include <gio/gunixfdlist.h>

/*
 * Do it. `words` are the arguments, at least as many as the verb's row says, and end with NULL; they are what a hostile
 * daemon sends. Words of the answer are added to `reply`, which frees them. Returns NULL, or why it has not worked, to
 * be freed. May give up rights for good: nothing comes after it.
 */
typedef char *HelperVerbRun(const char *const *words, GPtrArray *reply);

/* The same for one with descriptors: those that came with the question, and one that goes with the answer, -1: none. */
typedef char *HelperVerbPass(const char *const *words, GUnixFDList *given, int *ret_fd);

typedef struct HelperVerb {
    const char *name; /* of the command */
    CommandGroup group;
    guint words;
    HelperVerbRun *run;
    HelperVerbPass *pass; /* instead */
    gboolean stays;       /* until the daemon hangs up, whom that what it holds is for */
} HelperVerb;

/* Each ends with a row without name. */
extern const HelperVerb helperverbs_machine[], helperverbs_accounts[], helperverbs_freezer[], helperverbs_hook[],
    helperverbs_files[], helperverbs_exec[];

/* [TIME in nanoseconds]: set the system's clock to it and the hardware's to that; without, the system's by that one. */
HelperVerbRun clock_set;

/* NUMBER=0|1…: the answer is how many were done before an error, which is one only for the first. */
HelperVerbRun hotplug_processors;
/* NUMBER=0|1…: the answer is for each its number, the schema's word and a number of errno or 0. */
HelperVerbRun hotplug_memory;

/* MODE */
HelperVerbRun power_shutdown;
HelperVerbRun power_suspend_disk;
HelperVerbRun power_suspend_ram;
HelperVerbRun power_suspend_hybrid;

/* NAME of the unit, which manage.conf must have among those that may be restarted. */
HelperVerbRun services_restart;

/* The answer is how many. */
HelperVerbRun filesystems_freeze;
/* [DIRECTORY…]: those that are mounted there; the same. */
HelperVerbRun filesystems_freeze_list;
/* The answer is how many, whoever has frozen them. */
HelperVerbRun filesystems_thaw;
/* MINIMUM: the answer is for each mount where it is, why it was not trimmed or nothing, bytes trimmed, and MINIMUM. */
HelperVerbRun filesystems_trim;

/* Nothing is done where there is no such program. A daemon that has given up has it undone. */
HelperVerbRun hook_freeze;
HelperVerbRun hook_thaw;

/* PATH MODE, as openfiles.h has them: the file goes with the answer. */
HelperVerbPass files_open;

/*
 * UNIT ARGUMENTS: they are what systemd's StartTransientUnit takes, as text; descriptors are those that came. The unit is kept for
 * as long as this process stays, so that it can be asked how it has ended.
 */
HelperVerbPass programs_start;

/* USER plain|crypted PASSWORD */
HelperVerbRun password_set;

/* USER: the answer is the keys. */
HelperVerbRun sshkeys_get;
/* USER add|reset [KEY…] */
HelperVerbRun sshkeys_add;
/* USER [KEY…] */
HelperVerbRun sshkeys_remove;

#endif
