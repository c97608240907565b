// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "api/access_internal.h"
#include "stream/credentials.h"

// Groups beyond the primary one, as the kernel recorded them when the peer connected. A peer that
// has more of them than we look at keeps only its primary group: access is not widened by guessing.
static void read_groups(const struct stream *stream, struct access_caller *caller)
{
    socklen_t bytes = (socklen_t)((ACCESS_MAX_GROUPS - 1) * sizeof(gid_t));
    if (getsockopt(stream_descriptor(stream), SOL_SOCKET, SO_PEERGROUPS, &caller->groups[1],
                   &bytes) == 0) {
        caller->group_count += bytes / sizeof(gid_t);
    }
}

void access_caller_of(struct rpc_call *call, struct access_caller *out)
{
    struct stream *stream = rpc_call_stream(call);
    struct stream_credentials credentials;
    *out = (struct access_caller){.peer = rpc_call_peer(call)};
    if (stream == NULL || stream_credentials_get(stream, &credentials) != RM_OK) {
        return;
    }
    out->is_unix = true;
    out->uid = credentials.uid;
    out->groups[0] = credentials.gid;
    out->group_count = 1;
    read_groups(stream, out);
}

bool access_caller_in_group(const struct access_caller *caller, gid_t group)
{
    for (size_t i = 0; i < caller->group_count; i++) {
        if (caller->groups[i] == group) {
            return true;
        }
    }
    return false;
}

void access_actor(struct rpc_call *call, char out[ACCESS_ACTOR_BYTES])
{
    struct access_caller caller;
    access_caller_of(call, &caller);
    if (caller.peer != NULL) {
        snprintf(out, ACCESS_ACTOR_BYTES, "%s", caller.peer->spiffe_id);
    } else if (caller.is_unix) {
        snprintf(out, ACCESS_ACTOR_BYTES, "uid %u", (unsigned)caller.uid);
    } else {
        char address[STREAM_ADDRESS_TEXT_BYTES];
        stream_address_text(rpc_call_remote(call), address);
        snprintf(out, ACCESS_ACTOR_BYTES, "%s", address);
    }
}
