// SPDX-License-Identifier: GPL-3.0-or-later
//
// Two sessions at most: the current one, and a next one that takes over when its first response is
// applied (make before break, after each renewal).
//
//   set_identity -> next: CONNECTING -> OPEN -> (first response) -> current
//                             |           |
//                             +-----------+--> retry after a back-off
#include "discovery/discovery.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/version.h"
#include "crypto/crypto.h"
#include "link/link.h"
#include "mesh/mesh_wire.h"
#include "metrics_catalogue.h"
#include "rpc/rpc.h"

#define SYNC_PATH "/remora.mesh.v1.Mesh/Sync"
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 15000
#define INSTANCE_ID_BYTES 8

struct session {
    struct discovery *discovery; // it belongs to
    struct link *link;           // NULL once it ended
    struct rpc_call *call;       // NULL until the link is ready, and after the call closed
    bool is_current;             // took over
};

struct discovery {
    struct loop *loop;
    struct resolver *resolver;
    struct sidecar_config *config; // shares
    struct metric_set *metrics;
    discovery_changed_fn on_changed;
    void *context;
    discovery_stopped_fn on_stopped; // set while stopping
    void *stopped_context;
    struct tls_identity *identity; // shares; NULL before the first
    struct trust_snapshot *trust;  // shares
    struct mesh_view *view;        // in force; never NULL
    struct session *current;       // its deltas make the view; NULL: none
    struct session *next;          // connecting, or waiting for its first response; NULL: none
    size_t session_count;          // that have not ended
    struct timer retry;            // next attempt
    struct backoff backoff;
    char instance_id[HEX_BYTES(INSTANCE_ID_BYTES)];
    char exported_hash[HEX_BYTES(SHA256_BYTES)]; // label of the view's info metric; "" at first
    int64_t last_heard_mono_ms;                  // 0: never
    struct certs_status status;                  // last reported
    bool has_status;
    bool is_leaving; // said Goodbye: no new session
    bool is_stopping;
};

static void connect_next(struct discovery *discovery);

// --- Messages out.
// ----------------------------------------------------------------------------------------

static void send_request(struct session *session, const struct mesh_request *request)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    if (session->call == NULL) {
        return;
    }
    enum rm_err result = mesh_wire_encode_request(request, &bytes, &length, &error);
    if (result == RM_OK) {
        result = rpc_call_send(session->call, bytes, length);
    }
    rm_free(bytes);
    if (result != RM_OK) {
        log_warn(LOG_DISCOVERY, "message_not_sent", LOG_ERR(result),
                 LOG_STR("text", rm_error_message(&error)));
        link_close(session->link);
    }
}

// Services that the configuration calls by name; those with a fixed endpoint need no view.
static size_t collect_services(const struct sidecar_config *config, char **out)
{
    size_t count = 0;
    const struct sidecar_outbound *outbound = config->outbound.items;
    for (size_t i = 0; i < config->outbound.count; i++) {
        if (outbound[i].endpoint == NULL) {
            out[count++] = outbound[i].service;
        }
    }
    return count;
}

// The tunnel port with the host that peers can dial; without a host it means "where I come from".
static void tunnel_address(const struct sidecar_config *config, char out[STREAM_ADDRESS_TEXT_BYTES])
{
    char text[STREAM_ADDRESS_TEXT_BYTES];
    stream_address_text(&config->inbound_address, text);
    const char *colon = strrchr(text, ':');
    bool is_any = strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "[::]:", 5) == 0;
    snprintf(out, STREAM_ADDRESS_TEXT_BYTES, "%s", is_any && colon != NULL ? colon : text);
}

