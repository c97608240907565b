// SPDX-License-Identifier: GPL-3.0-or-later
//
// From what a sidecar has to what it should have: a full view, or the changes since.
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "push/push_internal.h"

struct draft {
    struct session *session;
    struct mesh_bytes *bytes;      // borrowed pieces, one per put
    struct mesh_resource **puts;   // borrowed, one per put
    struct mesh_removal *removals; // keys are borrowed from the registry's log
    size_t put_count;
    size_t removal_count;
    size_t room;        // of each
    enum rm_err result; // first error
};

static bool draft_make_room(struct draft *draft)
{
    size_t used = draft->put_count > draft->removal_count ? draft->put_count : draft->removal_count;
    if (used < draft->room) {
        return true;
    }
    size_t room = draft->room == 0 ? 64 : draft->room * 2;
    struct mesh_bytes *bytes = rm_realloc(draft->bytes, room * sizeof *bytes);
    draft->bytes = bytes != NULL ? bytes : draft->bytes;
    struct mesh_resource **puts = rm_realloc(draft->puts, room * sizeof(struct mesh_resource *));
    draft->puts = puts != NULL ? puts : draft->puts;
    struct mesh_removal *removals = rm_realloc(draft->removals, room * sizeof *removals);
    draft->removals = removals != NULL ? removals : draft->removals;
    if (bytes == NULL || puts == NULL || removals == NULL) {
        draft->result = RM_ERR_NO_MEMORY;
        return false;
    }
    draft->room = room;
    return true;
}

static void draft_deinit(struct draft *draft)
{
    rm_free(draft->bytes);
    rm_free(draft->puts);
    rm_free(draft->removals);
}

static void draft_put(struct draft *draft, const struct mesh_resource *resource)
{
    if (draft->result != RM_OK || !scope_contains(draft->session, resource) ||
        !draft_make_room(draft)) {
        return;
    }
    const struct encoded *encoded = scope_encoded(draft->session, resource, &draft->result);
    if (encoded != NULL) {
        draft->bytes[draft->put_count] = encoded->bytes;
        draft->puts[draft->put_count++] = encoded->seen;
    }
}

static void draft_everything(struct draft *draft)
{
    const struct mesh_view *view = registry_view(draft->session->push->registry);
    for (enum mesh_kind kind = MESH_BUNDLE; kind < MESH_KIND_COUNT; kind++) {
        size_t count = mesh_view_count(view, kind);
        for (size_t i = 0; i < count; i++) {
            draft_put(draft, mesh_view_at(view, kind, i));
        }
    }
}

