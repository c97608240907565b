// SPDX-License-Identifier: GPL-3.0-or-later
//
// The caller as plain data, so that the decision can be tested without a connection.
#pragma once

#include "api/access.h"
#include "identity/peer.h"

#define ACCESS_MAX_GROUPS 256 // supplementary groups of a Unix peer that are looked at

struct access_caller {
    bool is_unix;                    // over the admin socket
    uid_t uid;                       // when is_unix
    gid_t groups[ACCESS_MAX_GROUPS]; // when is_unix: primary and supplementary
    size_t group_count;              // entries in groups
    const struct peer *peer;         // over TLS with an SVID; borrowed; may be NULL
};

void access_caller_of(struct rpc_call *call, struct access_caller *out);
bool access_caller_in_group(const struct access_caller *caller, gid_t group);
// access_check() without the call.
enum rpc_status access_judge(struct access *access, const char *path,
                             const struct access_caller *caller, const char **text);
