// SPDX-License-Identifier: GPL-3.0-or-later
#include "stream/stream.h"

#include <errno.h>
#include <poll.h>

void stream_own(struct stream *stream, stream_event_fn on_event, void *context)
{
    stream->on_event = on_event;
    stream->context = context;
}

enum rm_err stream_read(struct stream *stream, uint8_t *bytes, size_t capacity, size_t *length)
{
    return stream->ops->read(stream, bytes, capacity, length);
}

enum rm_err stream_write(struct stream *stream, const struct iovec *parts, int count,
                         size_t *written)
{
    return stream->ops->write(stream, parts, count, written);
}

enum rm_err stream_write_bytes(struct stream *stream, const void *bytes, size_t length,
                               size_t *written)
{
    // An iovec serves reading and writing; writing leaves the bytes alone.
    const struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    return stream->ops->write(stream, &part, 1, written);
}

bool stream_can_splice(const struct stream *stream)
{
    return stream->ops->splice_in != NULL && stream->ops->splice_out != NULL;
}

enum rm_err stream_splice_in(struct stream *stream, struct pipe *pipe, size_t capacity,
                             size_t *length)
{
    return stream->ops->splice_in(stream, pipe, capacity, length);
}

enum rm_err stream_splice_out(struct stream *stream, struct pipe *pipe, size_t length,
                              size_t *written)
{
    return stream->ops->splice_out(stream, pipe, length, written);
}

enum rm_err stream_finish(struct stream *stream)
{
    return stream->ops->finish(stream);
}

void stream_want(struct stream *stream, unsigned events)
{
    stream->ops->want(stream, events);
}

void stream_close(struct stream *stream, enum stream_close_mode mode, stream_closed_fn on_closed,
                  void *context)
{
    stream->on_closed = on_closed;
    stream->closed_context = context;
    stream->ops->close(stream, mode);
}

const struct peer *stream_peer(const struct stream *stream)
{
    return stream->ops->peer(stream);
}

struct stream_address stream_remote(const struct stream *stream)
{
    return stream->ops->remote(stream);
}

struct stream_address stream_local(const struct stream *stream)
{
    return stream->ops->local(stream);
}

int stream_descriptor(const struct stream *stream)
{
    return stream->ops->descriptor(stream);
}

bool stream_is_lost(const struct stream *stream, enum rm_err *why)
{
    struct pollfd look = {.fd = stream_descriptor(stream)};
    int system_error = 0;
    socklen_t length = sizeof(system_error);
    if (look.fd < 0 || poll(&look, 1, 0) != 1 || (look.revents & POLLERR) == 0) {
        return false;
    }
    (void)getsockopt(look.fd, SOL_SOCKET, SO_ERROR, &system_error, &length);
    *why = system_error == ETIMEDOUT ? RM_ERR_VANISHED : RM_ERR_RESET;
    return true;
}
