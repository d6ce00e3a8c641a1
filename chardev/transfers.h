/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transfers.h - the file transfers that live now (pure).
 *
 * Only the client begins one. It belongs to the session connection (in the host daemon: to the agent) that was there
 * then, and ends with it, with the client, or by a status of either side. What comes for an id that does not live is
 * nobody's.
 */
#ifndef TRANSFERS_H
#define TRANSFERS_H

#include "vdagent.h"

/* All zero: none lives. */
typedef struct Transfers {
    uint32_t id[LIMIT_TRANSFERS];
    size_t count;
} Transfers;

typedef enum TransfersResult {
    TRANSFERS_OK = 0,
    TRANSFERS_FULL,     /* LIMIT_TRANSFERS live */
    TRANSFERS_DUPLICATE /* one of this id lives: the client has lost count, and both must end */
} TransfersResult;

TransfersResult transfers_begin(Transfers *transfers, uint32_t id);

bool transfers_lives(const Transfers *transfers, uint32_t id);

/* False if it did not live. */
bool transfers_end(Transfers *transfers, uint32_t id);

/* End some transfer, until there is none: false. */
bool transfers_end_any(Transfers *transfers, uint32_t *ret_id);

/* Does a status with this result end its transfer? */
bool transfers_final(uint32_t result);

/*
 * The form of a status that a client with these capabilities knows: without VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS
 * there is nothing beyond VD_AGENT_FILE_XFER_STATUS_SUCCESS but a plain error.
 */
VdagentFileStatus transfers_status_for(const Caps *client, VdagentFileStatus status);

#endif
