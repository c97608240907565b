// SPDX-License-Identifier: GPL-3.0-or-later
//
// The one epoll instance. A watch belongs to its owner and lives until engine_close(); its callback
// may close it and open it anew.
#pragma once

#include <stdint.h>
#include <sys/epoll.h>

struct watch {
    int fd;                                               // -1: closed
    uint32_t events;                                      // asked for
    void (*on_event)(struct watch *watch, uint32_t seen); // EPOLLIN | EPOLLOUT | ...
};

// Starts to watch `fd`, which the watch owns from now on.
void engine_open(struct watch *watch, int fd, uint32_t events);
// Asks for other events; costs nothing when they are the same.
void engine_change(struct watch *watch, uint32_t events);
void engine_close(struct watch *watch);

// Waits for events until `until_ns` at the latest, and hands out those that are there.
void engine_step(uint64_t until_ns);

// A non-blocking socket on its way to 127.0.0.1:port, with TCP_NODELAY.
int engine_connect(uint16_t port);
// A non-blocking listener on 127.0.0.1; *port 0 is filled in.
int engine_listen(uint16_t *port);
