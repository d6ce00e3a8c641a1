/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "freeze.h"

#include "commands.h"
#include "helper.h"
#include "log.h"
#include "services.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

#define FREEZE "guest-fsfreeze-freeze"
#define FREEZE_LIST "guest-fsfreeze-freeze-list"
#define THAW "guest-fsfreeze-thaw"
#define TRIM "guest-fstrim"

struct Freeze {
    Dispatch *dispatch;
    Packages *packages;
    gboolean frozen;
    char *path;         /* of the file that is there while frozen; it has the boot's id */
    Call *call;         /* under way */
    const json_t *list; /* of directories, its argument; NULL: all */
    gint64 count;       /* of file systems, its result */
    char *error;        /* of a freeze that is being undone */
    LogPeer log;
};

/* NULL if it cannot be read; then no state outlives the daemon. */
static char *read_boot_id(void)
{
    char *id = NULL;

    g_file_get_contents(BOOT_ID_PATH, &id, NULL, NULL);
    return id;
}

Freeze *freeze_new(const char *state_dir)
{
    Freeze *freeze = g_new0(Freeze, 1);
    g_autofree char *id = read_boot_id();
    g_autofree char *kept = NULL;

    freeze->path = g_build_filename(state_dir, "frozen", NULL);
    freeze->log.name = "host";
    if (id && g_file_get_contents(freeze->path, &kept, NULL, NULL))
        freeze->frozen = g_str_equal(id, kept);
    log_pause(freeze->frozen);
    return freeze;
}

void freeze_free(Freeze *freeze)
{
    if (!freeze)
        return;
    g_free(freeze->error);
    g_free(freeze->path);
    g_free(freeze);
}

/* ---- state ---- */

static void set_frozen(Freeze *freeze, gboolean frozen)
{
    freeze->frozen = frozen;
    dispatch_set_frozen(freeze->dispatch, frozen);
    log_pause(frozen);
    packages_set_frozen(freeze->packages, frozen); /* who goes on then may have something to log */
}

void freeze_attach(Freeze *freeze, Dispatch *dispatch, Packages *packages)
{
    freeze->dispatch = dispatch;
    freeze->packages = packages;
    set_frozen(freeze, freeze->frozen);
}

/* Before the first file system is frozen. */
static void enter(Freeze *freeze)
{
    g_autofree char *id = read_boot_id();
    g_autoptr(GError) error = NULL;

    if (!id || !g_file_set_contents(freeze->path, id, -1, &error))
        g_warning("a daemon that is started anew will not know of the freeze: %s",
                  error ? error->message : BOOT_ID_PATH " cannot be read");
    set_frozen(freeze, TRUE);
}

/* After the last one was thawed. */
static void leave(Freeze *freeze)
{
    set_frozen(freeze, FALSE);
    if (unlink(freeze->path) < 0 && errno != ENOENT)
        g_warning("%s: %s", freeze->path, g_strerror(errno));
}

/* ---- freeze and thaw ---- */

/* With the directories of `list` behind the verb, if it is not NULL. */
static void ask(Freeze *freeze, const char *path, const char *verb, const json_t *list, HelperAnswer answer)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    size_t i;
    const json_t *value;

    g_ptr_array_add(words, (gpointer)verb);
    json_array_foreach(list, i, value)
        g_ptr_array_add(words, (gpointer)json_string_value(value));
    g_ptr_array_add(words, NULL);
    helper_ask(call_services(freeze->call)->helper, path, (const char *const *)words->pdata, answer, freeze);
}

/* With the error that is kept, or else this one, or with what was counted. */
static void finish(Freeze *freeze, const GError *error)
{
    g_autofree char *kept = g_steal_pointer(&freeze->error);
    Call *call = g_steal_pointer(&freeze->call);

    freeze->list = NULL;
    if (kept || error)
        call_fail(call, "%s", kept ? kept : error->message);
    else
        call_return(call, json_integer(freeze->count));
}

