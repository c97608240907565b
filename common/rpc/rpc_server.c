// SPDX-License-Identifier: GPL-3.0-or-later
//
// A server: its methods, its connections, its drain.
#include "base/alloc.h"
#include "base/log.h"
#include "rpc/rpc_internal.h"

static void on_drain_deadline(void *context);
static void on_drained(void *context);

struct rpc_server *rpc_server_new(struct loop *loop)
{
    struct rpc_server *server = rm_calloc(1, sizeof(*server));
    if (server == NULL) {
        return NULL;
    }
    server->methods = map_new();
    if (server->methods == NULL) {
        rm_free(server);
        return NULL;
    }
    server->loop = loop;
    server->is_serving = true;
    list_init(&server->services);
    list_init(&server->connections);
    list_init(&server->watches);
    timer_init(&server->drain_timer, loop, on_drain_deadline, server);
    deferred_init(&server->drained, on_drained, server);
    return server;
}

static void free_entry(void *context, const void *key, size_t key_length, void *value)
{
    (void)context;
    (void)key;
    (void)key_length;
    rm_free(value);
}

void rpc_server_free(struct rpc_server *server)
{
    timer_stop(&server->drain_timer);
    deferred_cancel(&server->drained);
    map_visit(server->methods, free_entry, NULL);
    map_free(server->methods);
    list_each_safe (node, following, &server->services) {
        struct rpc_service *service = list_entry(node, struct rpc_service, node);
        rm_free(service->name);
        rm_free(service);
    }
    rm_free(server->contracts);
    rm_free(server);
}

// --- methods and services ---

const struct rpc_entry *rpc_server_find(const struct rpc_server *server, const char *path,
                                        size_t length)
{
    return map_get(server->methods, path, length);
}

struct rpc_service *rpc_service_find(const struct rpc_server *server, const char *name)
{
    list_each (node, &server->services) {
        struct rpc_service *service = list_entry(node, struct rpc_service, node);
        if (strcmp(service->name, name) == 0) {
            return service;
        }
    }
    return NULL;
}

// Finds or makes; takes `name`. NULL when memory is exhausted.
static struct rpc_service *get_service(struct rpc_server *server, char *name)
{
    struct rpc_service *service = name == NULL ? NULL : rpc_service_find(server, name);
    if (service != NULL || name == NULL) {
        rm_free(name);
        return service;
    }
    service = rm_calloc(1, sizeof(*service));
    if (service == NULL) {
        rm_free(name);
        return NULL;
    }
    service->name = name;
    list_append(&server->services, &service->node);
    return service;
}

