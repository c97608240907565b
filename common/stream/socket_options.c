// SPDX-License-Identifier: GPL-3.0-or-later
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "stream/socket_internal.h"

void socket_options_set(int descriptor, int family)
{
    if (family != AF_INET && family != AF_INET6) {
        return;
    }
    static const struct {
        int level; // of the option
        int name;  // which
        int value; // what to set
    } options[] = {
        // A relay passes on what it gets at once; waiting for more is the application's business.
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, SOCKET_KEEPALIVE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, SOCKET_KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, SOCKET_KEEPALIVE_PROBES},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        // None of them is worth refusing a connection for.
        (void)setsockopt(descriptor, options[i].level, options[i].name, &options[i].value,
                         sizeof(options[i].value));
    }
    socket_options_set_reset(descriptor, true);
}

void socket_options_set_reset(int descriptor, bool is_reset)
{
    const struct linger linger = {.l_onoff = is_reset, .l_linger = 0};
    (void)setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}
