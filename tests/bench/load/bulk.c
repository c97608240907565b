// SPDX-License-Identifier: GPL-3.0-or-later
//
// As many bytes as go through, over N connections, one way. Uploads are counted by what the backend
// says has arrived, downloads by what has arrived here; both are compared with the pattern.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "engine.h"
#include "load.h"
#include "pattern.h"

enum { HEADER_BYTES = sizeof("HTTP/1.1 200 OK\r\n\r\n") - 1 };
#define WARM_NS (300 * NS_PER_MS)

static const char upload_request[] = "POST /sink HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char download_request[] = "GET /stream HTTP/1.1\r\nHost: bench\r\n\r\n";

struct flow {
    struct watch watch;  // must be first
    size_t header_at;    // of the answer's header, so much is here
    uint64_t at;         // bytes sent, or received
    struct load_ack ack; // the last whole one
    size_t ack_at;       // of the next, so much is here
    uint8_t partial[sizeof(struct load_ack)];
};

static bool is_upload;
static int standing;       // flows whose answer has begun
static uint64_t arrived;   // bytes, on all flows
static bool may_send;      // uploads begin when all stand
static struct flow *flows; // all of them
static int flow_count;

static void take_acks(struct flow *flow, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t room = sizeof(flow->partial) - flow->ack_at;
        size_t count = length < room ? length : room;
        memcpy(flow->partial + flow->ack_at, bytes, count);
        flow->ack_at += count;
        bytes += count;
        length -= count;
        if (flow->ack_at == sizeof(flow->partial)) {
            uint64_t before = flow->ack.received;
            memcpy(&flow->ack, flow->partial, sizeof(flow->ack));
            arrived += flow->ack.received - before;
            flow->ack_at = 0;
            if (flow->ack.wrong != 0) {
                give_up("the backend received other bytes than were sent");
            }
        }
    }
}

static void receive(struct flow *flow)
{
    static uint8_t block[LOAD_BLOCK_BYTES];
    ssize_t count = recv(flow->watch.fd, block, sizeof(block), 0);
    if (count < 0 && errno == EAGAIN) {
        return;
    }
    if (count <= 0) {
        give_up("a bulk connection ended");
    }
    size_t length = (size_t)count;
    size_t missing = HEADER_BYTES - flow->header_at;
    size_t of_header = length < missing ? length : missing;
    flow->header_at += of_header;
    if (of_header > 0 && flow->header_at == HEADER_BYTES) {
        standing++;
    }
    const uint8_t *bytes = block + of_header;
    length -= of_header;
    if (is_upload) {
        take_acks(flow, bytes, length);
        return;
    }
    if (!pattern_matches(flow->at, bytes, length)) {
        give_up("other bytes arrived than were sent");
    }
    flow->at += length;
    arrived += length;
}

static void transmit(struct flow *flow)
{
    ssize_t sent = send(flow->watch.fd, pattern_at(flow->at), LOAD_BLOCK_BYTES, MSG_NOSIGNAL);
    if (sent >= 0) {
        flow->at += (uint64_t)sent;
    } else if (errno != EAGAIN) {
        give_up("a bulk connection ended");
    }
}

static void on_event(struct watch *watch, uint32_t seen)
{
    struct flow *flow = (struct flow *)watch;
    if (seen & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        receive(flow);
    }
    if (!(seen & EPOLLOUT)) {
        return;
    }
    if (may_send && flow->header_at == HEADER_BYTES) {
        transmit(flow);
        return;
    }
    const char *request = is_upload ? upload_request : download_request;
    if (send(watch->fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) {
        give_up("a bulk connection was refused");
    }
    engine_change(watch, EPOLLIN);
}

static void step_until(uint64_t end_ns)
{
    while (now_ns() < end_ns) {
        engine_step(end_ns);
    }
}

static void open_flows(const struct load_options *options)
{
    is_upload = options->is_upload;
    flow_count = options->connections;
    flows = calloc((size_t)flow_count, sizeof(*flows));
    if (flows == NULL) {
        die("calloc");
    }
    for (int i = 0; i < flow_count; i++) {
        flows[i].watch.on_event = on_event;
        engine_open(&flows[i].watch, engine_connect(options->port), EPOLLIN | EPOLLOUT);
    }
    uint64_t deadline = now_ns() + ns_of_seconds(options->patience);
    while (standing < flow_count) {
        if (now_ns() >= deadline) {
            give_up("the bulk connections did not stand in time");
        }
        engine_step(deadline);
    }
    may_send = true;
    for (int i = 0; is_upload && i < flow_count; i++) {
        engine_change(&flows[i].watch, EPOLLIN | EPOLLOUT);
    }
}

int bulk_run(const struct load_options *options)
{
    open_flows(options);
    if (options->count == 0) {
        step_until(now_ns() + WARM_NS);
    }
    uint64_t before = arrived;
    uint64_t begin_ns = now_ns();
    say("begin", ",\"connections\":%d", options->connections);
    if (options->count == 0) {
        step_until(begin_ns + ns_of_seconds(options->seconds));
    } else {
        while (arrived - before < options->count) {
            engine_step(FOREVER);
        }
    }
    uint64_t bytes = arrived - before;
    double seconds = (double)(now_ns() - begin_ns) / NS_PER_S;
    say("end", ",\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"connections\":%d", bytes, seconds,
        standing);
    for (int i = 0; i < flow_count; i++) {
        engine_close(&flows[i].watch);
    }
    free(flows);
    return 0;
}
