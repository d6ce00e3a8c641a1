/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include "log.h"

#include <gio/gunixfdlist.h>
#include <spice/vd_agent.h>
#include <string.h>

#define REFUSED_BURST 10u
#define REFUSED_INTERVAL_US (5 * G_USEC_PER_SEC)

/* The interface is what its description says. The assembler runs where make does, at the top of the tree. */
extern const char service_xml[];
__asm__(".pushsection .rodata\n"
        ".global service_xml\n"
        "service_xml:\n"
        ".incbin \"protocol/org.spice_space.AgentSession1.xml\"\n"
        ".byte 0\n"
        ".popsection\n");

struct Service {
    GDBusConnection *bus;
    ServiceEvents events;
    gpointer user;
    GDBusNodeInfo *info;
    GHashTable *values; /* property → GVariant */
    guint object_id, name_id;
    guint refused;
    gint64 refused_since;
};

static int take_fd(GDBusMethodInvocation *invocation, gint32 index)
{
    GUnixFDList *fds = g_dbus_message_get_unix_fd_list(g_dbus_method_invocation_get_message(invocation));
    if (fds == NULL || index < 0 || index >= g_unix_fd_list_get_length(fds))
        return -1;
    return g_unix_fd_list_get(fds, index, NULL);
}

static const char *error_name(const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED))
        return SERVICE_NAME ".Error.Refused";
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
        return SERVICE_NAME ".Error.Empty";
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
        return SERVICE_NAME ".Error.Timeout";
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT))
        return "org.freedesktop.DBus.Error.InvalidArgs";
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BUSY))
        return "org.freedesktop.DBus.Error.LimitsExceeded";
    return "org.freedesktop.DBus.Error.Failed";
}

static void on_task(G_GNUC_UNUSED GObject *source, GAsyncResult *result, gpointer user)
{
    GDBusMethodInvocation *invocation = user;
    g_autoptr(GError) error = NULL;
    if (g_task_propagate_boolean(G_TASK(result), &error))
        g_dbus_method_invocation_return_value(invocation, NULL);
    else
        g_dbus_method_invocation_return_dbus_error(invocation, error_name(error), error->message);
}

static void transfer(Service *service, const char *method, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    const char *selection, *mime;
    gint32 index;
    g_variant_get(parameters, "(&s&sh)", &selection, &mime, &index);
    guint8 number;
    if (strcmp(selection, "clipboard") == 0) {
        number = VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD;
    } else if (strcmp(selection, "primary") == 0) {
        number = VD_AGENT_CLIPBOARD_SELECTION_PRIMARY;
    } else {
        g_dbus_method_invocation_return_error(invocation, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
                                              "the selection is \"clipboard\" or \"primary\"");
        return;
    }
    int fd = take_fd(invocation, index);
    if (fd < 0) {
        g_dbus_method_invocation_return_error(invocation, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
                                              "no descriptor came");
        return;
    }
    GTask *task = g_task_new(NULL, NULL, on_task, invocation);
    if (strcmp(method, "Copy") == 0)
        service->events.copy(number, mime, fd, task, service->user);
    else
        service->events.paste(number, mime, fd, task, service->user);
}

static void on_call(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                    G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface, const char *method,
                    GVariant *parameters, GDBusMethodInvocation *invocation, gpointer user)
{
    Service *service = user;
    if (strcmp(method, "Attach") == 0) {
        g_autoptr(GVariant) environment = g_variant_get_child_value(parameters, 0);
        service->events.attach(environment, service->user);
        g_dbus_method_invocation_return_value(invocation, NULL);
    } else {
        transfer(service, method, parameters, invocation);
    }
}

static GVariant *on_get(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                        G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface, const char *property,
                        G_GNUC_UNUSED GError **error, gpointer user)
{
    Service *service = user;
    return g_variant_ref(g_hash_table_lookup(service->values, property));
}

static const GDBusInterfaceVTable vtable = { .method_call = on_call, .get_property = on_get };

static void set_default(Service *service, const char *property, GVariant *value)
{
    g_hash_table_insert(service->values, (gpointer) property, g_variant_ref_sink(value));
}

