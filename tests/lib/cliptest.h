/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cliptest.h - what the clipboard's session tests share: the parts under test, a client, a program, and commands. */
#ifndef CLIPTEST_H
#define CLIPTEST_H

#include "host.h"
#include "xprogram.h"

#define TEXT VD_AGENT_CLIPBOARD_UTF8_TEXT
#define PNG VD_AGENT_CLIPBOARD_IMAGE_PNG
#define BMP VD_AGENT_CLIPBOARD_IMAGE_BMP
#define TIFF VD_AGENT_CLIPBOARD_IMAGE_TIFF
#define JPG VD_AGENT_CLIPBOARD_IMAGE_JPG
#define SET(type) (1u << (type))

typedef struct Fixture {
    X11 *x11;
    gboolean closed; /* the X server went away */
    Host *host;
    XProgram *program;
} Fixture;

/* Run the program again with a private X server, unless it runs with one, and prepare for g_test_run(). */
void cliptest_init(int *argc, char ***argv);

/* The same with another server: the command that starts it, up to NULL, and what it sets in the environment. */
void cliptest_init_in(int *argc, char ***argv, const char *variable, const char *const *server);

/* Sets up a clipboard with a client and a program; `data` is the ClipboardPolicy or NULL for host_policy. */
void cliptest_set_up(Fixture *f, gconstpointer data);
void cliptest_tear_down(Fixture *f, gconstpointer data);
#define CLIPTEST_ADD(name, policy, function)                                                                           \
    g_test_add("/clipboard/" name, Fixture, policy, cliptest_set_up, function, cliptest_tear_down)

/* The client grabs, and the selection has been taken for it. */
void cliptest_grab(Fixture *f, guint8 selection, guint32 serial, guint32 types);

/* `size` bytes that do not repeat. */
GBytes *cliptest_noise(gsize size);

/* A shell command with `input` (not NULL) as its standard input; ends when the command has gone to the background. */
void cliptest_feed(const char *command, GBytes *input);

/* What a shell command prints, while the main loop runs. */
GBytes *cliptest_run(const char *command);

/* Has this been logged? Forgets what was. */
gboolean cliptest_logged(const char *text);
void cliptest_forget_log(void);

/* Fails the test if a mistake of ours was logged. */
void cliptest_check_log(void);

/* Resident memory of this process, KiB: now, and the most since the last reset. */
gsize cliptest_memory(void);
gsize cliptest_memory_peak(void);
void cliptest_memory_reset(void);

#endif
