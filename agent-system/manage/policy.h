/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy.h - which commands the administrator lets the host use (pure).
 *
 * Lists name commands, groups of them, or "all", with commas or spaces in between. What is blocked is off, then what is
 * allowed is on, and the rest is as its group is by default: information, time, power, freeze, hardware and services on
 * (of services, those that manage.conf names); files, exec, password, ssh-keys, packages, sessions and host-name off.
 */
#ifndef POLICY_H
#define POLICY_H

#include "command.h"

typedef struct Policy Policy;

Policy *policy_new(void);
void policy_free(Policy *policy);

/* Add to what is allowed or blocked. NULL is an empty list. */
void policy_allow(Policy *policy, const char *list);
void policy_block(Policy *policy, const char *list);

/* NULL if the command may be used, else why not, to be put behind a colon; static. */
const char *policy_refusal(const Policy *policy, const Command *command);

/* The next word of the lists that names no group and none of the commands; NULL at the end. `*position` begins as 0. */
const char *policy_unknown(const Policy *policy, const Command *const *tables, guint *position);

/* The lists as one, to be freed. */
char *policy_allowed(const Policy *policy);
char *policy_blocked(const Policy *policy);

/* As in the lists; static. */
const char *policy_group_name(CommandGroup group);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Policy, policy_free)

#endif
