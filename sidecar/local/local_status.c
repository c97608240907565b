// SPDX-License-Identifier: GPL-3.0-or-later
//
// GetStatus and GetView.
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/utf8.h"
#include "base/version.h"
#include "local/local_internal.h"

#define VIEW_PIECE 256 // resources of one piece of the view

struct local_view_version local_view_version_of(const struct local_state *state)
{
    const struct snapshot *snapshot = state->snapshot;
    struct local_view_version version = {
        .is_complete = mesh_view_is_complete(snapshot->view),
        .version = mesh_view_version(snapshot->view),
        .last_heard_ago_ms = -1,
    };
    if (snapshot->view_received_mono_ms != 0) {
        version.last_heard_ago_ms = (int64_t)clock_mono_ms() - snapshot->view_received_mono_ms;
    }
    if (hex_decode(state->view_hash, strlen(state->view_hash), version.hash, sizeof version.hash) ==
        RM_OK) {
        version.hash_length = strlen(state->view_hash) / 2;
    }
    for (size_t i = 0; i < MESH_KIND_COUNT; i++) {
        version.counts[i] = mesh_view_count(snapshot->view, (enum mesh_kind)i);
    }
    return version;
}

static enum rm_err append_own_bundles(struct local_call *call, const struct trust_snapshot *trust,
                                      const char *own_name, bool is_view)
{
    size_t count = trust != NULL ? trust_domain_count(trust) : 0;
    for (size_t i = 0; i < count; i++) {
        RM_TRY(local_wire_bundle(&call->response, trust_domain_at(trust, i), own_name, is_view));
    }
    return RM_OK;
}

static enum rm_err append_bundles(struct local_call *call, const struct snapshot *snapshot,
                                  bool is_view)
{
    for (size_t i = 0; i < snapshot_own_count(snapshot); i++) {
        RM_TRY(append_own_bundles(call, snapshot_own(snapshot, i).trust,
                                  local_own_name(snapshot, i), is_view));
    }
    return RM_OK;
}

static enum rm_err append_status(struct local_call *call, const struct local_state *state,
                                 const char *config_path)
{
    const struct snapshot *snapshot = state->snapshot;
    const struct sidecar_config *config = snapshot->config;
    const struct local *local = call->local;
    const struct local_status status = {
        .version = REMORA_VERSION,
        .started_at_s = local->started_at_s,
        .now_ms = clock_wall_ms(),
        .is_ready = state->is_ready,
        .waits_for = state->waits_for,
        .config_path = config_path,
        .identity = snapshot->identity != NULL ? snapshot->identity->spiffe_id : NULL,
        .worker_count = state->worker_count,
        .level = local_level_of(local, config),
        .control_address = config->control.address,
        .is_connected = state->is_connected,
        .clock_offset_ms = state->certs[0]->clock_offset_ms,
        .view = local_view_version_of(state),
    };
    RM_TRY(local_wire_status(&call->response, &status));
    return append_bundles(call, snapshot, false);
}

void local_get_status(struct local_call *call)
{
    struct local_state state = {0};
    call->local->source.look(call->local->source.context, &state);
    char *config_path = rm_strdup(state.snapshot->config->path);
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (config_path != NULL) {
        // A path need not be UTF-8, nor what a peer said; a text on the wire must.
        utf8_repair(config_path);
        utf8_repair(state.waits_for);
        result = append_status(call, &state, config_path);
    }
    rm_free(config_path);
    local_call_answer(call, result);
}

// --- The view, from the snapshot that was in force when the call came.

struct view_work {
    struct mesh_view *view; // shares
    enum mesh_kind kind;    // of the next resource
    size_t index;           // of it
};

static void view_work_free(void *context)
{
    struct view_work *work = context;
    mesh_view_unref(work->view);
    rm_free(work);
}

static void send_resources(struct local_call *call)
{
    struct view_work *work = call->work;
    enum rm_err result = RM_OK;
    size_t count = 0;
    while (work->kind < MESH_KIND_COUNT && count < VIEW_PIECE && result == RM_OK) {
        const struct mesh_resource *resource = mesh_view_at(work->view, work->kind, work->index);
        if (resource == NULL) {
            work->kind++;
            work->index = 0;
            continue;
        }
        result = local_wire_resource(&call->response, resource);
        work->index++;
        count++;
    }
    if (count == 0) {
        local_call_end(call);
    } else {
        local_call_send(call, result);
    }
}

void local_get_view(struct local_call *call)
{
    struct local_state state = {0};
    struct view_work *work = rm_calloc(1, sizeof *work);
    if (!local_call_set_work(call, work, view_work_free)) {
        return;
    }
    call->local->source.look(call->local->source.context, &state);
    const struct local_view_version version = local_view_version_of(&state);
    work->view = mesh_view_ref(state.snapshot->view);
    work->kind = MESH_SERVICE;
    enum rm_err result = local_wire_view_version(&call->response, &version);
    if (result == RM_OK) {
        result = append_bundles(call, state.snapshot, true);
    }
    local_call_send(call, result);
    local_call_stream(call, send_resources);
}
