// SPDX-License-Identifier: GPL-3.0-or-later
//
// Reads and writes whose other end is a pipe, so that the bytes never leave the kernel.
#include <errno.h>
#include <fcntl.h>

#include "stream/socket_internal.h"

static ssize_t socket_splice(int from, int to, size_t length)
{
    ssize_t result;
    do {
        result = splice(from, NULL, to, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (result < 0 && errno == EINTR);
    return result;
}

// Errors of splice(2) itself, or of a filter for system calls; a copy tells whatever else is wrong.
static bool socket_is_unspliceable(ssize_t result)
{
    return result < 0 && (errno == EINVAL || errno == ENOSYS || errno == EPERM || errno == ENOMEM);
}

// A short answer does not mean that the socket is drained: a pipe may be full of small pieces.
enum rm_err socket_splice_in(struct stream *stream, struct pipe *pipe, size_t capacity,
                             size_t *length)
{
    struct socket_stream *socket = (struct socket_stream *)(void *)stream;
    RM_TRY(socket_may_read(socket));
    ssize_t result = socket_splice(socket->descriptor, pipe->inlet, capacity);
    return socket_is_unspliceable(result) ? RM_ERR_UNSUPPORTED
                                          : socket_on_read(socket, result, length);
}

enum rm_err socket_splice_out(struct stream *stream, struct pipe *pipe, size_t length,
                              size_t *written)
{
    struct socket_stream *socket = (struct socket_stream *)(void *)stream;
    RM_TRY(socket_may_write(socket));
    ssize_t result = socket_splice(pipe->outlet, socket->descriptor, length);
    return socket_is_unspliceable(result) ? RM_ERR_UNSUPPORTED
                                          : socket_on_write(socket, result, length, written);
}
