// SPDX-License-Identifier: GPL-3.0-or-later
//
// Length-prefixed messages (gRPC over HTTP/2): one byte "compressed", four bytes length, the
// message. The length is judged before memory is taken; memory then grows with the bytes that
// really came.
#include <string.h>

#include "rpc/rpc_internal.h"

void rpc_reader_init(struct rpc_reader *reader, size_t limit, size_t *assembling_bytes)
{
    *reader = (struct rpc_reader){.limit_bytes = limit, .assembling_bytes = assembling_bytes};
    buffer_init(&reader->message, 0);
}

static void release(struct rpc_reader *reader)
{
    *reader->assembling_bytes -= reader->reserved_bytes;
    reader->reserved_bytes = 0;
}

void rpc_reader_deinit(struct rpc_reader *reader)
{
    if (reader->assembling_bytes != NULL) {
        release(reader);
    }
    buffer_deinit_wiped(&reader->message); // a request may carry a join token
}

bool rpc_reader_is_between(const struct rpc_reader *reader)
{
    return reader->prefix_bytes == 0;
}

static size_t take_prefix(struct rpc_reader *reader, const uint8_t *bytes, size_t length)
{
    size_t missing = RPC_PREFIX_BYTES - reader->prefix_bytes;
    size_t taken = length < missing ? length : missing;
    memcpy(reader->prefix + reader->prefix_bytes, bytes, taken);
    reader->prefix_bytes += taken;
    return taken;
}

static enum rm_err judge_prefix(struct rpc_reader *reader)
{
    const uint8_t *prefix = reader->prefix;
    if (prefix[0] != 0) {
        return prefix[0] == 1 ? RM_ERR_UNSUPPORTED : RM_ERR_PROTOCOL;
    }
    size_t length = ((size_t)prefix[1] << 24) | ((size_t)prefix[2] << 16) |
                    ((size_t)prefix[3] << 8) | prefix[4];
    if (length > reader->limit_bytes ||
        length > RPC_MAX_ASSEMBLING_BYTES - *reader->assembling_bytes) {
        return RM_ERR_TOO_LARGE;
    }
    reader->needed_bytes = length;
    reader->reserved_bytes = length;
    *reader->assembling_bytes += length;
    reader->message.max_bytes = length;
    return RM_OK;
}

// Hands over a whole message and makes ready for the next. False: stop.
static bool deliver(struct rpc_reader *reader, const uint8_t *bytes, rpc_message_fn on_message,
                    void *context)
{
    struct buffer message = reader->message; // the call may end its reader meanwhile
    size_t length = reader->needed_bytes;
    buffer_init(&reader->message, 0);
    reader->prefix_bytes = 0;
    reader->needed_bytes = 0;
    release(reader);
    bool goes_on = on_message(context, bytes, length);
    buffer_deinit_wiped(&message);
    return goes_on;
}

// One step over the input: *used bytes of it. RM_ERR_CLOSED: the receiver wants no more.
static enum rm_err advance(struct rpc_reader *reader, const uint8_t *bytes, size_t length,
                           rpc_message_fn on_message, void *context, size_t *used)
{
    *used = 0;
    if (reader->prefix_bytes < RPC_PREFIX_BYTES) {
        *used = take_prefix(reader, bytes, length);
        if (reader->prefix_bytes < RPC_PREFIX_BYTES) {
            return RM_OK;
        }
        RM_TRY(judge_prefix(reader));
    }
    size_t rest = length - *used;
    size_t have = buffer_length(&reader->message);
    if (have == 0 && rest >= reader->needed_bytes) { // whole in the input: no copy
        const uint8_t *whole = bytes + *used;
        *used += reader->needed_bytes;
        return deliver(reader, whole, on_message, context) ? RM_OK : RM_ERR_CLOSED;
    }
    size_t missing = reader->needed_bytes - have;
    size_t taken = rest < missing ? rest : missing;
    RM_TRY(buffer_append(&reader->message, bytes + *used, taken));
    *used += taken;
    if (taken < missing) {
        return RM_OK;
    }
    return deliver(reader, buffer_data(&reader->message), on_message, context) ? RM_OK
                                                                               : RM_ERR_CLOSED;
}

enum rm_err rpc_reader_feed(struct rpc_reader *reader, const uint8_t *bytes, size_t length,
                            rpc_message_fn on_message, void *context)
{
    while (length > 0) {
        size_t used = 0;
        RM_TRY(advance(reader, bytes, length, on_message, context, &used));
        bytes += used;
        length -= used;
    }
    return RM_OK;
}

enum rm_err rpc_message_send(struct h2_stream *stream, const uint8_t *bytes, size_t length)
{
    if (length > RPC_MAX_MESSAGE_BYTES) {
        return RM_ERR_TOO_LARGE;
    }
    const uint8_t prefix[RPC_PREFIX_BYTES] = {0, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                              (uint8_t)(length >> 8), (uint8_t)length};
    const struct iovec parts[] = {{(void *)prefix, sizeof(prefix)}, {(void *)bytes, length}};
    return h2_stream_send_parts(stream, parts, 2, false);
}
