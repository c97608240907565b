// SPDX-License-Identifier: GPL-3.0-or-later
//
// An outgoing connection: a stream whose first event tells whether it stands.
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "stream/socket_internal.h"

struct socket_connect {
    struct stream *stream;        // owned until it is given
    struct timer deadline;        // gives up
    struct deferred known;        // the result was known at once
    enum rm_err result;           // for `known`
    socket_connect_fn on_connect; // the user's
    void *context;                // for on_connect
};

// Ends the attempt: whatever happens in the user's callback, it is over by then.
static void connect_deliver(struct socket_connect *connect, enum rm_err result)
{
    struct socket_connect ended = *connect;
    timer_stop(&connect->deadline);
    rm_free(connect);
    if (result == RM_OK) {
        stream_want(ended.stream, 0);
        stream_own(ended.stream, NULL, NULL);
    } else {
        stream_close(ended.stream, STREAM_CLOSE_ABORT, NULL, NULL);
        ended.stream = NULL;
    }
    ended.on_connect(ended.context, result, ended.stream);
}

// A connection to a local port in the range for outgoing ones can, by chance, meet itself.
static bool connect_met_itself(const struct stream *stream)
{
    struct stream_address local = {.length = sizeof(local.address)};
    struct stream_address remote = {.length = sizeof(remote.address)};
    int descriptor = stream_descriptor(stream);
    return getsockname(descriptor, (struct sockaddr *)&local.address, &local.length) == 0 &&
           getpeername(descriptor, (struct sockaddr *)&remote.address, &remote.length) == 0 &&
           local.address.ss_family != AF_UNIX && socket_address_equal(&local, &remote);
}

static void connect_on_event(void *context, unsigned events)
{
    (void)events;
    struct socket_connect *connect = context;
    int system_error = 0;
    socklen_t length = sizeof(system_error);
    if (getsockopt(stream_descriptor(connect->stream), SOL_SOCKET, SO_ERROR, &system_error,
                   &length) != 0) {
        system_error = errno;
    }
    if (system_error == 0 && connect_met_itself(connect->stream)) {
        system_error = ECONNREFUSED;
    }
    connect_deliver(connect, rm_err_from_errno(system_error));
}

static void connect_on_deadline(void *context)
{
    connect_deliver(context, RM_ERR_TIMEOUT);
}

static void connect_on_known(void *context)
{
    struct socket_connect *connect = context;
    connect_deliver(connect, connect->result);
}

// A full backlog of a Unix listener reads EAGAIN, which no event would ever end.
static enum rm_err connect_begin(int descriptor, const struct stream_address *address)
{
    if (connect(descriptor, (const struct sockaddr *)&address->address, address->length) == 0) {
        return RM_OK;
    }
    return errno == EAGAIN ? RM_ERR_BUSY : rm_err_from_errno(errno);
}

static struct socket_connect *connect_new(struct loop *loop, socket_connect_fn on_connect,
                                          void *context)
{
    struct socket_connect *connect = rm_calloc(1, sizeof(*connect));
    if (connect != NULL) {
        connect->on_connect = on_connect;
        connect->context = context;
        timer_init(&connect->deadline, loop, connect_on_deadline, connect);
        deferred_init(&connect->known, connect_on_known, connect);
    }
    return connect;
}

enum rm_err socket_connect(struct loop *loop, const struct stream_address *address,
                           uint32_t timeout_ms, socket_connect_fn on_connect, void *context,
                           struct socket_connect **out)
{
    const int family = address->address.ss_family;
    int descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return rm_err_from_errno(errno);
    }
    socket_options_set(descriptor, family);
    enum rm_err begun = connect_begin(descriptor, address);
    struct stream *stream;
    RM_TRY(socket_stream_adopt(loop, descriptor, address, &stream));

    struct socket_connect *connect = connect_new(loop, on_connect, context);
    if (connect == NULL || timer_start(&connect->deadline, timeout_ms) != RM_OK) {
        rm_free(connect);
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return RM_ERR_NO_MEMORY;
    }
    connect->stream = stream;
    stream_own(stream, connect_on_event, connect);
    if (begun == RM_ERR_WOULD_BLOCK) {
        stream_want(stream, STREAM_WRITE);
    } else {
        connect->result = begun;
        deferred_schedule(loop, &connect->known);
    }
    *out = connect;
    return RM_OK;
}

void socket_connect_cancel(struct socket_connect *connect)
{
    timer_stop(&connect->deadline);
    deferred_cancel(&connect->known);
    stream_close(connect->stream, STREAM_CLOSE_ABORT, NULL, NULL);
    rm_free(connect);
}
