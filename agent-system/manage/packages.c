/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "packages.h"

#include "audit.h"

#include <string.h>

/* Bits that PackageKit numbers. */
#define BIT(number) (G_GUINT64_CONSTANT(1) << (number))
#define FILTER_NONE BIT(1)
#define FILTER_INSTALLED BIT(2)
#define FILTER_TO_INSTALL (BIT(3) | BIT(16) | BIT(18)) /* not installed, newest, of the machine's architecture */
#define ONLY_TRUSTED BIT(1)
#define SIMULATE BIT(2)
#define ONLY_DOWNLOAD BIT(3)

#define INFO_BLOCKED 9 /* an update that cannot be installed */
#define EXIT_DONE 1
#define EXIT_CANCELLED 3
#define EXIT_CANCELLED_PRIORITY 9
#define CANCELLED_TEXT "it was cancelled"

/* Of a text from PackageKit that is listed, and of one that it gets back or that is an error, in bytes. */
#define TEXT_MAX 256
#define LONG_TEXT_MAX 1024
/* Of packages that are acted upon: as many as fit in a message. More updates than that are left for the next time. */
#define FOUND_MAX 16384

struct Packages {
    Bus *bus;
    gboolean frozen; /* file systems */
    GQueue jobs;     /* the oldest first */
    gint64 next;
};

typedef enum State { RUNNING, DONE, FAILED, CANCELLED } State;

static const char *const states[] = {
    [RUNNING] = "running", [DONE] = "done", [FAILED] = "failed", [CANCELLED] = "cancelled"
};

typedef void (*Step)(PackagesJob *job);

struct PackagesJob {
    const Packages *keeper;
    gint64 number;
    PackagesKind kind;
    const char *command;
    gboolean simulate, force;
    GPtrArray *names; /* wanted */
    State state;
    gboolean unwanted; /* its cancellation was asked for */
    char *error;       /* PackageKit's, or ours */
    json_t *packages;  /* to be listed */
    gboolean truncated;
    GPtrArray *found;  /* ids, to be acted upon */
    gboolean acting;   /* with what was found */
    Step held;         /* until the thaw; NULL: none */
    char *owner, *path; /* path NULL: no transaction right now */
    GDBusConnection *connection;
    guint watch, signal;       /* 0: none */
    GCancellable *cancellable; /* of what is asked for the transaction */
};

/* ---- life ---- */

Packages *packages_new(Bus *bus)
{
    Packages *packages = g_new0(Packages, 1);

    packages->bus = bus;
    g_queue_init(&packages->jobs);
    /* So that a number of a former process's is not one of this one's. */
    packages->next = g_get_real_time() / 1000;
    return packages;
}

/* The transaction, if any, is over for us. */
static void leave_transaction(PackagesJob *job)
{
    if (job->signal != 0)
        g_dbus_connection_signal_unsubscribe(job->connection, job->signal);
    job->signal = 0;
    g_cancellable_cancel(job->cancellable);
    g_clear_object(&job->cancellable);
    g_clear_pointer(&job->path, g_free);
}

static void leave(PackagesJob *job)
{
    leave_transaction(job);
    g_clear_handle_id(&job->watch, g_bus_unwatch_name);
    g_clear_object(&job->connection);
}

static void job_free(gpointer data)
{
    PackagesJob *job = data;

    leave(job);
    g_ptr_array_unref(job->names);
    g_ptr_array_unref(job->found);
    json_decref(job->packages);
    g_free(job->error);
    g_free(job->owner);
    g_free(job);
}

void packages_free(Packages *packages)
{
    if (!packages)
        return;
    g_queue_clear_full(&packages->jobs, job_free);
    g_free(packages);
}

/* The text's beginning, so that many of them do not fill the memory. */
static char *cut(const char *text, gsize size)
{
    g_autofree char *start = g_strndup(text, size);

    return g_utf8_make_valid(start, -1);
}

static void end(PackagesJob *job, State state)
{
    g_autofree char *arguments = g_strdup_printf("{\"job\":%" G_GINT64_FORMAT ",\"state\":\"%s\"}", job->number,
                                                 states[state]);

    job->state = state;
    job->held = NULL;
    leave(job);
    g_ptr_array_set_size(job->found, 0);
    if (!job->simulate && job->kind != PACKAGES_LIST)
        audit_record(job->command, arguments, state == DONE ? NULL : job->error);
}

/* The reason that PackageKit has given before, if any, tells more. */
static void end_early(PackagesJob *job, State state, const char *error)
{
    if (!job->error)
        job->error = cut(error, LONG_TEXT_MAX);
    end(job, state);
}

static void fail(PackagesJob *job, const char *error)
{
    end_early(job, FAILED, error);
}

