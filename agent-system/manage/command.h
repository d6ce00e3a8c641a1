/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * command.h - what a command of the guest agent is: a row of a table.
 *
 * A file with commands has a table of them, which ends with a row without name and stands in commands.c. A command's
 * function is called when its arguments are what the row says, and answers, at once or later from the main loop, with
 * exactly one of the calls below; the next command waits for that.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "args.h"

/* What policy.h allows or blocks as a whole. */
typedef enum CommandGroup {
    COMMAND_BASIC, /* the protocol itself */
    COMMAND_INFORMATION,
    COMMAND_TIME,
    COMMAND_POWER,
    COMMAND_FREEZE,
    COMMAND_HARDWARE, /* processors and memory on and off */
    COMMAND_FILES,
    COMMAND_EXEC,
    COMMAND_PASSWORD,
    COMMAND_SSH_KEYS,
    COMMAND_PACKAGES,
    COMMAND_SESSIONS,
    COMMAND_SERVICES, /* those that manage.conf names */
    COMMAND_HOST_NAME,
    COMMAND_GROUPS
} CommandGroup;

/* Also while file systems are frozen: it writes nothing. */
#define COMMAND_WHEN_FROZEN 1u
/* Success is not answered. */
#define COMMAND_SILENT 2u
/* The answer begins with the byte 0xFF. */
#define COMMAND_DELIMITED 4u

/* A command under way; it lives until it is answered. */
typedef struct Call Call;

typedef struct Command {
    const char *name;
    CommandGroup group;
    guint flags;
    const Arg *args; /* NULL: none */
    /* Borrows `args`, with all members that are not optional. */
    void (*run)(Call *call, const json_t *args);
} Command;

/* Success. Takes over `value`, NULL where the schema has no result. */
void call_return(Call *call, json_t *value);

/* Failure, of class GenericError with this text. */
void call_fail(Call *call, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The same, with ": " and the text of errno's value behind it. */
void call_fail_errno(Call *call, int error_number, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The name of its command, static. */
const char *call_name(const Call *call);

/* What commands share. */
typedef struct Services Services;
const Services *call_services(const Call *call);

#endif
