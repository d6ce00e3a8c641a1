/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* services.h - what commands share; main.c makes it. Each is documented in its own header. */
#ifndef SERVICES_H
#define SERVICES_H

#include "bus.h"

struct OpenFiles;
struct Exec;
struct Helper;
struct Freeze;
struct Power;
struct Extensions;
struct Packages;

struct Services {
    Bus *bus;
    struct OpenFiles *files;
    struct Exec *exec;
    struct Helper *helper;
    struct Freeze *freeze;
    struct Power *power;
    struct Extensions *extensions;
    struct Packages *packages;
};

#endif