/* Whatever a step has PackageKit do, that may write. */
static void take_step(PackagesJob *job, Step step)
{
    if (job->keeper->frozen)
        job->held = step;
    else
        step(job);
}

void packages_set_frozen(Packages *packages, gboolean frozen)
{
    packages->frozen = frozen;
    for (GList *link = packages->jobs.head; link && !frozen; link = link->next) {
        PackagesJob *job = link->data;
        Step step = job->held;

        job->held = NULL;
        if (step)
            step(job);
    }
}

/* ---- packages ---- */

static json_t *short_text(const char *text, gsize size)
{
    g_autofree char *start = cut(text, MIN(size, TEXT_MAX));

    return json_string(start);
}

/* A package's id is its name, version, architecture and origin, with semicolons between. */
static gboolean has_name(const char *id, const char *name)
{
    gsize size = strlen(name);

    return strncmp(id, name, size) == 0 && id[size] == ';';
}

static gboolean is_wanted(const PackagesJob *job, const char *id)
{
    if (job->names->len == 0)
        return TRUE;
    for (guint i = 0; i < job->names->len; i++)
        if (has_name(id, job->names->pdata[i]))
            return TRUE;
    return FALSE;
}

static gboolean is_found(const PackagesJob *job, const char *name)
{
    for (guint i = 0; i < job->found->len; i++)
        if (has_name(job->found->pdata[i], name))
            return TRUE;
    return FALSE;
}

/* What PackageKit says of a package: available, of which importance as an update, to be installed, and so on. */
static const char *info_word(guint32 info)
{
    static const char *const words[] = {
        "unknown",   "installed",   "available",  "low",        "enhancement", "normal",     "bugfix",
        "important", "security",    "blocked",    "downloading", "updating",   "installing", "removing",
        "cleanup",   "obsoleting",  "collection-installed", "collection-available", "finished", "reinstalling",
        "downgrading", "preparing", "decompressing", "untrusted", "trusted", "unavailable", "critical",
    };

    /* Versions that are newer put more than one number into it. */
    info &= 0xffff;
    return words[info < G_N_ELEMENTS(words) ? info : 0];
}

static void list(PackagesJob *job, guint32 info, const char *id, const char *summary)
{
    static const char *const members[] = { "name", "version", "architecture" };
    json_t *package;

    if (json_array_size(job->packages) == PACKAGES_LISTED_MAX) {
        job->truncated = TRUE;
        return;
    }
    package = json_pack("{s:s,s:o}", "info", info_word(info), "summary", short_text(summary, strlen(summary)));
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        gsize size = strcspn(id, ";");

        json_object_set_new(package, members[i], short_text(id, size));
        id += size + (id[size] != '\0');
    }
    json_array_append_new(job->packages, package);
}

static void take_package(PackagesJob *job, GVariant *arguments)
{
    const char *id, *summary;
    guint32 info;

    g_variant_get(arguments, "(u&s&s)", &info, &id, &summary);
    if (job->acting) {
        /* When it is not a simulation these only tell of progress. */
        if (job->simulate)
            list(job, info, id, summary);
        return;
    }
    if (!is_wanted(job, id))
        return;
    list(job, info, id, summary);
    /* Of several that have the name, the first; of an update's there may be several. */
    if ((info & 0xffff) != INFO_BLOCKED && job->found->len < FOUND_MAX && strlen(id) <= LONG_TEXT_MAX) {
        g_autofree char *name = g_strndup(id, strcspn(id, ";"));

        if ((job->kind != PACKAGES_INSTALL && job->kind != PACKAGES_REMOVE) || !is_found(job, name))
            g_ptr_array_add(job->found, g_strdup(id));
    }
}

/* ---- transactions ---- */

static void next(PackagesJob *job);

static void on_finished(PackagesJob *job, guint32 exit)
{
    g_autofree char *text = NULL;

    leave_transaction(job);
    if (exit == EXIT_DONE) {
        take_step(job, next);
    } else if (exit == EXIT_CANCELLED || exit == EXIT_CANCELLED_PRIORITY) {
        end_early(job, CANCELLED, CANCELLED_TEXT);
    } else {
        text = g_strdup_printf(PACKAGES_TITLE " has ended it with status %u", exit);
        fail(job, text);
    }
}

static void on_signal(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                      G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface, const char *signal,
                      GVariant *arguments, gpointer user)
{
    PackagesJob *job = user;

    if (g_str_equal(signal, "Package") && g_variant_is_of_type(arguments, G_VARIANT_TYPE("(uss)"))) {
        take_package(job, arguments);
    } else if (g_str_equal(signal, "ErrorCode") && g_variant_is_of_type(arguments, G_VARIANT_TYPE("(us)"))) {
        const char *details;

        g_variant_get(arguments, "(u&s)", NULL, &details);
        g_free(job->error);

        g_autofree char *start = cut(details, LONG_TEXT_MAX);

        job->error = g_strconcat(PACKAGES_TITLE ": ", start, NULL);
    } else if (g_str_equal(signal, "Finished") && g_variant_is_of_type(arguments, G_VARIANT_TYPE("(uu)"))) {
        guint32 exit;

        g_variant_get(arguments, "(uu)", &exit, NULL);
        on_finished(job, exit);
    } else if (g_str_equal(signal, "Destroy")) {
        fail(job, PACKAGES_TITLE " has given it up");
    }
}

