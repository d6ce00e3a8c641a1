/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "interface.h"

/* The assembler runs where make does, at the top of the tree. */
__asm__(".pushsection .rodata\n"
        ".global interface_xml\n"
        "interface_xml:\n"
        ".incbin \"protocol/org.spice_space.Agent1.xml\"\n"
        ".byte 0\n"
        ".popsection\n");
