/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The selection state machine as text: one event a line, then => and what it must answer. Times are milliseconds, the
 * timeout of `expire` and `deadline` is 1000; where a time seldom matters it stands after "at". Events that answer with
 * flags show them in the order of the flags.
 */
#include "selection.h"

#include <string.h>

static const char *const TYPES[] = { "none", "text", "png", "bmp", "tiff", "jpg", NULL };

typedef struct Case {
    const char *name, *text;
} Case;

static const Case cases[] = {
    { "guest-grab",
      "peer serial no-release => -\n"
      "program text png => grab 0 text png\n"
      "program text => grab 1 text\n"
      "nobody => release\n"
      "nobody => -\n" },
    { "release-before-regrab-for-old-clients",
      "peer => -\n"
      "program text => grab 0 text\n"
      "program png => release grab 1 png\n" },
    { "nothing-to-offer",
      "peer serial no-release => -\n"
      "program => -\n"
      "program text => grab 0 text\n"
      "program => release\n" },
    { "found-is-not-offered",
      "peer serial no-release => -\n"
      "found text\n"
      "asked text => none\n"
      "nobody => -\n" },
    { "no-client",
      "program text => -\n"
      "asked text => none\n"
      "peer serial no-release => -\n"
      "asked text => none\n"
      "program text => grab 0 text\n" },
    { "host-grab",
      "peer serial no-release => -\n"
      "grab 0 text png => own text png\n"
      "grab 1 text => own text\n"
      "release => disown\n"
      "release => -\n" },
    { "host-grab-of-unknown-types",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "grab 1 => disown\n"
      "program text => grab 2 text\n"
      "grab 3 => -\n"
      "asked text => none\n" },
    { "crossing-grabs-client-wins",
      "peer serial no-release => -\n"
      "program text => grab 0 text\n"
      "grab 0 png => own png\n"
      "program text => grab 1 text\n"
      "program png => grab 2 png\n"
      "grab 1 text => stale\n"
      "grab 2 text => own text\n"
      "program png => grab 3 png\n" },
    { "client-ahead-is-followed",
      "peer serial no-release => -\n"
      "grab 7 text => own text\n"
      "program text => grab 8 text\n" },
    { "serial-wraps",
      "peer serial no-release => -\n"
      "grab 2147483646 text => own text\n"
      "grab 4294967293 text => own text\n"
      "program text => grab 4294967294 text\n"
      "program text => grab 4294967295 text\n"
      "program text => grab 0 text\n"
      "grab 4294967294 text => stale\n"
      "grab 4294967295 text => stale\n"
      "grab 0 png => own png\n" },
    { "without-serials-any-grab-is-taken",
      "peer => -\n"
      "program text => grab 0 text\n"
      "grab 0 png => own png\n"
      "grab 0 text => own text\n" },
    { "serials-start-again-with-each-client",
      "peer serial no-release => -\n"
      "program text => grab 0 text\n"
      "gone => -\n"
      "peer serial no-release => -\n"
      "asked text => none\n"
      "program text => grab 0 text\n" },
    { "client-leaves",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask text 0 => send\n"
      "gone => disown\n"
      "deadline => never\n"
      "ask text 0 => nothing\n" },
    { "to-host-off",
      "policy from-host\n"
      "peer serial no-release => -\n"
      "program text => refused\n"
      "asked text => none\n"
      "terminal text => refused own text\n"
      "nobody => -\n"
      "grab 0 text => own text\n" },
    { "from-host-off",
      "policy to-host\n"
      "peer serial no-release => -\n"
      "program text => grab 0 text\n"
      "grab 1 png => refused\n"
      "asked text => none\n"
      "ask png 0 => nothing\n"
      "program text => grab 2 text\n" },
    { "terminal",
      "peer serial no-release => -\n"
      "terminal text => grab 0 text own text\n"
      "asked text => fetch\n"
      "program png => none grab 1 png\n" },
    { "client-asks",
      "peer serial no-release => -\n"
      "program text png => grab 0 text png\n"
      "asked text => fetch\n"
      "asked png => fetch\n"
      "asked text => join\n"
      "asked bmp => none\n"
      "asked none => none\n"
      "pending text => 2\n"
      "pending text => 0\n"
      "asked text => fetch\n"
      "pending png => 1\n" },
    { "client-asks-too-often",
      "peer serial no-release => -\n"
      "program text => grab 0 text\n"
      "asked text => fetch\n"
      "asked text => join\nasked text => join\nasked text => join\nasked text => join\nasked text => join\n"
      "asked text => join\nasked text => join\nasked text => join\nasked text => join\nasked text => join\n"
      "asked text => join\nasked text => join\nasked text => join\nasked text => join\nasked text => join\n"
      "asked text => none\n"
      "pending text => 16\n" },
    { "content-changes-under-a-request",
      "peer serial no-release => -\n"
      "program text => grab 0 text\n"
      "asked text => fetch\n"
      "program text => none grab 1 text\n"
      "pending text => 1\n"
      "asked text => fetch\n"
      "nobody => none release\n" },
    { "host-grabs-under-its-own-request",
      "peer serial no-release => -\n"
      "program text => grab 0 text\n"
      "asked text => fetch\n"
      "grab 1 text => none own text\n" },
    { "paste",
      "peer serial no-release => -\n"
      "grab 0 text png => own text png\n"
      "ask text 0 => send\n"
      "ask text 1 => join\n"
      "ask png 2 => send\n"
      "ask bmp 2 => nothing\n"
      "answer text 3 => deliver text\n"
      "ask text 4 => wait\n"
      "answer text 4 => unasked\n"
      "answered text\n"
      "ask text 5 => send\n"
      "answer png 6 => deliver png\n" },
    { "later-content-is-not-joined",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask text 0 => send\n"
      "grab 1 text => own text\n"
      "ask text 1 => wait\n"
      "answer text 2 => deliver text\n"
      "ask text 2 => wait\n"
      "answered text delivered\n"
      "suspect text => none\n"
      "ask text 3 => send\n" },
    { "answer-of-type-none-is-for-the-oldest",
      "peer serial no-release => -\n"
      "grab 0 text png => own text png\n"
      "answer none 0 => unasked\n"
      "ask png 1 => send\n"
      "ask text 2 => send\n"
      "answer none 3 => deliver png\n"
      "answered png\n"
      "answer none 4 => deliver text\n" },
    { "unknown-type",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask 6 0 => nothing\n"
      "answer 6 0 => unasked\n"
      "answer 4294967295 0 => unasked\n"
      "asked 4294967295 => none\n" },
    { "timeout",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "deadline => never\n"
      "ask text 0 => send\n"
      "deadline => 1000\n"
      "expire 999 => none\n"
      "expire 1000 => text\n"
      "expire 1000 => none\n"
      "deadline => never\n" },
    { "late-answer-is-swallowed",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask text 0 => send\n"
      "expire 1000 => text\n"
      "grab 1 text => own text\n"
      "ask text 2000 => send\n"
      "answer text 2500 => late\n"
      "deadline => 3500\n"
      "ask text 2600 => join\n"
      "answer text 2700 => deliver text\n" },
    { "late-answer-without-a-new-request",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask text 0 => send\n"
      "expire 1000 => text\n"
      "answer none 1500 => late\n"
      "answer text 1600 => unasked\n"
      "ask text 2000 => send\n"
      "answer text 2100 => deliver text\n" },
    { "a-client-that-skips-one-answer",
      "peer serial no-release => -\n"
      "grab 0 png => own png\n"
      "ask png 0 => send\n"
      "expire 1000 => png\n"
      "ask png 2000 => send\n"
      "answer png 2100 => late\n"
      "expire 3100 => png\n"
      "ask png 4000 => send\n"
      "answer png 4100 => deliver png\n" },
    { "what-is-owed-is-forgotten-after-a-minute",
      "peer serial no-release => -\n"
      "grab 0 png => own png\n"
      "ask png 0 => send\n"
      "expire 1000 => png\n"
      "ask png 61001 => send\n"
      "answer png 61100 => deliver png\n" },
    { "silence-is-counted-not-time",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask text 0 => send\n"
      "answer text 900 => deliver text\n"
      "progress 1800\n"
      "expire 2700 => none\n"
      "expire 2800 => text\n"
      "deadline => never\n"
      "ask text 2900 => wait\n"
      "deadline => 3900\n"
      "progress 3000\n"
      "expire 3999 => none\n"
      "expire 4000 => text\n"
      "expire 9000 => none\n"
      "answered text\n"
      "ask text 9000 => send\n" },
    { "a-client-busy-with-another-answer-is-not-silent",
      "peer serial no-release => -\n"
      "grab 0 text png => own text png\n"
      "ask png 0 => send\n"
      "ask text 0 => send\n"
      "answer png 900 => deliver png\n"
      "progress 1800\n"
      "expire 2700 => none\n"
      "answered png\n"
      "expire 2800 => text\n"
      "expire 2800 => none\n" },
    { "manager-takes-over-with-the-same",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "suspect text => none\n"
      "ask text 0 => send\n"
      "answer text 1 => deliver text\n"
      "answered text delivered\n"
      "suspect text png => none\n"
      "suspect text => text\n"
      "echo text => -\n"
      "asked text => none\n"
      "suspect text => text\n"
      "grab 1 png => own png\n"
      "suspect png => none\n" },
    { "manager-takes-over-with-less",
      "peer serial no-release => -\n"
      "grab 0 text png => own text png\n"
      "ask text 0 => send\n"
      "answer text 1 => deliver text\n"
      "answered text delivered\n"
      "suspect png => none\n"
      "suspect text => text\n"
      "echo text => own text png\n"
      "suspect text => text\n"
      "echo text => -\n"
      "ask png 5 => send\n" },
    { "program-with-more-than-we-can-keeps-it",
      "peer serial no-release => -\n"
      "grab 0 text png => own text png\n"
      "ask text 0 => send\n"
      "answer text 1 => deliver text\n"
      "answered text delivered\n"
      "echo text foreign => -\n" },
    { "compared-and-different",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask text 0 => send\n"
      "answer text 1 => deliver text\n"
      "answered text delivered\n"
      "suspect text => text\n"
      "program text => grab 1 text\n"
      "suspect text => none\n" },
    { "manager-ends",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "echo text => -\n"
      "nobody => own text\n"
      "nobody => -\n" },
    { "host-clears-what-a-manager-holds",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "echo text => -\n"
      "release => -\n"
      "asked text => none\n"
      "nobody => -\n"
      "program text => grab 1 text\n" },
    { "manager-fills-what-the-host-gave-up",
      "peer serial no-release => -\n"
      "grab 0 text png => own text png\n"
      "ask text 0 => send\n"
      "answer text 1 => deliver text\n"
      "answered text delivered\n"
      "release at 5000 => disown\n"
      "nobody => -\n"
      "suspect png at 5001 => none\n"
      "suspect text bmp at 5001 => none\n"
      "suspect text at 5001 => text\n"
      "echo text => -\n"
      "asked text => none\n"
      "ask text 5002 => nothing\n"
      "suspect text at 5002 => none\n"
      "program text => grab 1 text\n" },
    { "manager-fills-when-the-client-has-changed",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask text 0 => send\n"
      "answer text 1 => deliver text\n"
      "answered text delivered\n"
      "peer serial no-release at 5000 => disown\n"
      "suspect text at 5001 => text\n"
      "echo text => -\n" },
    { "user-copies-what-the-host-gave-up-long-ago",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask text 0 => send\n"
      "answer text 1 => deliver text\n"
      "answered text delivered\n"
      "release at 5000 => disown\n"
      "suspect text at 6999 => text\n"
      "suspect text at 7000 => none\n"
      "program text => grab 1 text\n" },
    { "program-copies-after-the-host-gave-up",
      "peer serial no-release => -\n"
      "grab 0 text => own text\n"
      "ask text 0 => send\n"
      "answer text 1 => deliver text\n"
      "answered text delivered\n"
      "release at 5000 => disown\n"
      "program text => grab 1 text\n"
      "nobody => release\n"
      "suspect text at 5001 => none\n" },
};

