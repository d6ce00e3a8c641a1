/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xprogram.h"

#include "host.h"

#include <X11/Xatom.h>
#include <stdlib.h>
#include <string.h>

Atom xprogram_atom(XProgram *program, const char *name)
{
    return XInternAtom(program->display, name, False);
}

static void put(XProgram *program, Window window, Atom property, const XContent *content, gsize at, gsize size)
{
    const guint8 *data = g_bytes_get_data(content->data, NULL);
    XChangeProperty(program->display, window, property, content->type, content->format, PropModeReplace,
                    size > 0 ? data + at : (const guint8 *) "", size / (content->format == 32 ? sizeof(long) : 1));
}

static void notify(XProgram *program, const XSelectionRequestEvent *request, gboolean good)
{
    XEvent event = { .xselection = {
        .type = SelectionNotify,
        .requestor = request->requestor,
        .selection = request->selection,
        .target = request->target,
        .property = good ? request->property : None,
        .time = request->time,
    } };
    program->served++;
    XSendEvent(program->display, request->requestor, False, NoEventMask, &event);
}

static void answer_targets(XProgram *program, const XSelectionRequestEvent *request)
{
    g_autoptr(GArray) atoms = g_array_new(FALSE, FALSE, sizeof(Atom));
    g_array_append_val(atoms, request->target);
    for (guint i = 0; i < program->contents->len; i++)
        g_array_append_val(atoms, g_array_index(program->contents, XContent, i).target);
    XChangeProperty(program->display, request->requestor, request->property, XA_ATOM, 32, PropModeReplace,
                    (guint8 *) atoms->data, atoms->len);
    notify(program, request, TRUE);
    program->served--;
}

static void on_request(XProgram *program, const XSelectionRequestEvent *request)
{
    if (program->deaf)
        return;
    if (request->target == xprogram_atom(program, "TARGETS")) {
        answer_targets(program, request);
        return;
    }
    if (program->silent)
        return;
    for (guint i = 0; i < program->contents->len; i++) {
        const XContent *content = &g_array_index(program->contents, XContent, i);
        gsize size = g_bytes_get_size(content->data);
        if (content->target != request->target)
            continue;
        if (program->chunk > 0 && size > program->chunk) {
            program->to = request->requestor;
            program->to_property = request->property;
            program->sending = *content;
            program->sent = 0;
            program->finished = FALSE;
            XSelectInput(program->display, program->to, PropertyChangeMask);
            long claim = program->claim != 0 ? program->claim : (long) size;
            XChangeProperty(program->display, request->requestor, request->property, xprogram_atom(program, "INCR"), 32,
                            PropModeReplace, (guint8 *) &claim, 1);
        } else {
            put(program, request->requestor, request->property, content, 0, size);
        }
        notify(program, request, TRUE);
        return;
    }
    notify(program, request, FALSE);
}

static void send_more(XProgram *program)
{
    if (program->finished || program->stop_after == 0)
        return;
    if (program->stop_after > 0)
        program->stop_after--;
    gsize size = MIN(g_bytes_get_size(program->sending.data) - program->sent, program->chunk);
    put(program, program->to, program->to_property, &program->sending, program->sent, size);
    program->sent += size;
    program->finished = size == 0;
}

/* Add what a property holds to a result, and delete it. Returns how much that was. */
static gsize take_property(XProgram *program, XResult *result)
{
    gulong count = 0, left = 0;
    guint8 *data = NULL;
    int status = XGetWindowProperty(program->display, program->window, result->property, 0, G_MAXINT32 / 4, True,
                                    AnyPropertyType, &result->type, &result->format, &count, &left, &data);
    g_assert_cmpint(status, ==, Success);
    gsize size = count * (result->format == 32 ? sizeof(long) : 1);
    g_byte_array_append(result->data, data, size);
    XFree(data);
    return size;
}

static void take_result(XProgram *program, XResult *result)
{
    take_property(program, result);
    result->incr = result->type == xprogram_atom(program, "INCR");
    result->done = !result->incr;
    if (result->incr)
        g_byte_array_set_size(result->data, 0);
}

static void on_notify(XProgram *program, const XSelectionEvent *event)
{
    program->notified = TRUE;
    if (event->target == xprogram_atom(program, "MULTIPLE")) {
        /* Those that failed are marked in the list. */
        XResult list = { .property = event->property, .data = g_byte_array_new() };
        if (event->property != None)
            take_property(program, &list);
        const Atom *pair = (const Atom *) (gpointer) list.data->data;
        for (guint i = 0; i < program->results->len; i++) {
            XResult *result = program->results->pdata[i];
            result->refused = event->property == None || pair[2 * i + 1] == None;
            result->done = result->refused;
            if (!result->refused)
                take_result(program, result);
        }
        g_byte_array_unref(list.data);
        return;
    }
    for (guint i = 0; i < program->results->len; i++) {
        XResult *result = program->results->pdata[i];
        if (result->done || result->incr || result->target != event->target)
            continue;
        result->refused = result->done = event->property == None;
        if (!result->refused)
            take_result(program, result);
        return;
    }
}

static void on_property(XProgram *program, const XPropertyEvent *event)
{
    if (event->window != program->window) {
        if (event->state == PropertyDelete && event->window == program->to && event->atom == program->to_property)
            send_more(program);
        return;
    }
    for (guint i = 0; event->state == PropertyNewValue && i < program->results->len; i++) {
        XResult *result = program->results->pdata[i];
        if (result->property != event->atom || !result->incr || result->done || program->take == 0)
            continue;
        if (program->take > 0)
            program->take--;
        result->pieces++;
        result->done = take_property(program, result) == 0;
    }
}