static void send_hello(struct session *session)
{
    struct discovery *discovery = session->discovery;
    const struct sidecar_config *config = discovery->config;
    const struct sidecar_inbound_service *hosted = config->services.items;
    char address[STREAM_ADDRESS_TEXT_BYTES];
    char software[] = "remora-sidecar/" REMORA_VERSION;
    char **services = rm_calloc(config->outbound.count + 1, sizeof *services);
    char **exposes = rm_calloc(config->services.count + 1, sizeof *exposes);
    if (services == NULL || exposes == NULL) {
        rm_free(services);
        rm_free(exposes);
        link_close(session->link);
        return;
    }
    for (size_t i = 0; i < config->services.count; i++) {
        exposes[i] = hosted[i].name;
    }
    tunnel_address(config, address);
    struct mesh_request request = {.kind = MESH_REQUEST_HELLO};
    struct mesh_hello *hello = &request.of.hello;
    memcpy(hello->instance_id, discovery->instance_id, sizeof hello->instance_id);
    hello->services = services;
    hello->service_count = collect_services(config, services);
    hello->exposes = exposes;
    hello->expose_count = config->services.count;
    hello->has_resume = mesh_view_is_complete(discovery->view);
    hello->resume = mesh_view_version(discovery->view);
    hello->software = software;
    hello->zone = config->zone;
    hello->tunnel_address = config->services.count > 0 ? address : NULL;
    send_request(session, &request);
    rm_free(services);
    rm_free(exposes);
}

static void send_status(struct session *session)
{
    struct certs_status *status = &session->discovery->status;
    struct mesh_request request = {.kind = MESH_REQUEST_STATUS};
    request.of.status.not_after_s = status->not_after_s;
    request.of.status.next_renewal_s = status->next_renewal_s;
    request.of.status.last_error = status->last_error;
    request.of.status.serial_length = status->serial_length;
    memcpy(request.of.status.serial, status->serial, status->serial_length);
    send_request(session, &request);
}

static void hash_piece(void *context, const void *bytes, size_t length)
{
    sha256_stream_update(context, bytes, length);
}

static bool hash_view(const struct mesh_view *view, uint8_t out[SHA256_BYTES])
{
    struct sha256_stream *stream = sha256_stream_new();
    if (stream == NULL) {
        return false;
    }
    mesh_view_canonical(view, hash_piece, stream);
    sha256_stream_finish(stream, out);
    return true;
}

// `error` NULL: applied.
static void send_ack(struct session *session, struct mesh_version version, const char *error)
{
    char text[RM_ERROR_MESSAGE_BYTES];
    struct mesh_request request = {.kind = MESH_REQUEST_ACK};
    request.of.ack.version = version;
    if (error != NULL) {
        snprintf(text, sizeof text, "%s", error);
        request.of.ack.error = text;
    }
    if (hash_view(session->discovery->view, request.of.ack.view_hash)) {
        send_request(session, &request);
    } else {
        link_close(session->link);
    }
}

// --- Deltas in.
// ---------------------------------------------------------------------------------------------

static void export_view(struct discovery *discovery)
{
    uint8_t hash[SHA256_BYTES];
    char text[HEX_BYTES(SHA256_BYTES)];
    struct mesh_version version = mesh_view_version(discovery->view);
    metric_gauge_set(discovery->metrics, SIDECAR_METRIC_VIEW_VERSION, NULL, (double)version.number);
    if (!hash_view(discovery->view, hash)) {
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
    session->is_current = true;
    discovery->current = session;
    discovery->next = NULL;
    backoff_reset(&discovery->backoff);
    metric_gauge_set(discovery->metrics, SIDECAR_METRIC_CONTROL_CONNECTED, NULL, 1);
    if (before != NULL) {
        before->is_current = false;
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
        send_status(session);
    }
}

static void note_heard(struct discovery *discovery, int64_t server_time_ms)
{
    discovery->last_heard_mono_ms = (int64_t)clock_mono_ms();
    metric_gauge_set(discovery->metrics, SIDECAR_METRIC_VIEW_LAST_HEARD, NULL,
                     (double)clock_wall_ms() / 1000.0);
    metric_gauge_set(discovery->metrics, SIDECAR_METRIC_CLOCK_OFFSET, NULL,
                     (double)(server_time_ms - clock_wall_ms()) / 1000.0);
}

static void session_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                               size_t length)
{
    struct session *session = context;
    struct discovery *discovery = session->discovery;
    struct mesh_response response;
    struct rm_error error = {0};
    (void)call;
    enum rm_err result = mesh_wire_decode_response(bytes, length, &response, &error);
    if (result == RM_OK) {
        result = apply(discovery, &response.delta, &error);
        if (result != RM_OK) {
            send_ack(session, response.delta.version, rm_error_message(&error));
        }
    }
    if (result != RM_OK) {
        log_error(LOG_DISCOVERY, "delta_refused", LOG_STR("error", rm_error_message(&error)),
                  LOG_STR("text", "the view before it stays in force"));
        mesh_response_deinit(&response);
        link_close(session->link);
        return;
    }
    bool is_changed =
        response.delta.is_full || response.delta.put_count > 0 || response.delta.removal_count > 0;
    note_heard(discovery, response.server_time_ms);
    if (!session->is_current) {
        take_over(session);
    }
    send_ack(session, response.delta.version, NULL);
    mesh_response_deinit(&response);
    if (is_changed) {
        export_view(discovery);
    }
    discovery->on_changed(discovery->context, discovery->view);
}