static guint32 type_of(const char *word)
{
    for (guint32 type = 0; TYPES[type] != NULL; type++) {
        if (g_strcmp0(word, TYPES[type]) == 0)
            return type;
    }
    return g_ascii_strtoull(word, NULL, 10);
}

static guint32 types_of(char **words)
{
    guint32 types = 0;
    for (; *words != NULL; words++) {
        if (g_strv_contains(TYPES, *words))
            types |= 1u << type_of(*words);
    }
    return types;
}

static void add_types(GString *out, guint32 types)
{
    for (guint32 type = 1; type < SELECTION_TYPES; type++) {
        if (types & 1u << type)
            g_string_append_printf(out, " %s", TYPES[type]);
    }
}

static void add_flags(GString *out, const Selection *selection, unsigned flags)
{
    if (flags & SELECTION_STALE)
        g_string_append(out, " stale");
    if (flags & SELECTION_REFUSED)
        g_string_append(out, " refused");
    if (flags & SELECTION_ANSWER_NONE)
        g_string_append(out, " none");
    if (flags & SELECTION_SEND_RELEASE)
        g_string_append(out, " release");
    if (flags & SELECTION_SEND_GRAB) {
        g_string_append_printf(out, " grab %u", selection->grab_serial);
        add_types(out, selection->offers);
    }
    if (flags & SELECTION_DISOWN)
        g_string_append(out, " disown");
    if (flags & SELECTION_OWN) {
        g_string_append(out, " own");
        add_types(out, selection->offers);
    }
    if (flags == 0)
        g_string_append(out, " -");
}

