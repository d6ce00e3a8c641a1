/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limits.h - every bound on what a peer can make us keep, and why it has that value.
 *
 * A number that a peer announces is compared with one of these before anything is allocated or
 * looped over. Memory per peer is therefore the sum of the constants below, whatever is announced.
 */
#ifndef LIMITS_H
#define LIMITS_H

/* Payload of a chunk that we send. spice-server forwards at most this much per chunk (VD_AGENT_MAX_DATA_SIZE). */
#define LIMIT_CHUNK_OUT 2048u

/*
 * Payload of a chunk that we accept. Peers send 1024 (QEMU's built-in agent channel) or 2048 (spice-server); a header
 * beyond this bound means that the stream is out of step, and the port is opened anew.
 */
#define LIMIT_CHUNK_IN 65536u

/*
 * A message that must be decoded as a whole (all but clipboard data and file data). The largest legitimate one is a
 * file transfer start with a 255 byte name of escaped bytes, or graphics device info of 16 heads; both stay below
 * 2 KiB.
 */
#define LIMIT_MESSAGE 4096u

/* Heads of a guest. SPICE has 16 (spice-gtk's MAX_DISPLAY); a MONITORS_CONFIG with more is refused. */
#define LIMIT_DISPLAYS 16u

/* Words of a capability set. spice-protocol 0.14.3 uses one; later words are accepted up to here and carried unread. */
#define LIMIT_CAPS_WORDS 8u

/* Clipboard types in one grab. spice-protocol 0.14.3 knows six; the rest is ignored, more than this is refused. */
#define LIMIT_CLIPBOARD_TYPES 64u

/* Clipboard selections: CLIPBOARD, PRIMARY and SECONDARY. */
#define LIMIT_SELECTIONS 3u

/* Volume channels of a stream: more than 7.1 surround with room to spare. */
#define LIMIT_AUDIO_CHANNELS 32u

/* Zero-terminated PCI path of a graphics device, "pci/0000/02.0/…", one component for each bridge on the way. */
#define LIMIT_DEVICE_ADDRESS 256u

/* Zero-terminated connector name, "Virtual-1", "DP-3": DRM names are at most 32 bytes. */
#define LIMIT_CONNECTOR_NAME 32u

/*
 * File transfers at once. spice-gtk starts all files that are dropped together, so this is how many can be; a client that
 * drops a folder of 10 000 gets an error status for what goes beyond. Each takes two descriptors of the session daemon.
 */
#define LIMIT_TRANSFERS 256u

/* One directory entry (NAME_MAX). */
#define LIMIT_FILE_NAME 255u

/* Bytes taken from a descriptor in one go, the unit in which a stream is handed on. */
#define LIMIT_READ 16384u

/* File data handed on to a session as one message, so that a transfer can end between two; what spice-gtk sends at once. */
#define LIMIT_FILE_PIECE 65536u

/*
 * Bytes waiting for one session socket. When the next piece of input might not fit, reading from the virtio port pauses,
 * for at most LIMIT_STALL_MS: then what waits is given up.
 */
#define LIMIT_SESSION_QUEUE 262144u

/* Bytes waiting for the port, for each lane of the multiplexer. When full, the lane's source is not read. */
#define LIMIT_LANE_QUEUE 16384u

/* A reader that takes nothing for this long while data wait for it is stuck: its paste or transfer ends. */
#define LIMIT_STALL_MS 1000

/* Button edges and wheel turns waiting on their way to the kernel; see pace.h. When full, the oldest go at once. */
#define LIMIT_POINTER_EDGES 1024u

/* Frames that a pvmouse receiver lets the sender have under way. */
#define LIMIT_PVMOUSE_CREDIT 256u

#endif

/* The C library has a header of this name, and gcc's parts of it can find ours instead: hand them on, each time. */
#ifndef __clang__
#include_next <limits.h>
#endif
