// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "stream/socket_internal.h"

static struct socket_stream *socket_of(struct stream *stream)
{
    return (struct socket_stream *)(void *)stream;
}

static const struct socket_stream *socket_view(const struct stream *stream)
{
    return (const struct socket_stream *)(const void *)stream;
}

static enum rm_err socket_fail(struct socket_stream *socket, int system_error)
{
    if (socket->error == RM_OK) {
        // On a connection that stood it is keep-alive's word, not that of a deadline of ours.
        socket->error =
            system_error == ETIMEDOUT ? RM_ERR_VANISHED : rm_err_from_errno(system_error);
    }
    return socket->error;
}

enum rm_err socket_may_read(const struct socket_stream *socket)
{
    if (socket->has_ended) {
        return RM_ERR_EOF;
    }
    return socket->is_drained ? RM_ERR_WOULD_BLOCK : RM_OK;
}

// After a failed write the kernel still gives what came before the failure, and then, having told
// its error once, what looks like an orderly end.
enum rm_err socket_on_read(struct socket_stream *socket, ssize_t result, size_t *length)
{
    if (result > 0) {
        *length = (size_t)result;
        return RM_OK;
    }
    if (socket->error != RM_OK) {
        return socket->error;
    }
    if (result == 0) {
        socket->has_ended = true;
        return RM_ERR_EOF;
    }
    if (errno == EAGAIN) {
        socket->is_drained = true;
        return RM_ERR_WOULD_BLOCK;
    }
    return socket_fail(socket, errno);
}

static enum rm_err socket_read(struct stream *stream, uint8_t *bytes, size_t capacity,
                               size_t *length)
{
    struct socket_stream *socket = socket_of(stream);
    RM_TRY(socket_may_read(socket));
    if (capacity == 0) {
        return RM_ERR_INTERNAL; // nothing read into no room would look like an end
    }
    ssize_t result;
    do {
        result = recv(socket->descriptor, bytes, capacity, 0);
    } while (result < 0 && errno == EINTR);
    RM_TRY(socket_on_read(socket, result, length));
    socket->is_drained = *length < capacity;
    return RM_OK;
}

static size_t socket_parts_length(const struct iovec *parts, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        total += parts[i].iov_len;
    }
    return total;
}

enum rm_err socket_may_write(const struct socket_stream *socket)
{
    if (socket->error != RM_OK || socket->is_finished) {
        return socket->error != RM_OK ? socket->error : RM_ERR_CLOSED;
    }
    return socket->is_full ? RM_ERR_WOULD_BLOCK : RM_OK;
}

enum rm_err socket_on_write(struct socket_stream *socket, ssize_t result, size_t length,
                            size_t *written)
{
    if (result < 0 && errno == EAGAIN) {
        socket->is_full = true;
        return RM_ERR_WOULD_BLOCK;
    }
    if (result < 0) {
        return socket_fail(socket, errno);
    }
    *written = (size_t)result;
    socket->is_full = *written < length;
    socket_stall_watch(socket);
    return RM_OK;
}

static enum rm_err socket_write(struct stream *stream, const struct iovec *parts, int count,
                                size_t *written)
{
    struct socket_stream *socket = socket_of(stream);
    RM_TRY(socket_may_write(socket));
    if (count > IOV_MAX) {
        count = IOV_MAX;
    }
    // sendmsg() does not write to the parts, although its structure cannot say so.
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                                   .msg_iovlen = (size_t)count};
    ssize_t result;
    do {
        result = sendmsg(socket->descriptor, &message, MSG_NOSIGNAL);
    } while (result < 0 && errno == EINTR);
    return socket_on_write(socket, result, socket_parts_length(parts, count), written);
}

static enum rm_err socket_finish(struct stream *stream)
{
    struct socket_stream *socket = socket_of(stream);
    if (socket->error != RM_OK || socket->is_finished) {
        return socket->error;
    }
    if (shutdown(socket->descriptor, SHUT_WR) != 0) {
        // Not connected any more: the peer reset it, and the read that would tell has not been
        // made.
        return socket_fail(socket, errno == ENOTCONN ? ECONNRESET : errno);
    }
    socket->is_finished = true;
    return RM_OK;
}

static void socket_want(struct stream *stream, unsigned events)
{
    _Static_assert((int)STREAM_READ == (int)WATCH_READ && (int)STREAM_WRITE == (int)WATCH_WRITE,
                   "events pass unchanged");
    watch_set(socket_of(stream)->watch, events);
}

static void socket_close(struct stream *stream, enum stream_close_mode mode)
{
    struct socket_stream *socket = socket_of(stream);
    if (mode == STREAM_CLOSE_ORDERLY) {
        socket_linger_start(socket);
        return;
    }
    // close() sends a reset (socket_options_set). A Unix socket knows no such thing; its peer sees
    // an end, or a reset if it left bytes unread.
    socket_stream_release(socket);
}

