/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "extensions.h"

#include "audit.h"
#include "helper.h"
#include "idempotency.h"
#include "manageconf.h"
#include "services.h"

#include <string.h>

#define KEY_MAX 128

struct Extensions {
    Idempotency *keys;
    char *restart; /* the setting */
    /* The command under way: */
    Call *call;
    json_t *args;  /* NULL: it changes nothing, or shall not */
    char *request; /* NULL: it has no key */
    GCancellable *cancellable;
    ExtensionsReady ready; /* of what was asked */
    gboolean whether;      /* that there is no such object is an answer */
    gpointer data;
    GDestroyNotify destroy;
};

const Arg extensions_change_args[] = { EXTENSIONS_CHANGE_ARGS };

Extensions *extensions_new(const char *restart)
{
    Extensions *extensions = g_new0(Extensions, 1);

    extensions->keys = idempotency_new();
    extensions->restart = g_strdup(restart);
    return extensions;
}

void extensions_free(Extensions *extensions)
{
    if (!extensions)
        return;
    if (extensions->call)
        extensions_fail(extensions->call, "the agent ends");
    idempotency_free(extensions->keys);
    g_free(extensions->restart);
    g_free(extensions);
}

gboolean extensions_may_restart(const Extensions *extensions, const char *unit)
{
    return manageconf_may_restart(extensions->restart, unit);
}

/* ---- the end ---- */

static gint64 now(void)
{
    return g_get_monotonic_time() / G_USEC_PER_SEC;
}

/* Takes over `value`; NULL: `error` is the answer. */
static void end(Extensions *extensions, json_t *value, const char *error)
{
    Call *call = g_steal_pointer(&extensions->call);

    if (extensions->args) {
        g_autofree char *arguments = json_dumps(extensions->args, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII);

        audit_record(call_name(call), arguments, value ? NULL : error);
    }
    if (extensions->request)
        idempotency_add(extensions->keys, args_string(extensions->args, "idempotency-key", NULL), extensions->request,
                        now(), value, error);
    g_cancellable_cancel(extensions->cancellable);
    g_clear_object(&extensions->cancellable);
    g_clear_pointer(&extensions->args, json_decref);
    g_clear_pointer(&extensions->request, g_free);
    if (extensions->destroy)
        extensions->destroy(extensions->data);
    extensions->data = NULL;
    extensions->destroy = NULL;
    if (value)
        call_return(call, value);
    else
        call_fail(call, "%s", error);
}

void extensions_return(Call *call, json_t *value)
{
    end(call_services(call)->extensions, value, NULL);
}

void extensions_fail(Call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);

    /* Texts of services have no bound of their own. */
    if (strlen(text) > EXTENSIONS_TEXT_MAX)
        text[EXTENSIONS_TEXT_MAX] = '\0';
    end(call_services(call)->extensions, NULL, text);
}

/* ---- the beginning ---- */

void extensions_query(Call *call)
{
    Extensions *extensions = call_services(call)->extensions;

    g_assert(!extensions->call);
    extensions->call = call;
    extensions->cancellable = g_cancellable_new();
}

gboolean extensions_is_dry_run(const json_t *args)
{
    return json_is_true(json_object_get(args, "dry-run"));
}

static gboolean is_short(const json_t *value)
{
    size_t i;
    const json_t *element;

    if (json_is_string(value))
        return json_string_length(value) <= EXTENSIONS_TEXT_MAX;
    json_array_foreach(value, i, element)
        if (i >= EXTENSIONS_LIST_MAX || !is_short(element))
            return FALSE;
    return TRUE;
}

/* Why the arguments cannot be; NULL if they can. */
static char *check(json_t *args)
{
    const char *name;
    json_t *value;
    const json_t *key = json_object_get(args, "idempotency-key");

    json_object_foreach(args, name, value)
        if (!is_short(value))
            return g_strdup_printf("Parameter '%s' is too long", name);
    if (key && (json_string_length(key) == 0 || json_string_length(key) > KEY_MAX))
        return g_strdup_printf("Parameter 'idempotency-key' must have 1 to %d bytes", KEY_MAX);
    return NULL;
}

