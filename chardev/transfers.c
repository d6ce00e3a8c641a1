/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transfers.h"

static size_t find(const Transfers *transfers, uint32_t id)
{
    size_t i = 0;

    while (i < transfers->count && transfers->id[i] != id)
        i++;
    return i;
}

TransfersResult transfers_begin(Transfers *transfers, uint32_t id)
{
    if (transfers_lives(transfers, id))
        return TRANSFERS_DUPLICATE;
    if (transfers->count == LIMIT_TRANSFERS)
        return TRANSFERS_FULL;
    transfers->id[transfers->count++] = id;
    return TRANSFERS_OK;
}

bool transfers_lives(const Transfers *transfers, uint32_t id)
{
    return find(transfers, id) < transfers->count;
}

bool transfers_end(Transfers *transfers, uint32_t id)
{
    size_t i = find(transfers, id);

    if (i == transfers->count)
        return false;
    transfers->id[i] = transfers->id[--transfers->count];
    return true;
}

bool transfers_end_any(Transfers *transfers, uint32_t *ret_id)
{
    if (transfers->count == 0)
        return false;
    *ret_id = transfers->id[--transfers->count];
    return true;
}

bool transfers_final(uint32_t result)
{
    return result != VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA;
}

VdagentFileStatus transfers_status_for(const Caps *client, VdagentFileStatus status)
{
    if (caps_has(client, VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS))
        return status;
    return (VdagentFileStatus){
        .id = status.id,
        .result = status.result > VD_AGENT_FILE_XFER_STATUS_SUCCESS ? VD_AGENT_FILE_XFER_STATUS_ERROR : status.result,
    };
}
