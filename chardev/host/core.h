/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core.h - libspice-server's timers and watches on the GLib main loop, and its connections made to wait.
 *
 * libspice-server has no call to stop reading from a client, only its watches, which are ours. What is being read when a
 * callback of a character device runs is the connection that the data come from; core_hold() takes that one out of the poll
 * until core_resume(). There is one libspice-server in a process, so this is state of the process.
 */
#ifndef CORE_H
#define CORE_H

#include <glib.h>
#include <spice.h>

/* What a client's connections do; `info` as in SpiceCoreInterface.channel_event. */
typedef void (*CoreChannelEvent)(int event, const SpiceChannelEventInfo *info, gpointer user);

/* For spice_server_init(). Never freed. `channel_event` is called from the main loop's thread. */
SpiceCoreInterface *core_interface(CoreChannelEvent channel_event, gpointer user);

/*
 * Call `settle` whenever libspice-server has handled what a connection had to say, or a timer, to do what must not be done inside its
 * calls; and at core_settle(), for others whose news the same must follow from. There is one, for the agent.
 */
void core_set_settle(void (*settle)(gpointer user), gpointer user);
void core_settle(void);

/* What a connection can be held for. Two can be held at once, one for each. */
typedef enum CoreHold {
    CORE_HOLD_BULK,  /* agent data wait for the guest */
    CORE_HOLD_INPUT, /* button edges wait for the guest */
    CORE_HOLDS
} CoreHold;

/*
 * Read no more from the connection whose input is being handled, once it has been. False if none is: the data came otherwise,
 * from a timer or as what libspice-server had kept. A connection that ends is held no longer.
 */
gboolean core_hold(CoreHold why);

/* Read from it again. Nothing happens if none is held for this. */
void core_resume(CoreHold why);

/* Does libspice-server have as many connections as it may? It takes no more of its own then; others must not be given to it. */
gboolean core_full(void);

/*
 * Let libspice-server read from the connection of this descriptor of its own now, and not after another turn of the main loop.
 * Nothing happens if it does not want to, if that connection is held, or if a thread of libspice-server's serves it. Not to
 * be called from inside libspice-server.
 */
void core_read(int fd);

#endif
