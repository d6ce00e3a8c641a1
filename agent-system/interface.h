/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * interface.h - the text of protocol/org.spice_space.Agent1.xml, which is the interface that the daemon offers.
 */
#ifndef INTERFACE_H
#define INTERFACE_H

extern const char interface_xml[];

#endif