static gboolean on_event(const XEvent *event, gpointer user)
{
    XProgram *program = user;
    if (event->type == SelectionRequest)
        on_request(program, &event->xselectionrequest);
    else if (event->type == SelectionClear)
        program->lost++;
    else if (event->type == SelectionNotify)
        on_notify(program, &event->xselection);
    else if (event->type == PropertyNotify)
        on_property(program, &event->xproperty);
    return TRUE;
}

static void on_closed(G_GNUC_UNUSED gpointer user)
{
}

static void result_free(gpointer data)
{
    XResult *result = data;
    g_byte_array_unref(result->data);
    g_free(result);
}

XProgram *xprogram_new(void)
{
    g_autoptr(GError) error = NULL;
    XProgram *program = g_new0(XProgram, 1);
    program->x11 = x11_new(getenv("DISPLAY"), NULL, on_closed, NULL, &error);
    g_assert_no_error(error);
    program->display = x11_display(program->x11);
    program->window = XCreateSimpleWindow(program->display, x11_root(program->x11), 0, 0, 1, 1, 0, 0, 0);
    XSelectInput(program->display, program->window, PropertyChangeMask);
    program->contents = g_array_new(FALSE, FALSE, sizeof(XContent));
    program->results = g_ptr_array_new_with_free_func(result_free);
    program->take = program->stop_after = -1;
    x11_add_handler(program->x11, on_event, program);
    return program;
}

void xprogram_offer_nothing(XProgram *program)
{
    for (guint i = 0; i < program->contents->len; i++)
        g_bytes_unref(g_array_index(program->contents, XContent, i).data);
    g_array_set_size(program->contents, 0);
}

void xprogram_free(XProgram *program)
{
    xprogram_offer_nothing(program);
    x11_free(program->x11);
    g_array_unref(program->contents);
    g_ptr_array_unref(program->results);
    g_free(program);
}

void xprogram_offer(XProgram *program, const char *target, const char *type, const void *data, gsize size)
{
    const XContent content = {
        .target = xprogram_atom(program, target),
        .type = xprogram_atom(program, type != NULL ? type : target),
        .format = 8,
        .data = g_bytes_new(data, size),
    };
    g_array_append_val(program->contents, content);
}

void xprogram_own(XProgram *program, const char *selection)
{
    XSetSelectionOwner(program->display, xprogram_atom(program, selection), program->window, CurrentTime);
    XSync(program->display, False);
}

void xprogram_disown(XProgram *program, const char *selection)
{
    XSetSelectionOwner(program->display, xprogram_atom(program, selection), None, CurrentTime);
    XSync(program->display, False);
}

gboolean xprogram_owns(XProgram *program, const char *selection)
{
    return XGetSelectionOwner(program->display, xprogram_atom(program, selection)) == program->window;
}

gboolean xprogram_sees_owner(XProgram *program, const char *selection)
{
    Window owner = XGetSelectionOwner(program->display, xprogram_atom(program, selection));
    return owner != None && owner != program->window;
}

static XResult *add_result(XProgram *program, const char *target)
{
    static guint counter;
    g_autofree char *name = g_strdup_printf("RESULT_%u", counter++ % 16);
    XResult *result = g_new0(XResult, 1);
    result->property = xprogram_atom(program, name);
    result->target = xprogram_atom(program, target);
    result->data = g_byte_array_new();
    g_ptr_array_add(program->results, result);
    return result;
}

XResult *xprogram_paste(XProgram *program, const char *selection, const char *target)
{
    XResult *result = add_result(program, target);
    XConvertSelection(program->display, xprogram_atom(program, selection), result->target, result->property,
                      program->window, CurrentTime);
    XSync(program->display, False);
    return result;
}

void xprogram_paste_multiple(XProgram *program, const char *selection, const char *const *targets)
{
    Atom pairs[32];
    int count = 0;
    g_ptr_array_set_size(program->results, 0);
    for (; *targets != NULL; targets++) {
        const XResult *result = add_result(program, *targets);
        pairs[count++] = result->target;
        pairs[count++] = result->property;
    }
    Atom list = xprogram_atom(program, "PAIRS");
    program->notified = FALSE;
    XChangeProperty(program->display, program->window, list, xprogram_atom(program, "ATOM_PAIR"), 32, PropModeReplace,
                    (guint8 *) pairs, count);
    XConvertSelection(program->display, xprogram_atom(program, selection), xprogram_atom(program, "MULTIPLE"), list,
                      program->window, CurrentTime);
    XSync(program->display, False);
}

XResult *xprogram_get(XProgram *program, const char *selection, const char *target)
{
    XResult *result = xprogram_paste(program, selection, target);
    host_until(result->done);
    return result;
}

char *xprogram_atoms(XProgram *program, const XResult *result)
{
    GString *names = g_string_new(NULL);
    const Atom *atom = (const Atom *) (gpointer) result->data->data;
    for (gsize i = 0; i < result->data->len / sizeof(Atom); i++) {
        char *name = XGetAtomName(program->display, atom[i]);
        g_string_append_printf(names, "%s%s", i > 0 ? " " : "", name);
        XFree(name);
    }
    return g_string_free(names, FALSE);
}
