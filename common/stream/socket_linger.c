// SPDX-License-Identifier: GPL-3.0-or-later
//
// The lingering close. A socket that is closed with unread bytes answers with a reset, and a reset
// destroys what we sent and the peer has not read yet. So we say our end, throw away what still
// comes, and wait for the peer's end, for a bounded time.
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream/socket_internal.h"

#define DISCARD_BYTES 4096 // per read

void socket_linger_start(struct socket_stream *socket)
{
    bool is_sent = socket->error == RM_OK &&
                   (socket->is_finished || shutdown(socket->descriptor, SHUT_WR) == 0);
    timer_stop(&socket->timer);
    socket->state = SOCKET_LINGERING;
    if (is_sent) {
        socket_options_set_reset(socket->descriptor, false);
    }
    if (!is_sent || socket->has_ended || timer_start(&socket->timer, STREAM_LINGER_MS) != RM_OK) {
        socket_stream_release(socket);
        return;
    }
    watch_set(socket->watch, WATCH_READ);
}

void socket_linger_on_readable(struct socket_stream *socket)
{
    uint8_t discarded[DISCARD_BYTES];
    for (int i = 0; i < SOCKET_DISCARD_PER_TURN / DISCARD_BYTES; i++) {
        ssize_t result = recv(socket->descriptor, discarded, sizeof(discarded), 0);
        if (result < 0 && errno == EINTR) {
            continue;
        }
        if (result < 0 && errno == EAGAIN) {
            return;
        }
        if (result <= 0) {
            socket_stream_release(socket);
            return;
        }
    }
}