static void on_accepted(G_GNUC_UNUSED GVariant *reply, const char *error, G_GNUC_UNUSED gboolean missing, gpointer user)
{
    if (error)
        fail(user, error);
}

static void call(PackagesJob *job, const char *method, GVariant *arguments, RemoteReady ready)
{
    const Remote remote = { PACKAGES_TITLE, job->owner, job->path, PACKAGES_TRANSACTION, method };

    remote_call(job->keeper->bus, job->cancellable, &remote, arguments, NULL, ready, job);
}

static GVariant *strings(const GPtrArray *texts)
{
    return g_variant_new_strv((const char *const *)texts->pdata, texts->len);
}

/* With what was found. */
static void act(PackagesJob *job)
{
    guint64 flags = ONLY_TRUSTED | (job->simulate ? SIMULATE : 0);

    switch (job->kind) {
    case PACKAGES_INSTALL:
        call(job, "InstallPackages", g_variant_new("(t@as)", flags, strings(job->found)), on_accepted);
        break;
    case PACKAGES_REMOVE:
        /* What needs it is not removed along with it. */
        call(job, "RemovePackages", g_variant_new("(t@asbb)", flags, strings(job->found), FALSE, job->force),
             on_accepted);
        break;
    case PACKAGES_OFFLINE:
        flags |= job->simulate ? 0 : ONLY_DOWNLOAD;
        call(job, "UpdatePackages", g_variant_new("(t@as)", flags, strings(job->found)), on_accepted);
        break;
    case PACKAGES_UPDATE:
        call(job, "UpdatePackages", g_variant_new("(t@as)", flags, strings(job->found)), on_accepted);
        break;
    case PACKAGES_REFRESH:
    case PACKAGES_LIST:
        g_assert_not_reached();
    }
}

static void find(PackagesJob *job)
{
    switch (job->kind) {
    case PACKAGES_REFRESH:
        call(job, "RefreshCache", g_variant_new("(b)", job->force), on_accepted);
        break;
    case PACKAGES_INSTALL:
        call(job, "Resolve", g_variant_new("(t@as)", FILTER_TO_INSTALL, strings(job->names)), on_accepted);
        break;
    case PACKAGES_REMOVE:
        call(job, "Resolve", g_variant_new("(t@as)", FILTER_INSTALLED, strings(job->names)), on_accepted);
        break;
    case PACKAGES_LIST:
    case PACKAGES_UPDATE:
    case PACKAGES_OFFLINE:
        call(job, "GetUpdates", g_variant_new("(t)", FILTER_NONE), on_accepted);
        break;
    }
}

static void on_hints(G_GNUC_UNUSED GVariant *reply, const char *error, G_GNUC_UNUSED gboolean missing, gpointer user)
{
    PackagesJob *job = user;

    if (error)
        fail(job, error);
    else
        take_step(job, job->acting ? act : find);
}

/* In transaction `path`. */
static void run(PackagesJob *job, const char *path)
{
    static const char *const hints[] = { "locale=C", "interactive=false", NULL };

    job->path = g_strdup(path);
    job->cancellable = g_cancellable_new();
    job->signal = g_dbus_connection_signal_subscribe(job->connection, job->owner, PACKAGES_TRANSACTION, NULL, path,
                                                     NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, job, NULL);
    call(job, "SetHints", g_variant_new("(^as)", hints), on_hints);
}

static void on_created(GVariant *reply, const char *error, G_GNUC_UNUSED gboolean missing, gpointer user)
{
    PackagesJob *job = user;
    const char *path;

    if (error) {
        fail(job, error);
        return;
    }
    g_variant_get(reply, "(&o)", &path);
    g_clear_object(&job->cancellable);
    run(job, path);
}

static void on_triggered(G_GNUC_UNUSED GVariant *reply, const char *error, G_GNUC_UNUSED gboolean missing,
                         gpointer user)
{
    if (error)
        fail(user, error);
    else
        end(user, DONE);
}

/* Not in a transaction. */
static void call_daemon(PackagesJob *job, const char *interface, const char *method, GVariant *arguments,
                        const char *type, RemoteReady ready)
{
    const Remote remote = { PACKAGES_TITLE, job->owner, PACKAGES_PATH, interface, method };

    job->cancellable = g_cancellable_new();
    remote_call(job->keeper->bus, job->cancellable, &remote, arguments, type, ready, job);
}

