// SPDX-License-Identifier: GPL-3.0-or-later
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "stream/socket_internal.h"

static _Atomic uint32_t vanished_ms = SOCKET_VANISHED_MS;

void socket_set_vanished_ms(uint32_t value)
{
    atomic_store_explicit(&vanished_ms, value, memory_order_relaxed);
}

uint32_t socket_stall_period_ms(void)
{
    return atomic_load_explicit(&vanished_ms, memory_order_relaxed) / 2;
}

// Whole seconds, rounded up.
static int seconds_of(uint32_t milliseconds)
{
    return (int)((milliseconds + 999) / 1000);
}

void socket_options_set(int descriptor, int family)
{
    if (family != AF_INET && family != AF_INET6) {
        return;
    }
    const uint32_t idle_ms = socket_stall_period_ms();
    const struct {
        int level; // of the option
        int name;  // which
        int value; // what to set
    } options[] = {
        // A relay passes on what it gets at once; waiting for more is the application's business.
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, seconds_of(idle_ms)},
        {IPPROTO_TCP, TCP_KEEPINTVL, seconds_of(idle_ms / SOCKET_PROBES)},
        {IPPROTO_TCP, TCP_KEEPCNT, SOCKET_PROBES},
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
