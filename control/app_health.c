// SPDX-License-Identifier: GPL-3.0-or-later
//
// Health and a few figures over HTTP: for probes and Prometheus, without identity, loopback by
// default.
#include <inttypes.h>
#include <string.h>

#include "app_internal.h"
#include "audit/alarms.h"
#include "base/clock.h"

static enum rm_err metric(struct buffer *out, const char *name, const char *kind, const char *help,
                          uint64_t value)
{
    return buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name,
                         kind, name, value);
}

static enum rm_err write_certificates(const struct app *app, struct buffer *out)
{
    uint64_t issued = 0;
    uint64_t refused = 0;
    identity_service_counts(app->identity_service, &issued, &refused);
    RM_TRY(metric(out, "remora_control_certificates_issued_total", "counter",
                  "Issue calls answered with a certificate.", issued));
    return metric(out, "remora_control_certificates_refused_total", "counter",
                  "Issue calls refused.", refused);
}

static enum rm_err write_metrics(const struct app *app, struct buffer *out)
{
    RM_TRY(metric(out, "remora_control_ready", "gauge", "1 when it serves.",
                  app_is_serving(app) ? 1 : 0));
    RM_TRY(metric(out, "remora_control_start_time_seconds", "gauge", "Start of this process.",
                  (uint64_t)app->started_at_s));
    RM_TRY(metric(out, "remora_control_alarms", "gauge", "Alarms that stand.", alarms_count()));
    if (!app_is_serving(app)) {
        return RM_OK;
    }
    RM_TRY(write_certificates(app, out));
    RM_TRY(metric(out, "remora_control_store_revision", "gauge", "Last durable transaction.",
                  store_revision(app->store)));
    RM_TRY(metric(out, "remora_control_sync_sessions", "gauge", "Sidecars with a Sync stream.",
                  push_session_count(app->push)));
    RM_TRY(metric(out, "remora_control_connections", "gauge", "gRPC connections.",
                  rpc_server_connection_count(app->server)));
    return metric(out, "remora_control_own_certificate_not_after_seconds", "gauge",
                  "End of the control plane's own certificate.",
                  (uint64_t)app->identity->not_after_s);
}

static enum rm_err write_ready(const struct app *app, struct http1_answer *answer)
{
    if (app_is_serving(app)) {
        return buffer_append_text(&answer->body, "ready\n");
    }
    answer->status = 503;
    return buffer_printf(&answer->body, "waits for %s\n", app->waits_for);
}

void app_on_health_request(void *context, const struct http1_request *request,
                           struct http1_answer *answer)
{
    const struct app *app = context;
    enum rm_err result = RM_OK;
    answer->status = 200;
    answer->content_type = "text/plain; charset=utf-8";
    if (strcmp(request->path, "/healthz/live") == 0) {
        result = buffer_append_text(&answer->body, "live\n");
    } else if (strcmp(request->path, "/healthz/ready") == 0) {
        result = write_ready(app, answer);
    } else if (strcmp(request->path, "/metrics") == 0) {
        answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
        result = write_metrics(app, &answer->body);
    } else {
        answer->status = 404;
        result = buffer_append_text(&answer->body, "not found\n");
    }
    if (result != RM_OK) {
        answer->status = 503;
        buffer_clear(&answer->body);
    }
}
