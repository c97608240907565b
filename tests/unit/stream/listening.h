// SPDX-License-Identifier: GPL-3.0-or-later
//
// A listener under test, and raw clients that connect to it.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "party.h"

struct listening {
    struct loop *loop;         // under test
    struct listener *listener; // under test; NULL once closed
    struct stream_address at;  // where it listens
    unsigned accepted;         // streams given
    unsigned close_after;      // closes itself when so many were given; 0: never
    bool drains;               // how it closes itself
};

static inline void listening_close(struct listening *listening)
{
    struct listener *listener = listening->listener;
    listening->listener = NULL;
    listener_close(listener, listening->drains);
}

static inline void listening_on_accept(void *context, struct stream *stream)
{
    struct listening *listening = context;
    assert_ptr_equal(stream->loop, listening->loop);
    listening->accepted++;
    stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
    if (listening->accepted == listening->close_after) {
        listening_close(listening);
    }
}

static inline struct listener_options listening_options(const char *text)
{
    struct listener_options options = {.unix_mode = 0600, .unix_uid = -1, .unix_gid = -1};
    assert_int_equal(socket_address_parse(text, &options.address, NULL), RM_OK);
    return options;
}

static inline enum rm_err listening_try(struct listening *listening,
                                        const struct listener_options *options,
                                        struct rm_error *error)
{
    return listener_open(listening->loop, options, listening_on_accept, listening,
                         &listening->listener, error);
}

static inline void listening_open(struct listening *listening, const char *text)
{
    const struct listener_options options = listening_options(text);
    *listening = (struct listening){.loop = loop_new("listener")};
    assert_int_equal(listening_try(listening, &options, NULL), RM_OK);
    listening->at = *listener_address(listening->listener);
}

// Connected as far as the kernel is concerned.
static inline int client_connect(const struct stream_address *address)
{
    int client = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client >= 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&address->address, address->length),
                     0);
    return client;
}