/* `bus` is NULL when it has gone with the name. */
static void on_name_lost(GDBusConnection *bus, const char *name, G_GNUC_UNUSED gpointer user)
{
    if (bus != NULL)
        g_warning("%s is taken on the session bus: no status there", name);
}

Service *service_new(GDBusConnection *bus, const ServiceEvents *events, gpointer user)
{
    Service *service = g_new0(Service, 1);
    service->bus = bus;
    service->events = *events;
    service->user = user;
    service->values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_variant_unref);
    set_default(service, "Connected", g_variant_new_boolean(FALSE));
    set_default(service, "ClientConnected", g_variant_new_boolean(FALSE));
    set_default(service, "Session", g_variant_new_string(""));
    set_default(service, "Display", g_variant_new_string(""));
    set_default(service, "Backends", g_variant_new("a{ss}", NULL));
    set_default(service, "Compositor", g_variant_new("a{sv}", NULL));
    set_default(service, "Policy", g_variant_new("a{ss}", NULL));
    set_default(service, "Outputs", g_variant_new("a(suuiiuuu)", NULL));
    set_default(service, "Version", g_variant_new_string(SPICE_PV_VERSION));
    if (bus == NULL)
        return service;
    g_autoptr(GError) error = NULL;
    service->info = g_dbus_node_info_new_for_xml(service_xml, NULL);
    service->object_id = g_dbus_connection_register_object(bus, SERVICE_PATH, service->info->interfaces[0], &vtable,
                                                           service, NULL, &error);
    if (service->object_id == 0)
        log_bug("%s", error->message);
    service->name_id = g_bus_own_name_on_connection(bus, SERVICE_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE, NULL,
                                                    on_name_lost, NULL, NULL);
    return service;
}

void service_free(Service *service)
{
    if (service == NULL)
        return;
    if (service->name_id != 0)
        g_bus_unown_name(service->name_id);
    if (service->object_id != 0)
        g_dbus_connection_unregister_object(service->bus, service->object_id);
    g_clear_pointer(&service->info, g_dbus_node_info_unref);
    g_hash_table_destroy(service->values);
    g_free(service);
}

static void emit(Service *service, const char *interface, const char *signal, GVariant *parameters)
{
    g_dbus_connection_emit_signal(service->bus, NULL, SERVICE_PATH, interface, signal, parameters, NULL);
}

void service_set(Service *service, const char *property, GVariant *value)
{
    const char *name;
    GVariant *old;
    g_autoptr(GVariant) fresh = g_variant_ref_sink(value);
    if (!g_hash_table_lookup_extended(service->values, property, (gpointer *) &name, (gpointer *) &old)) {
        log_bug("no property %s", property);
        return;
    }
    if (g_variant_equal(old, fresh))
        return;
    g_hash_table_insert(service->values, (gpointer) name, g_variant_ref(fresh));
    if (service->bus == NULL)
        return;
    GVariantBuilder changed;
    g_variant_builder_init(&changed, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&changed, "{sv}", property, fresh);
    emit(service, "org.freedesktop.DBus.Properties", "PropertiesChanged",
         g_variant_new("(sa{sv}as)", SERVICE_NAME, &changed, NULL));
}

void service_refused(Service *service, const char *what, const char *why)
{
    gint64 now = g_get_monotonic_time();
    if (service->bus == NULL)
        return;
    if (now - service->refused_since > REFUSED_INTERVAL_US) {
        service->refused_since = now;
        service->refused = 0;
    }
    if (service->refused++ >= REFUSED_BURST)
        return;
    g_autofree char *valid = g_utf8_make_valid(why, -1);
    emit(service, SERVICE_NAME, "Refused", g_variant_new("(ss)", what, valid));
}

gboolean service_hand_over(GDBusConnection *bus, GVariant *environment, gboolean start_it, GError **error)
{
    GDBusCallFlags flags = start_it ? G_DBUS_CALL_FLAGS_NONE : G_DBUS_CALL_FLAGS_NO_AUTO_START;
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(bus, SERVICE_NAME, SERVICE_PATH, SERVICE_NAME, "Attach",
                                                            g_variant_new("(@a{ss})", environment), NULL, flags, -1,
                                                            NULL, error);
    return reply != NULL;
}