// "/remora.mesh.v1.Mesh/Sync" belongs to "remora.mesh.v1.Mesh".
static enum rm_err note_service(struct rpc_server *server, const char *path)
{
    const char *name = path + 1;
    struct rpc_service *service = get_service(server, rm_strndup(name, strcspn(name, "/")));
    if (service == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    service->has_methods = true;
    return RM_OK;
}

static enum rm_err add_method(struct rpc_server *server, const struct rpc_method *method,
                              void *context)
{
    size_t length = strlen(method->path);
    if (map_get(server->methods, method->path, length) != NULL) {
        return RM_ERR_EXISTS;
    }
    RM_TRY(note_service(server, method->path));
    struct rpc_entry *entry = rm_malloc(sizeof(*entry));
    if (entry == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    *entry = (struct rpc_entry){method, context};
    enum rm_err result = map_put(server->methods, method->path, length, entry, NULL);
    if (result != RM_OK) {
        rm_free(entry);
    }
    return result;
}

enum rm_err rpc_server_add(struct rpc_server *server, const struct rpc_method *methods,
                           size_t count, void *context)
{
    for (size_t i = 0; i < count; i++) {
        RM_TRY(add_method(server, &methods[i], context));
    }
    return RM_OK;
}

void rpc_server_set_health(struct rpc_server *server, const char *name, bool is_serving)
{
    if (name[0] == '\0') {
        server->is_serving = is_serving;
        rpc_health_changed(server);
        return;
    }
    struct rpc_service *service = get_service(server, rm_strdup(name));
    if (service == NULL) {
        log_error(LOG_RPC, "health_not_set", LOG_STR("service", name), LOG_ERR(RM_ERR_NO_MEMORY));
        return;
    }
    service->has_own_health = true;
    service->is_serving = is_serving;
    rpc_health_changed(server);
}

// --- connections ---

static void log_end(const struct rpc_connection *connection, enum rm_err reason, const char *detail)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    if (rm_err_category(reason) == RM_CAT_OK || rm_err_category(reason) == RM_CAT_CLOSED ||
        !log_limit_pass(&limit, &suppressed)) {
        return;
    }
    char remote[STREAM_ADDRESS_TEXT_BYTES];
    struct stream_address address = stream_remote(h2_session_stream(connection->session));
    stream_address_text(&address, remote);
    log_info(LOG_RPC, "connection_ended", LOG_STR("remote", remote), LOG_ERR(reason),
             LOG_STR("detail", detail), LOG_U64("suppressed", suppressed));
}

static void check_drained(struct rpc_server *server)
{
    if (server->is_draining && server->connection_count == 0) {
        timer_stop(&server->drain_timer);
        deferred_schedule(server->loop, &server->drained);
    }
}

static void on_connection_end(void *context, enum rm_err reason, const char *detail)
{
    struct rpc_connection *connection = context;
    struct rpc_server *server = connection->server;
    log_end(connection, reason, detail);
    list_remove(&connection->node);
    server->connection_count--;
    rm_free(connection);
    check_drained(server);
}

static const struct h2_session_handler session_handler = {
    .on_stream = rpc_server_call_open,
    .on_end = on_connection_end,
};

enum rm_err rpc_server_accept(struct rpc_server *server, struct stream *stream)
{
    struct rpc_connection *connection =
        server->is_draining ? NULL : rm_calloc(1, sizeof(*connection));
    if (connection == NULL) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return server->is_draining ? RM_ERR_CLOSED : RM_ERR_NO_MEMORY;
    }
    connection->server = server;
    enum rm_err result = h2_server_new(stream, &session_handler, connection, &connection->session);
    if (result != RM_OK) {
        rm_free(connection);
        return result;
    }
    list_append(&server->connections, &connection->node);
    server->connection_count++;
    return RM_OK;
}

size_t rpc_server_connection_count(const struct rpc_server *server)
{
    return server->connection_count;
}

void rpc_server_close_peers(struct rpc_server *server, rpc_peer_fn matches, void *context)
{
    list_each (node, &server->connections) // an abort takes effect later, from the loop
    {
        struct rpc_connection *connection = list_entry(node, struct rpc_connection, node);
        const struct peer *peer = stream_peer(h2_session_stream(connection->session));
        if (peer != NULL && matches(context, peer)) {
            h2_session_abort(connection->session, RM_ERR_REVOKED);
        }
    }
}

// --- drain ---

static void on_drain_deadline(void *context)
{
    struct rpc_server *server = context;
    list_each (node, &server->connections) {
        h2_session_abort(list_entry(node, struct rpc_connection, node)->session, RM_ERR_TIMEOUT);
    }
}

static void on_drained(void *context)
{
    struct rpc_server *server = context;
    if (server->on_drained != NULL) {
        server->on_drained(server->drained_context);
    }
}

void rpc_server_drain(struct rpc_server *server, uint32_t deadline_ms, rpc_done_fn done,
                      void *context)
{
    server->is_draining = true;
    server->on_drained = done;
    server->drained_context = context;
    rpc_health_changed(server);
    list_each (node, &server->connections) {
        h2_session_drain(list_entry(node, struct rpc_connection, node)->session);
    }
    if (timer_start(&server->drain_timer, deadline_ms) != RM_OK) {
        on_drain_deadline(server); // without a deadline there would be no end
    }
    check_drained(server);
}
