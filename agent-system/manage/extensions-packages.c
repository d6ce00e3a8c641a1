/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Software, by PackageKit: a command begins a job (packages.h), and another one tells how far it is. */
#include "commands.h"
#include "extensions.h"
#include "packages.h"
#include "services.h"

#include <string.h>

/* ---- a job's beginning ---- */

/* What is wanted, until there is a transaction for it. */
typedef struct Beginning {
    PackagesWish wish;
    json_t *names;
    char *path;
} Beginning;

static void beginning_free(gpointer data)
{
    Beginning *beginning = data;

    json_decref(beginning->names);
    g_free(beginning->path);
    g_free(beginning);
}

static void on_owner(Call *call, GVariant *reply)
{
    const Beginning *beginning = extensions_data(call);
    const char *owner;
    gint64 number;

    g_variant_get(reply, "(&s)", &owner);
    number = packages_start(call_services(call)->packages, &beginning->wish, owner, beginning->path);
    extensions_return(call, json_pack("{s:I}", "job", (json_int_t)number));
}

/* Who it is that has the name: signals of others are not PackageKit's. */
static void on_created(Call *call, GVariant *reply)
{
    static const Remote get_owner = { PACKAGES_TITLE, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                      "org.freedesktop.DBus", "GetNameOwner" };
    Beginning *beginning = extensions_data(call);

    g_variant_get(reply, "(o)", &beginning->path);
    extensions_ask(call, &get_owner, g_variant_new("(s)", PACKAGES_NAME), "(s)", on_owner);
}

/* Names, not ids, which could mean another version than the administrator's repositories have now. */
static gboolean are_names(const json_t *names)
{
    size_t i;
    const json_t *name;

    json_array_foreach(names, i, name)
        if (json_string_length(name) == 0 || strchr(json_string_value(name), ';'))
            return FALSE;
    return TRUE;
}

static void begin(Call *call, const json_t *args, PackagesKind kind)
{
    static const Remote create = { PACKAGES_TITLE, PACKAGES_NAME, PACKAGES_PATH, PACKAGES_NAME, "CreateTransaction" };
    json_t *names = json_object_get(args, "names");
    Beginning *beginning;

    if (!packages_have_room(call_services(call)->packages)) {
        extensions_fail(call, "%d jobs are under way already", PACKAGES_JOBS_MAX);
        return;
    }
    if (!are_names(names) || (json_array_size(names) == 0 && (kind == PACKAGES_INSTALL || kind == PACKAGES_REMOVE))) {
        extensions_fail(call, "Parameter 'names' must have names of packages");
        return;
    }
    beginning = g_new0(Beginning, 1);
    beginning->names = json_deep_copy(names);
    beginning->wish = (PackagesWish){ kind, call_name(call), beginning->names, extensions_is_dry_run(args),
                                      json_is_true(json_object_get(args, "force")) ||
                                          json_is_true(json_object_get(args, "autoremove")) };
    extensions_set_data(call, beginning, beginning_free);
    /* Only this one has no simulation. */
    if (kind == PACKAGES_REFRESH)
        extensions_do(call, &create, NULL, "(o)", on_created);
    else
        extensions_ask(call, &create, NULL, "(o)", on_created);
}

static void begin_change(Call *call, const json_t *args, PackagesKind kind)
{
    if (extensions_change(call, args))
        begin(call, args, kind);
}

static void refresh(Call *call, const json_t *args)
{
    begin_change(call, args, PACKAGES_REFRESH);
}

static void list_updates(Call *call, const json_t *args)
{
    extensions_query(call);
    begin(call, args, PACKAGES_LIST);
}

static void install(Call *call, const json_t *args)
{
    begin_change(call, args, PACKAGES_INSTALL);
}

static void remove_packages(Call *call, const json_t *args)
{
    begin_change(call, args, PACKAGES_REMOVE);
}

static void update(Call *call, const json_t *args)
{
    begin_change(call, args, PACKAGES_UPDATE);
}

static void update_offline(Call *call, const json_t *args)
{
    begin_change(call, args, PACKAGES_OFFLINE);
}

/* ---- a job under way ---- */

/* The job that is meant, or NULL: the command was answered. */
static PackagesJob *named(Call *call, const json_t *args)
{
    gint64 number = args_int(args, "job", 0);
    PackagesJob *job = packages_find(call_services(call)->packages, number);

    if (!job)
        extensions_fail(call, "there is no job %" G_GINT64_FORMAT, number);
    return job;
}

