// SPDX-License-Identifier: GPL-3.0-or-later
//
// grpc.health.v1: Check answers once, Watch answers now and at each change.
#include "base/alloc.h"
#include "rpc/rpc_internal.h"

// One Watch call.
struct rpc_watch {
    struct list node;                             // in server->watches
    struct rpc_call *call;                        // borrowed; the call owns the watch
    char service[RPC_MAX_SERVICE_NAME_BYTES + 1]; // what is watched
    enum rpc_health_status told;                  // last answer
};

static enum rpc_health_status look_up(const struct rpc_server *server, const char *name)
{
    const struct rpc_service *service = rpc_service_find(server, name);
    if (service == NULL && name[0] != '\0') {
        return RPC_HEALTH_UNKNOWN;
    }
    bool is_serving =
        service != NULL && service->has_own_health ? service->is_serving : server->is_serving;
    return is_serving && !server->is_draining ? RPC_HEALTH_SERVING : RPC_HEALTH_NOT_SERVING;
}

// A message of a few bytes: when even that finds no room, the watcher does not read.
static void tell(struct rpc_call *call, enum rpc_health_status status)
{
    uint8_t response[RPC_HEALTH_RESPONSE_BYTES];
    size_t length = rpc_wire_write_health(status, response);
    enum rm_err result = rpc_call_send(call, response, length);
    if (result != RM_OK) {
        rpc_call_end(call, rpc_status_from_err(result), "the answer could not be sent");
    }
}

static enum rpc_status on_open(void *server_context, struct rpc_call *call, const char **text)
{
    (void)server_context;
    (void)call;
    (void)text;
    return RPC_OK;
}

// False: the call was ended.
static bool read_name(struct rpc_call *call, const uint8_t *bytes, size_t length,
                      char name[RPC_MAX_SERVICE_NAME_BYTES + 1])
{
    enum rm_err result = rpc_wire_read_health(bytes, length, name);
    if (result == RM_ERR_TOO_LARGE) {
        rpc_call_end(call, RPC_INVALID_ARGUMENT, "service name too long");
    } else if (result != RM_OK) {
        rpc_call_end(call, rpc_status_from_err(result), "no valid HealthCheckRequest");
    }
    return result == RM_OK;
}

static void on_check(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)context;
    char name[RPC_MAX_SERVICE_NAME_BYTES + 1];
    if (!read_name(call, bytes, length, name)) {
        return;
    }
    enum rpc_health_status status = look_up(call->connection->server, name);
    if (status == RPC_HEALTH_UNKNOWN) {
        rpc_call_end(call, RPC_NOT_FOUND, "unknown service");
        return;
    }
    tell(call, status);
    rpc_call_end(call, RPC_OK, NULL);
}

static void on_watch(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)context;
    struct rpc_server *server = call->connection->server;
    struct rpc_watch *watch = rm_calloc(1, sizeof(*watch));
    if (watch == NULL) {
        rpc_call_end(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    watch->call = call;
    list_append(&server->watches, &watch->node);
    rpc_call_set_context(call, watch); // freed in on_watch_close
    if (read_name(call, bytes, length, watch->service)) {
        watch->told = look_up(server, watch->service);
        tell(call, watch->told);
    }
}

static void on_half_close(void *context, struct rpc_call *call)
{
    (void)context;
    (void)call;
}

static void on_check_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    (void)context;
    (void)call;
    (void)status;
}

static void on_watch_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    (void)call;
    (void)status;
    struct rpc_watch *watch = context;
    if (watch != NULL) {
        list_remove(&watch->node);
        rm_free(watch);
    }
}

void rpc_health_changed(struct rpc_server *server)
{
    list_each (node, &server->watches) // a call that ends leaves the list later, from the loop
    {
        struct rpc_watch *watch = list_entry(node, struct rpc_watch, node);
        enum rpc_health_status status = look_up(server, watch->service);
        if (status != watch->told) {
            watch->told = status;
            tell(watch->call, status);
        }
        if (server->is_draining) {
            rpc_call_end(watch->call, RPC_UNAVAILABLE, "the server is draining");
        }
    }
}

static const struct rpc_method methods[] = {
    {
        .path = "/grpc.health.v1.Health/Check",
        .on_open = on_open,
        .on_message = on_check,
        .on_half_close = on_half_close,
        .on_close = on_check_close,
    },
    {
        .path = "/grpc.health.v1.Health/Watch",
        .is_server_streaming = true,
        .on_open = on_open,
        .on_message = on_watch,
        .on_half_close = on_half_close,
        .on_close = on_watch_close,
    },
};

enum rm_err rpc_server_add_health(struct rpc_server *server)
{
    return rpc_server_add(server, methods, sizeof(methods) / sizeof(methods[0]), NULL);
}
