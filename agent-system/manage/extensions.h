/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * extensions.h - commands beyond QEMU's agent, EXTENSIONS_PREFIX and a name: what those have in common that services of
 * the system carry out. They are in extensions-*.c, and described in docs/management.md.
 *
 * A command begins with extensions_query() or, if it changes something, extensions_change(), asks services one after
 * the other, and ends with extensions_return() or extensions_fail(); a service that fails ends it too. One that changes
 * something takes the arguments "dry-run" and "idempotency-key", is recorded (audit.h) and is done once for each key
 * (idempotency.h).
 */
#ifndef EXTENSIONS_H
#define EXTENSIONS_H

#include "command.h"
#include "remote.h"

#define EXTENSIONS_PREFIX "__org.spice-space_"

/* Of each text and of each list in the arguments of a change. */
#define EXTENSIONS_TEXT_MAX 1024
#define EXTENSIONS_LIST_MAX 256

/* What every change takes besides its own arguments. */
#define EXTENSIONS_CHANGE_ARGS                                                 \
    { .name = "dry-run", .type = ARG_BOOL, .optional = TRUE },                 \
    { .name = "idempotency-key", .type = ARG_STRING, .optional = TRUE },       \
    { .name = NULL }

/* The arguments of a change that has none of its own. */
extern const Arg extensions_change_args[];

typedef struct Extensions Extensions;

/* `restart` are the units that may be looked at and restarted, as in manage.conf. */
Extensions *extensions_new(const char *restart);

/* A command under way is answered, but not one that waits for the helper: see helper_free(). NULL is fine. */
void extensions_free(Extensions *extensions);

/* Whether a service is one of those, under its full name. */
gboolean extensions_may_restart(const Extensions *extensions, const char *unit);

/* ---- for commands ---- */

void extensions_query(Call *call);

/* False: it was answered, since something is wrong with the arguments or its key is known. */
gboolean extensions_change(Call *call, const json_t *args);

/* Only what would be done is wanted. */
gboolean extensions_is_dry_run(const json_t *args);

/* `data` is kept until the command has ended. */
void extensions_set_data(Call *call, gpointer data, GDestroyNotify destroy);
gpointer extensions_data(const Call *call);

/* Ask a service, see remote_call(). The reply is borrowed. */
typedef void (*ExtensionsReady)(Call *call, GVariant *reply);
void extensions_ask(Call *call, const Remote *remote, GVariant *arguments, const char *type, ExtensionsReady ready);

/* The same, but that there is no such object comes as NULL. */
void extensions_ask_whether(Call *call, const Remote *remote, GVariant *arguments, const char *type,
                            ExtensionsReady ready);

/*
 * Have a service do what the command is for. In a dry run the service is only asked whether it is there, and the
 * command ends. `ready` NULL: it ends with an empty object.
 */
void extensions_do(Call *call, const Remote *remote, GVariant *arguments, const char *type, ExtensionsReady ready);

/*
 * The same by the helper, see helper_ask(), as polkit could not be told how little is to be allowed. `remote` is the
 * service that the helper has do it.
 */
void extensions_do_by_helper(Call *call, const Remote *remote, const char *path, const char *const *words);

/* Takes over `value`. */
void extensions_return(Call *call, json_t *value);
void extensions_fail(Call *call, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
