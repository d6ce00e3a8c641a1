/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * audit.h - a record in the journal of each change that the host has had made by an extension, or has tried to.
 *
 * It is a line of the log, and in the journal has these fields: SPICE_PV_COMMAND, SPICE_PV_ARGUMENTS (JSON) and
 * SPICE_PV_RESULT, each of AUDIT_FIELD_MAX bytes at most and without control characters.
 *
 * The host can have requests fail as fast as it likes, and with their records push others out of the journal. So those
 * of failures are rate-limited as in log.h, and the next one says how many were left out.
 */
#ifndef AUDIT_H
#define AUDIT_H

#define AUDIT_FIELD_MAX 1024

/* Nothing of it may be secret. `error` NULL: it is done. */
void audit_record(const char *command, const char *arguments, const char *error);

#endif
