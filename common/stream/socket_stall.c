// SPDX-License-Identifier: GPL-3.0-or-later
//
// Finds a peer that vanished while bytes were under way to it; keep-alive does not probe then, and
// the kernel alone would retransmit for a quarter of an hour. TCP_USER_TIMEOUT is not the answer:
// it also ends connections to a peer that is alive and reads nothing for a while (zero window).
#include <linux/tcp.h>
#include <sys/socket.h>

#include "stream/socket_internal.h"

// Without memory for the timer this round goes unwatched; the next write tries again.
static void socket_stall_look_later(struct socket_stream *socket)
{
    if (timer_start(&socket->timer, socket_stall_period_ms()) != RM_OK) {
        return;
    }
}

void socket_stall_watch(struct socket_stream *socket)
{
    if (timer_is_active(&socket->timer) || socket->remote.family == AF_UNIX) {
        return;
    }
    socket->was_unacked = false;
    socket_stall_look_later(socket);
}

// Segments under way (a zero window has none) were unacknowledged at two looks, and not one byte
// was acknowledged in between.
static bool socket_stall_of_segments(const struct socket_stream *socket,
                                     const struct tcp_info *info)
{
    return socket->was_unacked && info->tcpi_unacked > 0 &&
           info->tcpi_bytes_acked == socket->acked_bytes;
}

// The window is zero, and the probes that ask whether it still is go unanswered. The kernel doubles
// the time between them up to two minutes, and gives up after fifteen.
static bool socket_stall_of_window(const struct tcp_info *info)
{
    return info->tcpi_unacked == 0 && info->tcpi_probes >= SOCKET_PROBES;
}

void socket_stall_on_timer(struct socket_stream *socket)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    if (getsockopt(socket->descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) {
        return;
    }
    // In both cases nothing at all came from the peer for that long.
    if (info.tcpi_last_ack_recv >= socket_stall_period_ms() &&
        (socket_stall_of_segments(socket, &info) || socket_stall_of_window(&info))) {
        socket->error = RM_ERR_VANISHED;
        // Makes the socket readable and writable for good, so that the user comes and sees the
        // error.
        (void)shutdown(socket->descriptor, SHUT_RDWR);
        return;
    }
    socket->was_unacked = info.tcpi_unacked > 0;
    socket->acked_bytes = info.tcpi_bytes_acked;
    if (info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0) {
        socket_stall_look_later(socket);
    }
}
