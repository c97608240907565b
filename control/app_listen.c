// SPDX-License-Identifier: GPL-3.0-or-later
//
// From accepted connections to the rpc server: through TLS on the network, directly on the Unix
// socket.
#include "app_internal.h"
#include "base/alloc.h"
#include "base/log.h"

// A TLS handshake under way.
struct app_handshake {
    struct list node;      // in app->handshakes
    struct app *app;       // borrowed
    struct stream *stream; // the TLS stream
};

static void handshake_end(struct app_handshake *handshake)
{
    struct app *app = handshake->app;
    list_remove(&handshake->node);
    app->handshake_count--;
    if (app->handshake_count == APP_MAX_HANDSHAKES - 1 && app->listener != NULL) {
        listener_resume(app->listener);
    }
    rm_free(handshake);
}

static void log_failure(const struct stream *stream, const struct tls_failure *failure)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    char remote[STREAM_ADDRESS_TEXT_BYTES];
    char text[TLS_FAILURE_TEXT_BYTES];
    if (!log_limit_pass(&limit, &suppressed)) {
        return;
    }
    struct stream_address address = stream_remote(stream);
    stream_address_text(&address, remote);
    tls_failure_text(failure, text, sizeof text);
    log_info(LOG_TLS, "handshake_failed", LOG_STR("remote", remote),
             LOG_STR("error", tls_failure_name(failure)), LOG_STR("text", text),
             LOG_U64("suppressed", suppressed));
}

static void on_handshake(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct app_handshake *handshake = context;
    struct app *app = handshake->app;
    struct stream *stream = handshake->stream;
    if (result != RM_OK) {
        log_failure(stream, failure);
        handshake_end(handshake);
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return;
    }
    handshake_end(handshake);
    result = rpc_server_accept(app->server, stream);
    if (result != RM_OK) {
        log_warn(LOG_RPC, "connection_not_served", LOG_ERR(result));
    }
}

static void on_accept(void *context, struct stream *stream)
{
    struct app *app = context;
    struct app_handshake *handshake = rm_calloc(1, sizeof *handshake);
    if (handshake == NULL) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return;
    }
    const struct tls_session_options options = {.tls = app->tls};
    handshake->app = app;
    list_init(&handshake->node);
    enum rm_err result = tls_accept(stream, &options, on_handshake, handshake, &handshake->stream);
    if (result != RM_OK) {
        log_warn(LOG_TLS, "handshake_not_started", LOG_ERR(result));
        rm_free(handshake);
        return;
    }
    list_append(&app->handshakes, &handshake->node);
    if (++app->handshake_count == APP_MAX_HANDSHAKES) {
        listener_pause(app->listener);
    }
}

static void on_admin_accept(void *context, struct stream *stream)
{
    struct app *app = context;
    enum rm_err result = rpc_server_accept(app->server, stream);
    if (result != RM_OK) {
        log_warn(LOG_RPC, "connection_not_served", LOG_ERR(result));
    }
}

static void on_health_accept(void *context, struct stream *stream)
{
    struct app *app = context;
    http1_server_accept(app->health, stream);
}

static void on_health_tls(void *context, const struct stream_address *remote)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    (void)context;
    if (log_limit_pass(&limit, &suppressed)) {
        char text[STREAM_ADDRESS_TEXT_BYTES];
        stream_address_text(remote, text);
        log_info(LOG_TLS, "handshake_failed", LOG_STR("remote", text),
                 LOG_STR("error", fault_name(FAULT_TLS_ON_PLAIN_PORT)),
                 LOG_STR("text", fault_sentence(FAULT_TLS_ON_PLAIN_PORT)),
                 LOG_U64("suppressed", suppressed));
    }
}

enum rm_err app_listen_health(struct app *app, struct rm_error *error)
{
    const struct listener_options options = {.address = app->config->health_address,
                                             .has_reserve = true};
    app->health = http1_server_new(app->loop, app_on_health_request, app);
    if (app->health == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    http1_server_on_tls(app->health, on_health_tls);
    return listener_open(app->loop, &options, on_health_accept, app, &app->health_listener, error);
}

static void log_listening(const struct listener *listener, const char *what)
{
    char address[STREAM_ADDRESS_TEXT_BYTES];
    stream_address_text(listener_address(listener), address);
    log_info(LOG_MAIN, "listening", LOG_STR("for", what), LOG_STR("address", address));
}

enum rm_err app_listen(struct app *app, struct rm_error *error)
{
    const struct control_config *config = app->config;
    bool has_group = config->admin_gid != GROUP_NONE;
    const struct listener_options admin = {
        .address = config->admin_address,
        .unix_mode = has_group ? 0660 : 0600,
        .unix_uid = -1,
        .unix_gid = has_group ? (int)config->admin_gid : -1,
        .has_reserve = true,
    };
    const struct listener_options network = {.address = config->listen_address};
    RM_TRY(listener_open(app->loop, &admin, on_admin_accept, app, &app->admin_listener, error));
    RM_TRY(listener_open(app->loop, &network, on_accept, app, &app->listener, error));
    stream_address_text(listener_address(app->listener), app->address);
    log_listening(app->admin_listener, "administration");
    log_listening(app->listener, "workloads");
    log_listening(app->health_listener, "health");
    return RM_OK;
}

void app_stop_listening(struct app *app)
{
    if (app->listener != NULL) {
        listener_close(app->listener, false);
        app->listener = NULL;
    }
    if (app->admin_listener != NULL) {
        listener_close(app->admin_listener, false);
        app->admin_listener = NULL;
    }
    list_each_safe (node, following, &app->handshakes) {
        struct app_handshake *handshake = list_entry(node, struct app_handshake, node);
        struct stream *stream = handshake->stream;
        handshake_end(handshake);
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
    }
}

void app_stop_health(struct app *app)
{
    if (app->health_listener != NULL) {
        listener_close(app->health_listener, false);
        app->health_listener = NULL;
    }
    if (app->health != NULL) {
        http1_server_close(app->health, NULL, NULL);
        app->health = NULL;
    }
}