// --- Sessions.
// -------------------------------------------------------------------------------------------------

static void finish_stop(struct discovery *discovery)
{
    if (!discovery->is_stopping || discovery->session_count > 0) {
        return;
    }
    discovery->on_stopped(discovery->stopped_context);
    loop_close(discovery->loop);
    timer_stop(&discovery->retry);
    tls_identity_unref(discovery->identity);
    trust_unref(discovery->trust);
    mesh_view_unref(discovery->view);
    sidecar_config_unref(discovery->config);
    rm_free(discovery);
}

static void retry_later(struct discovery *discovery)
{
    if (discovery->is_stopping || discovery->is_leaving) {
        return;
    }
    if (timer_start(&discovery->retry, backoff_next_ms(&discovery->backoff, random_u32())) !=
        RM_OK) {
        log_error(LOG_DISCOVERY, "timer_not_started", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}

static void session_on_call_close(void *context, struct rpc_call *call, enum rpc_status status,
                                  const char *text)
{
    struct session *session = context;
    (void)call;
    session->call = NULL;
    bool is_wanted = session == session->discovery->current || session == session->discovery->next;
    if (is_wanted && !session->discovery->is_stopping && status != RPC_OK) {
        log_warn(LOG_DISCOVERY, "sync_ended", LOG_STR("status", rpc_status_name(status)),
                 LOG_STR("text", text));
    }
    if (session->link != NULL) {
        link_close(session->link);
    }
}

static const struct rpc_client_handler sync_handler = {
    .on_message = session_on_message,
    .on_close = session_on_call_close,
};

static void session_on_ready(void *context, struct rpc_client *client)
{
    struct session *session = context;
    enum rm_err result =
        rpc_client_call(client, SYNC_PATH, 0, &sync_handler, session, &session->call);
    if (result != RM_OK) {
        session->call = NULL;
        link_close(session->link);
        return;
    }
    send_hello(session);
}

static void session_on_end(void *context, enum rm_err reason, const char *sentence)
{
    struct session *session = context;
    struct discovery *discovery = session->discovery;
    bool was_current = session == discovery->current;
    bool was_next = session == discovery->next;
    session->link = NULL;
    if (was_current) {
        discovery->current = NULL;
        metric_gauge_set(discovery->metrics, SIDECAR_METRIC_CONTROL_CONNECTED, NULL, 0);
    }
    if (was_next) {
        discovery->next = NULL;
    }
    if (reason != RM_ERR_CANCELLED && !discovery->is_stopping) {
        log_warn(LOG_DISCOVERY, "control_plane_away", LOG_STR("error", sentence),
                 LOG_STR("text", "the last view stays in force"));
    }
    rm_free(session);
    discovery->session_count--;
    if (discovery->is_stopping) {
        finish_stop(discovery);
    } else if ((was_current || was_next) && discovery->next == NULL) {
        retry_later(discovery);
    }
}

static enum rm_err open_link(struct session *session)
{
    static const char *const alpn[] = {"h2"};
    struct discovery *discovery = session->discovery;
    struct tls_context *tls = NULL;
    struct rm_error error = {0};
    struct tls_spiffe_profile profile = {
        .identity = discovery->identity,
        .trust = discovery->trust,
        .alpn = alpn,
        .alpn_count = 1,
        .is_alpn_required = true,
    };
    RM_TRY(tls_context_new_spiffe(&profile, &tls, &error));
    struct link_options options = {
        .loop = discovery->loop,
        .resolver = discovery->resolver,
        .address = discovery->config->control.address,
        .trust_domain = discovery->config->control.trust_domain,
        .tls = tls,
    };
    enum rm_err result =
        link_open(&options, session_on_ready, session_on_end, session, &session->link);
    tls_context_unref(tls);
    return result;
}

static void connect_next(struct discovery *discovery)
{
    if (discovery->identity == NULL || discovery->is_stopping || discovery->is_leaving) {
        return;
    }
    struct session *session = rm_calloc(1, sizeof *session);
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (session != NULL) {
        session->discovery = discovery;
        result = open_link(session);
    }
    if (result != RM_OK) {
        rm_free(session);
        log_warn(LOG_DISCOVERY, "not_connected", LOG_ERR(result));
        retry_later(discovery);
        return;
    }
    timer_stop(&discovery->retry);
    discovery->next = session;
    discovery->session_count++;
}

static void discovery_on_retry(void *context)
{
    struct discovery *discovery = context;
    if (discovery->next == NULL) {
        connect_next(discovery);
    }
}

enum rm_err discovery_start(struct loop *loop, struct resolver *resolver,
                            struct sidecar_config *config, struct metric_set *metrics,
                            discovery_changed_fn on_changed, void *context, struct discovery **out)
{
    uint8_t instance[INSTANCE_ID_BYTES];
    RM_TRY(random_bytes(instance, sizeof instance));
    struct discovery *discovery = rm_calloc(1, sizeof *discovery);
    struct mesh_view *view = mesh_view_empty();
    if (discovery == NULL || view == NULL) {
        rm_free(discovery);
        mesh_view_unref(view);
        return RM_ERR_NO_MEMORY;
    }
    discovery->loop = loop;
    discovery->resolver = resolver;
    discovery->config = sidecar_config_ref(config);
    discovery->metrics = metrics;
    discovery->on_changed = on_changed;
    discovery->context = context;
    discovery->view = view;
    hex_encode(instance, sizeof instance, discovery->instance_id);
    timer_init(&discovery->retry, loop, discovery_on_retry, discovery);
    backoff_init(&discovery->backoff, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
    metric_gauge_set(metrics, SIDECAR_METRIC_CONTROL_CONNECTED, NULL, 0);
    loop_open(loop);
    *out = discovery;
    return RM_OK;
}

void discovery_set_identity(struct discovery *discovery, struct tls_identity *identity,
                            struct trust_snapshot *trust)
{
    tls_identity_ref(identity);
    trust_ref(trust);
    tls_identity_unref(discovery->identity);
    trust_unref(discovery->trust);
    discovery->identity = identity;
    discovery->trust = trust;
    if (discovery->next != NULL) {
        // It was made with the identity before; its end brings a new attempt.
        struct session *outdated = discovery->next;
        discovery->next = NULL;
        link_close(outdated->link);
    }
    connect_next(discovery);
}

void discovery_configure(struct discovery *discovery, struct sidecar_config *config)
{
    sidecar_config_ref(config);
    sidecar_config_unref(discovery->config);
    discovery->config = config;
    if (discovery->next == NULL) {
        connect_next(discovery);
    }
}

void discovery_report(struct discovery *discovery, const struct certs_status *status)
{
    discovery->status = *status;
    discovery->has_status = true;
    if (discovery->current != NULL) {
        send_status(discovery->current);
    }
}

struct mesh_view *discovery_view(const struct discovery *discovery)
{
    return discovery->view;
}

int64_t discovery_last_heard_mono_ms(const struct discovery *discovery)
{
    return discovery->last_heard_mono_ms;
}

bool discovery_is_connected(const struct discovery *discovery)
{
    return discovery->current != NULL;
}

void discovery_goodbye(struct discovery *discovery)
{
    discovery->is_leaving = true;
    timer_stop(&discovery->retry);
    if (discovery->current != NULL) {
        struct mesh_request request = {.kind = MESH_REQUEST_GOODBYE};
        send_request(discovery->current, &request);
    }
}

void discovery_stop(struct discovery *discovery, discovery_stopped_fn done, void *context)
{
    discovery->is_stopping = true;
    discovery->on_stopped = done;
    discovery->stopped_context = context;
    timer_stop(&discovery->retry);
    // Each end counts down; a link's end never comes from inside link_close().
    if (discovery->current != NULL && discovery->current->link != NULL) {
        link_close(discovery->current->link);
    }
    if (discovery->next != NULL && discovery->next->link != NULL) {
        link_close(discovery->next->link);
    }
    finish_stop(discovery);
}
