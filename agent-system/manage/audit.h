/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * audit.h - a record in the journal of each thing that the host has had changed, or has tried to.
 *
 * It is a line of the log, and in the journal has these fields: SPICE_PV_COMMAND, SPICE_PV_ARGUMENTS (JSON) and
 * SPICE_PV_RESULT, each of AUDIT_FIELD_MAX bytes at most.
 */
#ifndef AUDIT_H
#define AUDIT_H

#define AUDIT_FIELD_MAX 1024

/* Nothing of it may be secret. `result` is "done", or what it was instead. */
void audit_record(const char *command, const char *arguments, const char *result);

#endif