static const char *status_word(guint32 status)
{
    static const char *const words[] = {
        "unknown", "wait", "setup", "running", "query", "info", "remove", "refresh-cache", "download", "install",
        "update", "cleanup", "obsolete", "dep-resolve", "sig-check", "test-commit", "commit", "request", "finished",
        "cancel", "download-repository", "download-packagelist", "download-filelist", "download-changelog",
        "download-group", "download-updateinfo", "repackaging", "loading-cache", "scan-applications",
        "generate-package-list", "waiting-for-lock", "waiting-for-auth", "scan-process-list", "check-executable-files",
        "check-libraries", "copy-files", "run-hook",
    };

    return words[status < G_N_ELEMENTS(words) ? status : 0];
}

/* `reply` NULL: the transaction has ended meanwhile. */
static void on_progress(Call *call, GVariant *reply)
{
    const PackagesJob *job = extensions_data(call);
    json_t *value = packages_job_describe(job);
    g_autoptr(GVariant) properties = reply && packages_job_is_running(job) ? g_variant_get_child_value(reply, 0) : NULL;
    guint32 number;

    if (properties && g_variant_lookup(properties, "Status", "u", &number))
        json_object_set_new(value, "status", json_string(status_word(number)));
    if (properties && g_variant_lookup(properties, "Percentage", "u", &number) && number <= 100)
        json_object_set_new(value, "percentage", json_integer(number));
    extensions_return(call, value);
}

static void status(Call *call, const json_t *args)
{
    PackagesJob *job;

    extensions_query(call);
    job = named(call, args);
    if (!job)
        return;
    extensions_set_data(call, job, NULL);
    if (packages_job_transaction(job)) {
        const Remote get = { PACKAGES_TITLE, packages_job_owner(job), packages_job_transaction(job),
                             "org.freedesktop.DBus.Properties", "GetAll" };

        extensions_ask_whether(call, &get, g_variant_new("(s)", PACKAGES_TRANSACTION), "(a{sv})", on_progress);
    } else {
        extensions_return(call, packages_job_describe(job));
    }
}

static void on_cancelled(Call *call, G_GNUC_UNUSED GVariant *reply)
{
    packages_job_stop(extensions_data(call));
    extensions_return(call, json_object());
}

static void cancel(Call *call, const json_t *args)
{
    PackagesJob *job;

    if (!extensions_change(call, args))
        return;
    job = named(call, args);
    if (!job)
        return;
    if (packages_job_transaction(job)) {
        const Remote remote = { PACKAGES_TITLE, packages_job_owner(job), packages_job_transaction(job),
                                PACKAGES_TRANSACTION, "Cancel" };

        extensions_set_data(call, job, NULL);
        extensions_do(call, &remote, NULL, NULL, on_cancelled);
    } else {
        extensions_fail(call, packages_job_is_running(job) ? "the job cannot be cancelled right now"
                                                           : "the job has ended");
    }
}

static const Arg refresh_args[] = { { .name = "force", .type = ARG_BOOL, .optional = TRUE }, EXTENSIONS_CHANGE_ARGS };
static const Arg install_args[] = { { .name = "names", .type = ARG_STRINGS }, EXTENSIONS_CHANGE_ARGS };
static const Arg remove_args[] = {
    { .name = "names", .type = ARG_STRINGS },
    { .name = "autoremove", .type = ARG_BOOL, .optional = TRUE },
    EXTENSIONS_CHANGE_ARGS,
};
static const Arg update_args[] = {
    { .name = "names", .type = ARG_STRINGS, .optional = TRUE },
    EXTENSIONS_CHANGE_ARGS,
};
static const Arg status_args[] = { { .name = "job", .type = ARG_INT }, { .name = NULL } };
static const Arg cancel_args[] = { { .name = "job", .type = ARG_INT }, EXTENSIONS_CHANGE_ARGS };

const Command extensions_packages_commands[] = {
    { EXTENSIONS_PREFIX "refresh-packages", COMMAND_PACKAGES, 0, refresh_args, refresh },
    { EXTENSIONS_PREFIX "list-updates", COMMAND_PACKAGES, 0, NULL, list_updates },
    { EXTENSIONS_PREFIX "install-packages", COMMAND_PACKAGES, 0, install_args, install },
    { EXTENSIONS_PREFIX "remove-packages", COMMAND_PACKAGES, 0, remove_args, remove_packages },
    { EXTENSIONS_PREFIX "update-packages", COMMAND_PACKAGES, 0, update_args, update },
    { EXTENSIONS_PREFIX "update-offline", COMMAND_PACKAGES, 0, update_args, update_offline },
    { EXTENSIONS_PREFIX "get-package-job", COMMAND_PACKAGES, 0, status_args, status },
    { EXTENSIONS_PREFIX "cancel-package-job", COMMAND_PACKAGES, 0, cancel_args, cancel },
    { .name = NULL },
};
