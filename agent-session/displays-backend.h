/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * displays-backend.h - what a desktop's outputs are to the facade: one shape for all backends.
 */
#ifndef DISPLAYS_BACKEND_H
#define DISPLAYS_BACKEND_H

#include "plan.h"

#include <glib.h>

/* An output at one moment. `mode_w` and `mode_h` are those of the mode itself, before rotation. */
typedef struct DisplaysOutput {
    char name[LIMIT_CONNECTOR_NAME]; /* as in /sys/class/drm, "Virtual-1" */
    guint mode_w, mode_h;            /* 0 while it is off */
    guint transform;                 /* number of wl_output.transform */
} DisplaysOutput;

/* Orders connector names as strcmp() does, but numbers in them by value: "Virtual-2" before "Virtual-10". */
int displays_output_compare(const char *a, const char *b);

/* A name as DisplaysOutput keeps it, of one that a compositor gives: cut, and of printable ASCII. */
void displays_output_name(const char *name, char ret_name[LIMIT_CONNECTOR_NAME]);

/* Does a number of wl_output.transform swap width and height? */
gboolean displays_output_sideways(guint transform);

/* All outputs at one moment; output[i] and plan[i] are the same one. Its SPICE display: connectors_displays(). */
typedef struct DisplaysState {
    gsize count;
    DisplaysOutput output[LIMIT_DISPLAYS];
    PlanOutput plan[LIMIT_DISPLAYS];
    guint w, h; /* of the whole desktop if that can be more than its outputs cover; else 0 */
    PlanLimits limits;
} DisplaysState;

/* Do two states have the same outputs? If not, a plan made from one is none for the other. */
gboolean displays_same_outputs(const DisplaysState *a, const DisplaysState *b);

/* What a backend reports. `changed` is always from the main loop, `applied` may come from inside of apply(). */
typedef struct DisplaysBackendEvents {
    /* Something is, or may be, another than it was. */
    void (*changed)(gpointer user);
    /* apply() has come to its end; `why` it could not be done, for the user, else NULL. */
    void (*applied)(const char *why, gpointer user);
    /* The desktop serves no more. The backend waits to be freed, from this call or later. */
    void (*failed)(const char *why, gpointer user);
} DisplaysBackendEvents;

typedef struct DisplaysBackend DisplaysBackend;

/* A backend's own struct begins with this. */
struct DisplaysBackend {
    const char *name;

    /* Tell what is there now. FALSE while that is not known. */
    gboolean (*read)(DisplaysBackend *backend, DisplaysState *ret_state);
    /*
     * Before apply(): change the plan where the desktop has only something near it, as another scale or no gaps, so
     * that what comes out can be compared with it. Sizes of modes are left alone. NULL: the desktop can do all.
     */
    void (*fit)(DisplaysBackend *backend, Plan *plan, gboolean upright);
    /*
     * Carry out a plan made from what read() told last; ends with one applied(), and none is under way before. Outputs
     * are turned upright or stay as they are. What could not be done as a whole is undone. NULL: it can only read.
     */
    void (*apply)(DisplaysBackend *backend, const Plan *plan, gboolean upright);
    void (*free)(DisplaysBackend *backend);
};

#endif
