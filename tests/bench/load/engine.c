// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { EVENTS_PER_STEP = 256, BACKLOG = 4096 };

static int engine_fd(void)
{
    static int fd = -1;
    if (fd < 0) {
        fd = epoll_create1(EPOLL_CLOEXEC);
        if (fd < 0) {
            die("epoll_create1");
        }
    }
    return fd;
}

static void control(int operation, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(engine_fd(), operation, watch->fd, &event) != 0) {
        die("epoll_ctl");
    }
    watch->events = events;
}

void engine_open(struct watch *watch, int fd, uint32_t events)
{
    watch->fd = fd;
    control(EPOLL_CTL_ADD, watch, events);
}

void engine_change(struct watch *watch, uint32_t events)
{
    if (watch->events != events) {
        control(EPOLL_CTL_MOD, watch, events);
    }
}

void engine_close(struct watch *watch)
{
    if (watch->fd >= 0) {
        close(watch->fd); // leaves the epoll instance, too
        watch->fd = -1;
    }
}

void engine_step(uint64_t until_ns)
{
    struct epoll_event events[EVENTS_PER_STEP];
    uint64_t now = now_ns();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    struct timespec wait = {.tv_sec = (time_t)(left / NS_PER_S),
                            .tv_nsec = (long)(left % NS_PER_S)};
    int count = epoll_pwait2(engine_fd(), events, EVENTS_PER_STEP,
                             until_ns == FOREVER ? NULL : &wait, NULL);
    if (count < 0 && errno != EINTR) {
        die("epoll_pwait2");
    }
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        watch->on_event(watch, events[i].events);
    }
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int new_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        die("socket");
    }
    return fd;
}

int engine_connect(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int one = 1;
    int fd = new_socket();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != EINPROGRESS) {
        die("connect");
    }
    return fd;
}

int engine_listen(uint16_t *port)
{
    struct sockaddr_in address = loopback(*port);
    socklen_t size = sizeof(address);
    int one = 1;
    int fd = new_socket();
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        die("listen");
    }
    *port = ntohs(address.sin_port);
    return fd;
}