static gint64 ms(const char *word)
{
    return g_ascii_strtoll(word, NULL, 10) * 1000;
}

/* The time after "at"; 0 without. */
static gint64 time_in(char **words)
{
    while (*words != NULL && !g_str_equal(*words, "at"))
        words++;
    return *words != NULL ? ms(words[1]) : 0;
}

static void run_event(Selection *s, char **word, GString *out)
{
    static const char *const ask[] = { "send", "join", "wait", "nothing" };
    static const char *const answer[] = { "deliver", "late", "unasked" };
    static const char *const asked[] = { "fetch", "join", "none" };
    const gint64 timeout = 1000 * 1000;
    const char *event = word[0];
    const char *const *words = (const char *const *) word;
    if (g_str_equal(event, "policy")) {
        s->to_host = g_strv_contains(words, "to-host");
        s->from_host = g_strv_contains(words, "from-host");
    } else if (g_str_equal(event, "peer")) {
        gboolean serials = g_strv_contains(words, "serial"), no_release = g_strv_contains(words, "no-release");
        add_flags(out, s, selection_peer(s, TRUE, serials, no_release, time_in(word)));
    } else if (g_str_equal(event, "gone")) {
        add_flags(out, s, selection_peer(s, FALSE, FALSE, FALSE, time_in(word)));
    } else if (g_str_equal(event, "program")) {
        add_flags(out, s, selection_program(s, types_of(word)));
    } else if (g_str_equal(event, "found")) {
        selection_found(s, types_of(word));
    } else if (g_str_equal(event, "nobody")) {
        add_flags(out, s, selection_nobody(s));
    } else if (g_str_equal(event, "terminal")) {
        add_flags(out, s, selection_terminal(s, types_of(word)));
    } else if (g_str_equal(event, "grab")) {
        guint32 serial = g_ascii_strtoull(word[1], NULL, 10);
        add_flags(out, s, selection_host_grab(s, serial, types_of(word), time_in(word)));
    } else if (g_str_equal(event, "release")) {
        add_flags(out, s, selection_host_release(s, time_in(word)));
    } else if (g_str_equal(event, "suspect")) {
        g_string_append_printf(out, " %s", TYPES[selection_suspect(s, types_of(word), time_in(word))]);
    } else if (g_str_equal(event, "echo")) {
        add_flags(out, s, selection_echo(s, types_of(word), g_strv_contains(words, "foreign")));
    } else if (g_str_equal(event, "ask")) {
        g_string_append_printf(out, " %s", ask[selection_ask(s, type_of(word[1]), ms(word[2]))]);
    } else if (g_str_equal(event, "answer")) {
        guint32 type = type_of(word[1]);
        SelectionAnswer result = selection_answer(s, &type, ms(word[2]));
        g_string_append_printf(out, " %s", answer[result]);
        if (result == SELECTION_ANSWER_DELIVER)
            g_string_append_printf(out, " %s", TYPES[type]);
    } else if (g_str_equal(event, "progress")) {
        selection_progress(s, ms(word[1]));
    } else if (g_str_equal(event, "answered")) {
        selection_answered(s, type_of(word[1]), g_strv_contains(words, "delivered"));
    } else if (g_str_equal(event, "expire")) {
        g_string_append_printf(out, " %s", TYPES[selection_expire(s, ms(word[1]), timeout)]);
    } else if (g_str_equal(event, "deadline")) {
        gint64 deadline = selection_deadline(s, timeout);
        if (deadline == G_MAXINT64)
            g_string_append(out, " never");
        else
            g_string_append_printf(out, " %" G_GINT64_FORMAT, deadline / 1000);
    } else if (g_str_equal(event, "asked")) {
        g_string_append_printf(out, " %s", asked[selection_asked(s, type_of(word[1]))]);
    } else if (g_str_equal(event, "pending")) {
        g_string_append_printf(out, " %u", selection_pending(s, type_of(word[1])));
    } else {
        g_error("unknown event %s", event);
    }
}

static void run_case(gconstpointer data)
{
    Selection selection = { .to_host = TRUE, .from_host = TRUE };
    g_auto(GStrv) lines = g_strsplit(((const Case *) data)->text, "\n", -1);
    for (char **line = lines; *line != NULL && **line != '\0'; line++) {
        g_auto(GStrv) parts = g_strsplit(*line, " => ", 2);
        g_auto(GStrv) words = g_strsplit(parts[0], " ", -1);
        g_autoptr(GString) got = g_string_new(parts[0]);
        if (parts[1] != NULL)
            g_string_append(got, " =>");
        run_event(&selection, words, got);
        g_assert_cmpstr(got->str, ==, *line);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/selection/%s", cases[i].name);
        g_test_add_data_func(path, &cases[i], run_case);
    }
    return g_test_run();
}
