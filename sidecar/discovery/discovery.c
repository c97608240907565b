// SPDX-License-Identifier: GPL-3.0-or-later
//
// Two sessions at most: the current one, and a next one that takes over when its first response is
// applied (make before break, after each renewal).
//
//   set_identity -> next: CONNECTING -> OPEN -> (first response) -> current
//                             |           |
//                             +-----------+--> retry after a back-off
#include "discovery/discovery_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "metrics_catalogue.h"

#define SYNC_PATH "/remora.mesh.v1.Mesh/Sync"
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 15000
// From the open call to the first response: a full view, even a large one, is made at once.
#define FIRST_RESPONSE_TIMEOUT_MS 15000
// The control plane sends something every 30 s; three times nothing is silence.
#define SILENCE_TIMEOUT_MS 100000

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

// True for the session whose deltas make the view, and for the one that is to follow it.
static bool is_wanted(const struct session *session)
{
    const struct discovery *discovery = session->discovery;
    return !discovery->is_stopping && (session == discovery->current || session == discovery->next);
}

static void await_response(struct session *session, uint64_t delay_ms)
{
    if (timer_start(&session->silence, delay_ms) != RM_OK) {
        link_close(session->link);
    }
}

static void session_on_silence(void *context)
{
    struct session *session = context;
    log_warn(LOG_DISCOVERY, "control_plane_silent",
             LOG_STR("text", "it is connected, but says nothing: connecting anew; the last view "
                             "stays in force"));
    link_close(session->link);
}

static void session_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                               size_t length)
{
    struct session *session = context;
    (void)call;
    if (is_wanted(session)) {
        await_response(session, SILENCE_TIMEOUT_MS);
        session_take_response(session, bytes, length);
    }
}

static void session_on_call_close(void *context, struct rpc_call *call, enum rpc_status status,
                                  const char *text)
{
    struct session *session = context;
    (void)call;
    session->call = NULL;
    timer_stop(&session->silence);
    if (is_wanted(session) && status != RPC_OK) {
        const struct tls_failure *failure =
            session->link != NULL ? link_failure(session->link) : NULL;
        char why[TLS_FAILURE_TEXT_BYTES];
        snprintf(why, sizeof why, "%s", text);
        if (failure != NULL) {
            tls_failure_text(failure, why, sizeof why);
        }
        log_warn(LOG_DISCOVERY, "sync_ended", LOG_STR("status", rpc_status_name(status)),
                 LOG_STR("text", why));
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
    await_response(session, FIRST_RESPONSE_TIMEOUT_MS);
    session_send_hello(session);
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
    timer_stop(&session->silence);
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
        timer_init(&session->silence, discovery->loop, session_on_silence, session);
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

// A session that has not taken over yet was made with what is outdated now.
static void replace_next(struct discovery *discovery)
{
    struct session *outdated = discovery->next;
    if (outdated != NULL) {
        discovery->next = NULL;
        link_close(outdated->link);
    }
    connect_next(discovery);
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
    replace_next(discovery);
}

void discovery_configure(struct discovery *discovery, struct sidecar_config *config)
{
    sidecar_config_ref(config);
    sidecar_config_unref(discovery->config);
    discovery->config = config;
    replace_next(discovery);
}

void discovery_report(struct discovery *discovery, const struct certs_status *status)
{
    discovery->status = *status;
    discovery->has_status = true;
    if (discovery->current != NULL) {
        session_send_status(discovery->current);
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

const char *discovery_view_hash(const struct discovery *discovery)
{
    return discovery->exported_hash;
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
        session_send_goodbye(discovery->current);
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
