// SPDX-License-Identifier: GPL-3.0-or-later
//
// The caller as plain data, so that the decision can be tested without a connection.
#pragma once

#include "api/access.h"
#include "identity/peer.h"
#include "stream/credentials.h"

struct access_caller {
    bool is_unix;                          // over the admin socket
    struct stream_credentials credentials; // when is_unix
    const struct peer *peer;               // over TLS with an SVID; borrowed; may be NULL
};

void access_caller_of(struct rpc_call *call, struct access_caller *out);
// access_check() without the call.
enum rpc_status access_judge(struct access *access, const char *path,
                             const struct access_caller *caller, const char **text);