/* False: it was answered. */
static gboolean look_up(Extensions *extensions, Call *call, const json_t *args, const char *request)
{
    json_t *value;
    const char *error;

    switch (idempotency_find(extensions->keys, args_string(args, "idempotency-key", NULL), request, now(), &value,
                             &error)) {
    case IDEMPOTENCY_NEW:
        return TRUE;
    case IDEMPOTENCY_OTHER:
        call_fail(call, "this idempotency-key came with another request");
        return FALSE;
    case IDEMPOTENCY_SAME:
        if (value)
            call_return(call, json_incref(value));
        else
            call_fail(call, "%s", error);
        return FALSE;
    }
    return FALSE;
}

gboolean extensions_change(Call *call, const json_t *args)
{
    Extensions *extensions = call_services(call)->extensions;
    json_auto_t *own = json_deep_copy(args);
    g_autofree char *error = check(own);
    g_autofree char *request = NULL;

    if (error) {
        call_fail(call, "%s", error);
        return FALSE;
    }
    if (!extensions_is_dry_run(own) && args_has(own, "idempotency-key")) {
        g_autofree char *text = json_dumps(own, JSON_COMPACT | JSON_SORT_KEYS);

        request = g_strdup_printf("%s %s", call_name(call), text);
        if (!look_up(extensions, call, own, request))
            return FALSE;
    }
    extensions_query(call);
    if (!extensions_is_dry_run(own))
        extensions->args = g_steal_pointer(&own);
    extensions->request = g_steal_pointer(&request);
    return TRUE;
}

void extensions_set_data(Call *call, gpointer data, GDestroyNotify destroy)
{
    Extensions *extensions = call_services(call)->extensions;

    extensions->data = data;
    extensions->destroy = destroy;
}

gpointer extensions_data(const Call *call)
{
    return call_services(call)->extensions->data;
}

/* ---- what is asked ---- */

static void on_answer(GVariant *reply, const char *error, gboolean missing, gpointer user)
{
    Extensions *extensions = user;

    if (reply || (missing && extensions->whether))
        extensions->ready(extensions->call, reply);
    else
        extensions_fail(extensions->call, "%s", error);
}

static void ask(Call *call, const Remote *remote, GVariant *arguments, const char *type, ExtensionsReady ready,
                gboolean whether)
{
    const Services *services = call_services(call);
    Extensions *extensions = services->extensions;

    extensions->ready = ready;
    extensions->whether = whether;
    remote_call(services->bus, extensions->cancellable, remote, arguments, type, on_answer, extensions);
}

void extensions_ask(Call *call, const Remote *remote, GVariant *arguments, const char *type, ExtensionsReady ready)
{
    ask(call, remote, arguments, type, ready, FALSE);
}

void extensions_ask_whether(Call *call, const Remote *remote, GVariant *arguments, const char *type,
                            ExtensionsReady ready)
{
    ask(call, remote, arguments, type, ready, TRUE);
}

static void on_there(Call *call, G_GNUC_UNUSED GVariant *reply)
{
    extensions_return(call, json_pack("{s:b}", "dry-run", 1));
}

static void on_done(Call *call, G_GNUC_UNUSED GVariant *reply)
{
    extensions_return(call, json_object());
}

/* In the place of what a dry run does not do. */
static void look_for(Call *call, const Remote *remote)
{
    const Remote ping = { remote->title, remote->name, remote->path, "org.freedesktop.DBus.Peer", "Ping" };

    extensions_ask(call, &ping, NULL, NULL, on_there);
}

void extensions_do(Call *call, const Remote *remote, GVariant *arguments, const char *type, ExtensionsReady ready)
{
    g_autoptr(GVariant) kept = arguments ? g_variant_ref_sink(arguments) : NULL;

    if (call_services(call)->extensions->args)
        extensions_ask(call, remote, kept, type, ready ? ready : on_done);
    else
        look_for(call, remote);
}

static void on_helper(G_GNUC_UNUSED const char *const *words, const GError *error, gpointer user)
{
    if (error)
        extensions_fail(user, "%s", error->message);
    else
        on_done(user, NULL);
}

void extensions_do_by_helper(Call *call, const Remote *remote, const char *path, const char *const *words)
{
    const Services *services = call_services(call);

    if (services->extensions->args)
        helper_ask(services->helper, path, words, on_helper, call);
    else
        look_for(call, remote);
}
