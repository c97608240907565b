// SPDX-License-Identifier: GPL-3.0-or-later
//
// One listener that a reload may move: the new address is opened while the old one still serves,
// then both phases are settled. All zero: closed. Belongs to one loop.
// Life: (door_prepare -> door_commit | door_undo)... -> door_close.
#pragma once

#include "base/error.h"
#include "stream/socket.h"

struct door {
    struct listener *listener;          // open; NULL: none
    struct stream_address address;      // as configured
    struct listener *next;              // of the configuration that is being prepared; NULL: none
    struct stream_address next_address; // its
};

// Opens `options->address` beside what is open; nothing where it is the same. Errors: as
// listener_open(); then the door is as before.
RM_NODISCARD enum rm_err door_prepare(struct door *door, struct loop *loop,
                                      const struct listener_options *options, listener_fn on_accept,
                                      void *context, struct rm_error *error);
// What was prepared takes the place of what was open.
void door_commit(struct door *door);
// What was prepared goes.
void door_undo(struct door *door);
void door_close(struct door *door);
