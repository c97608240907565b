// SPDX-License-Identifier: GPL-3.0-or-later
//
// When a session sends what: everything at first, then changes, one message in flight, at a pace.
#include <string.h>

#include "base/log.h"
#include "push/push_internal.h"

static bool can_resume(const struct session *session)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    struct mesh_version now = registry_version(session->push->registry);
    return hello->has_resume && hello->resume.number <= now.number &&
           memcmp(hello->resume.store_id, now.store_id, sizeof now.store_id) == 0;
}

// A sidecar that resumes has the view of an earlier version, as far as we know in the scope of now:
// after the changes it has the view of now. The hash in its answer tells whether that is so.
static enum rm_err draft_resumed(struct session *session)
{
    struct delta whole;
    struct mesh_view *view = NULL;
    RM_TRY(delta_of_changes(session, session->hello.of.hello.resume.number, &session->delta));
    if (!delta_is_short(&session->delta)) {
        delta_deinit(&session->delta);
        return RM_ERR_NOT_FOUND;
    }
    enum rm_err result = delta_of_everything(session, &whole);
    if (result == RM_OK) {
        result = delta_view(&whole, &view);
        delta_deinit(&whole);
    }
    if (result != RM_OK) {
        delta_deinit(&session->delta);
        return result;
    }
    mesh_view_unref(session->sent);
    session->sent = view;
    return RM_OK;
}

static enum rm_err draft(struct session *session)
{
    enum rm_err result = RM_ERR_NOT_FOUND;
    delta_deinit(&session->delta);
    if (session->is_synced) {
        result = delta_of_changes(session, session->drafted, &session->delta);
    } else if (can_resume(session)) {
        result = draft_resumed(session);
    }
    if (result == RM_ERR_NOT_FOUND) {
        result = delta_of_everything(session, &session->delta);
    }
    if (result == RM_OK) {
        session->drafted = session->delta.version.number;
    }
    return result;
}

static enum rm_err send_part(struct session *session)
{
    RM_TRY(delta_send_part(&session->delta, session->call, &session->sent));
    session->is_synced = true;
    session->is_in_flight = true;
    session->sent_ms = loop_now_ms(session->push->loop);
    if (delta_is_sent(&session->delta)) {
        delta_deinit(&session->delta);
    }
    return timer_start(&session->timer, PUSH_ACK_TIMEOUT_MS);
}

static enum rm_err send_next(struct session *session, uint64_t since_ms)
{
    bool is_first = !session->is_synced;
    RM_TRY(draft(session));
    // An empty delta is a heartbeat, and tells whoever resumes that nothing changed.
    if (session->delta.count > 0 || session->delta.is_full || is_first ||
        since_ms >= PUSH_HEARTBEAT_MS) {
        return send_part(session);
    }
    return timer_start(&session->timer, PUSH_HEARTBEAT_MS - since_ms);
}

void session_flush(struct session *session)
{
    uint64_t since_ms = loop_now_ms(session->push->loop) - session->sent_ms;
    bool has_part = session->is_synced && !delta_is_sent(&session->delta);
    enum rm_err result = RM_OK;
    if (!sm_is(&session->sm, SESSION_LIVE) || session->is_in_flight) {
        return; // the acknowledgement brings the next
    }
    if (has_part) {
        result = send_part(session);
    } else if (session->sent_ms != 0 && since_ms < PUSH_PACE_MS) {
        result = timer_start(&session->timer, PUSH_PACE_MS - since_ms);
    } else {
        result = send_next(session, since_ms);
    }
    if (result != RM_OK) {
        log_warn(LOG_PUSH, "not_sent", LOG_STR("peer_identity", session->peer->spiffe_id),
                 LOG_ERR(result));
        session_end(session, rpc_status_from_err(result), "the view could not be sent");
    }
}
