// SPDX-License-Identifier: GPL-3.0-or-later
//
// An application whose queue is full: a connection to it is neither accepted nor refused.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caller.h"

#define STUCK_FILLERS 3 // more than a queue of length 0 takes

struct stuck {
    int listening;              // never accepts
    int fillers[STUCK_FILLERS]; // in its queue, or on their way
};

// The queue holds one: until a filler is in it, somebody else may get in.
static inline void stuck_fill(const struct stuck *stuck)
{
    struct pollfd fillers[STUCK_FILLERS];
    for (int i = 0; i < STUCK_FILLERS; i++) {
        fillers[i] = (struct pollfd){.fd = stuck->fillers[i], .events = POLLOUT};
    }
    assert_true(poll(fillers, STUCK_FILLERS, 10000) > 0);
}

static inline void stuck_open(struct stuck *stuck, struct tunnel_world *world, const char *allow)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    char yaml[512];
    stuck->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stuck->listening, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(stuck->listening, 0), 0);
    assert_int_equal(getsockname(stuck->listening, (struct sockaddr *)&address, &length), 0);
    for (int i = 0; i < STUCK_FILLERS; i++) {
        stuck->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(stuck->fillers[i], (struct sockaddr *)&address, length);
    }
    stuck_fill(stuck);
    (void)snprintf(yaml, sizeof(yaml),
                   "identity: {files: {certificate: /x, key: /x, bundle: /x}}\n"
                   "inbound:\n  services: [{name: web, port: 80, target: '127.0.0.1:%u', "
                   "allow: ['%s']}]\ntimeouts: {connect: 8s}\n",
                   ntohs(address.sin_port), allow);
    sidecar_adopt(world, &world->server, yaml, NULL);
}

static inline void stuck_close(struct stuck *stuck)
{
    for (int i = 0; i < STUCK_FILLERS; i++) {
        close(stuck->fillers[i]);
    }
    close(stuck->listening);
}