/* A transaction has succeeded. */
static void next(PackagesJob *job)
{
    gboolean acts = job->kind != PACKAGES_REFRESH && job->kind != PACKAGES_LIST;

    /* PackageKit may end what it was asked to cancel as if it had not been. */
    if (job->unwanted && acts && (!job->acting || job->kind == PACKAGES_OFFLINE)) {
        end_early(job, CANCELLED, CANCELLED_TEXT);
        return;
    }
    for (guint i = 0; acts && !job->acting && i < job->names->len; i++)
        if (!is_found(job, job->names->pdata[i])) {
            g_autofree char *text = g_strdup_printf("there is no package %s to be %s", (char *)job->names->pdata[i],
                                                    job->kind == PACKAGES_INSTALL  ? "installed"
                                                    : job->kind == PACKAGES_REMOVE ? "removed"
                                                                                   : "updated");

            fail(job, text);
            return;
        }
    if (acts && !job->acting && job->found->len > 0) {
        job->acting = TRUE;
        if (job->simulate)
            json_array_clear(job->packages);
        call_daemon(job, PACKAGES_NAME, "CreateTransaction", NULL, "(o)", on_created);
    } else if (job->acting && job->kind == PACKAGES_OFFLINE && !job->simulate) {
        call_daemon(job, PACKAGES_NAME ".Offline", "Trigger", g_variant_new("(s)", "reboot"), NULL, on_triggered);
    } else {
        end(job, DONE);
    }
}

/* ---- jobs ---- */

static void on_vanished(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *name, gpointer user)
{
    fail(user, PACKAGES_TITLE " has ended");
}

static void on_bus(GDBusConnection *connection, const GError *error, gpointer user)
{
    PackagesJob *job = user;
    g_autofree char *path = g_steal_pointer(&job->path);

    if (!connection) {
        fail(job, error->message);
        return;
    }
    job->connection = g_object_ref(connection);
    job->watch = g_bus_watch_name_on_connection(connection, job->owner, G_BUS_NAME_WATCHER_FLAGS_NONE, NULL,
                                                on_vanished, job, NULL);
    run(job, path);
}

/* The oldest that has ended, or NULL. */
static GList *ended(const Packages *packages)
{
    for (GList *link = packages->jobs.head; link; link = link->next)
        if (!packages_job_is_running(link->data))
            return link;
    return NULL;
}

gboolean packages_have_room(const Packages *packages)
{
    return packages->jobs.length < PACKAGES_JOBS_MAX || ended(packages);
}

gint64 packages_start(Packages *packages, const PackagesWish *wish, const char *owner, const char *path)
{
    PackagesJob *job = g_new0(PackagesJob, 1);
    size_t i;
    const json_t *name;

    if (packages->jobs.length >= PACKAGES_JOBS_MAX) {
        GList *oldest = ended(packages);

        job_free(oldest->data);
        g_queue_delete_link(&packages->jobs, oldest);
    }
    job->keeper = packages;
    job->number = packages->next++;
    job->kind = wish->kind;
    job->command = wish->command;
    job->simulate = wish->simulate;
    job->force = wish->force;
    job->names = g_ptr_array_new_with_free_func(g_free);
    json_array_foreach(wish->names, i, name)
        g_ptr_array_add(job->names, g_strdup(json_string_value(name)));
    job->found = g_ptr_array_new_with_free_func(g_free);
    job->packages = json_array();
    job->owner = g_strdup(owner);
    job->path = g_strdup(path);
    g_queue_push_tail(&packages->jobs, job);
    bus_get(packages->bus, on_bus, job);
    return job->number;
}

PackagesJob *packages_find(const Packages *packages, gint64 number)
{
    for (GList *link = packages->jobs.head; link; link = link->next) {
        PackagesJob *job = link->data;

        if (job->number == number)
            return job;
    }
    return NULL;
}

json_t *packages_job_describe(const PackagesJob *job)
{
    json_t *value = json_pack("{s:I,s:s,s:s,s:O,s:b}", "job", (json_int_t)job->number, "command", job->command, "state",
                              states[job->state], "packages", job->packages, "truncated", job->truncated);

    if (job->error && (job->state == FAILED || job->state == CANCELLED))
        json_object_set_new(value, "error", json_string(job->error));
    return value;
}

void packages_job_stop(PackagesJob *job)
{
    job->unwanted = TRUE;
}

gboolean packages_job_is_running(const PackagesJob *job)
{
    return job->state == RUNNING;
}

const char *packages_job_owner(const PackagesJob *job)
{
    return job->owner;
}

const char *packages_job_transaction(const PackagesJob *job)
{
    return job->path;
}
