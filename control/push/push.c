// SPDX-License-Identifier: GPL-3.0-or-later
#include "push/push.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "push/push_internal.h"

// --- Changes of the view.
// ------------------------------------------------------------------------------

struct change_visit {
    struct push *push;
    bool has_services; // a service changed
};

static void visit_change(void *context, uint64_t number, enum mesh_kind kind, const char *key)
{
    struct change_visit *visit = context;
    (void)number;
    visit->has_services = visit->has_services || kind == MESH_SERVICE;
    encoded_cache_drop(visit->push, kind, key);
}

// True when services may have changed.
static bool follow_changes(struct push *push)
{
    struct change_visit visit = {.push = push};
    if (!registry_changes_since(push->registry, push->number, visit_change, &visit)) {
        encoded_cache_clear(push);
        visit.has_services = true;
    }
    push->number = registry_version(push->registry).number;
    return visit.has_services;
}

// Cuts off whose certificate was taken back.
static void judge_sessions(struct push *push)
{
    list_each_safe (node, following, &push->sessions) {
        struct session *session = list_entry(node, struct session, node);
        if (!sm_is(&session->sm, SESSION_ENDED) &&
            !access_still_holds(push->access, session->peer)) {
            if (session->hello.kind == MESH_REQUEST_HELLO) {
                registry_unregister(push->registry, session->peer->lineage,
                                    session->hello.of.hello.instance_id, 0);
                session->has_left = true;
            }
            session_end(session, RPC_PERMISSION_DENIED,
                        "the certificate was revoked, or its lineage lapsed");
        }
    }
}

static void push_on_change(void *context)
{
    struct push *push = context;
    bool has_services = follow_changes(push);
    struct trust_snapshot *trust = registry_trust(push->registry);
    // A view whose trust did not change shares the snapshot of the one before.
    if (trust != push->judged) {
        trust_unref(push->judged);
        push->judged = trust_ref(trust);
        judge_sessions(push);
    }
    list_each_safe (node, following, &push->sessions) {
        struct session *session = list_entry(node, struct session, node);
        if (has_services) {
            session_check_services(session);
        }
        session_flush(session);
    }
}

// --- Life.
// ---------------------------------------------------------------------------------------------

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
    push->number = registry_version(registry).number;
    push->encoded = map_new();
    push->workloads = map_new();
    enum rm_err result = push->encoded != NULL && push->workloads != NULL
                             ? registry_on_change(registry, push_on_change, push)
                             : RM_ERR_NO_MEMORY;
    if (result != RM_OK) {
        push_free(push);
        return result;
    }
    // What the last run left in the store: whoever does not come back in time is taken out.
    registry_expect_return(registry, PUSH_RESTART_GRACE_MS);
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
    map_free(push->workloads);
    hashes_free(push);
    trust_unref(push->judged);
    rm_free(push);
}

enum rm_err push_add_to(struct push *push, struct rpc_server *server)
{
    return rpc_server_add(server, push_methods, 1, push);
}

// --- Sessions.
// ------------------------------------------------------------------------------------------

static struct workload *workload_of(struct push *push, const uint8_t *lineage)
{
    struct workload *workload = map_get(push->workloads, lineage, LINEAGE_BYTES);
    if (workload != NULL) {
        return workload;
    }
    workload = rm_calloc(1, sizeof *workload);
    if (workload == NULL ||
        map_put(push->workloads, lineage, LINEAGE_BYTES, workload, NULL) != RM_OK) {
        rm_free(workload);
        return NULL;
    }
    memcpy(workload->lineage, lineage, LINEAGE_BYTES);
    list_init(&workload->sessions);
    return workload;
}

enum rpc_status push_add(struct push *push, struct session *session, const char **text)
{
    if (push->is_shutting_down || push->session_count == PUSH_MAX_SESSIONS) {
        *text = push->is_shutting_down ? "the control plane is going away" : "too many streams";
        return RPC_UNAVAILABLE;
    }
    struct workload *workload = workload_of(push, session->peer->lineage);
    if (workload == NULL) {
        return RPC_RESOURCE_EXHAUSTED;
    }
    if (workload->session_count == PUSH_MAX_SESSIONS_PER_LINEAGE) {
        *text = "too many streams of one workload";
        return RPC_RESOURCE_EXHAUSTED;
    }
    session->workload = workload;
    list_append(&workload->sessions, &session->of_workload);
    workload->session_count++;
    list_append(&push->sessions, &session->node);
    push->session_count++;
    return RPC_OK;
}

void push_remove(struct push *push, struct session *session)
{
    struct workload *workload = session->workload;
    list_remove(&session->node);
    push->session_count--;
    list_remove(&session->of_workload);
    if (--workload->session_count == 0) {
        (void)map_remove(push->workloads, workload->lineage, LINEAGE_BYTES);
        rm_free(workload);
    }
    session->workload = NULL;
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
