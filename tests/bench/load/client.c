// SPDX-License-Identifier: GPL-3.0-or-later
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"
#include "pattern.h"

struct client_totals client_totals;

void client_close(struct client *client)
{
    engine_close(&client->watch);
    client->state = CLIENT_CLOSED;
}

static void fail(struct client *client)
{
    client_close(client);
    client_totals.failures++;
    client->on_fail(client);
}

static void finish(struct client *client)
{
    client_totals.answers++;
    client->on_answer(client);
}

// Takes body bytes; false when they are wrong.
static bool take_body(struct client *client, const uint8_t *bytes, size_t length)
{
    if (length > client->body_bytes - client->body_at) {
        return false;
    }
    client_totals.body_bytes += length;
    if (!pattern_matches(client->body_at, bytes, length)) {
        client_totals.wrong_bytes++;
        return false;
    }
    client->body_at += length;
    return true;
}

// Reads status and Content-Length from the complete header; false when it is not an answer with
// both.
static bool parse_header(struct client *client)
{
    const char *length = strcasestr(client->header, "\r\nContent-Length:");
    char *end = NULL;
    if (strncmp(client->header, "HTTP/1.1 200", 12) != 0 || length == NULL) {
        return false;
    }
    length += strlen("\r\nContent-Length:");
    client->body_bytes = strtoull(length, &end, 10);
    return end != length;
}

// Takes bytes until the header is complete; *used of them. False when it never will be.
static bool take_header(struct client *client, const uint8_t *bytes, size_t length, size_t *used)
{
    size_t room = CLIENT_HEADER_MAX - 1 - client->header_length;
    size_t had = client->header_length;
    size_t count = length < room ? length : room;
    memcpy(client->header + had, bytes, count);
    client->header[had + count] = '\0';
    const char *end = strstr(client->header, "\r\n\r\n");
    if (end == NULL) {
        client->header_length = had + count;
        *used = count;
        return count == length;
    }
    *used = (size_t)(end - client->header) + 4 - had;
    client->is_in_body = true;
    return parse_header(client);
}

static bool take(struct client *client, const uint8_t *bytes, size_t length)
{
    size_t used = 0;
    if (!client->is_in_body && !take_header(client, bytes, length, &used)) {
        return false;
    }
    return take_body(client, bytes + used, length - used);
}

static bool is_whole(const struct client *client)
{
    return client->is_in_body && client->body_at == client->body_bytes;
}

static void on_readable(struct client *client)
{
    static uint8_t block[LOAD_BLOCK_BYTES];
    ssize_t count = recv(client->watch.fd, block, sizeof(block), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (client->state == CLIENT_ENDING) {
        if (count > 0) {
            fail(client);
        } else {
            client_close(client); // a reset after the whole answer ends it just as well
            finish(client);
        }
        return;
    }
    if (count <= 0 || client->state != CLIENT_WAITING || !take(client, block, (size_t)count)) {
        fail(client);
    } else if (is_whole(client)) {
        client->state = client->closes ? CLIENT_ENDING : CLIENT_READY;
        if (!client->closes) {
            finish(client);
        }
    }
}

static void on_event(struct watch *watch, uint32_t seen)
{
    struct client *client = (struct client *)watch;
    if (client->state != CLIENT_OPENING) {
        on_readable(client);
        return;
    }
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0 || !(seen & EPOLLOUT)) {
        fail(client);
        return;
    }
    client_totals.opened++;
    client->state = CLIENT_READY;
    engine_change(watch, EPOLLIN);
    client->on_ready(client);
}

void client_open(struct client *client, uint16_t port)
{
    client->watch.on_event = on_event;
    client->state = CLIENT_OPENING;
    engine_open(&client->watch, engine_connect(port), EPOLLOUT);
}

void client_ask(struct client *client, uint64_t body_bytes, bool closes, uint64_t asked_ns)
{
    char request[128];
    int length =
        snprintf(request, sizeof(request), "GET /%" PRIu64 " HTTP/1.1\r\nHost: bench\r\n%s\r\n",
                 body_bytes, closes ? "Connection: close\r\n" : "");
    client->closes = closes;
    client->asked_ns = asked_ns;
    client->is_in_body = false;
    client->header_length = 0;
    client->body_bytes = 0;
    client->body_at = 0;
    client->state = CLIENT_WAITING;
    // A reset shows at the next event, which fails the connection.
    if (send(client->watch.fd, request, (size_t)length, MSG_NOSIGNAL) < 0 && errno == EAGAIN) {
        give_up("a request found no room in an idle connection");
    }
}
