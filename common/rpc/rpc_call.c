// SPDX-License-Identifier: GPL-3.0-or-later
//
// What calls of both sides share.
#include "base/alloc.h"
#include "rpc/rpc_internal.h"

struct rpc_call *rpc_call_new(struct h2_session *session, bool is_server)
{
    struct rpc_call *call = rm_calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }
    call->is_server = is_server;
    call->session = session;
    buffer_init(&call->request, RPC_MAX_MESSAGE_BYTES);
    return call;
}

void rpc_call_free(struct rpc_call *call)
{
    rpc_reader_deinit(&call->reader);
    buffer_deinit_wiped(&call->request); // may carry a join token
    rm_free(call->text);
    rm_free(call);
}

void rpc_call_set_context(struct rpc_call *call, void *context)
{
    call->context = context;
}

void *rpc_call_context(struct rpc_call *call)
{
    return call->context;
}

const struct peer *rpc_call_peer(const struct rpc_call *call)
{
    return stream_peer(h2_session_stream(call->session));
}

struct stream_address rpc_call_remote(const struct rpc_call *call)
{
    return stream_remote(h2_session_stream(call->session));
}

struct stream *rpc_call_stream(const struct rpc_call *call)
{
    return h2_session_stream(call->session);
}

size_t rpc_call_queued_bytes(const struct rpc_call *call)
{
    return call->stream == NULL ? 0 : h2_stream_queued_bytes(call->stream);
}

void rpc_call_allow_large(struct rpc_call *call)
{
    call->reader.limit_bytes = RPC_MAX_MESSAGE_BYTES;
}

// A server's first message carries the response headers along.
static enum rm_err send_head(struct rpc_call *call)
{
    const struct h2_header head[] = {
        rpc_header(":status", "200"),
        rpc_header("content-type", "application/grpc"),
        rpc_header("grpc-accept-encoding", "identity"),
    };
    RM_TRY(h2_stream_respond(call->stream, head, sizeof(head) / sizeof(head[0]), false));
    call->is_head_sent = true;
    return RM_OK;
}

enum rm_err rpc_call_send(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    if (call->state != RPC_CALL_OPEN || call->stream == NULL) {
        return RM_ERR_CLOSED;
    }
    if (call->is_server && !call->is_head_sent) {
        RM_TRY(send_head(call));
    }
    return rpc_message_send(call->stream, bytes, length);
}
