// SPDX-License-Identifier: GPL-3.0-or-later
#include "push/push.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "push/push_internal.h"

// After each change: cut off whose certificate was taken back, tell the others.
static void push_on_change(void *context)
{
    struct push *push = context;
    list_each_safe (node, following, &push->sessions) {
        struct session *session = list_entry(node, struct session, node);
        if (!access_still_holds(push->access, session->peer)) {
            registry_unregister(push->registry, session->hello.of.hello.instance_id, 0);
            session_end(session, RPC_PERMISSION_DENIED,
                        "the certificate was revoked, or its lineage lapsed");
        } else {
            session_flush(session);
        }
    }
}

// Endpoints that the last run left in the store: whoever does not come back in time is taken out.
static void expect_return(struct push *push)
{
    const struct mesh_view *view = registry_view(push->registry);
    for (size_t i = 0; i < mesh_view_count(view, MESH_ENDPOINT); i++) {
        const char *slash = strchr(mesh_view_at(view, MESH_ENDPOINT, i)->key, '/');
        if (slash != NULL) {
            registry_unregister(push->registry, slash + 1, PUSH_RESTART_GRACE_MS);
        }
    }
}

enum rm_err push_new(struct loop *loop, struct store *store, struct registry *registry,
                     struct access *access, struct push **out)
{
    struct push *push = rm_calloc(1, sizeof *push);
    if (push == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    push->loop = loop;
    push->store = store;
    push->registry = registry;
    push->access = access;
    list_init(&push->sessions);
    push->encoded = map_new();
    enum rm_err result = push->encoded != NULL ? registry_on_change(registry, push_on_change, push)
                                               : RM_ERR_NO_MEMORY;
    if (result != RM_OK) {
        push_free(push);
        return result;
    }
    expect_return(push);
    *out = push;
    return RM_OK;
}

void push_shutdown(struct push *push)
{
    push->is_shutting_down = true;
    list_each_safe (node, following, &push->sessions) {
        session_end(list_entry(node, struct session, node), RPC_UNAVAILABLE,
                    "the control plane is going away");
    }
}

void push_free(struct push *push)
{
    encoded_cache_free(push->encoded);
    rm_free(push);
}

enum rm_err push_add_to(struct push *push, struct rpc_server *server)
{
    return rpc_server_add(server, push_methods, 1, push);
}

size_t push_session_count(const struct push *push)
{
    return push->session_count;
}

void push_visit(const struct push *push, push_visit_fn visit, void *context)
{
    list_each (node, &push->sessions) {
        const struct session *session = list_entry(node, struct session, node);
        const struct mesh_hello *hello = &session->hello.of.hello;
        if (session->hello.kind != MESH_REQUEST_HELLO || sm_is(&session->sm, SESSION_ENDED)) {
            continue;
        }
        struct push_instance instance = {
            .instance_id = hello->instance_id,
            .identity = session->peer->spiffe_id,
            .software = hello->software,
            .acked = session->acked,
            .acked_hash = session->acked_hash,
            .has_acked = session->has_acked,
            .status = session->has_status ? &session->status.of.status : NULL,
        };
        visit(context, &instance);
    }
}