static const struct peer *socket_peer(const struct stream *stream)
{
    (void)stream;
    return NULL;
}

static struct stream_address socket_remote(const struct stream *stream)
{
    const struct socket_stream *socket = socket_view(stream);
    struct stream_address remote = {0};
    if (socket->remote.family != AF_UNIX) {
        memcpy(&remote.address, &socket->remote, sizeof(socket->remote));
        remote.length = socket->remote.family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                          : sizeof(struct sockaddr_in);
        return remote;
    }
    remote.length = sizeof(remote.address);
    if (getpeername(socket->descriptor, (struct sockaddr *)&remote.address, &remote.length) != 0) {
        memset(&remote, 0, sizeof(remote));
    }
    return remote;
}

static struct stream_address socket_local(const struct stream *stream)
{
    struct stream_address local = {.length = sizeof(local.address)};
    if (getsockname(socket_view(stream)->descriptor, (struct sockaddr *)&local.address,
                    &local.length) != 0) {
        memset(&local, 0, sizeof(local));
    }
    socket_address_unmap(&local);
    return local;
}

static int socket_descriptor(const struct stream *stream)
{
    return socket_view(stream)->descriptor;
}

static const struct stream_ops socket_ops = {
    .read = socket_read,
    .write = socket_write,
    .splice_in = socket_splice_in,
    .splice_out = socket_splice_out,
    .finish = socket_finish,
    .want = socket_want,
    .close = socket_close,
    .peer = socket_peer,
    .remote = socket_remote,
    .local = socket_local,
    .descriptor = socket_descriptor,
};

static void socket_on_ready(void *context, unsigned events, enum rm_err error)
{
    (void)error; // the user's next read or write tells which
    struct socket_stream *socket = context;
    if ((events & WATCH_READ) != 0) {
        socket->is_drained = false;
    }
    if ((events & WATCH_WRITE) != 0) {
        socket->is_full = false;
    }
    if (socket->state == SOCKET_LINGERING) {
        socket_linger_on_readable(socket);
    } else {
        socket->head.on_event(socket->head.context, events);
    }
}

static void socket_on_timer(void *context)
{
    struct socket_stream *socket = context;
    if (socket->state == SOCKET_LINGERING) {
        socket_stream_release(socket);
    } else {
        socket_stall_on_timer(socket);
    }
}

static void socket_on_closed(void *context)
{
    struct socket_stream *socket = context;
    struct loop *loop = socket->head.loop;
    if (socket->head.on_closed != NULL) {
        socket->head.on_closed(socket->head.closed_context);
    }
    rm_free(socket);
    loop_close(loop);
}

void socket_stream_release(struct socket_stream *socket)
{
    timer_stop(&socket->timer);
    watch_close(socket->watch);
    (void)close(socket->descriptor);
    socket->descriptor = -1;
    socket->state = SOCKET_CLOSED;
    deferred_schedule(socket->head.loop, &socket->closed);
}

static void socket_keep_remote(struct socket_stream *socket, const struct stream_address *remote)
{
    struct stream_address plain = *remote;
    socket_address_unmap(&plain);
    memcpy(&socket->remote, &plain.address, sizeof(socket->remote));
}

enum rm_err socket_stream_adopt(struct loop *loop, int descriptor,
                                const struct stream_address *remote, struct stream **out)
{
    struct socket_stream *socket = rm_calloc(1, sizeof(*socket));
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (socket == NULL) {
        goto failed;
    }
    socket->head.ops = &socket_ops;
    socket->head.loop = loop;
    socket->descriptor = descriptor;
    socket_keep_remote(socket, remote);
    timer_init(&socket->timer, loop, socket_on_timer, socket);
    deferred_init(&socket->closed, socket_on_closed, socket);
    result = watch_open(loop, descriptor, socket_on_ready, socket, &socket->watch);
    if (result != RM_OK) {
        goto failed;
    }
    loop_open(loop);
    *out = &socket->head;
    return RM_OK;

failed:
    rm_free(socket);
    (void)close(descriptor);
    return result;
}

enum rm_err socket_stream_new(struct loop *loop, int descriptor, struct stream **out)
{
    struct stream_address remote = {.length = sizeof(remote.address)};
    if (getpeername(descriptor, (struct sockaddr *)&remote.address, &remote.length) != 0) {
        enum rm_err result = rm_err_from_errno(errno);
        (void)close(descriptor);
        return result;
    }
    socket_options_set(descriptor, remote.address.ss_family);
    return socket_stream_adopt(loop, descriptor, &remote, out);
}
