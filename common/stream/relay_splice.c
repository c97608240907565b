// SPDX-License-Identifier: GPL-3.0-or-later
//
// A flow's way past user space. A pipe is held only while bytes are in it, or may be within one
// event; without one, or where the kernel will not, the flow copies.
#include <errno.h>
#include <unistd.h>

#include "stream/descriptors.h"
#include "stream/relay_internal.h"

// Connections need the last descriptors more: a flow that meets their shortage copies from then on.
static bool flow_borrow_pipe(struct flow *flow)
{
    if (flow->pipe != NULL) {
        return true;
    }
    struct pipe *pipe = pipe_get(flow->relay->loop);
    if (pipe != NULL && descriptors_are_scarce(pipe->inlet, false)) {
        flow->can_splice = false;
        pipe_put(flow->relay->loop, pipe, false);
        return false;
    }
    flow->pipe = pipe;
    return pipe != NULL;
}

void flow_splice_return(struct flow *flow)
{
    if (flow->pipe != NULL) {
        pipe_put(flow->relay->loop, flow->pipe, flow->piped_bytes == 0);
    }
    flow->pipe = NULL;
    flow->piped_bytes = 0;
}

enum rm_err flow_splice_read(struct flow *flow, size_t capacity, size_t *length)
{
    if (!flow->can_splice || !flow->is_bulk || !flow_borrow_pipe(flow)) {
        return RM_ERR_UNSUPPORTED;
    }
    enum rm_err result = stream_splice_in(flow->source, flow->pipe,
                                          capacity < PIPE_BYTES ? capacity : PIPE_BYTES, length);
    flow->can_splice = result != RM_ERR_UNSUPPORTED;
    flow->piped_bytes = result == RM_OK ? (uint32_t)*length : 0;
    return result;
}

enum rm_err flow_splice_write(struct flow *flow, size_t *written)
{
    if (!flow->can_splice || flow->start < flow->end) {
        return RM_ERR_UNSUPPORTED;
    }
    enum rm_err result = stream_splice_out(flow_sink(flow), flow->pipe, flow->piped_bytes, written);
    flow->can_splice = result != RM_ERR_UNSUPPORTED;
    flow->piped_bytes -= result == RM_OK ? (uint32_t)*written : 0;
    return result;
}

enum rm_err flow_splice_copy_out(struct flow *flow)
{
    size_t length = flow->piped_bytes < flow->capacity ? flow->piped_bytes : flow->capacity;
    ssize_t result;
    do {
        result = read(flow->pipe->outlet, flow->bytes, length);
    } while (result < 0 && errno == EINTR);
    if (result <= 0) {
        return result == 0 ? RM_ERR_INTERNAL : rm_err_from_errno(errno);
    }
    flow->start = 0;
    flow->end = (uint32_t)result;
    flow->piped_bytes -= (uint32_t)result;
    return RM_OK;
}
