/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "outflow.h"

#include <spice/vd_agent.h>

typedef struct Answer {
    guint8 selection;
    guint32 type;
    GBytes *value;
    gboolean begun;
    gsize at;
} Answer;

struct Outflow {
    OutflowEvents events;
    gpointer user;
    GQueue answers;
};

static void answer_free(gpointer data)
{
    Answer *answer = data;
    g_clear_pointer(&answer->value, g_bytes_unref);
    g_free(answer);
}

Outflow *outflow_new(const OutflowEvents *events, gpointer user)
{
    Outflow *outflow = g_new0(Outflow, 1);
    outflow->events = *events;
    outflow->user = user;
    g_queue_init(&outflow->answers);
    return outflow;
}

void outflow_free(Outflow *outflow)
{
    if (outflow == NULL)
        return;
    outflow_reset(outflow);
    g_free(outflow);
}

static gsize size_of(const Answer *answer)
{
    return answer->value != NULL ? g_bytes_get_size(answer->value) : 0;
}

/* Send of the first answer what can be sent; TRUE when all of it is. */
static gboolean send_first(Outflow *outflow, Answer *answer)
{
    gsize size = size_of(answer);
    if (!answer->begun && !outflow->events.begin(answer->selection, answer->type, size, outflow->user))
        return TRUE;
    answer->begun = TRUE;
    while (answer->at < size) {
        gsize room = outflow->events.room(outflow->user);
        if (room == 0)
            return FALSE;
        gsize piece = MIN(room, size - answer->at);
        answer->at += piece;
        outflow->events.data((const guint8 *) g_bytes_get_data(answer->value, NULL) + answer->at - piece, piece,
                             outflow->user);
    }
    return TRUE;
}

void outflow_writable(Outflow *outflow)
{
    Answer *answer;
    while ((answer = g_queue_peek_head(&outflow->answers)) != NULL && send_first(outflow, answer)) {
        g_queue_pop_head(&outflow->answers);
        answer_free(answer);
    }
}

void outflow_answer(Outflow *outflow, guint8 selection, guint32 type, GBytes *value)
{
    if (outflow->answers.length >= OUTFLOW_MAX)
        return;
    Answer *answer = g_new0(Answer, 1);
    answer->selection = selection;
    answer->type = value != NULL ? type : VD_AGENT_CLIPBOARD_NONE;
    answer->value = value != NULL ? g_bytes_ref(value) : NULL;
    g_queue_push_tail(&outflow->answers, answer);
    if (outflow->answers.length == 1)
        outflow_writable(outflow);
}

void outflow_reset(Outflow *outflow)
{
    g_queue_clear_full(&outflow->answers, answer_free);
}

gsize outflow_held(const Outflow *outflow)
{
    gsize held = 0;
    GBytes *last = NULL;
    for (GList *l = outflow->answers.head; l != NULL; l = l->next) {
        const Answer *answer = l->data;
        if (answer->value != last)
            held += size_of(answer);
        last = answer->value;
    }
    return held;
}
