/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doctor.h - `doctor`: checks everything that the guest stack needs, in the order in which it depends on each other.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

/* Run the command with its arguments; argv[0] is its name. Returns the exit status, 1 when there is a problem. */
int doctor_run(int argc, char **argv);

#endif
