// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "api/access_internal.h"

void access_caller_of(struct rpc_call *call, struct access_caller *out)
{
    struct stream *stream = rpc_call_stream(call);
    *out = (struct access_caller){.peer = rpc_call_peer(call)};
    out->is_unix = stream != NULL && stream_credentials_get(stream, &out->credentials) == RM_OK;
}

void access_actor(struct rpc_call *call, char out[ACCESS_ACTOR_BYTES])
{
    struct access_caller caller;
    access_caller_of(call, &caller);
    if (caller.peer != NULL) {
        snprintf(out, ACCESS_ACTOR_BYTES, "%s", caller.peer->spiffe_id);
    } else if (caller.is_unix) {
        snprintf(out, ACCESS_ACTOR_BYTES, "uid %u", (unsigned)caller.credentials.uid);
    } else {
        char address[STREAM_ADDRESS_TEXT_BYTES];
        struct stream_address remote = rpc_call_remote(call);
        stream_address_text(&remote, address);
        snprintf(out, ACCESS_ACTOR_BYTES, "%s", address);
    }
}
