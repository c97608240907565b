// SPDX-License-Identifier: GPL-3.0-or-later
//
// The least that a sidecar does: one loop that accepts TCP connections and relays each to a fixed
// address. What it costs is the floor under everything that is built on it (relay_floor.py
// measures).
//
//   relay_floor LISTEN TARGET [copy]     e.g. relay_floor 127.0.0.1:9000 127.0.0.1:8000
//
// With `copy` there is no pipe left for any relay, so that all bytes pass through user space.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/harden.h"
#include "loop/loop.h"
#include "stream/relay.h"
#include "stream/socket.h"

#define CONNECT_TIMEOUT_MS 5000

struct floor {
    struct loop *loop;            // the only one
    struct listener *listener;    // NULL once stopping
    struct stream_address target; // where all connections go
};

struct crossing {
    struct floor *floor;            // it belongs to
    struct stream *client;          // owned until the relay takes it
    struct socket_connect *connect; // in progress
    struct relay *relay;            // once connected
};

static void crossing_on_done(void *context, const struct relay_result *result)
{
    (void)result;
    rm_free(context);
}

static void crossing_on_connect(void *context, enum rm_err result, struct stream *server)
{
    static const struct relay_options options = {.idle_timeout_ms = 3600000,
                                                 .half_close_timeout_ms = 60000};
    struct crossing *crossing = context;
    if (result == RM_OK) {
        result = relay_start(crossing->client, server, &options, crossing_on_done, crossing,
                             &crossing->relay);
        if (result != RM_OK) {
            stream_close(server, STREAM_CLOSE_ABORT, NULL, NULL);
        }
    }
    if (result != RM_OK) {
        stream_close(crossing->client, STREAM_CLOSE_ABORT, NULL, NULL);
        rm_free(crossing);
    }
}

static void floor_on_accept(void *context, struct stream *stream)
{
    struct floor *floor = context;
    struct crossing *crossing = rm_calloc(1, sizeof(*crossing));
    if (crossing == NULL) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return;
    }
    crossing->floor = floor;
    crossing->client = stream;
    if (socket_connect(floor->loop, &floor->target, CONNECT_TIMEOUT_MS, crossing_on_connect,
                       crossing, &crossing->connect) != RM_OK) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        rm_free(crossing);
    }
}

static void floor_on_term(void *context, int number)
{
    (void)context;
    (void)number;
    // Nothing is worth draining in a measurement.
    exit(EXIT_SUCCESS);
}

static enum rm_err floor_open(struct floor *floor, const char *listen, const char *target,
                              struct rm_error *error)
{
    struct listener_options options = {.unix_mode = 0600, .unix_uid = -1, .unix_gid = -1};
    RM_TRY(process_harden(error));
    RM_TRY(socket_address_parse(listen, &options.address, error));
    RM_TRY(socket_address_parse(target, &floor->target, error));
    floor->loop = loop_new("floor");
    if (floor->loop == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory or descriptors for a loop");
    }
    RM_TRY(loop_on_signal(floor->loop, SIGTERM, floor_on_term, floor));
    return listener_open(floor->loop, &options, floor_on_accept, floor, &floor->listener, error);
}

static bool floor_withhold_pipes(struct floor *floor)
{
    for (size_t i = 0; i < PIPE_MAX_PER_LOOP; i++) {
        if (pipe_get(floor->loop) == NULL) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct floor floor = {0};
    struct rm_error error = {0};
    bool copies = argc == 4 && strcmp(argv[3], "copy") == 0;
    if (argc != 3 && !copies) {
        fprintf(stderr, "usage: relay_floor LISTEN TARGET [copy]\n");
        return EXIT_FAILURE;
    }
    if (floor_open(&floor, argv[1], argv[2], &error) != RM_OK) {
        fprintf(stderr, "relay_floor: %s\n", rm_error_message(&error));
        return EXIT_FAILURE;
    }
    if (copies && !floor_withhold_pipes(&floor)) {
        fprintf(stderr, "relay_floor: too few descriptors for %d pipes\n", PIPE_MAX_PER_LOOP);
        return EXIT_FAILURE;
    }
    loop_run(floor.loop);
    return EXIT_SUCCESS;
}
