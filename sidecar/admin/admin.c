// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/admin.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "door/door.h"
#include "faults/faults.h"
#include "http1/http1.h"
#include "metrics_catalogue.h"

struct admin {
    struct loop *loop;
    struct metrics *metrics;
    struct metric_set *own_metrics; // of metrics; what is counted here
    struct http1_server *health;    // serves the health port
    struct http1_server *exporter;  // serves the metrics port
    struct door health_door;
    struct door metrics_door;
    admin_ready_fn is_ready;
    void *context;
};

static void answer_text(struct http1_answer *answer, int status, const char *text)
{
    answer->status = status;
    answer->content_type = "text/plain; charset=utf-8";
    if (buffer_append_text(&answer->body, text) != RM_OK) {
        answer->status = 500;
    }
}

static void health_on_request(void *context, const struct http1_request *request,
                              struct http1_answer *answer)
{
    struct admin *admin = context;
    char reason[ADMIN_REASON_BYTES] = "";
    if (strcmp(request->path, "/healthz/live") == 0) {
        answer_text(answer, 200, "live\n");
    } else if (strcmp(request->path, "/healthz/ready") != 0) {
        answer_text(answer, 404, "not found; here are /healthz/ready and /healthz/live\n");
    } else if (admin->is_ready(admin->context, reason)) {
        answer_text(answer, 200, "ready\n");
    } else {
        answer->status = 503;
        answer->content_type = "text/plain; charset=utf-8";
        if (buffer_printf(&answer->body, "waiting for %s\n", reason) != RM_OK) {
            answer->status = 500;
        }
    }
}

static void metrics_on_request(void *context, const struct http1_request *request,
                               struct http1_answer *answer)
{
    struct admin *admin = context;
    if (strcmp(request->path, "/metrics") != 0) {
        answer_text(answer, 404, "not found; here is /metrics\n");
        return;
    }
    answer->status = metrics_write(admin->metrics, &answer->body) == RM_OK ? 200 : 500;
    answer->content_type = METRICS_CONTENT_TYPE;
}

static void admin_on_tls(void *context, const struct stream_address *remote)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    const struct admin *admin = context;
    const char *labels[] = {"server", fault_name(FAULT_TLS_ON_PLAIN_PORT)};
    metric_add(admin->own_metrics, SIDECAR_METRIC_HANDSHAKES_TOTAL, labels, 1);
    if (log_limit_pass(&limit, &suppressed)) {
        char text[STREAM_ADDRESS_TEXT_BYTES];
        stream_address_text(remote, text);
        log_warn(LOG_ADMIN, "handshake_failed", LOG_STR("error", labels[1]),
                 LOG_STR("remote", text), LOG_STR("text", fault_sentence(FAULT_TLS_ON_PLAIN_PORT)),
                 LOG_U64("suppressed", suppressed));
    }
}

static void health_on_accept(void *context, struct stream *stream)
{
    struct admin *admin = context;
    http1_server_accept(admin->health, stream);
}

static void metrics_on_accept(void *context, struct stream *stream)
{
    struct admin *admin = context;
    http1_server_accept(admin->exporter, stream);
}

static enum rm_err prepare(struct admin *admin, struct door *door,
                           const struct stream_address *address, listener_fn on_accept,
                           struct rm_error *error)
{
    const struct listener_options options = {.address = *address,
                                             .unix_mode = 0600,
                                             .unix_uid = -1,
                                             .unix_gid = -1,
                                             .has_reserve = true};
    return door_prepare(door, admin->loop, &options, on_accept, admin, error);
}

enum rm_err admin_prepare(struct admin *admin, const struct sidecar_config *config,
                          struct rm_error *error)
{
    enum rm_err result =
        prepare(admin, &admin->health_door, &config->health_address, health_on_accept, error);
    if (result == RM_OK) {
        result = prepare(admin, &admin->metrics_door, &config->metrics_address, metrics_on_accept,
                         error);
    }
    if (result != RM_OK) {
        admin_undo(admin);
    }
    return result;
}

void admin_commit(struct admin *admin)
{
    door_commit(&admin->health_door);
    door_commit(&admin->metrics_door);
}

void admin_undo(struct admin *admin)
{
    door_undo(&admin->health_door);
    door_undo(&admin->metrics_door);
}

enum rm_err admin_open(struct loop *loop, const struct sidecar_config *config,
                       struct metrics *metrics, admin_ready_fn is_ready, void *context,
                       struct admin **out, struct rm_error *error)
{
    struct admin *admin = rm_calloc(1, sizeof *admin);
    if (admin == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    admin->loop = loop;
    admin->metrics = metrics;
    admin->is_ready = is_ready;
    admin->context = context;
    admin->own_metrics = metrics_set_new(metrics);
    admin->health = http1_server_new(loop, health_on_request, admin);
    admin->exporter = http1_server_new(loop, metrics_on_request, admin);
    bool is_whole = admin->own_metrics != NULL && admin->health != NULL && admin->exporter != NULL;
    enum rm_err result = is_whole ? admin_prepare(admin, config, error)
                                  : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    if (result != RM_OK) {
        admin_close(admin);
        return result;
    }
    http1_server_on_tls(admin->health, admin_on_tls);
    http1_server_on_tls(admin->exporter, admin_on_tls);
    admin_commit(admin);
    *out = admin;
    return RM_OK;
}

void admin_close(struct admin *admin)
{
    door_close(&admin->health_door);
    door_close(&admin->metrics_door);
    if (admin->health != NULL) {
        http1_server_close(admin->health, NULL, NULL);
    }
    if (admin->exporter != NULL) {
        http1_server_close(admin->exporter, NULL, NULL);
    }
    rm_free(admin);
}
