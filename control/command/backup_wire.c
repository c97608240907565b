// SPDX-License-Identifier: GPL-3.0-or-later
#include "command/backup_wire.h"

#include "pb/pb.h"
#include "remora/admin/v1/admin.pb-c.h"
#include "rpc/rpc.h"

enum rm_err backup_wire_read_chunk(const uint8_t *bytes, size_t length,
                                   enum rm_err (*write)(void *context, const uint8_t *data,
                                                        size_t data_length),
                                   void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__admin__v1__backup_chunk__descriptor, bytes, length,
                     RPC_MAX_MESSAGE_BYTES, &message, NULL));
    const Remora__Admin__V1__BackupChunk *chunk = (const void *)message;
    enum rm_err result = write(context, chunk->data.data, chunk->data.len);
    pb_free(message);
    return result;
}