// The same key may have changed several times: what counts is what is there now, once.
static bool is_drafted(const struct draft *draft, enum mesh_kind kind, const char *key)
{
    for (size_t i = 0; i < draft->put_count; i++) {
        if (draft->puts[i]->kind == kind && strcmp(draft->puts[i]->key, key) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < draft->removal_count; i++) {
        if (draft->removals[i].kind == kind && strcmp(draft->removals[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

static void draft_change(void *context, uint64_t number, enum mesh_kind kind, const char *key)
{
    struct draft *draft = context;
    (void)number;
    if (draft->result != RM_OK || !scope_contains_key(draft->session, kind, key) ||
        is_drafted(draft, kind, key)) {
        return;
    }
    const struct mesh_resource *resource =
        mesh_view_find(registry_view(draft->session->push->registry), kind, key);
    if (resource != NULL) {
        draft_put(draft, resource);
    } else if (draft_make_room(draft)) {
        draft->removals[draft->removal_count++] = (struct mesh_removal){kind, key};
    }
}

static enum rm_err send_draft(struct session *session, const struct draft *draft, bool is_full)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct mesh_response_parts parts = {
        .version = registry_version(session->push->registry),
        .is_full = is_full,
        .resources = draft->bytes,
        .resource_count = draft->put_count,
        .removals = draft->removals,
        .removal_count = draft->removal_count,
        .server_time_ms = clock_wall_ms(),
    };
    RM_TRY(mesh_wire_encode_response(&parts, &bytes, &length));
    enum rm_err result = rpc_call_send(session->call, bytes, length);
    rm_free(bytes);
    return result;
}

static enum rm_err note_sent(struct session *session, const struct draft *draft, bool is_full)
{
    struct mesh_view *view = NULL;
    struct rm_error error = {0};
    struct mesh_delta delta = {
        .version = registry_version(session->push->registry),
        .is_full = is_full,
        .puts = draft->puts,
        .put_count = draft->put_count,
        .removals = draft->removals,
        .removal_count = draft->removal_count,
    };
    enum rm_err result = mesh_view_apply(session->sent, &delta, &view, &error);
    if (result != RM_OK) {
        log_error(LOG_PUSH, "delta_not_made", LOG_STR("error", rm_error_message(&error)));
        return result;
    }
    mesh_view_unref(session->sent);
    session->sent = view;
    session->is_synced = true;
    session->is_in_flight = true;
    session->sent_ms = loop_now_ms(session->push->loop);
    return RM_OK;
}

// A sidecar that resumes has the scoped view of an earlier version: what we believe it has after
// the delta is the scoped view of now.
static enum rm_err assume_resumed(struct session *session)
{
    struct draft whole = {.session = session};
    draft_everything(&whole);
    enum rm_err result = whole.result;
    if (result == RM_OK) {
        result = note_sent(session, &whole, true);
    }
    draft_deinit(&whole);
    return result;
}

static enum rm_err send_resumed(struct session *session)
{
    const struct mesh_version *resume = &session->hello.of.hello.resume;
    struct draft draft = {.session = session};
    enum rm_err result = RM_ERR_NOT_FOUND;
    if (registry_changes_since(session->push->registry, resume->number, draft_change, &draft)) {
        result = draft.result;
    }
    if (result == RM_OK) {
        result = send_draft(session, &draft, false);
    }
    draft_deinit(&draft);
    return result == RM_OK ? assume_resumed(session) : result;
}

static enum rm_err send_full(struct session *session)
{
    struct draft draft = {.session = session};
    draft_everything(&draft);
    enum rm_err result = draft.result;
    if (result == RM_OK) {
        result = note_sent(session, &draft, true);
    }
    if (result == RM_OK) {
        result = send_draft(session, &draft, true);
    }
    draft_deinit(&draft);
    return result;
}

static bool can_resume(const struct session *session)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    struct mesh_version now = registry_version(session->push->registry);
    return hello->has_resume && hello->resume.number <= now.number &&
           memcmp(hello->resume.store_id, now.store_id, sizeof now.store_id) == 0;
}

// Changes since what was sent last; an empty one is a heartbeat.
static enum rm_err send_changes(struct session *session, bool is_heartbeat)
{
    struct draft draft = {.session = session};
    uint64_t since = mesh_view_version(session->sent).number;
    enum rm_err result = RM_ERR_NOT_FOUND;
    if (registry_changes_since(session->push->registry, since, draft_change, &draft)) {
        result = draft.result;
    }
    bool is_empty = draft.put_count == 0 && draft.removal_count == 0;
    if (result == RM_OK && (!is_empty || is_heartbeat)) {
        result = send_draft(session, &draft, false);
        if (result == RM_OK) {
            result = note_sent(session, &draft, false);
        }
    }
    draft_deinit(&draft);
    return result;
}

static enum rm_err send_next(struct session *session, bool is_heartbeat)
{
    enum rm_err result = RM_ERR_NOT_FOUND;
    if (session->is_synced) {
        result = send_changes(session, is_heartbeat);
    } else if (can_resume(session)) {
        result = send_resumed(session);
    }
    // The change log does not reach back so far: everything anew.
    return result == RM_ERR_NOT_FOUND ? send_full(session) : result;
}

void session_flush(struct session *session)
{
    uint64_t now_ms = loop_now_ms(session->push->loop);
    uint64_t since_ms = now_ms - session->sent_ms;
    if (!sm_is(&session->sm, SESSION_LIVE) || session->is_in_flight) {
        return; // the acknowledgement brings the next
    }
    bool is_first = !session->is_synced && session->sent_ms == 0;
    if (!is_first && since_ms < PUSH_PACE_MS) {
        if (timer_start(&session->timer, PUSH_PACE_MS - since_ms) != RM_OK) {
            session_end(session, RPC_RESOURCE_EXHAUSTED, "out of memory");
        }
        return;
    }
    enum rm_err result = send_next(session, since_ms >= PUSH_HEARTBEAT_MS);
    uint32_t wait_ms = session->is_in_flight ? PUSH_ACK_TIMEOUT_MS : PUSH_HEARTBEAT_MS;
    if (result == RM_OK) {
        result = timer_start(&session->timer, wait_ms);
    }
    if (result != RM_OK) {
        log_warn(LOG_PUSH, "not_sent", LOG_STR("peer_identity", session->peer->spiffe_id),
                 LOG_ERR(result));
        session_end(session, rpc_status_from_err(result), "the view could not be sent");
    }
}
