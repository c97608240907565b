// SPDX-License-Identifier: GPL-3.0-or-later
//
// What stands behind the proxies:
//
//   GET /N       N bytes of the pattern, with Content-Length; "Connection: close" is obeyed
//   GET /stream  the pattern, without end
//   POST /sink   takes the pattern without end, checks it, and sends a struct load_ack per
//   LOAD_ACK_BYTES
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "engine.h"
#include "load.h"
#include "pattern.h"

enum { REQUEST_MAX = 1024 };

enum guest_state { GUEST_ASKING, GUEST_ANSWERED, GUEST_STREAMED, GUEST_SINKING };

struct guest {
    struct watch watch;     // must be first
    enum guest_state state; // what it is being given
    bool closes;            // after this answer
    size_t length;          // of `request` so far
    size_t header_at;       // of `header`, so much has left
    size_t header_length;   // of `header`
    uint64_t body_at;       // of the body, so much has left (or come, in the sink)
    uint64_t body_bytes;    // UINT64_MAX: no end
    struct load_ack ack;    // the sink's
    char request[REQUEST_MAX];
    char header[128];
};

static void guest_close(struct guest *guest)
{
    engine_close(&guest->watch);
    free(guest);
}

// Sends what fits. Closes the guest, and returns false, when it is gone or has all and wants no
// more.
static bool send_more(struct guest *guest)
{
    for (;;) {
        uint64_t left = guest->body_bytes - guest->body_at;
        struct iovec parts[2] = {
            {guest->header + guest->header_at, guest->header_length - guest->header_at},
            {(void *)pattern_at(guest->body_at),
             left < LOAD_BLOCK_BYTES ? left : LOAD_BLOCK_BYTES}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        if (parts[0].iov_len + parts[1].iov_len == 0) {
            break;
        }
        ssize_t sent = sendmsg(guest->watch.fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            engine_change(&guest->watch, EPOLLIN | EPOLLOUT);
            return true;
        }
        if (sent < 0) {
            guest_close(guest);
            return false;
        }
        size_t of_header = (size_t)sent < parts[0].iov_len ? (size_t)sent : parts[0].iov_len;
        guest->header_at += of_header;
        guest->body_at += (size_t)sent - of_header;
    }
    if (guest->closes) {
        guest_close(guest);
        return false;
    }
    guest->state = GUEST_ASKING;
    guest->length = 0;
    engine_change(&guest->watch, EPOLLIN);
    return true;
}

static void answer(struct guest *guest, enum guest_state state, uint64_t body_bytes)
{
    int length =
        body_bytes == UINT64_MAX || state == GUEST_SINKING
            ? snprintf(guest->header, sizeof(guest->header), "HTTP/1.1 200 OK\r\n\r\n")
            : snprintf(guest->header, sizeof(guest->header),
                       "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64 "\r\n\r\n", body_bytes);
    guest->state = state;
    guest->header_at = 0;
    guest->header_length = (size_t)length;
    guest->body_at = 0;
    guest->body_bytes = body_bytes;
    if (state != GUEST_SINKING) {
        send_more(guest);
    } else if (send(guest->watch.fd, guest->header, (size_t)length, MSG_NOSIGNAL) != length) {
        guest_close(guest);
    }
}

static void on_request(struct guest *guest)
{
    const char *request = guest->request;
    guest->closes = strcasestr(request, "\r\nConnection: close\r\n") != NULL;
    if (strncmp(request, "POST /sink ", 11) == 0) {
        answer(guest, GUEST_SINKING, 0);
    } else if (strncmp(request, "GET /stream ", 12) == 0) {
        answer(guest, GUEST_STREAMED, UINT64_MAX);
    } else if (strncmp(request, "GET /", 5) == 0) {
        answer(guest, GUEST_ANSWERED, strtoull(request + 5, NULL, 10));
    } else {
        guest_close(guest);
    }
}

static void take_request(struct guest *guest)
{
    ssize_t count =
        recv(guest->watch.fd, guest->request + guest->length, REQUEST_MAX - 1 - guest->length, 0);
    if (count < 0 && errno == EAGAIN) {
        return;
    }
    if (count <= 0) {
        guest_close(guest);
        return;
    }
    guest->length += (size_t)count;
    guest->request[guest->length] = '\0';
    if (strstr(guest->request, "\r\n\r\n") != NULL) {
        on_request(guest);
    }
}

static void sink(struct guest *guest)
{
    static uint8_t block[LOAD_BLOCK_BYTES];
    ssize_t count = recv(guest->watch.fd, block, sizeof(block), 0);
    if (count < 0 && errno == EAGAIN) {
        return;
    }
    if (count <= 0) {
        guest_close(guest);
        return;
    }
    uint64_t before = guest->ack.received;
    guest->ack.wrong += !pattern_matches(before, block, (size_t)count);
    guest->ack.received += (uint64_t)count;
    bool is_due = before / LOAD_ACK_BYTES != guest->ack.received / LOAD_ACK_BYTES;
    if (is_due && send(guest->watch.fd, &guest->ack, sizeof(guest->ack), MSG_NOSIGNAL) !=
                      (ssize_t)sizeof(guest->ack)) {
        guest_close(guest);
    }
}

static void guest_on_event(struct watch *watch, uint32_t seen)
{
    struct guest *guest = (struct guest *)watch;
    if (seen & (EPOLLERR | EPOLLHUP)) {
        guest_close(guest);
    } else if (guest->state == GUEST_ASKING) {
        take_request(guest);
    } else if (guest->state == GUEST_SINKING) {
        sink(guest);
    } else if (seen & EPOLLOUT) {
        send_more(guest);
    } else {
        guest_close(guest); // speaks, or ends, before its answer is complete
    }
}

static void on_accept(struct watch *watch, uint32_t seen)
{
    (void)seen;
    for (;;) {
        int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != ECONNABORTED) {
                die("accept");
            }
            return;
        }
        struct guest *guest = calloc(1, sizeof(*guest));
        if (guest == NULL) {
            die("calloc");
        }
        guest->watch.on_event = guest_on_event;
        engine_open(&guest->watch, fd, EPOLLIN);
    }
}

int backend_run(const struct load_options *options)
{
    struct watch listener = {.on_event = on_accept};
    uint16_t port = options->port;
    engine_open(&listener, engine_listen(&port), EPOLLIN);
    say("begin", ",\"port\":%u", port);
    for (;;) {
        engine_step(FOREVER);
    }
}
