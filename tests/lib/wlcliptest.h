/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wlcliptest.h - what the clipboard's tests on compositors share; the rest is in cliptest.h. */
#ifndef WLCLIPTEST_H
#define WLCLIPTEST_H

#include "cliptest.h"
#include "wlprogram.h"

typedef struct WlFixture {
    Wayland *wayland;
    gboolean ready, closed; /* the compositor went away, and the clipboard serves nothing */
    Host *host;
    WlProgram *program;
} WlFixture;

/* Run the program again with a private sway and XWayland, unless it runs with one, and prepare for g_test_run(). */
void wlcliptest_init(int *argc, char ***argv);

/* Sets up a clipboard with a client and a program; `data` is the ClipboardPolicy or NULL for host_policy. */
void wlcliptest_set_up(WlFixture *f, gconstpointer data);
void wlcliptest_tear_down(WlFixture *f, gconstpointer data);
#define WLCLIPTEST_ADD(name, policy, function)                                                                         \
    g_test_add("/clipboard/" name, WlFixture, policy, wlcliptest_set_up, function, wlcliptest_tear_down)

/* The client grabs, and the selection has been taken for it. */
void wlcliptest_grab(WlFixture *f, guint8 selection, guint32 serial, guint32 types);

/* Connects the clipboard to the compositor of the environment, and disconnects it. */
void wlcliptest_connect(WlFixture *f);
void wlcliptest_disconnect(WlFixture *f);

/* Memory in KiB stays below a limit; a sanitizer keeps what was freed. */
#ifdef __SANITIZE_ADDRESS__
#define wlcliptest_assert_memory(kib, limit) ((void) (kib), (void) (limit))
#else
#define wlcliptest_assert_memory(kib, limit) g_assert_cmpuint(kib, <, limit)
#endif

#endif
