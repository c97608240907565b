// SPDX-License-Identifier: GPL-3.0-or-later
//
// The socket under a listener: made, bound and listening, or a sentence that says why not.
#pragma once

#include <sys/types.h>

#include "stream/socket.h"

struct listener_socket {
    int descriptor;                // owned
    struct stream_address address; // as bound: with the port that the kernel chose
    bool has_path;                 // a path of ours is in the file system
    dev_t device;                  // of that path, so that nobody else's is removed
    ino_t inode;                   // the same
};

RM_NODISCARD enum rm_err listener_socket_open(const struct listener_options *options,
                                              struct listener_socket *out, struct rm_error *error);
// Closes it and removes its path.
void listener_socket_close(struct listener_socket *socket);