/* The agent ends, and asks for nothing any more. */
static gboolean is_end(const GError *error)
{
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static gint64 count_of(const char *const *words)
{
    return words[0] ? g_ascii_strtoll(words[0], NULL, 10) : 0;
}

static void on_thaw_hook(G_GNUC_UNUSED const char *const *words, const GError *error, gpointer user)
{
    finish(user, error);
}

static void after_thaw(Freeze *freeze)
{
    leave(freeze);
    ask(freeze, HELPER_HOOK, THAW, NULL, on_thaw_hook);
}

static void on_thawed(const char *const *words, const GError *error, gpointer user)
{
    Freeze *freeze = user;

    if (!words) {
        finish(freeze, error); /* still frozen, for all we know */
        return;
    }
    freeze->count = count_of(words);
    after_thaw(freeze);
}

static void on_frozen(const char *const *words, const GError *error, gpointer user)
{
    Freeze *freeze = user;

    if (words) {
        freeze->count = count_of(words);
        if (freeze->count == 0)
            leave(freeze); /* as QEMU's agent, without the hook: the thaw that belongs to it has yet to come */
        finish(freeze, NULL);
        return;
    }
    if (is_end(error)) {
        finish(freeze, error); /* the helper thaws when it sees that nobody waits; it may have been done before that */
        return;
    }
    freeze->error = g_strdup(error->message);
    /* Whoever was not reached has frozen nothing; the others may have frozen some. */
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_FAILED))
        ask(freeze, HELPER_FREEZER, THAW, NULL, on_thawed);
    else
        after_thaw(freeze);
}

static void on_freeze_hook(const char *const *words, const GError *error, gpointer user)
{
    Freeze *freeze = user;

    if (!words) {
        finish(freeze, error);
        return;
    }
    log_peer(&freeze->log, "freezes file systems");
    enter(freeze);
    ask(freeze, HELPER_FREEZER, freeze->list ? FREEZE_LIST : FREEZE, freeze->list, on_frozen);
}

static Freeze *begin(Call *call)
{
    Freeze *freeze = call_services(call)->freeze;

    freeze->call = call;
    freeze->count = 0;
    return freeze;
}

static void freeze_some(Call *call, const json_t *args)
{
    Freeze *freeze = begin(call);

    freeze->list = json_object_get(args, "mountpoints"); /* as long as the call */
    ask(freeze, HELPER_HOOK, freeze->list ? FREEZE_LIST : FREEZE, NULL, on_freeze_hook);
}

static void thaw(Call *call, G_GNUC_UNUSED const json_t *args)
{
    ask(begin(call), HELPER_FREEZER, THAW, NULL, on_thawed);
}

static void status(Call *call, G_GNUC_UNUSED const json_t *args)
{
    call_return(call, json_string(call_services(call)->freeze->frozen ? "frozen" : "thawed"));
}

/* ---- trim ---- */

/* Four words for each path, see helperverbs.h. */
static json_t *trimmed(const char *const *words)
{
    json_t *paths = json_array();

    for (; words[0] && words[1] && words[2] && words[3]; words += 4) {
        g_autofree char *path = g_utf8_make_valid(words[0], -1);
        json_t *result = json_pack("{s:s}", "path", path);

        if (words[1][0] != '\0') {
            json_object_set_new(result, "error", json_string(words[1]));
        } else {
            json_object_set_new(result, "trimmed", json_integer(g_ascii_strtoll(words[2], NULL, 10)));
            json_object_set_new(result, "minimum", json_integer(g_ascii_strtoll(words[3], NULL, 10)));
        }
        json_array_insert_new(paths, 0, result);
    }
    return json_pack("{s:o}", "paths", paths);
}

static void on_trimmed(const char *const *words, const GError *error, gpointer user)
{
    Freeze *freeze = user;
    Call *call = g_steal_pointer(&freeze->call);

    if (words)
        call_return(call, trimmed(words));
    else
        call_fail(call, "%s", error->message);
}

static void trim(Call *call, const json_t *args)
{
    Freeze *freeze = begin(call);
    g_autofree char *minimum = g_strdup_printf("%" G_GINT64_FORMAT, args_int(args, "minimum", 0));
    const char *const words[] = { TRIM, minimum, NULL };

    helper_ask(call_services(call)->helper, HELPER_FREEZER, words, on_trimmed, freeze);
}

static const Arg list_args[] = {
    { .name = "mountpoints", .type = ARG_STRINGS, .optional = TRUE },
    { .name = NULL },
};
static const Arg trim_args[] = { { .name = "minimum", .type = ARG_INT, .optional = TRUE }, { .name = NULL } };

const Command freeze_commands[] = {
    { "guest-fsfreeze-status", COMMAND_FREEZE, COMMAND_WHEN_FROZEN, NULL, status },
    { FREEZE, COMMAND_FREEZE, 0, NULL, freeze_some },
    { FREEZE_LIST, COMMAND_FREEZE, 0, list_args, freeze_some },
    { THAW, COMMAND_FREEZE, COMMAND_WHEN_FROZEN, NULL, thaw },
    { TRIM, COMMAND_FREEZE, 0, trim_args, trim },
    { .name = NULL },
};
