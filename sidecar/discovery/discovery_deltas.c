// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a session hears: deltas, each applied whole or refused, and acknowledged.
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "discovery/discovery_internal.h"
#include "metrics_catalogue.h"

static void export_view(struct discovery *discovery)
{
    uint8_t hash[SHA256_BYTES];
    char text[HEX_BYTES(SHA256_BYTES)];
    struct mesh_version version = mesh_view_version(discovery->view);
    metric_gauge_set(discovery->metrics, SIDECAR_METRIC_VIEW_VERSION, NULL, (double)version.number);
    if (!discovery_hash_view(discovery->view, hash)) {
        return;
    }
    hex_encode(hash, sizeof hash, text);
    const char *old_labels[] = {discovery->exported_hash};
    const char *labels[] = {text};
    metric_gauge_clear(discovery->metrics, SIDECAR_METRIC_VIEW_INFO, old_labels);
    metric_gauge_set(discovery->metrics, SIDECAR_METRIC_VIEW_INFO, labels, 1);
    memcpy(discovery->exported_hash, text, sizeof discovery->exported_hash);
}

static void warn_new_store(const struct discovery *discovery, const struct mesh_delta *delta)
{
    struct mesh_version before = mesh_view_version(discovery->view);
    if (mesh_view_is_complete(discovery->view) &&
        memcmp(before.store_id, delta->version.store_id, sizeof before.store_id) != 0) {
        log_error(LOG_DISCOVERY, "store_replaced",
                  LOG_STR("text", "the control plane has another store than before (restored or "
                                  "new): everything was sent anew; revocations that it no longer "
                                  "knows are kept"));
    }
}

static enum rm_err apply(struct discovery *discovery, const struct mesh_delta *delta,
                         struct rm_error *error)
{
    struct mesh_view *view = NULL;
    warn_new_store(discovery, delta);
    RM_TRY(mesh_view_apply(discovery->view, delta, &view, error));
    mesh_view_unref(discovery->view);
    discovery->view = view;
    return RM_OK;
}

// The next session speaks: it takes over, the one before may go.
static void take_over(struct session *session)
{
    struct discovery *discovery = session->discovery;
    struct session *before = discovery->current;
    discovery->current = session;
    discovery->next = NULL;
    backoff_reset(&discovery->backoff);
    metric_gauge_set(discovery->metrics, SIDECAR_METRIC_CONTROL_CONNECTED, NULL, 1);
    if (before != NULL) {
        if (before->call != NULL) {
            // A half-close without Goodbye: the same instance lives on in the new session.
            enum rm_err ignored = rpc_call_half_close(before->call);
            (void)ignored;
        }
        if (before->link != NULL) {
            link_close(before->link);
        }
    }
    if (discovery->has_status) {
        session_send_status(session);
    }
}

static void note_heard(struct discovery *discovery, int64_t server_time_ms)
{
    discovery->last_heard_mono_ms = (int64_t)clock_mono_ms();
    metric_gauge_set(discovery->metrics, SIDECAR_METRIC_VIEW_LAST_HEARD, NULL,
                     (double)clock_wall_ms() / 1000.0);
    metric_gauge_set(discovery->metrics, SIDECAR_METRIC_CLOCK_OFFSET, NULL,
                     ((double)server_time_ms - (double)clock_wall_ms()) / 1000.0);
}

static void refuse(struct session *session, const struct rm_error *error)
{
    log_error(LOG_DISCOVERY, "delta_refused", LOG_STR("error", rm_error_message(error)),
              LOG_STR("text", "the view before it stays in force; everything is asked for anew"));
    session->discovery->must_resync = true;
    link_close(session->link);
}

void session_take_response(struct session *session, const uint8_t *bytes, size_t length)
{
    struct discovery *discovery = session->discovery;
    struct mesh_response response;
    struct rm_error error = {0};
    if (mesh_wire_decode_response(bytes, length, &response, &error) != RM_OK) {
        refuse(session, &error);
        return;
    }
    const struct mesh_delta *delta = &response.delta;
    struct mesh_version version = delta->version;
    bool is_changed = delta->is_full || delta->put_count > 0 || delta->removal_count > 0;
    enum rm_err result = apply(discovery, delta, &error);
    int64_t server_time_ms = response.server_time_ms;
    mesh_response_deinit(&response);
    if (result != RM_OK) {
        session_send_ack(session, version, rm_error_message(&error));
        refuse(session, &error);
        return;
    }
    discovery->must_resync = false;
    note_heard(discovery, server_time_ms);
    if (session != discovery->current) {
        take_over(session);
    }
    session_send_ack(session, version, NULL);
    if (is_changed) {
        export_view(discovery);
    }
    discovery->on_changed(discovery->context, discovery->view);
}
